"""Gradient norms as text and picture, and the example that makes both, and sound."""

import importlib.util
import math
import sys
import wave

import numpy as np
import pytest
import torch
from repository import EXAMPLES
from torch import nn

from relustat.analysis.gradients.gradient_norms import GradientNorms

EXAMPLE = EXAMPLES / "gradient_norms.py"


def recorded(values):
    """Of single gradients, whose norms are themselves: [steps, layers]."""
    layers = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in values[0])
    norms = GradientNorms(layers)
    for row in values:
        for layer, value in zip(layers, row, strict=True):
            layer.weight.grad = torch.full((1, 1), value)
        norms.record()
    return norms


def test_not_finite():
    values = np.ones((5, 2))
    values[1, 1], values[3, 0], values[3, 1] = math.nan, math.inf, math.nan
    norms = recorded(values)
    assert norms.not_finite == [(1, "1"), (3, "0"), (3, "1")]
    assert np.isinf(norms.values[3, 0])


def test_table():
    nan, inf = math.nan, math.inf
    norms = recorded(
        np.array([[1, 0.25, 2e-9, 0], [3, nan, 3e5, nan], [2, 4, inf, nan], [12.5, 8, nan, nan]])
    )
    assert str(norms).splitlines() == [
        "layer     first    median       max      last",
        "0             1       2.5      12.5      12.5",
        "1          0.25         4         8         8",
        "2         2e-09   1.5e+05     3e+05       nan",
        "3             0         0         0       nan",
        "! 1: not finite in 1 step, first in step 1",
        "! 2: not finite from step 2 on",
        "! 3: not finite from step 1 on",
    ]
    assert repr(norms) == "<GradientNorms of 4 steps of 4 layers; print() shows it>"
    assert str(recorded(np.full((1, 1), nan))).splitlines()[1].split() == ["0", *["nan"] * 4]
    assert str(GradientNorms(nn.Linear(1, 1))) == "! no step was recorded"


def test_plot(tmp_path):
    values = np.array([[1.0, 0.0], [2.0, 4.0], [math.nan, 5.0], [3.0, math.inf], [4.0, 6.0]])
    norms = recorded(values)
    figure = norms.plot()
    figure.savefig(tmp_path / "figure.png", dpi=30)
    (axes,) = figure.axes
    first, _, second, zeros = axes.get_lines()
    assert axes.get_yscale() == "log"
    assert [first.get_label(), second.get_label()] == ["0", "1"]
    np.testing.assert_array_equal(first.get_ydata(), [1, 2, math.nan, 3, 4])
    np.testing.assert_array_equal(second.get_ydata(), [0, 4, 5, math.nan, 6])
    assert zeros.get_xdata().tolist() == [0]
    (band,) = axes.collections
    (corners,) = (path.vertices for path in band.get_paths())
    assert (corners[:, 0].min(), corners[:, 0].max()) == (1.5, 3.5)


@pytest.mark.parametrize("value", [0.0, math.nan, 1.0])
def test_anything_plots(value, tmp_path):
    recorded(np.full((1, 60), value)).plot().savefig(tmp_path / "figure.png", dpi=30)


def test_plotting_errors(monkeypatch):
    with pytest.raises(ValueError, match=r"plot: .* at least one step, got \[0, 1\]"):
        GradientNorms(nn.Linear(1, 1)).plot()
    norms = recorded(np.ones((1, 1)))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'relustat\[plot\]'"):
        norms.plot()


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("gradient_norms_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_example(example, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(example, "STEPS", 5)
    example.main(["--out", str(tmp_path / "norms.png")])
    told = capsys.readouterr().out
    for name in ("sgd-0.01", "sgd-0.1", "sgd-1.0", "sgd-0.03-wrong-sign", "adam-0.01"):
        assert f"{name}.wav\nlayer " in told
        with wave.open(str(tmp_path / f"norms-{name}.wav")) as sound:
            assert sound.getnframes() == 5 * 6 * 441
    assert (tmp_path / "norms.png").read_bytes().startswith(b"\x89PNG")


def test_the_example_fits_its_axes_to_runs_that_stay_finite(example):
    low, high = example.limits(
        [
            recorded(np.array([[1.0, 0.01], [0.0, 10.0]])),
            recorded(np.array([[1e30, 1e-30], [math.nan, 1.0]])),
        ]
    )
    assert 0.001 < low < 0.01
    assert 10 < high < 100


def test_what_the_example_says_of_its_settings(example):
    images = example.load_images(None, 10_000)
    wrong_sign = example.train(images, *example.SETTINGS["SGD 0.03, wrong sign"])
    first, _ = wrong_sign.not_finite[0]
    assert 20 < first < example.STEPS
    dying = example.train(images, *example.SETTINGS["SGD 1.0"])
    assert dying.layers == ("conv1", "conv2", "fc1", "fc2")
    assert dying.not_finite == []
    assert (dying.values[-20:, :3] == 0).all()
    assert (dying.values[:, 3] > 0).all()
