import torch

from graphreid.training.precision import bf16, trained_in


def test_precision():
    assert bf16("bf16", "cpu")
    assert not bf16("fp32", "cpu")
    capabilities = torch.cpu.get_capabilities()
    assert bf16("auto", "cpu") == bool(
        capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
    )
    assert trained_in("auto", torch.device("cpu")) == ("bf16" if bf16("auto", "cpu") else "fp32")
    assert [trained_in(each, "cpu") for each in ("bf16", "fp32")] == ["bf16", "fp32"]
