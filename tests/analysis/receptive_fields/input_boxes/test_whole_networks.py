"""Boxes by geometry in whole networks, against the gradient of a copy in which nothing cancels."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from geometry_cases import conv, traced
from positive_copy import field_of, positive_copy
from torch import nn

from relustat.analysis.receptive_fields.input_boxes import input_box


def unit(inputs, outputs, kernel, *arguments, **options):
    return nn.Sequential(
        conv(inputs, outputs, kernel, *arguments, bias=False, **options),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.main = nn.Sequential(
            unit(inputs, outputs, 3, stride, 1), conv(outputs, outputs, 3, 1, 1)
        )
        self.beside = conv(inputs, outputs, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.main(x) + self.beside(x))


class Dense(nn.Module):
    def __init__(self, inputs, layers):
        super().__init__()
        self.layers = nn.ModuleList(unit(inputs + 2 * i, 2, 3, 1, 1) for i in range(layers))

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class Inverted(nn.Module):
    """MobileNet's block, gated by the mean of the whole map if ``is_gated``."""

    def __init__(self, channels, stride, is_gated):
        super().__init__()
        self.up = unit(channels, 2 * channels, 1)
        self.depthwise = unit(2 * channels, 2 * channels, 3, stride, 1, groups=2 * channels)
        self.gate = conv(2 * channels, 2 * channels, 1) if is_gated else None
        self.down = conv(2 * channels, channels, 1)

    def forward(self, x):
        y = self.depthwise(self.up(x))
        if self.gate is not None:
            y = y * self.gate(y.mean((2, 3), keepdim=True)).sigmoid()
        return self.down(y)


class Shuffled(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.first = unit(channels, channels, 1, groups=2)
        self.depthwise = conv(channels, channels, 3, stride, 1, groups=channels)

    def forward(self, x):
        return self.depthwise(self.first(x).unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2))


class Hourglass(nn.Module):
    """Down by a pool and up again, beside what was there before: a U-Net around ``inner``."""

    def __init__(self, channels, inner, up):
        super().__init__()
        self.before = unit(channels, channels, 3, 1, 1)
        self.down = nn.MaxPool2d(2)
        self.inner, self.up = inner, up
        self.after = unit(2 * channels, channels, 3, 1, 1)

    def forward(self, x):
        x = self.before(x)
        y = self.up(self.inner(self.down(x)))
        missing = (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2])
        return self.after(torch.cat([x, F.pad(y, missing)], 1))


class Pyramid(nn.Module):
    """Branches of several dilations."""

    def __init__(self, channels, dilations):
        super().__init__()
        self.branches = nn.ModuleList(
            conv(channels, channels, 3, padding=dilation, dilation=dilation)
            for dilation in dilations
        )

    def forward(self, x):
        return sum(branch(x) for branch in self.branches)


def vgg(*blocks):
    layers = []
    for convolutions in blocks:
        layers += [nn.Sequential(*(unit(2, 2, 3, 1, 1) for _ in range(convolutions)))]
        layers += [nn.MaxPool2d(2)]
    return layers


NETWORKS = {
    "VGG-16": vgg(2, 2, 3, 3, 3),
    "AlexNet": [
        *(unit(2, 2, 11, 4, 2), nn.MaxPool2d(3, 2), unit(2, 2, 5, 1, 2), nn.MaxPool2d(3, 2)),
        *(unit(2, 2, 3, 1, 1), nn.AdaptiveAvgPool2d(3)),
    ],
    "ResNet-18": [
        nn.Sequential(unit(2, 2, 7, 2, 3), nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
        *(Residual(2, 2, stride) for stride in (1, 1, 2, 1, 2, 1, 2, 1)),
    ],
    "DenseNet": [
        *(unit(2, 2, 3, 2, 1), Dense(2, 3), nn.AvgPool2d(2), Dense(8, 3), nn.AvgPool2d(2)),
        Dense(14, 2),
    ],
    "MobileNet": [
        *(unit(2, 2, 3, 2, 1), Inverted(2, 1, False), Inverted(2, 2, False), Inverted(2, 2, True)),
        unit(2, 2, 3, 1, 1),
    ],
    "ShuffleNet": [unit(2, 4, 3, 2, 1), Shuffled(4, 1), Shuffled(4, 2), Shuffled(4, 1)],
    "U-Net": [
        Hourglass(
            2,
            Hourglass(2, unit(2, 2, 3, 1, 1), nn.ConvTranspose2d(2, 2, 2, 2)),
            nn.Upsample(scale_factor=2, mode="bilinear"),
        ),
        conv(2, 1, 1),
    ],
    "DeepLab": [
        *(unit(2, 2, 3, 2, 1), Pyramid(2, (1, 3, 6)), nn.Upsample(scale_factor=2)),
        unit(2, 2, 3, 1, 1),
    ],
    "sub-pixel": [
        unit(2, 8, 3, 1, 1),
        nn.PixelShuffle(2),
        unit(2, 2, 3, 1, 1),
        nn.PixelUnshuffle(2),
    ],
    "decoder": [
        *(unit(2, 2, 3, 2, 1), nn.ConvTranspose2d(2, 2, 4, 2, 1), unit(2, 2, 3, 1, 1)),
        nn.ConvTranspose2d(2, 2, 3, 2, 1, 1, dilation=2),
    ],
}
SIZE = (79, 86)


@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_are_where_the_gradient_is(name):
    model = nn.Sequential(*NETWORKS[name]).eval()
    twin = positive_copy(model)
    x = torch.rand(1, 2, *SIZE)
    for depth in range(1, len(model) + 1):
        path, output = traced(model[:depth].eval(), x)
        channels, *size = output.shape[1:]
        positions = [(0, 0), (size[0] // 2, size[1] // 2), (size[0] // 3, size[1] - 1)]
        for position, units in itertools.product(positions, [(0, channels - 1), (0, 0)]):
            found = input_box(path, output, [(0, 0), units, *((i, i) for i in position)])
            theirs = field_of(twin[:depth], x, slice(units[0], units[1] + 1), position)
            assert found.unknown == ()
            assert found.box == theirs, (depth, position, units)
