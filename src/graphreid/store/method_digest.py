"""A digest of a method, its options and what it has learned, under which its threshold is kept.

Two methods have the same digest if they give the same distances. It does not depend on how a class
groups its options, nor on their order.
"""

import hashlib
from typing import Any

import torch

from graphreid.methods.chain import Chain
from graphreid.options import flat_options
from graphreid.protocols import Reranker

_OPTIONS_1 = {
    "cagcn": "sampler k1 k2 k edges links edge_weight edge_input scale_attention attention_width "
    "self_loops layers width lam alpha gamma optimizer rate weight_decay schedule batch epochs "
    "patience noise calibrate precision seed",
    "ec-gcn": "sampler k1 k2 gamma links self_loops layers width lam loss alpha focus optimizer "
    "rate weight_decay schedule batch probes epochs patience noise metric calibrate precision seed",
    "fa-ec-gcn": "setting distance lam fa_k fa_layers identity_weight tau include_self "
    "fa_optimizer fa_rate fa_weight_decay fa_schedule fa_batch fa_epochs sampler k1 k2 gamma links "
    "self_loops layers width loss alpha focus optimizer rate weight_decay schedule batch probes "
    "epochs patience noise calibrate precision seed",
    "fa-gcn": "k layers distance setting identity_weight tau include_self optimizer rate "
    "weight_decay schedule batch epochs patience seed",
    "ffgnn": "k edges mask reciprocal tau lam scope iterations alpha init identity triplet "
    "verification margin sampling rate weight_decay batch epochs anchors patience noise precision "
    "seed",
    "hrnet": "nodes individual pairwise constraint propagation k graph attention self_in_c init "
    "layers edges alpha beta lam readout margin smoothing balance batches identities images rate "
    "weight_decay schedule epochs patience noise calibrate precision seed",
    "sggnn": "k width share lam rate weight_decay batch epochs patience noise calibrate precision "
    "seed",
}
"""The options of the learned methods at format 1 of thresholds.json, in their order and by their
names of then; those of other methods have not changed.
"""
_RENAMED_1 = {"probes": "queries"}


def method_digest(method: Reranker) -> str:
    """The digest of a method, as text."""
    if isinstance(method, Chain):
        return _digest(method_digest(method.first), method_digest(method.second))
    options = sorted(flat_options(method).items())
    return _digest(_name(method), options, _learned_digest(method))


def method_digest_1(method: Reranker) -> str:
    """The digest that format 1 of thresholds.json has of a method."""
    return _digest(_described_1(method), _learned_digest_1(method))


def _described_1(method: Any) -> str:
    kind = type(method).__name__
    if isinstance(method, Chain):
        return f"{kind}(first={_described_1(method.first)}, second={_described_1(method.second)})"
    known = flat_options(method)
    names = _OPTIONS_1.get(_name(method), " ".join(known)).split()
    options = ", ".join(f"{name}={known[_RENAMED_1.get(name, name)]!r}" for name in names)
    return f"{kind}({options})"


def _learned_digest_1(method: Reranker) -> str:
    if not isinstance(method, Chain):
        return _learned_digest(method)
    digest = hashlib.blake2b(digest_size=16)
    for part in (method.first, method.second):
        digest.update(repr((_described_1(part), _learned_digest_1(part))).encode())
    return digest.hexdigest()


def _learned_digest(method: Any) -> str:
    """A digest of the attributes that end in an underscore."""
    digest = hashlib.blake2b(digest_size=16)
    for attribute, value in sorted(vars(method).items()):
        if attribute.endswith("_"):
            parts: dict[str, Any] = value if isinstance(value, dict) else {"": value}
            for name, part in sorted(parts.items()):
                digest.update(f"{attribute}{name}:".encode() + _bytes(part))
    return digest.hexdigest()


def _bytes(value: Any) -> bytes:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
    return repr(value).encode()


def _name(method: Any) -> str:
    return str(method.name)


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()
