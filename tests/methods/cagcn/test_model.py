from typing import Any

import pytest
import torch

from graphreid.graphs.query_graphs import edges_to
from graphreid.methods.cagcn.model import CAGCNNetwork, PairClassifier, ResidualBlock
from graphreid.methods.cagcn.options import Network


@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(training: bool):
    z = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1)) * 3 + 1
    generator = torch.Generator().manual_seed(2)
    adjacency = torch.softmax(torch.randn(3, 7, 7, generator=generator), 2)
    wide, wide_adjacency = torch.full((3, 10, 5), 1e3), torch.zeros(3, 10, 10)
    wide[:, :7], wide_adjacency[:, :7, :7] = z, adjacency
    wide_adjacency[:, range(7, 10), range(7, 10)] = 1
    real = (torch.arange(10) < 7).expand(3, 10)
    layer = ResidualBlock(5).train(training)
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    expected = layer(z, adjacency)
    layer.load_state_dict(state)
    torch.testing.assert_close(layer(wide, wide_adjacency, real)[:, :7], expected)


def test_a_residual_layer_takes_a_product_that_is_known():
    z = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(1)) * 3 + 1
    adjacency = torch.eye(7).expand(3, 7, 7)
    layer = ResidualBlock(5).eval()
    torch.testing.assert_close(
        layer(z, adjacency), layer(z, adjacency, product=z @ layer.map.weight.T)
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


@pytest.mark.parametrize("edge_weight", ["attention", "binary"])
def test_rows_of_the_adjacency_sum_to_1_over_edges_alone(edge_weight: Any):
    generator = torch.Generator().manual_seed(0)
    network = CAGCNNetwork(6, Network(width=4, attention_width=3, edge_weight=edge_weight)).eval()
    edges = edges_to(torch.randint(-1, 7, (3, 7, 3), generator=generator, dtype=torch.int32))
    x, gallery = torch.randn(2, 3, 7, 6, generator=generator)
    _, a = network(x, gallery, edges, torch.ones(3, 7, dtype=torch.bool))
    torch.testing.assert_close(a.sum(2), torch.ones(3, 7))
    assert (a[~edges] == 0).all()
    assert (a[edges] > 0).all()
    if edge_weight == "binary":
        row = edges[0, 0]
        torch.testing.assert_close(a[0, 0, row], torch.full((int(row.sum()),), 1 / int(row.sum())))
