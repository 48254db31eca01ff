"""The Jinja2 environment of the report and of the viewer: all text is escaped, and a name that a
template lacks is an error.
"""

from pathlib import Path
from typing import Any


def template_environment(folder: Path) -> Any:
    """A Jinja2 environment for the templates of a folder."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415  # an extra

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
