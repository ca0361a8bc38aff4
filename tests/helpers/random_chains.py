"""Random chains of layers, with dead units, as people may write them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

import relustat

CONVOLUTIONS = (None, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
POOLS = (
    (),
    (nn.MaxPool1d, nn.AvgPool1d),
    (nn.MaxPool2d, nn.AvgPool2d),
    (nn.MaxPool3d, nn.AvgPool3d),
)
MODULES = (nn.ReLU, lambda: nn.ReLU(inplace=True), nn.ReLU6, relustat.CountingReLU)
FUNCTIONS = (F.relu, F.relu6, torch.relu, lambda x: x.relu(), lambda x: x.clamp(min=0))
FLATTENINGS = (nn.Flatten(), lambda x: x.flatten(1), lambda x: x.view(x.size(0), -1))
SIDE = 4


class InARow(nn.Module):
    """Calls modules and functions one after the other."""

    def __init__(self, steps):
        super().__init__()
        self.layers = nn.ModuleList(each for each in steps if isinstance(each, nn.Module))
        modules = iter(range(len(self.layers)))
        self.steps = [next(modules) if isinstance(each, nn.Module) else each for each in steps]

    def forward(self, x):
        for step in self.steps:
            x = self.layers[step](x) if isinstance(step, int) else step(x)
        return x


@dataclass(frozen=True)
class Hidden:
    """A layer whose units are rectified, by paths, and those units that are killed."""

    layer: str
    norm: str | None
    units: int
    killed: tuple[int, ...]


@dataclass(frozen=True)
class RandomChain:
    model: nn.Module
    x: torch.Tensor
    hidden: tuple[Hidden, ...]


class _Drawn:
    def __init__(self, draw):
        self.draw = draw
        self.steps = []
        self.hidden = []

    def path(self):
        return f"layers.{sum(isinstance(each, nn.Module) for each in self.steps) - 1}"

    def add(self, *steps):
        self.steps += steps

    def rectified(self, layer, norm, units):
        self.add(layer)
        path, of_norm = self.path(), None
        if self.draw(st.booleans()):
            self.add(norm(units))
            of_norm = self.path()
        if self.draw(st.booleans()):
            self.add(nn.Dropout(0.3))
        if self.draw(st.booleans()):
            self.add(self.draw(st.sampled_from(MODULES))())
        else:
            self.add(self.draw(st.sampled_from(FUNCTIONS)))
        killed = self.draw(st.sets(st.integers(0, units - 1)))
        self.hidden.append(Hidden(path, of_norm, units, tuple(sorted(killed))))


@st.composite
def chains(draw):
    """1 to 4 layers with ReLUs, of convolutions and then linear ones, and one that reads them."""
    torch.manual_seed(draw(st.integers(0, 10_000)))
    drawn = _Drawn(draw)
    axes = draw(st.integers(0, 3))
    width, side = draw(st.integers(1, 3)), SIDE
    x = torch.randn(12, width, *[side] * axes)
    for _ in range(draw(st.integers(1, 2)) if axes else 0):
        units = draw(st.integers(1, 5))
        layer = CONVOLUTIONS[axes](width, units, 3, padding=1, bias=draw(st.booleans()))
        drawn.rectified(layer, NORMS[axes], units)
        if side > 1 and draw(st.booleans()):
            drawn.add(draw(st.sampled_from(POOLS[axes]))(2))
            side //= 2
        width = units
    if axes and draw(st.booleans()):
        drawn.add(CONVOLUTIONS[axes](width, 2, 1))
        return _finished(drawn, x)
    if axes:
        drawn.add(draw(st.sampled_from(FLATTENINGS)))
        width *= side**axes
    for _ in range(draw(st.integers(0 if axes else 1, 2))):
        units = draw(st.integers(1, 6))
        layer = nn.Linear(width, units, bias=draw(st.booleans()))
        drawn.rectified(layer, nn.BatchNorm1d, units)
        width = units
    drawn.add(nn.Linear(width, 2))
    return _finished(drawn, x)


def _finished(drawn, x):
    model = InARow(drawn.steps)
    with torch.no_grad():
        model.train()(x)  # norms have seen numbers
        for hidden in drawn.hidden:
            last = model.get_submodule(hidden.norm or hidden.layer)
            last.weight[list(hidden.killed)] = 0
            if last.bias is not None:
                last.bias[list(hidden.killed)] = -0.5
    return RandomChain(model.eval(), x, tuple(drawn.hidden))
