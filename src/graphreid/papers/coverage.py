"""Every table and figure of the five papers that can be made, as a literal list; diagrams and
notation are left out.
"""

from dataclasses import dataclass
from typing import Literal

from graphreid.methods import METHODS
from graphreid.papers import cagcn, fa_ec_gcn, ffgnn, hrnet, icg
from graphreid.papers.recipe import Recipe, absent

Needs = Literal["embeddings", "images", "images with part masks"]
MASKS: Needs = "images with part masks"


@dataclass(frozen=True)
class Entry:
    """A table or figure.

    Attributes:
        what: what it shows.
        sets: the paper's own data sets, by which its own levels could be met.
        needs: what it can be made of; any set will do.
        methods: what must be in this version for it.
    """

    what: str
    sets: str
    needs: Needs
    methods: tuple[str, ...]


_MARKET, _BOTH, _FOUR = (
    "Market-1501",
    "Market-1501, DukeMTMC-reID",
    "Market-1501, DukeMTMC-reID, CUHK03-NP, MSMT17",
)
_VERI, _THREE = "VeRi-776", "Market-1501, DukeMTMC-reID, VeRi-776"
_CAGCN, _FA, _BOTH_GCN, _FAEC, _FF, _HR, _ICG = (
    ("cagcn",),
    ("fa-gcn",),
    ("fa-ec-gcn",),
    ("fa-ec-gcn", "fa-gcn", "ec-gcn"),
    ("ffgnn",),
    ("hrnet",),
    ("parts",),
)

COVERAGE: dict[str, Entry] = {
    "cagcn/table1": Entry("CAGCN, and with k-reciprocal after it", _BOTH, "embeddings", _CAGCN),
    "cagcn/table2": Entry("CAGCN on vehicles", _VERI, "embeddings", _CAGCN),
    "cagcn/table3": Entry("samplers", _THREE, "embeddings", _CAGCN),
    "cagcn/table4": Entry("number of nodes", _MARKET, "embeddings", _CAGCN),
    "cagcn/table5": Entry("number of layers", _MARKET, "embeddings", _CAGCN),
    "cagcn/table6": Entry("neighbours k' of a node", _MARKET, "embeddings", _CAGCN),
    "cagcn/fig3": Entry("curve of lam", _MARKET, "embeddings", _CAGCN),
    "cagcn/fig4": Entry("ranked lists", _MARKET, "embeddings", _CAGCN),
    "fa-ec-gcn/table2": Entry(
        "FA-GCN, EC-GCN, both, with k-reciprocal; two backbones", _BOTH, "embeddings", _FAEC
    ),
    "fa-ec-gcn/table3": Entry("FA-GCN, EC-GCN and both on vehicles", _VERI, "embeddings", _FAEC),
    "fa-ec-gcn/table4": Entry("k1 of the random sampler", _BOTH, "embeddings", _BOTH_GCN),
    "fa-ec-gcn/table5": Entry("gamma of the random sampler", _BOTH, "embeddings", _BOTH_GCN),
    "fa-ec-gcn/table6": Entry("samplers and losses", _BOTH, "embeddings", _BOTH_GCN),
    "fa-ec-gcn/fig4": Entry("curve of lam", _BOTH, "embeddings", _BOTH_GCN),
    "fa-ec-gcn/fig5": Entry("curve of FA-GCN's k", _BOTH, "embeddings", _FA),
    "fa-ec-gcn/fig6": Entry("t-SNE before and after FA-GCN", _BOTH, "embeddings", _FA),
    "fa-ec-gcn/fig7": Entry("ranked lists", _BOTH, "embeddings", _FAEC),
    "ffgnn/table1": Entry("components", _BOTH, "embeddings", _FF),
    "ffgnn/table2": Entry("FFGNN, and with ECN after it", _MARKET, "embeddings", (*_FF, "ecn")),
    "ffgnn/table3": Entry(
        "FFGNN, and with ECN after it", "DukeMTMC-reID", "embeddings", (*_FF, "ecn")
    ),
    "ffgnn/table4": Entry("FFGNN, and with ECN after it", "CUHK03-NP", "embeddings", (*_FF, "ecn")),
    "ffgnn/table5": Entry(
        "beside random walk, SGGNN, k-reciprocal and ECN",
        _BOTH,
        "embeddings",
        (*_FF, "random-walk", "sggnn", "k-reciprocal", "ecn"),
    ),
    "ffgnn/fig4": Entry("curves of K and alpha", _BOTH, "embeddings", _FF),
    "ffgnn/fig5": Entry("ranked lists", _MARKET, "embeddings", _FF),
    "hrnet/table1": Entry("components", _FOUR, "embeddings", _HR),
    "hrnet/table2": Entry("HRNet", _FOUR, "embeddings", _HR),
    "hrnet/fig3": Entry("curve of k", _MARKET, "embeddings", _HR),
    "hrnet/fig4": Entry("number of edges", _MARKET, "embeddings", _HR),
    "hrnet/fig5": Entry("heat maps of the two graphs", _MARKET, "embeddings", _HR),
    "icg/table1": Entry("BoT and ICG", _FOUR, "images", _ICG),
    "icg/table2": Entry("modules", _FOUR, "images", _ICG),
    "icg/table3": Entry("number of parts K", _FOUR, "images", _ICG),
    "icg/table4": Entry("parameters and operations", _MARKET, "images", _ICG),
    "icg/table5": Entry("overlap of parts with the truth", _MARKET, MASKS, _ICG),
    "icg/fig7": Entry("foreground maps", _MARKET, "images", _ICG),
    "icg/fig8": Entry("the part graph's matrix M", _MARKET, "images", _ICG),
    "icg/fig9": Entry("t-SNE", _MARKET, "images", _ICG),
    "icg/fig10": Entry("ranked lists", _MARKET, "images", _ICG),
    "icg/fig11": Entry("parts by K", _MARKET, "images", _ICG),
    "icg/fig12": Entry("parts by epoch", _MARKET, "images", _ICG),
    "icg/fig13": Entry("pseudo-labels and predicted parts", _MARKET, "images", _ICG),
    "icg/fig14": Entry("clustering, step by step", _MARKET, "images", _ICG),
}

RECIPES: dict[str, Recipe] = {
    **cagcn.RECIPES,
    **fa_ec_gcn.RECIPES,
    **ffgnn.RECIPES,
    **hrnet.RECIPES,
    **icg.RECIPES,
}
"""What can be made in this version: each paper's file adds its own."""


def state(name: str) -> str:
    """Whether an id can be made in this version, in a few words."""
    entry = COVERAGE[name]
    missing = [method for method in entry.methods if method not in METHODS]
    if missing:
        return f"{', '.join(missing)}: not in this version"
    if name not in RECIPES:
        return "no recipe in this version"
    rows = [row for row in RECIPES[name].rows if absent(row)]
    return "runs here" if not rows else f"runs here, without {', '.join(row.name for row in rows)}"


def select(names: tuple[str, ...]) -> list[Recipe]:
    """The recipes of ids, and of papers ("cagcn" is all of its ids).

    Raises:
        ValueError: an unknown id, or one that this version can't make.
    """
    chosen: dict[str, Recipe] = {}
    for name in names:
        ids = [key for key in COVERAGE if key == name or key.partition("/")[0] == name]
        if not ids:
            raise ValueError(
                f"{name!r} is no table or figure: 'graphreid reproduce --list' shows all "
                f"{len(COVERAGE)}"
            )
        able = [key for key in ids if state(key).startswith("runs here")]
        if not able:
            raise ValueError(
                f"{name} can't be made here: {state(ids[0])} (graphreid reproduce --list)"
            )
        chosen |= {key: RECIPES[key] for key in able}
    return list(chosen.values())
