"""Receptive fields as pictures, and the example."""

import importlib
import math
import re
import sys

import numpy as np
import pytest
import torch
from receptive_field_cases import images, network, ones
from repository import EXAMPLES
from torch import nn

from relustat.analysis.receptive_fields.plot import receptive_field_grid
from relustat.analysis.receptive_fields.receptive_field import receptive_field


def test_plot(tmp_path):
    field = receptive_field(network(), "3", data=images())
    figure = field.plot()
    left, right = figure.axes
    assert figure.get_suptitle().startswith("3: 8 x 8, sigma ")
    np.testing.assert_allclose(left.images[0].get_array() ** 2, field.effective, rtol=1e-12)
    box, one_sigma, two_sigma = left.patches
    assert (*box.get_xy(), box.get_width(), box.get_height()) == (4.5, 4.5, 8, 8)
    assert two_sigma.width == 2 * one_sigma.width
    widths = 4 * np.linalg.eigvalsh(field.gaussian.covariance) ** 0.5
    assert sorted([two_sigma.width, two_sigma.height]) == pytest.approx(sorted(widths))
    vertical, _ = right.patches
    column = round(field.gaussian.center[1])
    assert vertical.get_data().values.tolist() == field.effective[5:13, column].tolist()
    dashed, _ = right.get_lines()
    positions = torch.tensor([[row, column] for row in range(5, 13)])
    np.testing.assert_allclose(dashed.get_ydata(), field.gaussian.density(positions))
    figure.savefig(tmp_path / "field.png", dpi=30)


def test_plot_of_other_axes_and_of_a_single_pixel(tmp_path):
    line = receptive_field(ones(2, axes=1), "1").plot()
    assert [len(axes.patches) for axes in line.axes] == [1]
    volume = receptive_field(ones(2, axes=3), "1", input_size=(7, 7, 7)).plot()
    assert [len(axes.patches) for axes in volume.axes] == [3]
    point = receptive_field(nn.Conv2d(1, 1, 1).eval(), "").plot()
    assert not point.axes[1].get_lines()
    for figure in (line, volume, point):
        figure.savefig(tmp_path / "figure.png", dpi=30)


def test_grid(tmp_path):
    fields = {name: receptive_field(network(), name, data=images()) for name in ("0", "2", "5")}
    figure = receptive_field_grid(fields, columns=2)
    assert [axes.get_title().splitlines()[0] for axes in figure.axes] == ["0", "2", "5"]
    figure.savefig(tmp_path / "grid.png", dpi=30)
    with pytest.raises(ValueError, match=r"^receptive_field_grid: fields must be one or more"):
        receptive_field_grid({})
    flat = receptive_field(ones(1, axes=1), "0")
    with pytest.raises(ValueError, match="must have two axes, got 1 of 'flat'"):
        receptive_field_grid({"flat": flat})


def test_a_missing_extra_says_what_to_install(monkeypatch):
    field = receptive_field(ones(1), "0")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'relustat\[plot\]'"):
        field.plot()


def test_example(monkeypatch, capsys, tmp_path):
    monkeypatch.syspath_prepend(EXAMPLES)
    example = importlib.import_module("receptive_fields")
    monkeypatch.setattr(example, "DEPTHS", (2, 8))
    example.main(["--out", str(tmp_path / "fields.png")])
    printed = capsys.readouterr().out
    sigmas = [math.sqrt(4 / 3), math.sqrt(16 / 3)]
    for depth, sigma in zip((2, 8), sigmas, strict=True):
        size = f"{2 * depth + 1} x {2 * depth + 1}"
        row = rf"equal weights +{depth} +{size} +{sigma:.2f} +{sigma:.2f} "
        assert re.search(row, printed)
    assert "equal weights: sigma grows like depth^0.50, its share like depth^-0.38" in printed
    assert (tmp_path / "fields.png").stat().st_size > 10000
