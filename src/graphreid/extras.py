"""Optional dependencies: the packages of each extra, and error messages where one is missing."""

import importlib.util

_REPORT = ("jinja2", "matplotlib", "openTSNE")
_GALLERY = ("lancedb",)
EXTRAS = {
    "report": _REPORT,
    "gallery": _GALLERY,
    "service": (*_GALLERY, *_REPORT, "fastapi", "multipart", "prometheus_client", "uvicorn"),
    "export": ("onnx", "onnxscript", "onnxruntime", "openvino"),
}
"""Import names of the packages of each extra in pyproject.toml."""


def require(extra: str, what: str, *packages: str) -> None:
    """Check that packages of an extra are installed.

    Args:
        extra: one of EXTRAS.
        what: the feature that needs them, for the message.
        packages: import names; none means all packages of the extra.

    Raises:
        ValueError: names the missing packages and how to install them.
    """
    missing = [name for name in packages or EXTRAS[extra] if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"{what} needs {', '.join(missing)}: {_command(extra)}")


def missing_extra_message(error: BaseException | None) -> str | None:
    """How to install the package whose absence caused an error; None if it is of no extra."""
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
