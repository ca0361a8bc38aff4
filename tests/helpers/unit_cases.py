"""Calls between a layer and a ReLU, and the dimension in which each leaves the layer's units.

``c`` is the dimension of the layer's channels or features, ``o`` another one, not that of the
batch. All dimensions but the batch's have the same length, so no shape tells them apart.
"""

# ruff: noqa: ARG005 (all cases have the same arguments)

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

BATCH, CHANNELS = 2, 4
CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")


def layers():
    """A layer of each rank by name, its input, and the dimension of its units."""
    conv = {"kernel_size": 1}
    return {
        "Linear": (nn.Linear(3, CHANNELS), (BATCH, 4, 3), 2),
        "Conv1d": (nn.Conv1d(3, CHANNELS, **conv), (BATCH, 3, 4), 1),
        "Conv2d": (nn.Conv2d(3, CHANNELS, **conv), (BATCH, 3, 4, 4), 1),
        "Conv3d": (nn.Conv3d(3, CHANNELS, **conv), (BATCH, 3, 4, 4, 4), 1),
    }


@dataclass
class Case:
    """A call, and the dimensions of units after it.

    ``call(y, c, o)`` makes the ReLU's input; ``dims(c, o, n)`` gives the unit dimensions for a
    layer's output of ``n`` dimensions. ``layers`` are those after which the call makes sense.
    """

    name: str
    call: object
    dims: object
    layers: tuple = ("Linear", *CONVOLUTIONS)


def kept(name, call, layers=("Linear", *CONVOLUTIONS)):
    return Case(name, call, lambda c, _o, _n: (c,), layers)


def without(name, call):
    """The other dimension is gone."""
    return Case(name, call, lambda c, o, _n: (c - (o < c),))


def swapped(name, call):
    return Case(name, call, lambda _c, o, _n: (o,))


def index(y, dim, what):
    return y[tuple(what if each == dim else slice(None) for each in range(y.dim()))]


def order(y, c, o):
    dims = list(range(y.dim()))
    dims[c], dims[o] = o, c
    return dims


CASES = [
    # Parts
    kept("`y[..., 1:-1]`", lambda y, c, o: index(y, o, slice(1, -1))),
    kept("`y.narrow(o, 1, 2)`", lambda y, c, o: y.narrow(o, 1, 2)),
    kept("`y[:, ::2]` of channels", lambda y, c, o: index(y, c, slice(None, None, 2))),
    kept("`y.index_select(c, i)`", lambda y, c, o: y.index_select(c, torch.tensor([3, 1]))),
    kept("`y[:, [3, 1]]`", lambda y, c, o: index(y, c, [3, 1])),
    kept("`y.gather(o, i)`", lambda y, c, o: y.gather(o, torch.zeros_like(y, dtype=torch.int64))),
    without("`y.select(o, 1)`", lambda y, c, o: y.select(o, 1)),
    without("`y[..., -1]`", lambda y, c, o: index(y, o, -1)),
    Case("`y.select(c, 1)`", lambda y, c, o: y.select(c, 1), lambda c, o, n: ()),
    Case("`y[:, 1:2].squeeze(c)`", lambda y, c, o: y.narrow(c, 1, 1).squeeze(c), lambda *_: ()),
    kept("`y.chunk(2, c)[0]`", lambda y, c, o: y.chunk(2, c)[0]),
    kept("`y.split(2, c)[1]`", lambda y, c, o: y.split(2, c)[1]),
    kept("`y.tensor_split(2, o)[1]`", lambda y, c, o: y.tensor_split(2, o)[1]),
    without("`y.unbind(o)[0]`", lambda y, c, o: y.unbind(o)[0]),
    kept("`y.topk(2, o)`", lambda y, c, o: y.topk(2, o)[0]),
    kept("`y.sort(o)`", lambda y, c, o: y.sort(o)[0]),
    # Joined
    kept("`cat` of channels", lambda y, c, o: torch.cat([y, -y], c)),
    kept("`cat` along `o`", lambda y, c, o: torch.cat((y, -y), o)),
    Case("`stack` in front", lambda y, c, o: torch.stack([y, -y]), lambda c, o, n: (c + 1,)),
    Case("`stack` behind", lambda y, c, o: torch.stack((y, -y), -1), lambda c, o, n: (c,)),
    Case(
        "`stack` of single units",
        lambda y, c, o: torch.stack([y.select(c, 0), y.select(c, 1)], 1),
        lambda c, o, n: (1,),
    ),
    # Longer and shorter
    kept("`F.pad`", lambda y, c, o: F.pad(y, (1, 2))),
    kept("`F.interpolate`", lambda y, c, o: F.interpolate(y, scale_factor=2), CONVOLUTIONS),
    kept("`y.repeat` along `o`", lambda y, c, o: y.repeat([1 + (d == o) for d in range(y.dim())])),
    kept("`y.repeat_interleave(2, o)`", lambda y, c, o: y.repeat_interleave(2, o)),
    kept("`y.expand`", lambda y, c, o: y.narrow(o, 0, 1).expand(y.shape)),
    kept("`y.mean(o, keepdim=True)`", lambda y, c, o: y.mean(o, keepdim=True)),
    without("`y.mean(o)`", lambda y, c, o: y.mean(o)),
    without("`y.sum(o)`", lambda y, c, o: y.sum(o)),
    without("`y.amax(o)`", lambda y, c, o: y.amax(o)),
    without("`y.max(o).values`", lambda y, c, o: y.max(o).values),
    without("`y.std(o)`", lambda y, c, o: y.std(o)),
    without("`y.norm(dim=o)`", lambda y, c, o: y.norm(dim=o) - 1),
    without("`y.logsumexp(o)`", lambda y, c, o: y.logsumexp(o)),
    kept("`y.diff(dim=o)`", lambda y, c, o: y.diff(dim=o)),
    kept("`y.cumsum(o)`", lambda y, c, o: y.cumsum(o)),
    Case("`y.mean(c)`", lambda y, c, o: y.mean(c), lambda *_: ()),
    # Moved
    swapped("`y.transpose(c, o)`", lambda y, c, o: y.transpose(c, o)),
    swapped("`y.swapaxes(c, o)`", lambda y, c, o: torch.swapaxes(y, c, o)),
    swapped("`y.permute(...)`", lambda y, c, o: y.permute(order(y, c, o))),
    Case("`y.movedim(c, -1)`", lambda y, c, o: y.movedim(c, -1), lambda c, o, n: (n - 1,)),
    Case("`y.mT`", lambda y, c, o: y.mT, lambda c, o, n: ({n - 1: n - 2, n - 2: n - 1}.get(c, c),)),
    swapped("`y.transpose_(c, o)`", lambda y, c, o: y.clone().transpose_(c, o)),
    swapped("`y.transpose(c, o).contiguous()`", lambda y, c, o: y.transpose(c, o).contiguous()),
    kept("`y.flip(c)`", lambda y, c, o: y.flip(c)),
    kept("`y.roll(1, o)`", lambda y, c, o: y.roll(1, o)),
    kept("`y.rot90(2, [c, o])`", lambda y, c, o: y.rot90(2, [c, o])),
    # Other shapes
    Case("`y.unsqueeze(1)`", lambda y, c, o: y.unsqueeze(1), lambda c, o, n: (c + 1,)),
    Case("`y[None]`", lambda y, c, o: y[None], lambda c, o, n: (c + 1,)),
    kept("`y.flatten(2)`", lambda y, c, o: y.flatten(2), CONVOLUTIONS[1:]),
    kept("`y.view(n, c, -1)`", lambda y, c, o: y.view(BATCH, CHANNELS, -1), CONVOLUTIONS),
    Case(
        "`unflatten(o, (2, 2))`",
        lambda y, c, o: torch.unflatten(y, o, (2, 2)),
        lambda c, o, n: (c + (o < c),),
    ),
    Case("`y.flatten(1)`", lambda y, c, o: y.flatten(1), lambda c, o, n: (1,)),
    Case(
        "`unflatten(c, (2, 2))`: groups",
        lambda y, c, o: torch.unflatten(y, c, (2, 2)),
        lambda c, o, n: (c, c + 1),
    ),
    Case(
        "channel shuffle",
        lambda y, c, o: torch.unflatten(y, c, (2, 2)).transpose(c, c + 1).flatten(c, c + 1),
        lambda c, o, n: (c,),
    ),
    # Arithmetic and norms
    kept("`y * 2 + 1`", lambda y, c, o: y * 2 + 1),
    kept("`y += 1`", lambda y, c, o: y.clone().__iadd__(1)),
    kept("`y + y.mean(o, keepdim=True)`", lambda y, c, o: y + y.mean(o, keepdim=True)),
    kept("`y.softmax(o)`", lambda y, c, o: y.softmax(o) - 0.25),
    kept("`y.masked_fill(y < 0, 0)`", lambda y, c, o: y.masked_fill(y < -1, 0.5)),
    kept("`where`", lambda y, c, o: torch.where(y > 0, y, 2 * y)),
    kept("`lerp`", lambda y, c, o: torch.lerp(y, -y, 0.25)),
    kept("`F.gelu`", lambda y, c, o: F.gelu(y)),
    kept("`F.glu` of channels", lambda y, c, o: F.glu(y, c) - 0.1),
    kept("`F.layer_norm` over the last", lambda y, c, o: F.layer_norm(y, y.shape[-1:])),
    kept("`F.layer_norm` over all", lambda y, c, o: F.layer_norm(y, y.shape[1:])),
    kept("`F.group_norm`", lambda y, c, o: F.group_norm(y, 2), CONVOLUTIONS),
    # Products with other tensors
    kept(
        "`tensordot` over `o`",
        lambda y, c, o: torch.tensordot(y, torch.ones(4, 3).to(y.dtype), ([o], [0])).movedim(-1, o),
    ),
]


class Calls(nn.Module):
    """A layer, and a ReLU after each of the calls that its rank has."""

    def __init__(self, layer, unit_dim, cases):
        super().__init__()
        self.layer = layer
        self.after = nn.ModuleList(After(case, unit_dim) for case in cases)

    def forward(self, x):
        y = self.layer(x)
        return [after(y) for after in self.after]


class After(nn.Module):
    def __init__(self, case, unit_dim):
        super().__init__()
        self.case, self.unit_dim = case, unit_dim

    def forward(self, y):
        return F.relu(self.input_of(y))

    def input_of(self, y):
        return self.case.call(y, self.unit_dim, other_dim(y.dim(), self.unit_dim))


def other_dim(dims, unit_dim):
    return dims - 1 if unit_dim < dims - 1 else 1


def cases_of(name):
    return [case for case in CASES if name in case.layers]


def unit_dims_of(case, name):
    _, shape, unit_dim = layers()[name]
    return case.dims(unit_dim, other_dim(len(shape), unit_dim), len(shape))


def table():
    """The lines of the table in docs/units.md."""
    names = list(layers())
    lines = [f"| call | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for case in CASES:
        cells = []
        for name in names:
            if case not in cases_of(name):
                cells.append("")
                continue
            dims = unit_dims_of(case, name)
            cells.append(", ".join(map(str, dims)) or "one unit")
        lines.append(f"| {case.name} | {' | '.join(cells)} |")
    return lines


def zeros_by_unit(y, dims):
    """By torch alone: the zeros of ReLU's output for each unit."""
    others = [dim for dim in range(y.dim()) if dim not in dims]
    units = y.permute(*dims, *others).reshape(math.prod(y.shape[dim] for dim in dims), -1)
    return (units <= 0).sum(1).tolist()
