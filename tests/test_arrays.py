"""Arrays of other libraries, and what takes them."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from graphreid.arrays import to_numpy
from graphreid.gallery import Gallery
from graphreid.methods import Cosine
from graphreid.metrics.evaluate import evaluate
from graphreid.ranking import rank
from graphreid.types import Features, Labels
from tests.support import labelled

X = np.array([[1, 2], [3, 4], [-0.5, 6]], np.float32)
"""Numbers that every float type holds."""


class Stream:
    """What speaks Arrow's protocol and nothing else."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class Exchanged:
    """What speaks DLPack and nothing else."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __dlpack__(self, **given: Any) -> object:
        return self.tensor.__dlpack__(**given)

    def __dlpack_device__(self) -> Any:
        return self.tensor.__dlpack_device__()


def lists(x: Any) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.asarray(x).ravel()), 2)


MATRICES: dict[str, Any] = {
    "numpy": X,
    "float64": X.astype(np.float64),
    "a transpose": np.asfortranarray(X),
    "nested lists": X.tolist(),
    "torch": torch.tensor(X),
    "torch with gradient": torch.tensor(X, requires_grad=True),
    "torch bfloat16": torch.tensor(X).bfloat16(),
    "torch half": torch.tensor(X).half(),
    "torch float8": torch.tensor(X).to(torch.float8_e5m2),
    "torch double": torch.tensor(X).double(),
    "DLPack": Exchanged(torch.tensor(X)),
    "DLPack bfloat16": Exchanged(torch.tensor(X).bfloat16()),
    "pandas": pd.DataFrame(X, columns=["a", "b"], index=[5, 6, 7]),
    "pandas of two types": pd.DataFrame({"a": X[:, 0].astype(float), "b": X[:, 1]}),
    "pandas nullable": pd.DataFrame(X).astype("Float32"),
    "Arrow table": pa.table({"a": X[:, 0], "b": X[:, 1]}),
    "Arrow batch": pa.record_batch({"a": X[:, 0], "b": X[:, 1]}),
    "Arrow lists": pa.array(X.tolist()),
    "Arrow lists of one length": lists(X),
    "Arrow chunks": pa.chunked_array([lists(X[:1]), lists(X[1:])]),
    "a part of Arrow lists": pa.array([[9.0, 9.0], *X.tolist()])[1:],
    "Arrow table of lists": pa.table({"vector": lists(X)}),
    "Arrow tensors": pa.FixedShapeTensorArray.from_numpy_ndarray(X),
    "a stream of columns": Stream(pa.table({"a": X[:, 0], "b": X[:, 1]})),
    "a stream of lists": Stream(pa.chunked_array([lists(X)])),
}
COLUMNS: dict[str, Any] = {
    "numpy": np.array(["x", "y", "z"]),
    "list": ["x", "y", "z"],
    "pandas": pd.Series(["x", "y", "z"], index=[3, 4, 5]),
    "pandas category": pd.Series(["x", "y", "z"], dtype="category"),
    "pandas index": pd.Index(["x", "y", "z"]),
    "Arrow": pa.array(["x", "y", "z"]),
    "Arrow dictionary": pa.array(["x", "y", "z"]).dictionary_encode(),
    "Arrow chunks": pa.chunked_array([["x"], ["y", "z"]]),
    "a stream": Stream(pa.chunked_array([["x", "y", "z"]])),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_every_kind_of_matrix_is_read(kind: str) -> None:
    np.testing.assert_array_equal(to_numpy(MATRICES[kind], "x"), X)
    features = Features(MATRICES[kind])
    assert features.vectors.dtype == np.float32
    assert features.vectors.flags.c_contiguous
    np.testing.assert_array_equal(features.vectors, X)


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_kind_of_column_is_read(kind: str) -> None:
    features = Features(X, COLUMNS[kind], COLUMNS[kind])
    assert features.items.tolist() == ["x", "y", "z"]
    assert features.camera is not None
    assert features.camera.tolist() == np.array(Labels(["x", "y", "z"]).identity).tolist()
    assert len(np.unique(Labels(COLUMNS[kind]).identity)) == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (pa.array([1, None]), "x is missing in row 1"),
        (pa.array([[1, 2], [3]]), "x has 1 values in row 1 and 2 in row 0"),
        (pa.array([[1, 2], [3, None]]), "x is missing in row 1"),
        (pa.array([[1], None]), "x is missing in row 1"),
        (pa.table({}), "x is a table without columns"),
        (pd.Series(["a", None]), "x is missing in row 1"),
        (pd.DataFrame({"a": [1.0, np.nan]}), "x is missing in row 1"),
        ([[1, 2], [3]], "x has rows of different lengths"),
    ],
    ids=str,
)
def test_what_is_no_array_is_refused_in_one_line(given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        to_numpy(given, "x")


def test_words_are_no_vectors() -> None:
    for given in (pd.DataFrame({"a": ["x"], "b": [1]}), pa.table({"a": ["x"], "b": [1]})):
        with pytest.raises(ValueError, match="vectors must be numbers"):
            Features(given)


@pytest.mark.parametrize("kind", ["torch bfloat16", "DLPack", "pandas", "Arrow table"])
def test_distances_of_any_library_are_ranked(kind: str) -> None:
    ranking = rank(MATRICES[kind], 5)
    assert ranking.order.tolist() == [[0, 1], [0, 1], [0, 1]]
    np.testing.assert_array_equal(ranking.distance, np.sort(X))
    with pytest.raises(ValueError, match=r"\[queries, gallery\], not float32 of shape \(3,\)"):
        rank(X[:, 0], 1)
    with pytest.raises(ValueError, match="NaN in row 1"):
        rank(np.array([[1.0], [np.nan]]), 1)


def test_vectors_and_identities_of_any_library_are_evaluated() -> None:
    (query, query_labels), (gallery, gallery_labels) = labelled(0)
    want = evaluate(
        Cosine(),
        Features(query.vectors),
        Gallery(Features(gallery.vectors)),
        Labels(query_labels.identity),
        Labels(gallery_labels.identity),
    )
    got = evaluate(
        Cosine(),
        torch.tensor(query.vectors, requires_grad=True),
        pd.DataFrame(gallery.vectors),
        pa.array(query_labels.identity),
        pd.Series(gallery_labels.identity),
    )
    np.testing.assert_array_equal(got.ap, want.ap)
    assert got.mean_ap() < 0.99
    # one object is one set of images, in which none finds itself
    both = evaluate(
        Cosine(),
        gallery.vectors,
        gallery.vectors,
        gallery_labels.identity,
        gallery_labels.identity,
    )
    same = evaluate(
        Cosine(),
        Features(gallery.vectors, gallery.items),
        Gallery(Features(gallery.vectors, gallery.items)),
        Labels(gallery_labels.identity),
        Labels(gallery_labels.identity),
    )
    np.testing.assert_array_equal(both.ap, same.ap)


def test_a_ranking_and_a_report_become_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    (query, query_labels), (gallery, gallery_labels) = labelled(0)
    # the first query is in the gallery itself: it finds one image less
    query = Features(query.vectors, [gallery.items[0], *query.items[1:]], query.camera)
    vectors = gallery.vectors.copy()
    vectors[0] = query.vectors[0]
    snapshot = Gallery(Features(vectors, gallery.items, gallery.camera))
    ranking = rank(Cosine().distances(query, snapshot), 60)
    table = ranking.to_arrow(query.items, gallery.items)
    assert table.num_rows == 12 * 60 - 1
    assert table.column_names == ["query", "rank", "image", "query_item", "item", "distance"]
    frame = ranking.to_pandas()
    assert frame.columns.tolist() == ["query", "rank", "image", "distance"]
    second = frame[frame["query"] == 2]
    assert second["image"].tolist() == ranking.order[2].tolist()
    assert second["rank"].tolist() == list(range(1, 61))
    report = evaluate(
        Cosine(), query, snapshot, query_labels, gallery_labels, metrics="mAP,rank-1,mINP"
    )
    table = report.to_arrow()
    assert table.column_names[:4] == ["query", "identity", "positives", "first_rank"]
    assert set(table.column_names[4:]) == {"mAP", "rank-1", "mINP"}
    assert report.to_pandas()["mAP"].mean() == pytest.approx(report.mean_ap())
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ValueError, match=r"^pandas is not installed: pip install pandas$"):
        report.to_pandas()
