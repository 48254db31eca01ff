"""The names of the package are the field's: a ban list of words that only its authors would know.

Module, class, public function and public parameter names are checked, word by word: `judged_pool`
has the words `judged` and `pool`. Prose may say "ground truth".
"""

import ast
from collections.abc import Iterator

from tests.conftest import PACKAGE

BANNED = {
    "above",
    "around",
    "facts",
    "foreign",
    "guard",
    "heard",
    "hears",
    "judge",
    "judged",
    "judging",
    "least",
    "lesson",
    "levels",
    "linked",
    "living",
    "parted",
    "pool",
    "probe",
    "probes",
    "shots",
    "stored",
    "tail",
    "told",
    "truth",
    "why",
}

FIELD = {
    "stem_pool": "the pooling layer of a network's stem",
    "weighted_pool": "pooling of a feature map by weights",
}
"""Names with such a word in a standard meaning of it."""

REMAINING: set[str] = {"above"}
"""Names that are still to be replaced. Never add one."""


def words(name: str) -> set[str]:
    """The words of a name: `HardSampler` and `hard_sampler` are hard and sampler."""
    spaced = "".join(f"_{letter}" if letter.isupper() else letter for letter in name)
    return {word.lower() for word in spaced.split("_") if word}


def public_names(node: ast.AST) -> Iterator[str]:
    """Names of public classes, functions and their parameters, from the outside inwards.

    What a function defines for itself is not public, nor is anything inside a private class.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield child.name
            yield from public_names(child)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if not child.name.startswith("_"):
                yield child.name
            if not child.name.startswith("_") or child.name == "__init__":
                given = child.args
                parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
                yield from (each.arg for each in parameters if not each.arg.startswith("_"))
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from public_names(child)


def names_of_package() -> Iterator[tuple[str, str]]:
    """Each module and public name of the package, with the file it stands in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE).as_posix()
        yield from ((file, part) for part in path.relative_to(PACKAGE).with_suffix("").parts)
        yield from ((file, name) for name in public_names(ast.parse(path.read_text())))


def test_no_private_words() -> None:
    found = [
        f"{file}: {name}"
        for file, name in names_of_package()
        if words(name) & BANNED and name not in FIELD and name not in REMAINING
    ]
    assert found == []


def test_the_check_finds_a_private_word() -> None:
    code = """
class Judge:
    def __init__(self, pool): ...
    def _told(self, probes): ...
    def score(self, query, /, *, tail=0): ...
if True:
    def why_not(): ...
class _Lesson:
    def facts(self): ...
"""
    found = [name for name in public_names(ast.parse(code)) if words(name) & BANNED]
    assert found == ["Judge", "pool", "tail", "why_not"]
