"""Which precision to train in."""

from collections.abc import Mapping
from typing import Any, Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]


def bf16(precision: Precision, device: str) -> bool:
    """Whether to train in bf16: "auto" does where the hardware multiplies it natively."""
    if precision != "auto":
        return precision == "bf16"
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: Mapping[str, Any] = (
        torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    )
    return any(capabilities.get(name) is True for name in ("amx_bf16", "avx512_bf16"))


def trained_in(precision: Precision, device: torch.device | str) -> Literal["bf16", "fp32"]:
    """What a training with this setting uses on this device and processor, for its record."""
    return "bf16" if bf16(precision, str(device)) else "fp32"
