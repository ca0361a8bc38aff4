"""The sizes of receptive fields that are found in textbooks."""

import torch
from geometry_cases import Function, conv, prepared, residual, traced
from torch import nn

import relustat
from relustat.analysis.receptive_fields.input_boxes import input_box


def chain(*windows):
    """Convolutions and pools by kernel, stride and padding."""
    return prepared([conv(1, 1, *window) for window in windows])


def size_at(model, last, shape=(1, 1, 64, 64)):
    """The size that is found in textbooks, of the position in the middle."""
    path, output = traced(model[: last + 1].eval(), torch.rand(shape, dtype=torch.float64))
    middle = [(length // 2, length // 2) for length in output.shape[2:]]
    box = input_box(path, output, [(0, 0), (0, 0), *middle], clipped=False).box
    return tuple(high - low + 1 for low, high in box[2:])


def test_sizes_of_vgg16():
    model, ends = [], []
    for convolutions in (2, 2, 3, 3, 3):
        model += [(3, 1, 1)] * convolutions
        ends.append(len(model))
        model += [(2, 2)]
    model = chain(*model)
    assert [size_at(model, end) for end in ends] == [(n, n) for n in (6, 16, 44, 100, 212)]
    assert size_at(model, ends[-1] - 1) == (196, 196)


def test_sizes_of_alexnet():
    three = (3, 1, 1)
    model = chain((11, 4, 2), (3, 2), (5, 1, 2), (3, 2), three, three, three, (3, 2))
    sizes = [size_at(model, last, (1, 1, 96, 96)) for last in range(8)]
    assert sizes == [(n, n) for n in (11, 19, 51, 67, 99, 131, 163, 195)]


def block(stride):
    main = nn.Sequential(conv(1, 1, 3, stride, 1), nn.BatchNorm2d(1), conv(1, 1, 3, 1, 1))
    return Function(residual, main, conv(1, 1, 1, stride))


def test_size_of_resnet18():
    model = prepared(
        [conv(1, 1, 7, 2, 3), relustat.MaxPool2d(3, 2, 1), *map(block, (1, 1, 2, 1, 2, 1, 2, 1))]
    )
    assert size_at(model, len(model) - 1) == (435, 435)


def test_endless_maps():
    def upwards(x, depthwise, up):
        return up(depthwise(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    rows_apart = Function(upwards, conv(1, 1, 9, padding=4), nn.Linear(1, 2))
    model = prepared([rows_apart, conv(2, 2, (1, 9), padding=(0, 4))])
    assert size_at(model, 1, (1, 1, 5, 6)) == (9, 17)
    mirrored = prepared(
        [conv(1, 1, 9, padding=4, padding_mode="reflect"), conv(1, 1, 3, padding=1)]
    )
    assert size_at(mirrored, 1, (1, 1, 8, 8)) == (11, 11)
    circular = prepared(
        [conv(1, 1, 9, padding=4, padding_mode="circular"), conv(1, 1, 3, padding=1)]
    )
    assert size_at(circular, 1, (1, 1, 8, 8)) == (11, 11)
    enlarged = prepared([nn.Upsample(scale_factor=2, mode="bilinear"), conv(1, 1, 9, padding=4)])
    assert size_at(enlarged, 1, (1, 1, 4, 4)) == (6, 6)
    whole = prepared([conv(1, 1, 3, padding=1), nn.AdaptiveAvgPool2d(1)])
    assert size_at(whole, 1, (1, 1, 10, 12)) == (12, 14)
