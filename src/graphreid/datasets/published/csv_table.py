"""Any set of images that a table lists (the module is not called csv, which would hide Python's
own).
"""

from pathlib import Path, PurePosixPath

from graphreid.datasets.importing import ImageEntry, ImportPlan, draw_identities
from graphreid.datasets.manifest import OPTIONAL_COLUMNS, SPLITS
from graphreid.features.readers.tables import read_table
from graphreid.types import ROLES

_COLUMNS = ("path", "identity", "camera", "split", "role", "item", *OPTIONAL_COLUMNS)


def read(source: Path, *, test_share: float | None = None, seed: int | None = None) -> ImportPlan:
    """The images of a table (.csv, .tsv, .parquet) with columns path, identity and any of the
    optional ones.

    Optional are camera, split (train, query, gallery, query+gallery; test means query+gallery),
    role (normal, junk, distractor), item (the path where not given), view, time and track. Paths
    start from the table's folder. The order of the table is that of the manifest. Where there is no
    split, whole identities are drawn for testing.

    Args:
        source: the table.
        test_share: share of the identities that are for testing, where there is no column split;
            None is a half.
        seed: draws them; None is 0.

    Raises:
        ValueError: no such table, a column is missing, a value that its column does not admit, or a
            draw where there is a split.
    """
    table = read_table(source)
    missing = [name for name in ("path", "identity") if name not in table]
    if missing:
        raise ValueError(
            f"{source}: column {', '.join(missing)} is missing; it has {', '.join(table)}"
        )
    for name in {"path", "identity", "camera", "item"} & set(table):
        if "" in table[name]:
            raise ValueError(
                f"{source}: {name} is empty in row {table[name].index('')} (the first is row 0)"
            )
    for name in {"path", "item"} & set(table):
        first: dict[str, int] = {}
        for row, value in enumerate(table[name]):
            if first.setdefault(value, row) != row:
                raise ValueError(
                    f"{source}: {name} {value!r} stands in rows {first[value]} and {row}: give "
                    f"each image one row"
                )
    n = len(table["path"])
    split = _splits(source, table, test_share, seed)
    role = [value or "normal" for value in table.get("role", ["normal"] * n)]
    for row, value in enumerate(role):
        if value not in ROLES:
            raise ValueError(f"{source}: role is {value!r} in row {row}: one of {', '.join(ROLES)}")
    entries = [
        ImageEntry(
            source=source.parent / path,
            path=_below(path),
            identity=table["identity"][row],
            split=split[row],
            camera=table["camera"][row] if "camera" in table else None,
            role=role[row],
            item=table["item"][row] if "item" in table else path,
            extra={name: table[name][row] for name in OPTIONAL_COLUMNS if name in table},
        )
        for row, path in enumerate(table["path"])
    ]
    unused = [name for name in table if name not in _COLUMNS]
    return ImportPlan(
        entries, (), [f"{source}: columns left out: {', '.join(unused)}"] if unused else []
    )


def _splits(
    source: Path, table: dict[str, list[str]], test_share: float | None, seed: int | None
) -> list[str]:
    if "split" not in table:
        test = draw_identities(table["identity"], test_share, seed)
        return ["query+gallery" if name in test else "train" for name in table["identity"]]
    if (test_share, seed) != (None, None):
        raise ValueError(f"{source}: has a column split: leave out --test-share and --seed")
    split = ["query+gallery" if value == "test" else value for value in table["split"]]
    for row, value in enumerate(split):
        if value not in SPLITS:
            raise ValueError(
                f"{source}: split is {value!r} in row {row}: one of {', '.join(SPLITS)}, test"
            )
    return split


def _below(path: str) -> str:
    """Where the image goes below DIR/images: its path without drive, root and "..", so that it
    cannot leave it.
    """
    pure = PurePosixPath(path.replace("\\", "/"))
    return "/".join(
        part for part in pure.parts if part not in ("..", "/") and not part.endswith(":")
    )
