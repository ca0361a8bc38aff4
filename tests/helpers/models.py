"""Models to watch, and how to see that a model is as it was."""

import torch
import torch.nn.functional as F
from torch import nn


class FunctionalReLU(nn.Module):
    def forward(self, x):
        return F.relu(x)


class BasicBlock(nn.Module):
    """ResNet-18's: one ReLU module, called twice."""

    def __init__(self, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.down = nn.Conv2d(channels, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.down(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(8), BasicBlock(8))
        self.layer2 = nn.Sequential(BasicBlock(8, 2), BasicBlock(8))

    def forward(self, x):
        return self.layer2(self.layer1(self.maxpool(self.relu(self.conv1(x)))))


RESNET_NAMES = ["relu"] + [
    f"layer{layer}.{block}.relu{suffix}"
    for layer in (1, 2)
    for block in (0, 1)
    for suffix in ("", "_1")
]


class BasicConv(nn.Module):
    def __init__(self, *sizes, **options):
        super().__init__()
        self.conv = nn.Conv2d(*sizes, **options)
        self.bn = nn.BatchNorm2d(sizes[1])

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Only calls F.relu, in place."""

    def __init__(self, channels):
        super().__init__()
        self.one = BasicConv(channels, 4, kernel_size=1)
        self.three = nn.Sequential(
            BasicConv(channels, 4, kernel_size=1), BasicConv(4, 4, kernel_size=3, padding=1)
        )

    def forward(self, x):
        x = F.relu(x, inplace=False)
        return F.relu(torch.cat([self.one(x), self.three(x)], 1), inplace=True)


def inception():
    return nn.Sequential(BasicConv(3, 4, kernel_size=3), Inception(4), Inception(8))


INCEPTION_NAMES = ["0.relu"] + [
    f"{block}.{name}"
    for block in (1, 2)
    for name in ("relu", "one.relu", "three.0.relu", "three.1.relu", "relu_1")
]


def snapshot(model):
    """All that a module has, but for the contents of its tensors."""
    return [
        (
            name,
            type(module),
            sorted(module.__dict__),
            module.__dict__.get("forward"),
            {
                key: list(value)
                for key, value in module.__dict__.items()
                if "hooks" in key and value is not None
            },
        )
        for name, module in model.named_modules()
    ]


class Failing(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.relu = nn.ReLU()
        self.error = error

    def forward(self, x):
        x = F.relu(self.relu(x))
        if self.error:
            raise self.error
        return x
