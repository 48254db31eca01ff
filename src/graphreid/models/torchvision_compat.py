"""Lets torchvision, and with it timm, be imported beside a CPU build of torch."""

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # a library's declarations go when it does


def patch_torchvision() -> None:
    """Call it before the first import of torchvision or timm.

    The torchvision wheel is a CUDA build; beside a CPU torch its operators are not loaded, and its
    import then fails at the first one it describes. Only in that case the operators it describes
    are declared (not implemented; none is used).
    """
    try:
        import torchvision  # noqa: PLC0415  # pyright: ignore[reportUnusedImport]
    except RuntimeError as error:
        if "operator torchvision::" not in str(error) or _declared:
            raise
        _declared.append(torch.library.Library("torchvision", "DEF"))
        for schema in _SCHEMAS:
            _declared[0].define(schema)
        import torchvision  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport]
