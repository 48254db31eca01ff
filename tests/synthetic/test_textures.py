import numpy as np

from graphreid.synthetic.difficulty import DIFFICULTIES
from graphreid.synthetic.textures import (
    BINS,
    CARRIED,
    CHOICES,
    DESIGNS,
    HALF,
    ROWS,
    atlas,
    draw_designs,
    girths,
    outfits,
)

IDENTITIES = np.arange(1, 241)


def test_designs_have_their_shapes_and_colours() -> None:
    designs = draw_designs(0)
    assert designs.head.shape == (DESIGNS["head"], ROWS["head"], BINS, 3)
    assert designs.upper.shape == (DESIGNS["upper"], ROWS["upper"], HALF, 3)
    for textures in (
        designs.head,
        designs.upper,
        designs.sleeve,
        designs.lower,
        designs.shoes,
        designs.carried,
    ):
        assert textures.dtype == np.float32
        assert textures.min() >= 0
        assert textures.max() <= 1
    assert set(designs.kind.tolist()) == set(range(len(CARRIED)))
    assert 0 < designs.skirt.mean() < 1
    again = draw_designs(0)
    np.testing.assert_array_equal(again.upper, designs.upper)
    assert not np.array_equal(draw_designs(1).upper, designs.upper)


def test_an_atlas_stacks_front_and_back() -> None:
    designs = draw_designs(0)
    outfit = outfits(0, IDENTITIES[:5], DIFFICULTIES["default"])
    found = atlas(designs, outfit)
    assert found.shape == (3, 5, sum(ROWS.values()), BINS)
    upper = found[:, :, ROWS["head"] : ROWS["head"] + ROWS["upper"]]
    for i in range(5):
        front, back = (
            outfit[i, CHOICES.index("upper front")],
            outfit[i, CHOICES.index("upper back")],
        )
        np.testing.assert_array_equal(
            np.moveaxis(upper[:, i, :, :HALF], 0, -1), designs.upper[front]
        )
        np.testing.assert_array_equal(
            np.moveaxis(upper[:, i, :, HALF:], 0, -1), designs.upper[back]
        )


def test_identities_share_parts_but_no_two_are_the_same() -> None:
    difficulty = DIFFICULTIES["default"]
    outfit = outfits(0, IDENTITIES, difficulty)
    assert len(np.unique(outfit, axis=0)) == len(IDENTITIES)
    same = (outfit[:, None] == outfit[None]).sum(2)
    kin = (IDENTITIES[:, None] // difficulty.family == IDENTITIES // difficulty.family) & ~np.eye(
        len(IDENTITIES), dtype=bool
    )
    strangers = IDENTITIES[:, None] // difficulty.family != IDENTITIES // difficulty.family
    assert same[kin].mean() > same[strangers].mean() + 0.7
    # the same trousers, another jacket
    lower, upper = CHOICES.index("lower front"), CHOICES.index("upper front")
    assert (
        (outfit[:, None, lower] == outfit[None, :, lower])
        & (outfit[:, None, upper] != outfit[None, :, upper])
    ).sum() > 100


def test_front_and_back_are_other_designs_as_often_as_the_level_says() -> None:
    for name, difficulty in DIFFICULTIES.items():
        outfit = outfits(0, np.arange(1, 1001), difficulty)
        for part, chance in zip(("head", "upper", "lower"), difficulty.turned, strict=True):
            differ = (
                outfit[:, CHOICES.index(f"{part} front")]
                != outfit[:, CHOICES.index(f"{part} back")]
            )
            if difficulty.shared == 0:
                assert abs(differ.mean() - chance) < 0.05, (name, part)
            else:  # a family's front beside an own back differs too
                assert differ.mean() > chance - 0.05, (name, part)
        carries = outfit[:, CHOICES.index("carried")] >= 0
        assert abs(carries.mean() - difficulty.carried) < 0.06, name


def test_an_identity_is_the_same_in_any_company() -> None:
    difficulty = DIFFICULTIES["default"]
    np.testing.assert_array_equal(
        outfits(0, IDENTITIES, difficulty)[[7, 100]], outfits(0, IDENTITIES[[7, 100]], difficulty)
    )
    np.testing.assert_array_equal(girths(0, IDENTITIES)[7:9], girths(0, IDENTITIES[7:9]))
