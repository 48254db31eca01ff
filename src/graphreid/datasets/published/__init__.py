"""Importers of data sets, one file each with a function `read(source, **options) -> ImportPlan`."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

from graphreid.datasets.importing import ImportPlan
from graphreid.datasets.published import (
    csv_table,
    cuhk03_np,
    dukemtmc_reid,
    folder,
    grocery,
    market1501,
    msmt17,
    omniglot,
    stanford_online_products,
    veri_776,
)
from graphreid.plugins import Registry


@dataclass(frozen=True)
class Importer:
    """An importer: its function, and a line on content, source and licence of the set."""

    read: Callable[..., ImportPlan]
    about: str


_OWN = {
    "folder": Importer(folder.read, "your images, one folder for each identity"),
    "csv": Importer(
        csv_table.read, "your images, listed in a table with columns path, identity and more"
    ),
    "omniglot": Importer(
        omniglot.read,
        "handwritten characters, camera = drawer (github.com/brendenlake/omniglot, MIT licence)",
    ),
    "grocery": Importer(
        grocery.read,
        "photographs of groceries, no cameras (github.com/marcusklasson/GroceryStoreDataset, MIT "
        "licence)",
    ),
    "stanford-online-products": Importer(
        stanford_online_products.read,
        "products of an online shop, no cameras (cvgl.stanford.edu/projects/lifted_struct, "
        "research only)",
    ),
    "market1501": Importer(
        market1501.read,
        "persons, 6 cameras (zheng-lab-anu.github.io/Project/project_reid.html, research only, not "
        "to be passed on)",
    ),
    "dukemtmc-reid": Importer(
        dukemtmc_reid.read,
        "persons, 8 cameras; withdrawn by its authors in 2019, only for comparing with old numbers",
    ),
    "cuhk03-np": Importer(
        cuhk03_np.read,
        "persons, 2 views, new protocol (github.com/zhunzhong07/person-re-ranking, research only)",
    ),
    "msmt17": Importer(
        msmt17.read,
        "persons, 15 cameras, versions 1 and 2 (from its authors by agreement, research only)",
    ),
    "veri-776": Importer(
        veri_776.read,
        "vehicles, 20 cameras (github.com/JDAI-CV/VeRidataset, on request, research only)",
    ),
}
SETS: Registry[Importer] = Registry("datasets", _OWN)
"""Every set by name, those of plugins too."""


def read_set(name: str, source: str | Path, **options: object) -> ImportPlan:
    """List the images of a data set, for `importing.import_images`.

    Args:
        name: a key of SETS.
        source: the folder or file of the set.
        options: options of the importer; None means not given.

    Raises:
        ValueError: an unknown set, an option that the importer lacks, no image found, or an error
            of the importer.
    """
    if name not in SETS:
        raise ValueError(f"no set {name!r} can be imported: choose one of {', '.join(SETS)}")
    read = SETS[name].read
    given = {option: value for option, value in options.items() if value is not None}
    unknown = [option for option in given if option not in signature(read).parameters]
    if unknown:
        raise ValueError(f"{name} has no option --{unknown[0].replace('_', '-')}")
    plan = read(Path(source), **given)
    if not plan.entries and not plan.problems:
        raise ValueError(
            f"{source}: no image in it that {name} reads: docs/data-sets.md says what it must have"
        )
    return plan
