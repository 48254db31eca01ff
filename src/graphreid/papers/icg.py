"""ICG's tables and figures: "Instance-level consistent graph with unsupervised human parts for
person re-identification".

Other papers' rows are left out. Every row trains its own network, from images: BoT and ICG see the
same images equally often, by the same schedule.
"""

from collections.abc import Mapping
from pathlib import Path

from graphreid.papers.recipe import Claim, Kind, Look, Recipe, Row

SETS = ("market1501", "dukemtmc-reid", "msmt17", "cuhk03-np")
BOTH = ("mAP", "rank-1")


def _on(*numbers: float) -> dict[str, dict[str, float]]:
    """MAP and rank-1 on the paper's sets, in its order."""
    return {
        name: {"mAP": numbers[2 * at], "rank-1": numbers[2 * at + 1]}
        for at, name in enumerate(SETS[: len(numbers) // 2])
    }


def _cost(run: Path, data: Path) -> Mapping[str, float]:
    from graphreid.papers import part_figures  # noqa: PLC0415  # networks and pictures take seconds to import

    return part_figures.cost(run, data)


def _overlaps(run: Path, data: Path) -> Mapping[str, float]:
    from graphreid.papers import part_figures  # noqa: PLC0415

    return part_figures.overlaps(run, data)


def _bot(*, headline: bool = False, look: Look | None = None) -> Row:
    return Row(
        "BoT",
        "cosine",
        train="bot",
        headline=headline,
        look=look,
        paper=_on(85.9, 94.5, 76.4, 85.4),
    )


def _icg(
    name: str = "ICG", *, method: str = "parts", headline: bool = False, look: Look | None = None
) -> Row:
    numbers = _on(88.9, 95.4, 82.4, 91.4, 59.5, 81.6, 74.4, 76.9) if method == "parts" else {}
    return Row(name, method, train="icg", headline=headline, look=look, paper=numbers)


_RECKONED = (
    "The paper's BoT, and its rows of parts of ICG, are reckoned from ICG's numbers and "
    "the gains that its text gives."
)
_AFTER = tuple(
    _icg(f"ICG+{name}", method=f"parts+{method}")
    for name, method in (
        ("k-reciprocal", "k-reciprocal"),
        ("ECN", "ecn"),
        ("random walk", "random-walk"),
    )
)
_ON_VECTORS = tuple(
    _icg(f"ICG, {name}", method=method)
    for name, method in (
        ("vectors as one", "cosine"),
        ("AQE", "aqe"),
        ("DBA", "dba"),
        ("diffusion", "diffusion"),
        ("GNN re-ranking", "gnn-reranking"),
    )
)

_FIGURES: tuple[tuple[str, Kind, str, tuple[Row, ...]], ...] = (
    ("fig7", "pictures", "responses before and after the attention, and the foreground", (_icg(),)),
    ("fig8", "pictures", "M, what parts hear of each other in an image", (_icg(),)),
    ("fig9", "map", "t-SNE of twenty identities by BoT and by ICG", (_bot(), _icg())),
    ("fig10", "lists", "ranked lists by BoT and by ICG", (_bot(), _icg())),
    (
        "fig11",
        "pictures",
        "parts of the same images with K = 3 to 7",
        tuple(
            Row(f"K = {k}", "parts", train="icg" if k == 6 else f"icg:parts={k}")
            for k in range(3, 8)
        ),
    ),
    ("fig12", "pictures", "clusters after so many epochs", (_icg(),)),
    ("fig13", "pictures", "clusters, and the parts that the network learned of them", (_icg(),)),
    ("fig14", "pictures", "clusters of one identity's images, over the epochs", (_icg(),)),
)

_RECIPES = (
    Recipe(
        id="icg/table1",
        source="Table 1",
        title="BoT and ICG, and methods that start from ICG's distances or vectors",
        columns=BOTH,
        rows=(
            _bot(headline=True),
            _icg(headline=True),
            Row("BoT+k-reciprocal", "k-reciprocal", train="bot"),
            *_AFTER,
            *_ON_VECTORS,
        ),
        claims=(
            Claim("ICG ranks better than BoT", "ICG", "BoT"),
            Claim("ICG finds the first image better", "ICG", "BoT", metric="rank-1"),
        ),
        notes=(_RECKONED,),
    ),
    Recipe(
        id="icg/table2",
        source="Table 2",
        title="modules: the foreground (AFM), parts by clustering (PPC), the graph among them "
        "(FSG)",
        columns=BOTH,
        rows=(
            _bot(headline=True),
            Row(
                "+AFM",
                "parts",
                train="icg:clustering=false,structure=false",
                paper=_on(86.4, 94.8, 77.1, 86.3),
            ),
            Row(
                "+PPC",
                "parts",
                train="icg:attention=false,structure=false",
                paper=_on(87.2, 94.7, 80.1, 89.0),
            ),
            Row(
                "+PPC+FSG", "parts", train="icg:attention=false", paper=_on(87.8, 95.1, 80.5, 89.1)
            ),
            _icg("all", headline=True),
        ),
        claims=(
            Claim("a foreground helps", "+AFM", "BoT"),
            Claim("parts help", "+PPC", "BoT"),
            Claim("parts help more than a foreground", "+PPC", "+AFM"),
            Claim("a graph among parts helps", "+PPC+FSG", "+PPC"),
            Claim("all three are best", "all", "+PPC+FSG"),
        ),
        notes=(_RECKONED,),
    ),
    Recipe(
        id="icg/table3",
        source="Table 3",
        title="the number of clusters K, the background counted",
        columns=BOTH,
        rows=(
            _bot(headline=True),
            Row(
                "K = 3",
                "parts",
                train="icg:parts=3",
                paper=_on(87.9, 94.9, 81.0, 90.2, 58.1, 81.1, 72.6, 74.9),
            ),
            Row(
                "K = 4",
                "parts",
                train="icg:parts=4",
                paper=_on(87.4, 94.8, 81.7, 90.4, 58.8, 81.7, 72.3, 74.8),
            ),
            Row(
                "K = 5",
                "parts",
                train="icg:parts=5",
                paper=_on(87.8, 94.7, 81.9, 91.2, 58.2, 80.9, 72.0, 75.0),
            ),
            _icg("K = 6", headline=True),
            Row(
                "K = 7",
                "parts",
                train="icg:parts=7",
                paper=_on(88.5, 95.3, 81.8, 90.8, 58.5, 80.9, 73.6, 76.6),
            ),
        ),
        claims=(
            Claim("six beat four", "K = 6", "K = 4"),
            Claim("six beat seven", "K = 6", "K = 7"),
        ),
        notes=("The paper's columns are headed the wrong way round: 87.9 is mAP.", _RECKONED),
    ),
    Recipe(
        id="icg/table4",
        source="Table 4",
        title="what BoT and ICG cost",
        columns=BOTH,
        rows=(_bot(look=_cost), _icg(look=_cost)),
        notes=(
            "The paper gives ICG 18.9 M parameters and 7.3 G operations; a ResNet-50 alone has "
            "23.5 M. Ours are those that"
            " vectors take, without the classifiers of training. Images a second are of the "
            "network alone, in batches of 64.",
        ),
    ),
    Recipe(
        id="icg/table5",
        source="Table 5",
        title="how far clusters and learned parts meet the true ones",
        columns=BOTH,
        rows=(_icg(look=_overlaps),),
        notes=(
            "Intersection over union with the part masks of a rendered set: of the last clusters "
            "in the training images, and of"
            " the network's parts in the queries. Part k is held against the k-th mask from the "
            "top.",
        ),
    ),
    *(
        Recipe(
            id=f"icg/{name}",
            source=f"Fig. {name[3:]}",
            title=title,
            kind=kind,
            columns=BOTH,
            rows=rows,
        )
        for name, kind, title, rows in _FIGURES
    ),
)
RECIPES = {recipe.id: recipe for recipe in _RECIPES}
