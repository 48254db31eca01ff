from typing import Any

import numpy as np
import pytest
import torch

from graphreid.models.backbones import backbone
from graphreid.models.icg import losses
from graphreid.models.icg import model as parts
from tests.references import icg as reference


def some(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def network(**change: Any) -> parts.PartNetwork:
    torch.manual_seed(0)
    model = backbone("resnet10t", height=32, width=16, channels=(8, 8, 16, 16))
    options: dict[str, Any] = {
        "parts": 4,
        "width": 6,
        "feature_map": "fpn",
        "attention": True,
        "graph": (7, 5, 9),
        "min_pixels": 1,
        "before_norm": False,
    }
    made = parts.PartNetwork(model, 3, **{**options, **change})
    # as after some training: batch norms that do something
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) and module.affine:
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
    return made.eval()


def test_activation_is_equation_3():
    f = some(0, 2, 5, 4, 3)
    for got, one in zip(parts.activation(f), f, strict=True):
        np.testing.assert_allclose(got, reference.activation(one.numpy()), atol=1e-12)
    assert float(parts.activation(torch.zeros(1, 2, 3, 3)).max()) == 0


def test_confidence_and_pooling_are_equations_4_7_8_and_9():
    f, weight, bias = some(1, 2, 5, 4, 3), some(2, 4, 5), some(3, 4)
    p = torch.nn.functional.conv2d(f, weight[:, :, None, None], bias).softmax(1)
    whole = parts.weighted_pooling(f, p[:, 1:].sum(1, keepdim=True))
    each = parts.weighted_pooling(f, p[:, 1:])
    for row, one in enumerate(f.numpy()):
        wanted = reference.confidence(one, weight.numpy(), bias.numpy())
        np.testing.assert_allclose(p[row], wanted, atol=1e-12)
        np.testing.assert_allclose(p[row, 1:].sum(0), reference.foreground(wanted), atol=1e-12)
        np.testing.assert_allclose(
            whole[row, 0], reference.pooled(one, reference.foreground(wanted)), atol=1e-12
        )
        for k in range(1, 4):
            np.testing.assert_allclose(
                each[row, k - 1], reference.pooled(one, wanted[k]), atol=1e-12
            )
        assert parts.visible_parts(p)[row].tolist() == reference.visible(wanted)


def test_a_part_is_visible_from_so_many_pixels_on():
    p = torch.zeros(1, 3, 2, 3)
    p[0, 0, 0], p[0, 1, 1, :2], p[0, 2, 1, 2] = 1, 1, 1
    assert parts.visible_parts(p).tolist() == [[True, True]]
    assert parts.visible_parts(p, 2).tolist() == [[True, False]]
    assert parts.visible_parts(p, 3).tolist() == [[False, False]]


@pytest.mark.parametrize(
    "seen", [[True, True, True, True], [True, False, True, False], [False] * 4]
)
def test_the_graph_is_equations_10_to_12(seen: list[bool]):
    torch.manual_seed(0)
    graph = parts.PartGraph(5, (7, 6), 3).double()
    given = some(4, 1, 4, 5) * torch.tensor(seen)[None, :, None]
    mask = torch.tensor([seen])
    got, m = graph(given, mask)
    weights = {name: value.numpy() for name, value in graph.state_dict().items()}
    one = given[0].numpy()
    np.testing.assert_allclose(
        m[0].detach(), reference.matrix(one, seen, weights["bilinear.weight"]), atol=1e-12
    )
    np.testing.assert_allclose(
        parts.normalised_adjacency(m)[0].detach(),
        reference.normalised(m[0].detach().numpy()),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        got[0].detach(), reference.structure(one, seen, weights, 2), atol=1e-12
    )
    assert float(m.detach().min()) >= 0
    assert float(m.detach().max()) <= 1


def test_pixel_loss_leaves_unknown_pixels_out():
    logits, labels = (
        some(5, 2, 3, 4, 2),
        torch.from_numpy(np.random.default_rng(6).integers(-1, 3, (2, 4, 2))),
    )
    wanted = reference.pixel_loss(logits.softmax(1).numpy(), labels.numpy())
    assert float(losses.pixel_loss(logits, labels)) == pytest.approx(wanted, abs=1e-12)
    assert float(losses.pixel_loss(logits, torch.full((2, 4, 2), -1))) == 0


@pytest.mark.parametrize(
    ("change", "groups"),
    [
        ({"parts": 0, "graph": ()}, ["global", "foreground"]),
        ({"attention": False, "graph": ()}, ["global", "foreground", "parts"]),
        ({"attention": False}, ["global", "foreground", "structure", "parts"]),
        ({}, ["global", "foreground", "structure", "parts"]),
        ({"feature_map": "first"}, ["global", "foreground", "structure", "parts"]),
    ],
)
def test_modules_can_be_left_out(change: dict[str, Any], groups: list[str]):
    made, pixels = network(**change), torch.rand(5, 3, 32, 16)
    with torch.no_grad():
        seen = made.part_features(pixels)
        _, vectors = made(pixels)
    assert list(seen.features) == groups
    assert seen.f.shape == (5, 6, 8, 4)
    assert (made.attention is None) == (change.get("attention") is False)
    assert vectors.shape == (5, sum(made.block_widths))
    lengths = torch.stack(
        [block.norm(dim=1) for block in vectors.split(list(made.block_widths), 1)], 1
    )
    fixed = len(groups) - ("parts" in groups)
    wanted = torch.cat([torch.ones(5, fixed), seen.visible.float()], 1)
    torch.testing.assert_close(lengths, wanted)


def test_what_is_seen_is_what_the_equations_say_of_the_map():
    made, pixels = network(), torch.rand(3, 3, 32, 16)
    with torch.no_grad():
        raw, last = made.map(made.backbone, (pixels - made.mean) / made.std)
        seen, (_, vectors) = made.part_features(pixels), made(pixels)
        assert made.attention is not None
        torch.testing.assert_close(seen.f, raw * made.attention(raw))  # Eq. 2
        even, whole = made.even(seen.f).double().numpy(), made.neck(seen.features["global"])
    state = {name: value.double().numpy() for name, value in made.state_dict().items()}
    graph = {
        name.removeprefix("graph."): value
        for name, value in state.items()
        if name.startswith("graph.")
    }
    for row in range(3):
        one = seen.f[row].double().numpy()
        p = reference.confidence(
            even[row], state["assign.weight"][:, :, 0, 0], state["assign.bias"]
        )
        there = reference.visible(p)
        several = np.array([reference.pooled(one, p[k]) * there[k - 1] for k in range(1, 4)])
        wanted = {
            "global": np.concatenate([one.mean((1, 2)), last[row].mean((1, 2))]),
            "foreground": reference.pooled(one, reference.foreground(p)),
            "structure": reference.structure(several, there, graph, 2),
            "parts": several.reshape(-1),
        }
        assert seen.visible[row].tolist() == there
        for name, feature in wanted.items():
            np.testing.assert_allclose(seen.features[name][row], feature, atol=1e-5)
    torch.testing.assert_close(
        vectors[:, : made.block_widths[0]], whole / whole.norm(dim=1, keepdim=True)
    )


def test_training_sees_features_and_test_sees_them_normed():
    made, pixels = network(before_norm=True), torch.rand(4, 3, 32, 16)
    with torch.no_grad():
        seen = made.part_features(pixels)
        assert torch.equal(made.after_norm("global", seen), seen.features["global"])
        assert not torch.equal(made.train().after_norm("global", seen), seen.features["global"])


def test_a_mean_of_two_views_is_of_unit_blocks_again():
    made = network()
    widths = made.block_widths
    views = parts.unit_blocks(torch.rand(2, sum(widths)), widths)
    views[1, -6:] = 0
    mean = made.finish(views.mean(0, keepdim=True))
    assert torch.allclose(mean[0, -6:], views[0, -6:])
    assert all(abs(float(block.norm()) - 1) < 1e-6 for block in mean[0].split(list(widths)))


def test_the_attention_begins_as_more_where_the_map_responds_more():
    f = torch.zeros(1, 4, 9, 9)
    f[0, :, 2:5, 2:5] = 3
    s = parts.SpatialAttention()(f)[0, 0]
    assert float(s[3, 3].detach()) > float(s[8, 8].detach())


def test_a_backbone_without_stages_is_refused():
    with pytest.raises(ValueError, match="choose a ResNet"):
        parts.FeatureMap(backbone("mobilenetv3_small_050", height=32, width=32), 8)
