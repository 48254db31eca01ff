"""The numeric precision of training: bfloat16 or float32."""

from collections.abc import Mapping
from typing import Any, Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]


def bf16(precision: Precision, device: str) -> bool:
    """Whether to train in bfloat16.

    Args:
        precision: "bf16", "fp32", or "auto": bfloat16 where the hardware multiplies it natively.
        device: a torch device, such as "cpu" or "cuda:0".
    """
    if precision != "auto":
        return precision == "bf16"
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: Mapping[str, Any] = (
        torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    )
    return any(capabilities.get(name) is True for name in ("amx_bf16", "avx512_bf16"))


def trained_in(precision: Precision, device: torch.device | str) -> Literal["bf16", "fp32"]:
    """The precision that a training with this option uses on this device, for its record."""
    return "bf16" if bf16(precision, str(device)) else "fp32"
