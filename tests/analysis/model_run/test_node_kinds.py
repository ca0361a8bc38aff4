"""What counts as affine is, and what is not is not: by f(a + b) + f(0) = f(a) + f(b)."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from relustat.analysis import deconvnet

SIZE = (2, 4, 8, 8)
WEIGHT = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(1))
MASK = torch.arange(256).view(4, 8, 8) % 3 == 0
GRID = torch.rand(2, 5, 5, 2, generator=torch.Generator().manual_seed(2)) * 2 - 1


def with_part_replaced(x):
    y = x * 1
    y[:, :, 2:4] = x[:, :, :2] + 1
    return y


AFFINE = {
    "one_minus": lambda x: 1 - x,
    "constant_mask": lambda x: x.masked_fill(MASK, 2.0),
    "constant_where": lambda x: torch.where(MASK, x, x.flip(3) * 3),
    "constant_index": lambda x: x[:, [2, 0, 0]],
    "constant_gate": lambda x: x * torch.sigmoid(WEIGHT[0, 0, 0, 0]),
    "assignment": with_part_replaced,
    "circular": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "reflected": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "grouped": lambda x: F.conv2d(x, WEIGHT[:, :2], groups=2, padding=1),
    "transposed": lambda x: F.conv_transpose2d(x, WEIGHT, stride=2),
    "unfold": lambda x: F.fold(F.unfold(x, 2, stride=2), (8, 8), 2, stride=2),
    "shuffled": lambda x: F.channel_shuffle(F.pixel_shuffle(x, 2).repeat(1, 4, 1, 1), 2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"),
    "sampled": lambda x: F.grid_sample(x, GRID, align_corners=False),
    "rotated": lambda x: torch.rot90(x, 1, (2, 3)).tril() + torch.cumsum(x, 2),
    "lerp": lambda x: torch.lerp(x, x.roll(1, 3), 0.25),
    "matrix": lambda x: torch.einsum("nchw,cd->ndhw", x, WEIGHT[0, 0].new_ones(4, 3)),
    "joined": lambda x: torch.cat([x, torch.stack([x, x]).mean(0) / 2], 1),
}

NOT_AFFINE = {
    "mask_of_signs": (lambda x: x * (x > 0), "Mul"),
    "where": (lambda x: torch.where(x > 0, x, 0.0), "Where"),
    "own_norm": (lambda x: x / x.detach().norm(), "Div"),
    "inverse": (lambda x: 1 / (x + 3), "Reciprocal"),
    "gathered": (lambda x: x.flatten(2).gather(2, x.flatten(2).argsort(2)), "Gather"),
    "selected": (lambda x: x[:, x.mean((0, 2, 3)).argsort()], "Index"),
    "square": (lambda x: x * x, "Mul"),
    "matmul": (lambda x: x @ x, "Bmm"),
    "layer_norm": (lambda x: F.layer_norm(x, (8,)), "NativeLayerNorm"),
    "relu6": (F.relu6, "Hardtanh"),
    "maximum": (lambda x: torch.maximum(x, -x), "Maximum"),
    "strongest": (lambda x: x.amax((2, 3)), "Amax"),
    "learnt_mask": (lambda x: x.masked_fill(x < 0, 0.0), "MaskedFill"),
    "weights_of_data": (lambda x: F.conv2d(x, x[:1].detach().clamp(-1, 1)), "Convolution"),
}


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Gated(nn.Module):
    """Its mask of signs is learnt, and so has a gradient, but none to the input."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x):
        return x * ((x > 0) * self.scale).relu() + 1


def test_a_mask_with_parameters():
    with pytest.raises(ValueError, match="to have a rule, got Mul in the model"):
        deconvnet(Gated().eval(), torch.randn(SIZE), "")


@pytest.mark.parametrize("name", AFFINE)
def test_affine(name):
    f = AFFINE[name]
    a, b = torch.randn(2, *SIZE, dtype=torch.float64).float()
    torch.testing.assert_close(f(a + b) + f(a * 0), f(a) + f(b), rtol=1e-4, atol=1e-4)
    x = a.clone().requires_grad_()
    expected = torch.autograd.grad(f(x).sum(), x)[0]
    torch.testing.assert_close(deconvnet(Function(f).eval(), a, ""), expected)


@pytest.mark.parametrize("name", NOT_AFFINE)
def test_not_affine(name):
    f, kind = NOT_AFFINE[name]
    a, b = torch.randn(2, *SIZE)
    assert not torch.allclose(f(a + b) + f(a * 0), f(a) + f(b), rtol=1e-2, atol=1e-2)
    with pytest.raises(ValueError, match=f"to have a rule, got {kind} in the model"):
        deconvnet(Function(f).eval(), a, "")


class Mul(torch.autograd.Function):
    """Its node has the name of PyTorch's own, without a number."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.abs()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].sign()


def test_functions_of_users_are_not_affine_by_their_names():
    with pytest.raises(ValueError, match="to have a rule, got Mul in the model"):
        deconvnet(Function(Mul.apply).eval(), torch.randn(SIZE), "")
