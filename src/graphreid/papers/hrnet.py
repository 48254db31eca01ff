"""The tables and figures of the paper on HRNet, which learns relations among images and among pairs
(AAAI).

Other papers' rows are left out. The baseline, "CNN" in the paper, is the embeddings' own ranking.
In the paper the network is trained together with its graphs; here the graphs are trained on
embeddings that stay as they are, unless the embeddings are those of `graphreid train --model
hrnet`.
"""

from graphreid.papers.cagcn import COMPARED
from graphreid.papers.recipe import Claim, Recipe, Row

SETS = ("market1501", "dukemtmc-reid", "cuhk03-np", "msmt17")


def _four(*numbers: float) -> dict[str, dict[str, float]]:
    """MAP and rank-1 on the four sets, in the paper's order."""
    return {
        name: {"mAP": numbers[2 * at], "rank-1": numbers[2 * at + 1]}
        for at, name in enumerate(SETS)
    }


BASELINE = Row("CNN", "cosine", paper=_four(84.2, 92.8, 74.7, 85.1, 57.7, 59.4, 48.3, 72.2))
HRNET = Row(
    "HRNet", fit="hrnet", headline=True, paper=_four(91.3, 96.7, 83.7, 91.9, 78.4, 81.1, 60.6, 82.0)
)
BOTH = ("mAP", "rank-1")

_RECIPES = (
    Recipe(
        id="hrnet/table1",
        source="Table 1",
        title="components: relations of images (IR), of all images (IR*), the constraint (CNC), "
        "relations of pairs (PR, IGP)",
        columns=BOTH,
        rows=(
            BASELINE,
            Row(
                "CNN+IR",
                fit="hrnet:pairwise=false,constraint=0",
                paper=_four(89.0, 95.1, 80.1, 89.3, 73.7, 77.1, 57.1, 79.6),
            ),
            Row(
                "CNN+IR*",
                fit="hrnet:pairwise=false,constraint=0,graph=full",
                paper=_four(86.9, 93.7, 76.9, 87.5, 70.3, 72.8, 52.1, 77.0),
            ),
            Row(
                "CNN+IR+CNC",
                fit="hrnet:pairwise=false",
                paper=_four(90.6, 96.0, 82.8, 90.7, 77.1, 79.6, 58.9, 81.3),
            ),
            Row(
                "CNN+PR",
                fit="hrnet:individual=false,propagation=false",
                paper=_four(87.4, 94.7, 78.1, 88.9, 71.9, 76.1, 52.3, 76.6),
            ),
            Row(
                "CNN+PR+IGP",
                fit="hrnet:individual=false",
                paper=_four(89.7, 95.2, 80.8, 90.2, 75.9, 77.5, 57.4, 79.7),
            ),
            HRNET,
            *COMPARED,
        ),
        claims=(
            Claim("relations of images help", "CNN+IR", "CNN"),
            Claim("relations of pairs help", "CNN+PR", "CNN"),
            Claim("the nearest images are better to hear than all", "CNN+IR", "CNN+IR*"),
            Claim("the constraint helps", "CNN+IR+CNC", "CNN+IR"),
            Claim("pairs gain by hearing their images", "CNN+PR+IGP", "CNN+PR"),
            Claim("both graphs beat the one of images", "HRNet", "CNN+IR+CNC"),
            Claim("both graphs beat the one of pairs", "HRNet", "CNN+PR+IGP"),
        ),
    ),
    Recipe(
        id="hrnet/table2",
        source="Table 2",
        title="HRNet",
        columns=BOTH,
        rows=(BASELINE, HRNET, *COMPARED),
        claims=(
            Claim("HRNet ranks better than the embeddings that it starts from", "HRNet", "CNN"),
            Claim("HRNet keeps rank-1", "HRNet", "CNN", metric="rank-1", strict=False),
        ),
        notes=("The baseline's numbers are those of the paper's Table 1.",),
    ),
    Recipe(
        id="hrnet/fig3",
        source="Fig. 3",
        title="the number k of images that an image hears",
        kind="curve",
        columns=BOTH,
        rows=(
            BASELINE,
            *(Row(f"k = {k}", fit=f"hrnet:k={k}", at=k, axis="k") for k in (2, 5, 10, 15, 20, 30)),
            *COMPARED,
        ),
        claims=(
            Claim("10 images beat 2", "k = 10", "k = 2"),
            Claim("10 images beat 30", "k = 10", "k = 30"),
        ),
        notes=(
            'The figure has no printed numbers; its text says that k = 10 is best. "HRNet" uses '
            "the default k.",
        ),
    ),
    Recipe(
        id="hrnet/fig4",
        source="Fig. 4",
        title="the number of edges of a pair",
        kind="curve",
        columns=BOTH,
        rows=(
            BASELINE,
            *(
                Row(f"{edges} edges", fit=f"hrnet:edges={edges}", at=edges, axis="edges")
                for edges in (2, 5, 10, 20, 50, 100, 301)
            ),
            *COMPARED,
        ),
        claims=(Claim("all edges beat few", "301 edges", "5 edges"),),
        notes=(
            "The figure has no printed numbers. 301 edges are all of them: the query's and those "
            "of its 300 nearest.",
        ),
    ),
    Recipe(
        id="hrnet/fig5",
        source="Fig. 5",
        title="what images hear of each other (A o C), and what pairs do (G, summed over its "
        "graphs)",
        kind="heatmaps",
        columns=BOTH,
        rows=(BASELINE, Row("HRNet", fit="hrnet")),
        notes=(
            "11 identities of the gallery with 6 images each, in order of identity, as the paper "
            "has them from a batch.",
        ),
    ),
)
RECIPES = {recipe.id: recipe for recipe in _RECIPES}
