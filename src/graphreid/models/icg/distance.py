"""ICG's distance (Eqs. 13-15): the mean of the cosine distances of the whole, the foreground, the
structure, and of every part that is visible in both images.

It is the re-ranker `parts`, whose distances every other re-ranker can start from.
"""

from graphreid.methods.parts import Parts
from graphreid.models.icg.embedder import ICG


def part_distance(embedder: ICG) -> Parts:
    """The distance that goes with an embedder's vectors."""
    options = embedder.parts
    parts = options.parts - 1 if options.clustering else 0
    return Parts(parts=parts, width=options.map_width, fixed=embedder.blocks_before)
