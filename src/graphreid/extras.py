"""The optional dependencies: which packages each extra of pyproject.toml brings, and what to say
where one is missing.
"""

import importlib.util

_REPORT = ("jinja2", "matplotlib", "openTSNE")
_GALLERY = ("lancedb",)
EXTRAS = {
    "report": _REPORT,
    "gallery": _GALLERY,
    "service": (*_GALLERY, *_REPORT, "fastapi", "multipart", "uvicorn"),
    "export": ("onnx", "onnxscript", "onnxruntime", "openvino"),
}
"""The names by which an extra's packages are imported."""


def require(extra: str, what: str, *packages: str) -> None:
    """Refuse where packages of an extra are not installed.

    Args:
        extra: one of EXTRAS.
        what: what needs them, the line's first words.
        packages: which of the extra's; all if none is given.

    Raises:
        ValueError: which are missing, and how to install them.
    """
    missing = [name for name in packages or EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"{what} needs {', '.join(missing)}: {_command(extra)}")


def missing_extra_message(error: BaseException | None) -> str | None:
    """A line about the package of an extra whose absence led to the error; None where it was
    something else.
    """
    while error is not None:
        package = (
            (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        )
        extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
        if extra is not None:
            return f"{package} is not installed: {_command(extra)}"
        error = error.__cause__
    return None


def _command(extra: str) -> str:
    return f"pip install 'graphreid[{extra}]'"
