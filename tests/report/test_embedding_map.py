import numpy as np

from graphreid.gallery import Gallery
from graphreid.report import embedding_map
from graphreid.types import Features, Labels
from tests.report.cases import many


def test_twenty_identities_with_their_own_images() -> None:
    query, query_labels, gallery, gallery_labels = many()
    sample = embedding_map.sample_images(query, query_labels, gallery, gallery_labels)
    assert sample is not None
    assert len(np.unique(sample.identity)) == embedding_map.IDENTITIES
    assert sample.is_query.sum() == len(sample.query) == 2 * embedding_map.IDENTITIES
    real = np.concatenate(
        [query_labels.identity[sample.query], gallery_labels.identity[sample.gallery]]
    )
    # one number an identity, and one identity a number
    assert (
        len(set(zip(sample.identity.tolist(), real.tolist(), strict=True)))
        == embedding_map.IDENTITIES
    )
    vectors = sample.vectors(query, gallery.features)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    first = query.vectors[sample.query[0]]
    np.testing.assert_allclose(vectors[0], first / np.linalg.norm(first), rtol=1e-6)


def test_too_few_identities_give_no_map() -> None:
    assert embedding_map.sample_images(*many(identities=19)) is None
    query, query_labels, gallery, labels = many(identities=30, each=3)
    assert embedding_map.sample_images(query, query_labels, gallery, labels) is not None
    # with fewer gallery images most identities are left with their two queries
    fewer = np.arange(15)
    assert (
        embedding_map.sample_images(
            query, query_labels, Gallery(gallery.features.take(fewer)), labels.take(fewer)
        )
        is None
    )


def test_identities_of_many_images_are_cut() -> None:
    sample = embedding_map.sample_images(*many(each=60))
    assert sample is not None
    assert (
        np.bincount(sample.identity).tolist()
        == [embedding_map.MAX_IMAGES] * embedding_map.IDENTITIES
    )


def test_a_query_of_the_gallery_stands_there_once() -> None:
    query, query_labels, gallery, gallery_labels = many()
    joined = Gallery(
        Features(
            np.concatenate([query.vectors, gallery.features.vectors]),
            np.concatenate([query.items, gallery.features.items]),
        )
    )
    labels = Labels(np.concatenate([query_labels.identity, gallery_labels.identity]))
    sample = embedding_map.sample_images(query, query_labels, joined, labels)
    assert sample is not None
    assert len(sample.query) == 0
    assert len(sample.gallery) == 6 * embedding_map.IDENTITIES


def test_the_seed_draws_identities() -> None:
    drawn = [embedding_map.sample_images(*many(identities=60), seed=seed) for seed in (0, 0, 1)]
    rows = [sample.gallery.tolist() for sample in drawn if sample is not None]
    assert rows[0] == rows[1] != rows[2]


def test_the_layout_is_the_same_twice_and_keeps_identities_together() -> None:
    given = many(each=4)
    sample = embedding_map.sample_images(*given)
    assert sample is not None
    vectors = sample.vectors(given[0], given[2].features)
    place = embedding_map.tsne_layout(vectors)
    np.testing.assert_array_equal(place, embedding_map.tsne_layout(vectors))
    apart = np.linalg.norm(place[:, None] - place, axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (sample.identity[apart.argmin(axis=1)] == sample.identity).mean() > 0.9
    again = embedding_map.tsne_layout(vectors, start=place)
    # started from the first, the second map lies as the first does
    middle = np.array(
        [[p[sample.identity == one].mean(axis=0) for one in range(20)] for p in (place, again)]
    )
    assert np.corrcoef(middle[0, :, 0], middle[1, :, 0])[0, 1] > 0.9
