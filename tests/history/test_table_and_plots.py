"""Histories as text, table and picture."""

import sys

import numpy as np
import pytest
from history_cases import Training, history_of, stats_of, units_of

from relustat.history import History


def test_printed_text():
    epochs = [[True] * 8, [False] * 2 + [True] * 6, [True, False] + [True] * 6]
    history = history_of(epochs)
    history.add(3, {"later": stats_of([[1.0, -1.0]])})
    lines = str(history).splitlines()
    assert lines[0].split("  ")[0] == "call site"
    assert lines[0].endswith("zero in epochs 0 to 3: ▁ 50%, █ 62%")
    assert lines[1].split() == ["relu", "50.0%", "56.2%", "1/8", "2", "1", "▁█▄"]
    assert lines[2].split() == ["later", "50.0%", "50.0%", "1/2", "0", "0", "▁"]
    assert lines[2].endswith("   ▁")
    assert len(lines) == 3
    assert repr(history) == "<History of 4 spans of 2 call sites; print() shows it>"
    assert str(History()) == "! no ReLU was seen"
    assert repr(history.spans[0]) == "<EpochSpan of epochs 0 to 0, 1 call sites>"


def test_the_line_has_twelve_points_from_first_to_last():
    history = History()
    for epoch in range(100):
        history.add(epoch, {"a": stats_of(np.where(np.arange(100) < epoch, -1, 1)[:, None])})
    (line,) = str(history).splitlines()[1:]
    assert line.split()[-1] == "▁▁▂▃▃▄▅▆▆▇██"
    assert len(line.split()[-1]) == 12


def test_pandas():
    training = Training(12)
    history = training.history(6)
    frame = history.to_pandas()
    assert list(frame.index.names) == ["call_site", "first"]
    assert len(frame) == 2 * len(history)
    linear = frame.loc["linear"]
    assert linear.index.tolist() == [span.first for span in history.spans]
    assert linear["last"].tolist() == [span.last for span in history.spans]
    for name in ("zero_fraction", "death_rate", "dead", "deaths", "revivals", "p99"):
        assert linear[name].tolist() == history.trend("linear", name)[1].tolist()
    assert linear["elements"].sum() == history.total("linear").elements
    gaps = history_of([[True], None, [True]]).to_pandas()
    assert gaps.index.tolist() == [("relu", 0), ("relu", 2)]
    assert len(History().to_pandas()) == 0


@pytest.mark.parametrize("sites", [1, 2, 13])
def test_plot_has_a_panel_for_each_site(sites, tmp_path):
    history = History()
    for epoch in range(6):
        alive = np.arange(4) < (4 if epoch < 3 else 3 + epoch % 2)
        history.add(epoch, {f"layer.{site}": units_of(alive) for site in range(sites)})
    figure = history.plot()
    assert [axes.get_title() for axes in figure.axes] == [
        f"layer.{site}: 0/4 dead" for site in range(sites)
    ]
    zeros, dead, deaths, revivals = figure.axes[0].get_lines()
    expected = 100 * history.trend("layer.0", "zero_fraction")[1]
    assert zeros.get_ydata().tolist() == expected.tolist()
    assert dead.get_ydata().tolist() == [0, 0, 0, 0, 25, 0]
    assert deaths.get_xdata().tolist() == list(history.deaths("layer.0"))
    assert revivals.get_xdata().tolist() == list(history.revivals("layer.0"))
    figure.savefig(tmp_path / "figure.png", dpi=30)


def test_anything_prints_and_plots(tmp_path):
    odd = History()
    odd.add(5, {"nan": stats_of([[float("nan")]]), "no bins": stats_of([[1.0]], None)})
    odd.add(9, {"nan": stats_of([[float("inf")]])})
    for history in (History(), odd, history_of([None]), history_of([[False]])):
        assert str(history)
        history.to_pandas()
        history.plot().savefig(tmp_path / "figure.png", dpi=30)


def test_a_missing_extra_says_what_to_install(monkeypatch):
    history = history_of([[True]])
    for module, extra, action in [
        ("pandas", "pandas", history.to_pandas),
        ("matplotlib.figure", "plot", history.plot),
    ]:
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=rf"pip install 'relustat\[{extra}\]'"):
            action()
