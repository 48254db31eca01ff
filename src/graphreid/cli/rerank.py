"""`graphreid rerank`."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter

from graphreid.atomic_files import whole_file
from graphreid.cli.options import ResourceOptions
from graphreid.features.features_file import load_vectors, require_same_embedder
from graphreid.gallery import Gallery
from graphreid.methods.spec import parse
from graphreid.ranking import rank


def rerank(
    method: str,
    *,
    query: Annotated[Path, Parameter(help="features of the queries")],
    gallery: Annotated[Path, Parameter(help="features of the gallery")],
    out: Annotated[Path, Parameter(help="the ranking, an .npz file")],
    top: Annotated[int, Parameter(help="gallery images to keep for each query")] = 100,
    zero: Annotated[
        Literal["refuse", "keep"], Parameter(help="what to do with a vector of zeros")
    ] = "refuse",
    options: ResourceOptions | None = None,
) -> None:
    """Rank a gallery for each query. No labels are needed, and none that the files hold are used.

    The file has `order` (int32, rows of the gallery file, -1 where there is none), `distance`
    (ascending) and, where the method gives one, `probability`; `query_item` and `gallery_item` name
    the rows; `method` and `setting` say what made it.

    Parameters
    ----------
    method
        NAME or FILE.safetensors, then [:key=value,…]: see `graphreid methods`.
    """
    chosen = parse(method)
    queries = load_vectors(query, zero=zero)
    images = Gallery(load_vectors(gallery, zero=zero))
    require_same_embedder(query, gallery)
    with (options or ResourceOptions()).resources() as resources, whole_file(out) as temporary:
        ranking = rank(chosen.distances(queries, images, resources=resources), top)
        columns = {
            "order": ranking.order,
            "distance": ranking.distance,
            "query_item": queries.items,
            "gallery_item": images.features.items,
            "method": np.array(method),
            "setting": np.array(chosen.setting),
        }
        if ranking.probability is not None:
            columns["probability"] = ranking.probability
        with temporary.open("wb") as file:
            np.savez(file, **columns)  # pyright: ignore[reportArgumentType]  # numpy types every keyword as allow_pickle
    print(
        f"{out}: first {ranking.order.shape[1]} of {len(images)} images for {len(queries)} "
        f"queries, {method}, {chosen.setting}"
    )
