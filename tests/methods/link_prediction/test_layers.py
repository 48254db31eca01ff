import pytest
import torch

from graphreid.methods.link_prediction.layers import (
    NodeBatchNorm,
    PairClassifier,
    ResidualGraphLayer,
)


def nodes(b: int = 3, n: int = 7, h: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    real = torch.ones(b, n, dtype=torch.bool)
    real[0, 4:] = False
    real[2, 6:] = False
    return torch.randn(b, n, h, generator=generator) * 3 + 1, real


def test_batch_norm_counts_real_nodes_alone():
    z, real = nodes()
    norm, plain = NodeBatchNorm(5), torch.nn.BatchNorm1d(5)
    norm.train()
    got = norm(z, real)
    rows = z[real]
    expected = (rows - rows.mean(0)) / torch.sqrt(rows.var(0, unbiased=False) + 1e-5)
    torch.testing.assert_close(got[real], expected)
    assert (got[~real] == 0).all()
    plain(rows)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    norm.eval()
    torch.testing.assert_close(norm(z, real), plain.eval()(z.flatten(0, 1)).view_as(z))


def test_gradients_of_batch_norm_reach_real_nodes_alone():
    z, real = nodes()
    z.requires_grad_()
    (NodeBatchNorm(5)(z, real) ** 3).sum().backward()
    assert z.grad is not None
    assert (z.grad[~real] == 0).all()
    assert (z.grad[real] != 0).any()


@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(training: bool):
    z, _ = nodes()
    generator = torch.Generator().manual_seed(2)
    adjacency = torch.softmax(torch.randn(3, 7, 7, generator=generator), 2)
    wide, wide_adjacency = torch.full((3, 10, 5), 1e3), torch.zeros(3, 10, 10)
    wide[:, :7], wide_adjacency[:, :7, :7] = z, adjacency
    wide_adjacency[:, range(7, 10), range(7, 10)] = 1
    real = (torch.arange(10) < 7).expand(3, 10)
    layer = ResidualGraphLayer(5).train(training)
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    expected = layer(z, adjacency)
    layer.load_state_dict(state)
    torch.testing.assert_close(layer(wide, wide_adjacency, real)[:, :7], expected)


def test_a_residual_layer_takes_a_product_that_is_known():
    z, _ = nodes()
    adjacency = torch.eye(7).expand(3, 7, 7)
    layer = ResidualGraphLayer(5).eval()
    torch.testing.assert_close(
        layer(z, adjacency), layer(z, adjacency, mapped=z @ layer.map.weight.T)
    )


def test_the_classifier_is_one_mlp_over_input_and_state():
    generator = torch.Generator().manual_seed(3)
    x, z = torch.randn(2, 4, 6, generator=generator), torch.randn(2, 4, 5, generator=generator)
    net = PairClassifier(6, 5)
    whole = torch.nn.Linear(11, 5)
    with torch.no_grad():
        whole.weight.copy_(torch.cat([net.of_input.weight, net.of_state.weight], 1))
        whole.bias.copy_(net.of_state.bias)
    first = torch.relu(whole(torch.cat([x, z], 2)))
    expected = net.out(torch.relu(net.hidden(first)))[..., 0]
    torch.testing.assert_close(net(net.of_input(x), z), expected)
