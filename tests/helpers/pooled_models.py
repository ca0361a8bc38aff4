"""Models with a pool behind a ReLU, as people write them."""

import torch
import torch.nn.functional as F
from torch import nn


def vgg(inplace=True):
    layers = []
    for channels, width in ((3, 8), (8, 8)):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace)]
        layers += [nn.Conv2d(width, 8, 3, padding=1), nn.ReLU(inplace), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


class LeNet(nn.Module):
    """One ReLU and one pool, called in several lines."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 8, 5)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)
        self.fc = nn.Linear(8 * 5 * 5, 10)

    def forward(self, x):
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        return self.relu(self.fc(x.flatten(1)))


class UNet(nn.Module):
    """The encoder's map is pooled, and read again by the decoder."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        skip = self.relu(self.down(x))
        deep = F.interpolate(self.pool(skip), scale_factor=2)
        return self.up(torch.cat([skip, deep], 1))


class SkipsOverInPlace(nn.Module):
    """What the ReLU writes over is read again."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(1)

    def forward(self, x):
        x = self.conv(x)
        return self.pool(self.relu(x)) + x


class WritesOverAView(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu, self.pool = nn.ReLU(inplace=True), nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(self.relu(self.conv(x)[:, :2]))


class TwoPools(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()
        self.one, self.other = nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1)

    def forward(self, x):
        x = self.relu(self.conv(x))
        return self.one(x), self.other(x)


class KeepsItsName(nn.Module):
    """An attribute says whether another layer reads the map."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)
        self.returns_all = False

    def forward(self, x):
        x = self.relu(self.conv(x))
        y = self.pool(x)
        return (y, x) if self.returns_all else y


class KeepsAnAttribute(nn.Module):
    """What the ReLU writes over, and what it gives, have a second name."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)
        self.relu, self.relu_ = nn.ReLU(), nn.ReLU(inplace=True)
        self.conv_, self.pool_ = nn.Conv2d(4, 4, 3), nn.MaxPool2d(2)

    def forward(self, x):
        self.kept = self.relu(self.conv(x))
        x = self.pool(self.kept)
        self.before = x = self.conv_(x)
        x = self.relu_(x)
        x = self.pool_(x)
        return x + self.before.mean() + self.kept.mean()


class WritesOverItBetween(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        x = self.conv(x)
        y = self.relu(x)
        x.detach().mul_(-2)
        return self.pool(y)


class Helper(nn.Module):
    """Several lines of another method, as in torchvision's ResNet; one of them two lines long."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        self.tail = nn.Module()
        self.tail.conv, self.tail.relu = nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)
        self.tail.pool = nn.MaxPool2d(2)

    def _features(self, x):
        x = self.conv1(x)
        x = self.bn1(x)
        x = self.relu(x)
        x = self.maxpool(x)
        if x is not None:
            x = self.tail.pool(self.tail.relu(self.tail.conv(x)))
        return x

    def forward(self, x):
        return torch.flatten(self._features(x), 1)


class OnlyInEval(nn.Module):
    """In training another layer reads the map."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        x = self.relu(self.conv(x))
        return (self.pool(x), x.mean()) if self.training else self.pool(x)


class Branches(nn.Module):
    """What its forward does depends on the numbers."""

    def __init__(self):
        super().__init__()
        self.features = vgg()
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x):
        if x.sum() > 1e9:
            return x
        return self.pool(self.relu(self.features(x)))


class FunctionalReLU(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(F.relu(self.conv(x)))
