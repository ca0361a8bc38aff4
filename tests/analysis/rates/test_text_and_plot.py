"""Activation rates as text and as pictures, and the example."""

import importlib.util
import sys

import pytest
import torch
from rates_cases import train
from repository import EXAMPLES
from torch import nn

from relustat.analysis.rates.activation_rates import ActivationRates


def test_text():
    model = nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.0))
    with ActivationRates(model) as rates:
        assert str(rates) == "! no epoch yet: snapshot(epoch) ends one"
        model(torch.zeros(1, 1)).sum().backward()
        rates.snapshot(2)
    assert str(rates).splitlines()[0] == "epoch 2"
    cells = [line.split("  ") for line in str(rates).splitlines()[1:]]
    assert [[cell.strip() for cell in row if cell] for row in cells] == [
        ["layer", "activation rate", "death rate", "of"],
        ["1", "100.0%", "0.0%", "outputs"],
        ["0.weight", "0.0%", "100.0%", "gradients"],
        ["0.bias", "100.0%", "0.0%", "gradients"],
    ]
    assert repr(rates) == "<ActivationRates of outputs and gradients, 1 epoch; print() shows it>"


def test_plot(tmp_path, monkeypatch):
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))
    with ActivationRates(model) as rates:
        assert [axes.get_title() for axes in rates.plot().axes] == [
            "worst of all outputs",
            "worst of all gradients",
        ]
        for epoch in range(3):
            train(model, [torch.randn(4, 2)])
            rates.snapshot(epoch)
    figure = rates.plot()
    figure.savefig(tmp_path / "figure.png", dpi=30)
    layers = rates.outputs | rates.gradients
    *panels, worst, worst_gradient = figure.axes
    assert [axes.get_title().split(":")[0] for axes in panels] == list(layers)
    for axes, found in zip(panels, layers.values(), strict=True):
        lines = [line.get_ydata().tolist() for line in axes.get_lines()]
        assert lines == [(100 * found.activation).tolist(), (100 * found.death).tolist()]
    last = rates.worst("outputs")[-1]
    assert worst.get_title() == (
        "worst of all outputs\n"
        f"lowest activation rate {last.activation:.0%}: {last.activation_layer}\n"
        f"highest death rate {last.death:.0%}: {last.death_layer}"
    )
    assert worst.get_lines()[1].get_ydata().tolist() == [
        100 * each.death for each in rates.worst("outputs")
    ]
    assert worst_gradient.get_title().startswith("worst of all gradients")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'relustat\[plot\]'"):
        rates.plot()


def test_example(tmp_path, capsys):
    path = EXAMPLES / "activation_rates.py"
    spec = importlib.util.spec_from_file_location("activation_rates_example", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    picture = tmp_path / "picture.png"
    example.main(["--samples=64", "--epochs=1", f"--out={picture}"])
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told[-5:-1]] == example.COMPARED
    assert sum(line.startswith("worst of all outputs: activation rate ") for line in told) == 3
    assert sum(line.startswith("worst of all gradients: activation rate ") for line in told) == 3
    assert picture.read_bytes().startswith(b"\x89PNG")
