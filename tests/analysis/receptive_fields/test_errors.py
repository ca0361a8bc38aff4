"""What receptive fields are refused, and why."""

import math

import pytest
import torch
from receptive_field_cases import images, network, ones
from torch import nn

from relustat.analysis.receptive_fields.receptive_field import receptive_field

DEAD = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()).eval()
nn.init.constant_(DEAD[0].bias, -1000)


@pytest.mark.parametrize(
    ("model", "layer", "options", "error", "message"),
    [
        (network().train(), "1", {}, ValueError, "must be in evaluation mode"),
        (network(), "11", {"data": images()}, ValueError, "layer must name a module"),
        (
            network(),
            "3",
            {"unit": 6},
            ValueError,
            "unit must be one of the 6 of '3', 0 to 5, got 6",
        ),
        (
            network(),
            "3",
            {"data": images(), "position": (8, 0)},
            ValueError,
            r"lie in the 8 x 9 map of '3', got \(8,",
        ),
        (
            network(),
            "3",
            {"data": images(), "position": (-1, 0)},
            ValueError,
            "lie in the 8 x 9 map",
        ),
        (
            network(),
            "3",
            {"data": images(), "position": (1,)},
            ValueError,
            "2 integers, as '3' gives maps of 8 x 9",
        ),
        (network(), "3", {"position": "max"}, ValueError, "'center' or indices, got 'max'"),
        (network(), "3", {"samples": 0}, ValueError, "samples must be positive, got 0"),
        (network(), "3", {"data": []}, ValueError, "must give samples, got none"),
        (network(), "3", {"data": images().int()}, TypeError, "floating point .*, got torch.int32"),
        (
            network(),
            "3",
            {"data": [torch.ones(2, 3)]},
            TypeError,
            r"one axis or more, got .* \[2, 3",
        ),
        (
            network(),
            "3",
            {"data": [images(), images()[..., 1:]], "samples": 30},
            ValueError,
            r"inputs must be of one size, got \[16, 17\] after \[16, 18\]",
        ),
        (network(), "3", {"input_size": (16,)}, ValueError, r"2 positive numbers .* got \(16,\)"),
        (
            network(),
            "3",
            {"data": images(), "input_size": (16, 18)},
            ValueError,
            "input_size is for random inputs, got it with data",
        ),
        (DEAD, "1", {}, ValueError, r"got a sum of 0.0 at \(0, 0\) of '1' over 16 inputs"),
        (network(), "5", {"data": images() * math.nan}, ValueError, "must be finite .* sum of nan"),
        (nn.ReLU().eval(), "", {}, ValueError, "data must be given for a model without a conv"),
        (
            nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(0, 1)).eval(),
            "1",
            {"data": images()},
            ValueError,
            "something for each of 8 samples, got '1'",
        ),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.InstanceNorm2d(2)).eval(),
            "1",
            {},
            ValueError,
            "'1', but it sees all of any input, as after global pooling or .*; give data or input",
        ),
        (
            network(),
            "7",
            {},
            ValueError,
            r"size that the model takes, got \[224, 224\], for which it raises: mat1 and mat2 .*; "
            "give an input_size",
        ),
        (
            DEAD,
            "1",
            {"input_size": (2, 5)},
            ValueError,
            r"takes, got \[2, 5\], for which it raises: Calculated padded input size .*; give an",
        ),
        (
            nn.Conv2d(1, 2, 3).eval(),
            "",
            {"data": images()[0]},
            ValueError,
            r"\[N, C, ...\] with 2 axes for a 2-D conv.*, got samples of \[16, 18\]; .* x\[None",
        ),
        (network(), "3", {"samples": "a"}, ValueError, "samples must be an integer, got 'a'"),
        (network(), "3", {"samples": 1.5}, ValueError, "samples must be an integer, got 1.5"),
        (network(), "3", {"seed": 1.5}, ValueError, "seed must be an integer, got 1.5"),
        (network(), "3", {"input_size": 9}, ValueError, "2 positive numbers .* got 9"),
        (
            network(),
            "3",
            {"input_size": (9, 9.5)},
            ValueError,
            "a number of input_size must be an integer, got 9.5",
        ),
        (network(), "5", {"data": images() * math.inf}, ValueError, "must be finite .* sum of nan"),
    ],
)
def test_bad_input(model, layer, options, error, message):
    with pytest.raises(error, match=rf"^receptive_field: .*{message}"):
        receptive_field(model, layer, **options)


@pytest.mark.parametrize("mass", [0, -1, 1.01, math.nan])
def test_bad_mass(mass):
    field = receptive_field(ones(1), "0", input_size=(5, 5))
    with pytest.raises(ValueError, match=f"^area: mass must be above 0 and at most 1, got {mass}"):
        field.area(mass)
