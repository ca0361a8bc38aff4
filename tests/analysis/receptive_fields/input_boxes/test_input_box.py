"""Boxes by geometry against what happens when single numbers of the input change.

What whole networks are made of is in test_whole_networks; here is what cancels there, or is rare.
"""

import itertools

import pytest
import torch
import torch.nn.functional as F
from geometry_cases import Function, conv, prepared, traced
from torch import nn

import relustat
from relustat.analysis.model_run.autograd_path import PathToInput
from relustat.analysis.receptive_fields.input_boxes import input_box


def convnext(x, depthwise, norm, up, down):
    y = norm(depthwise(x).permute(0, 2, 3, 1))
    return x + down(F.gelu(up(y))).permute(0, 3, 1, 2)


def channel_shuffle(x):
    return x.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)


def one_half(x, module):
    first, second = x.chunk(2, 2)
    return torch.cat([module(second), first.flip(3)], 1)


PLANE = (2, 7, 10)
ZOO = {
    "one by one with padding alone at the border": ([conv(2, 3, 1, padding=1)], PLANE),
    "dilation, then stride": ([conv(2, 2, 2, dilation=4, padding=2), conv(2, 2, 1, 3)], PLANE),
    "padded, cut": ([Function(lambda x: F.pad(x, (2, -1, -2, 1))), conv(2, 3, 2)], PLANE),
    "reflected": ([conv(2, 3, 3, padding=2, padding_mode="reflect")], PLANE),
    "replicated": ([conv(2, 3, 3, 2, padding=2, padding_mode="replicate")], PLANE),
    "circular": ([conv(2, 3, 3, 2, padding=(1, 2), padding_mode="circular")], PLANE),
    "circular, by name": (
        [Function(lambda x: F.pad(input=x, pad=(1, 2, 0, 1), mode="circular")), conv(2, 2, 2)],
        (2, 4, 5),
    ),
    "circular, uneven": ([nn.CircularPad2d((2, 0, 1, 3)), conv(2, 2, 2)], (2, 4, 5)),
    "dilated max-pool": ([nn.MaxPool2d(2, 1, dilation=(2, 3))], PLANE),
    "relustat's max-pool": ([relustat.MaxPool2d(3, 2, 1), relustat.CountingReLU()], PLANE),
    "adaptive maximum": ([nn.AdaptiveMaxPool2d((4, 3)), conv(2, 2, 2)], PLANE),
    "transposed with gaps": ([nn.ConvTranspose2d(2, 3, 2, 3, dilation=2)], (2, 4, 3)),
    "group norm": ([nn.GroupNorm(2, 4), conv(4, 4, 1, groups=4)], (4, 3, 3)),
    "instance norm": ([nn.InstanceNorm2d(3), conv(3, 3, 1, groups=3)], (3, 3, 3)),
    "beside constants": (
        [Function(lambda x: torch.cat([x, torch.ones_like(x)], 1)), conv(4, 4, 3, groups=4)],
        PLANE,
    ),
    "behind constants": (
        [Function(lambda x: torch.cat([torch.ones_like(x), x, 2 * x], 3)), conv(2, 3, 2)],
        (2, 3, 4),
    ),
    "halves": ([Function(one_half, conv(2, 2, 1))], (2, 6, 5)),
    "stacked": (
        [Function(lambda x, c: torch.stack([x, c(x)], 2), conv(2, 2, 3, padding=1))],
        PLANE,
    ),
    "slices": ([Function(lambda x: x[:, 1:, 1::2, -4:-1])], PLANE),
    "unbound": ([Function(lambda x: x.unbind(2)[3] + x[:, :, 1])], PLANE),
    "split by sizes": ([Function(lambda x: x.split([3, 5, 2], 3)[1])], PLANE),
    "broadcast": ([Function(lambda x: x * x[:, :1, :, :1].sigmoid())], (2, 4, 5)),
    "repeated": ([Function(lambda x: x.repeat(1, 2, 1, 3))], (2, 3, 4)),
    "rolled": ([Function(lambda x: x.roll((1, -2), (2, 3)))], PLANE),
    "windows": ([Function(lambda x: x.unfold(2, 3, 2))], (2, 7, 3)),
    "gated": ([conv(2, 4, 3), nn.GLU(1)], PLANE),
    "chosen rows": (
        [Function(lambda x: x.index_select(2, torch.tensor([3, 0, 3, 5]))), conv(2, 2, 2)],
        PLANE,
    ),
    "softmax": ([Function(lambda x: x.softmax(3)), conv(2, 2, 2)], PLANE),
    "reduced": ([conv(2, 3, 3, padding=1), Function(lambda x: x.amax(2))], PLANE),
    "enlarged, nearest-exact": ([nn.Upsample((7, 11), mode="nearest-exact")], (2, 5, 6)),
    "enlarged, corners": ([nn.Upsample((7, 9), mode="bilinear", align_corners=True)], (2, 4, 5)),
    "enlarged, bicubic": ([nn.Upsample(scale_factor=3, mode="bicubic")], (2, 5, 6)),
    "linear along rows": ([nn.Linear(10, 4)], PLANE),
    "layer norm over channels": (
        [
            conv(2, 4, 3, 2),
            Function(
                convnext,
                conv(4, 4, 3, padding=1, groups=4),
                nn.LayerNorm(4),
                nn.Linear(4, 8),
                nn.Linear(8, 4, bias=False),
            ),
        ],
        PLANE,
    ),
    "one axis": (
        [conv(2, 3, 3, 2, 1, axes=1), nn.MaxPool1d(3, 1), nn.AdaptiveAvgPool1d(4)],
        (2, 17),
    ),
    "one axis, enlarged": ([nn.Upsample(scale_factor=2, mode="linear"), nn.AvgPool1d(3)], (2, 7)),
    "three axes": (
        [conv(1, 2, 2, 1, 1, axes=3), nn.MaxPool3d((1, 2, 2)), nn.AvgPool3d(2)],
        (1, 4, 5, 6),
    ),
    "three axes, adaptive": (
        [nn.AdaptiveMaxPool3d((2, 3, 2)), conv(1, 1, 2, axes=3)],
        (1, 5, 4, 6),
    ),
}


def dependence(model, x):
    """Bool [*input, *output]: whether a number of the output changes with one of the input."""
    changed = x + 100 * torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape[1:])
    with torch.no_grad():
        before, after = model(x), model(changed)
    moved = (after - before).abs() > 1e-7 * before.abs()
    return moved.reshape(*x.shape[1:], *before.shape[1:])


def bounding_box(depends):
    if not depends.any():
        return ((0, -1),) * (depends.ndim + 1)
    return (0, 0), *((int(i.min()), int(i.max())) for i in depends.nonzero(as_tuple=True))


@pytest.mark.parametrize("name", ZOO)
def test_boxes_are_those_of_what_depends(name):
    layers, shape = ZOO[name]
    torch.manual_seed(0)
    model = prepared(layers)
    x = torch.rand(1, *shape, dtype=torch.float64) + 0.1
    path, output = traced(model, x)
    depends = dependence(model, x)
    channels = output.shape[1]
    units = itertools.chain([slice(None)], range(channels))
    for unit in units:
        ends = (0, channels - 1) if unit == slice(None) else (unit, unit)
        theirs = depends[(slice(None),) * len(shape)]
        theirs = theirs.movedim(len(shape), 0)[unit]
        theirs = theirs.any(0) if unit == slice(None) else theirs
        for position in itertools.product(*map(range, output.shape[2:])):
            found = input_box(path, output, [(0, 0), ends, *((i, i) for i in position)])
            assert found.unknown == ()
            assert found.box == bounding_box(theirs[(..., *position)]), (unit, position)


def test_a_box_of_many_places():
    model = prepared([conv(2, 3, 3, 2, 1), nn.MaxPool2d(2, 1)])
    x = torch.rand(3, 2, 12, 14, dtype=torch.float64)
    path, output = traced(model, x)
    box = input_box(path, output, [(1, 2), (0, 0), (1, 2), (3, 4)]).box
    depends = dependence(model, x[:1])
    theirs = depends[..., 0, 1:3, 3:5].flatten(3).any(3)
    assert box == ((1, 2), *bounding_box(theirs)[1:])


def test_an_unknown_operation_needs_everything():
    def backwards(x):
        return x[:, :, torch.arange(6).flip(0)]

    model = prepared([conv(2, 2, 3, padding=1), Function(backwards), conv(2, 2, 1)])
    path, output = traced(model, torch.rand(1, 2, 6, 6, dtype=torch.float64))
    found = input_box(path, output, [(0, 0), (0, 1), (0, 0), (0, 0)])
    assert found.unknown == ("IndexBackward0",)
    assert found.box == ((0, 0), (0, 1), (0, 5), (0, 5))


def test_without_its_geometry_relustats_pool_is_unknown():
    x = torch.rand(1, 2, 6, 6, requires_grad=True)
    output = relustat.MaxPool2d(2)(x)
    found = input_box(PathToInput("test", "", output, x), output, [(0, 0), (0, 0), (1, 1), (1, 1)])
    assert found.box == ((0, 0), (0, 1), (0, 5), (0, 5))
    assert "MaxPool" in found.unknown[0]
