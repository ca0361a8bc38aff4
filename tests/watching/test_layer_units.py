"""Layers that make units, and the dimension in which each has them."""

import pytest
import torch
import torch.nn.functional as F
from one_relu import Before, watched, weight
from torch import nn
from unit_cases import zeros_by_unit

import relustat


class Attention(nn.MultiheadAttention):
    def forward(self, x):
        return super().forward(x, x, x)[0]


X = torch.randn
MAKING = {
    "conv_transpose": (nn.ConvTranspose2d(3, 4, 2), X(2, 3, 4, 4), (1,)),
    "grouped convolution": (nn.Conv1d(4, 8, 1, groups=4), X(2, 4, 8), (1,)),
    "unbatched convolution": (nn.Conv2d(3, 5, 1), X(3, 5, 5), (0,)),
    "bilinear": (lambda x: F.bilinear(x, x, torch.ones(5, 3, 3)), X(2, 5, 3), (2,)),
    "embedding": (nn.Embedding(7, 5), torch.arange(10).reshape(2, 5) % 7, (2,)),
    "attention": (Attention(4, 2, batch_first=True), X(2, 4, 4), (2,)),
    "LSTM": (nn.LSTM(3, 6, batch_first=True), X(2, 6, 3), (2,)),
    "GRUCell": (nn.GRUCell(3, 4), X(2, 3), (1,)),
    "BatchNorm": (nn.BatchNorm1d(4), X(2, 4, 4), (1,)),
    "LayerNorm([C, H, W])": (nn.LayerNorm([3, 4, 5]), X(2, 3, 4, 5), (1,)),
    "LayerNorm([C, T])": (nn.LayerNorm([4, 4]), X(2, 4, 4), (1,)),
    "RMSNorm": (nn.RMSNorm(4), X(2, 4, 4), (2,)),
}
BY_PARAMETERS = {
    "x @ W": (lambda x, w: x @ w, (3, 4), X(2, 4, 3), (2,)),
    "x @ W.t()": (lambda x, w: x @ w.t(), (4, 3), X(2, 4, 3), (2,)),
    "W @ x": (lambda x, w: w @ x, (4, 3), X(2, 3, 4), (1,)),
    "matmul of a normalised W": (
        lambda x, w: torch.matmul(x, w / w.norm(dim=0)),
        (3, 4),
        X(2, 4, 3),
        (2,),
    ),
    "einsum": (lambda x, w: torch.einsum("nit,oi->not", x, w), (4, 3), X(2, 3, 4), (1,)),
    "einsum to heads": (
        lambda x, w: torch.einsum("nti,hid->nhtd", x, w),
        (2, 3, 5),
        X(2, 4, 3),
        (1, 3),
    ),
    "addmm": (lambda x, w: torch.addmm(w[0], x, w), (3, 3), X(2, 3), (1,)),
}


@pytest.mark.parametrize("name", MAKING)
def test_layers_that_make_units(name):
    layer, x, dims = MAKING[name]
    layer = layer.eval() if isinstance(layer, nn.Module) else layer

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            y = self.layer(x)
            return F.relu(y[0] if isinstance(y, tuple) else y)

    with torch.no_grad():
        y = layer(x)
    stats, notes = watched(Model(), x)
    y = y[0] if isinstance(y, tuple) else y
    assert stats.unit_zeros.tolist() == zeros_by_unit(y, dims)
    assert notes == []


@pytest.mark.parametrize("name", BY_PARAMETERS)
def test_products_with_parameters_make_units(name):
    function, shape, x, dims = BY_PARAMETERS[name]
    model = Before(function, weight(*shape))
    with torch.no_grad():
        y = function(x, *model.held)
    stats, notes = watched(model, x)
    assert stats.unit_zeros.tolist() == zeros_by_unit(y, dims)
    assert notes == []


def test_the_dimension_of_a_single_unit_is_followed(device):
    """So that a mask has the shape that it would have with several."""

    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            scores = F.relu(self.head(x)).transpose(1, 2)  # [2, 1, 3]
            first, _ = F.relu(scores.contiguous()).split(2, 2)
            return F.relu(first.unsqueeze(0))

    def mask(name, x):
        seen.append(list(x.shape))
        positions = [size for size in x.shape if size > 1]
        return torch.ones(positions, dtype=torch.bool, device=x.device)

    seen = []
    model = Scores().to(device)
    with relustat.watch(model, mask=mask) as watch:
        model(torch.randn(2, 3, 4, device=device))
    assert seen == [[2, 3, 1], [2, 1, 3], [1, 2, 1, 2]]
    assert [stats.elements for stats in watch.stats.values()] == [6, 6, 4]


APART = {
    "unbind": lambda y: torch.stack(y.unbind(1), 0),
    "split": lambda y: torch.cat(y.split(1, 1), 0),
    "chunk": lambda y: y.chunk(2, 0)[0],
    "select": lambda y: y[:, 0],
}


@pytest.mark.parametrize("name", APART)
def test_a_single_unit_in_calls_with_several_results(name):
    """Of two units some of them would have other numbers of results."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 1)

        def forward(self, x):
            return F.relu(APART[name](self.a(x)))

    with relustat.watch(Model()) as watch:
        watch.model(torch.randn(6, 4))
    assert watch.stats["relu"].widths == (1,)
    assert watch.report()["relu"].after == "a"


def test_positions_of_a_single_unit_are_joined(device):
    """Single units side by side are several; longer parts are positions of one."""

    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            x = F.relu(self.head(x)).mean(1).flatten(1)
            positions = F.relu(torch.cat([x, x], 1))
            return F.relu(torch.cat([positions[:, :1], x[:, :1]], 1))

    model = Joined().to(device)
    with relustat.watch(model) as watch:
        model(torch.randn(2, 3, 5, 4, device=device))
    assert [stats.widths for stats in watch.stats.values()] == [(1,), (1,), (2,)]
