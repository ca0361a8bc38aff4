"""Image networks as torchvision and timm write them."""

import sys

import pytest
import torch
import torch.nn.functional as F
from planted import found_dead, plant
from torch import nn

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 does not say where in a line a call is"
)

both = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


class SqueezeExcitation(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = plant(nn.Conv2d(8, 4, 1), 2), nn.Conv2d(4, 8, 1)

    def forward(self, x):
        scale = F.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * self.fc2(scale).sigmoid()


@both
def test_squeeze_and_excitation(compiled):
    x = torch.randn(2, 8, 5, 5)
    assert found_dead(SqueezeExcitation(), [x], compiled=compiled) == {"relu": ((4,), [2])}


class ShuffleUnit(nn.Module):
    """ShuffleNet: half of the channels go round, and all are shuffled."""

    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(plant(nn.Conv2d(4, 4, 1), 1), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x):
        one, two = x.chunk(2, dim=1)
        x = torch.cat((one + 100, self.branch(two)), dim=1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        return F.relu(x)


@both
def test_shuffled_channels(compiled):
    x = torch.randn(2, 8, 5, 5)
    # Channel 1 of the second group comes fourth.
    assert found_dead(ShuffleUnit(), [x], compiled=compiled) == {
        "branch.2": ((4,), [1]),
        "relu": ((8,), [3]),
    }


class DenseLayer(nn.Module):
    """DenseNet: norm and ReLU of all maps so far."""

    def __init__(self, inputs):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), plant(nn.Conv2d(inputs, 2, 1), 0)

    def forward(self, *maps):
        return self.conv(F.relu(self.norm(torch.cat(maps, 1) + 1)))


class DenseBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(4 + 2 * n) for n in range(3))

    def forward(self, x):
        maps = [x]
        for layer in self.layers:
            maps.append(layer(*maps))
        return torch.cat(maps, 1)


@both
def test_dense_blocks(compiled):
    x = torch.rand(2, 4, 5, 5)
    assert found_dead(DenseBlock(), [x], compiled=compiled) == {
        "layers.0.relu": ((4,), []),
        "layers.1.relu": ((6,), [4]),
        "layers.2.relu": ((8,), [4, 6]),
    }


class ChannelsLast(nn.Module):
    """ConvNeXt: a linear layer on channels that lie last."""

    def __init__(self):
        super().__init__()
        self.dwconv, self.norm = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.LayerNorm(6)
        self.pwconv1, self.act = plant(nn.Linear(6, 6), 4), nn.ReLU()
        self.pwconv2 = plant(nn.Linear(6, 6), 3)

    def forward(self, x):
        x = self.dwconv(x).permute(0, 2, 3, 1)
        x = self.pwconv2(self.act(self.pwconv1(self.norm(x))))
        return F.relu(x.permute(0, 3, 1, 2))


@both
def test_channels_that_lie_last(compiled):
    x = torch.randn(2, 6, 6, 6)
    assert found_dead(ChannelsLast(), [x], compiled=compiled) == {
        "act": ((6,), [4]),
        "relu": ((6,), [3]),
    }


class StochasticDepth(nn.Module):
    """Blocks that a list of booleans keeps."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(plant(nn.Conv2d(3, 3, 1), unit) for unit in range(3))

    def forward(self, x, kept):
        for block, is_kept in zip(self.blocks, kept, strict=True):
            if is_kept:
                x = x + F.relu(block(x))
        return x


def test_stochastic_depth():
    x = torch.rand(2, 3, 4, 4)
    inputs = [(x, kept) for kept in ((0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1))]
    assert found_dead(StochasticDepth(), *inputs) == {
        "relu": ((3,), [0]),
        "relu_1": ((3,), [1]),
        "relu_2": ((3,), [2]),
    }


class Aspp(nn.Module):
    """Atrous pyramid: branches of a comprehension, and a pooled one that is interpolated."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(
            plant(nn.Conv2d(3, 4, 3, padding=d, dilation=d), d) for d in (1, 2)
        )
        self.pooled = plant(nn.Conv2d(3, 4, 1), 0)

    def forward(self, x):
        maps = [conv(x) for conv in self.convs]
        pooled = F.adaptive_avg_pool2d(x, 1)
        pooled = F.interpolate(self.pooled(pooled), size=x.shape[2:], mode="bilinear")
        return F.relu(torch.cat([*maps, pooled], dim=1))


@both
def test_a_pyramid_of_dilations(compiled):
    x = torch.randn(2, 3, 8, 8)
    assert found_dead(Aspp(), [x], compiled=compiled) == {"relu": ((12,), [1, 6, 8])}
