"""The options that ICG has beside BoT's: the parts and the losses on them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Interval, MinLen

from graphreid.models.options import Weight
from graphreid.options import Count, check_options


@dataclass(frozen=True)
class Parts:
    """The network's modules, and how parts are found.

    Attributes:
        parts: K, the clusters with the background, 3 to 7 in the paper.
        attention: AFM, a spatial attention on the feature map, and a loss on its foreground.
        clustering: PPC, parts by clustering.
        structure: FSG, the graph among the parts; it needs `clustering`.
        feature_map: "fpn", all stages of the ResNet at 1/4 of the image's size; or "first", the
            first one alone.
        map_width: its channels.
        threshold: an activation above it is foreground (after Eq. 3).
        every: epochs between two clusterings.
        begin: where K-means begins: "rows", with bands from top to bottom, or "plusplus", drawn.
        steps: of K-means, at most.
        least_pixels: a part is visible if it is the most probable one of so many pixels.
        graph_widths: of the graph's layers.
        structure_width: of what is read out of the graph.
    """

    parts: Annotated[int, Ge(3)] = 6
    attention: bool = True
    clustering: bool = True
    structure: bool = True
    feature_map: Literal["fpn", "first"] = "fpn"
    map_width: Count = 256
    threshold: Annotated[int | float, Interval(gt=0, lt=1)] = 0.5
    every: Count = 1
    begin: Literal["rows", "plusplus"] = "rows"
    steps: Count = 20
    least_pixels: Count = 1
    graph_widths: Annotated[tuple[Count, ...], MinLen(1)] = (512, 512)
    structure_width: Count = 2048

    def __post_init__(self) -> None:
        check_options(self)
        if self.structure and not self.clustering:
            raise ValueError(
                "structure is a graph among parts, and clustering is off: set structure=false"
            )
        if not (self.attention or self.clustering):
            raise ValueError(
                "attention and clustering are off, which leaves BoT: use the model bot"
            )


@dataclass(frozen=True)
class LossWeights:
    """The weights of Eq. 22.

    Attributes:
        feature_weight: of L_feat.
        separation_weight: of L_sep.
        part_weight: of L_par.
    """

    feature_weight: Weight = 0.2
    separation_weight: Weight = 0.1
    part_weight: Weight = 0.1

    def __post_init__(self) -> None:
        check_options(self)
