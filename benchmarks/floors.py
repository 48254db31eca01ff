"""What this machine does at best, the yardstick, and the least that a method must do."""

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

EDGE = 2048
TOP = 100
WHOLE = 30_000
"""Up to so many rows the yardstick is measured on all of them."""
SAMPLE = 4_096


def best(work: Callable[[], object], runs: int = 5) -> float:
    """Seconds of the fastest run after one that is not counted."""
    work()
    times: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def rates() -> dict[str, float]:
    """10^12 operations a second of products in float32 and bfloat16, and 10^9 bytes a second that
    are read.
    """
    found: dict[str, float] = {}
    for name, kind in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        left, right = torch.ones(EDGE, EDGE, dtype=kind), torch.ones(EDGE, EDGE, dtype=kind)
        out = torch.empty(EDGE, EDGE, dtype=kind)
        found[name] = (
            2
            * EDGE**3
            / best(lambda left=left, right=right, out=out: torch.mm(left, right.T, out=out))
            / 1e12
        )
    large = torch.ones(2**27)
    found["bandwidth"] = large.nbytes / best(large.sum) / 1e9
    return found


def yardstick(vectors: NDArray[np.float32], runs: int = 3) -> tuple[list[float], int]:
    """Seconds of exact float32 top-100 of the set against itself, by blocks; and of how many rows
    they were measured.
    """
    base = torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1)
    rows = len(base) if len(base) <= WHOLE else SAMPLE
    times: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        for at in range(0, rows, 512):
            torch.topk(base[at : min(at + 512, rows)] @ base.T, min(TOP, len(base)))
        times.append((time.perf_counter() - start) * len(base) / rows)
    return times, rows


def floor(method: str, queries: int, gallery: int, width: int, rate: dict[str, float]) -> float:
    """Seconds of a method's dense products at the machine's rates.

    A search costs half of the set's product with itself (all of it for queries against a gallery)
    in the fastest type; distances of all queries to the gallery cost a float32 product. What is
    sparse counts nothing.
    """
    fast = max(rate["float32"], rate["bfloat16"]) * 1e12
    n = queries + gallery
    within, across = n * n * width / fast, 2 * queries * gallery * width / fast
    images, final = (
        gallery * gallery * width / fast,
        2 * queries * gallery * width / (rate["float32"] * 1e12),
    )
    name = method.partition(":")[0]
    if name == "search":
        return within
    if "setting=online" in method:
        return images + across + final
    return {
        "cosine": final,
        "aqe": across + final,
        "dba": images + final,
        "random-walk": images + final,
        "cagcn": images + final,
        "sggnn": images + final,
    }.get(name, within + final)
