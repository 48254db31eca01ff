import pytest
import torch

from graphreid.resources import GIB, Resources, parse_memory


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4 * GIB),
        ("512 MiB", 512 * 2**20),
        ("1.5g", 3 * GIB // 2),
        ("1000", 1000),
        ("2t", 2048 * GIB),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "lots", "4 GX", "-1GB", "0"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write a size"):
        parse_memory(text)


def test_rows_follow_from_memory() -> None:
    resources = Resources(memory=1000)
    assert resources.rows(100) == 10
    assert resources.rows(100, fixed_bytes=800) == 2
    assert resources.rows(1, most=50) == 50
    with pytest.raises(ValueError, match=r"too small: a search needs at least 1 MB \(--memory\)"):
        resources.rows(2000, what="a search")
    # what the message names is enough
    with pytest.raises(ValueError, match="at least 4 MB"):
        Resources(memory=3 * 2**20).rows(3 * 2**20 + 1)
    assert Resources(memory=4 * 2**20).rows(3 * 2**20 + 1) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"device": "abacus"}, {"device": "mps"}, {"device": "meta"}, {"memory": 0}, {"threads": 0}],
)
def test_what_can_not_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Resources(**wrong)  # type: ignore[arg-type]


def test_a_missing_gpu_is_refused() -> None:
    if torch.cuda.is_available():
        assert Resources(device="cuda").device == "cuda"
    else:
        with pytest.raises(ValueError, match="no CUDA device"):
            Resources(device="cuda")


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with Resources(threads=1).limits():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    resources = Resources(progress=lambda what, done, total: told.append((what, done, total)))
    assert list(resources.track("work", "ab", 2)) == ["a", "b"]
    assert told == [("work", 0, 2), ("work", 1, 2), ("work", 2, 2)]
