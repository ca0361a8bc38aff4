"""Small networks and inputs whose receptive fields are asked for."""

import torch
from torch import nn

CONVOLUTIONS = [nn.Conv1d, nn.Conv2d, nn.Conv3d]


def ones(depth, axes=2, kernel=3):
    """Convolutions that add up their windows, and double the sum."""
    layers = [CONVOLUTIONS[axes - 1](1, 1, kernel, padding=1, bias=False) for _ in range(depth)]
    for layer in layers:
        nn.init.constant_(layer.weight, 2)
    return nn.Sequential(*layers).double().eval()


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(6 * 8 * 9, 5),
    ).eval()


def images(samples=20):
    return torch.randn(samples, 3, 16, 18, generator=torch.Generator().manual_seed(1))


class UNet(nn.Module):
    """Takes even sizes only."""

    def __init__(self):
        super().__init__()
        self.whole = nn.Conv2d(1, 2, 3, padding=1)
        self.deep = nn.Conv2d(2, 2, 3, padding=1)
        self.up = nn.ConvTranspose2d(2, 2, 2, 2)
        self.out = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x):
        whole = self.whole(x)
        half = self.deep(nn.functional.max_pool2d(whole, 2))
        return self.out(torch.cat([whole, self.up(half)], 1))
