import torch

from graphreid.methods.link_prediction.layers import NodeBatchNorm


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
