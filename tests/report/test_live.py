"""A table that is refreshed while a model runs."""

import io
import sys
import time

import pytest
import torch
from optional import needs
from torch import nn

import relustat
from relustat.report.live import live


class Terminal(io.StringIO):
    def isatty(self):
        return True


def in_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    return terminal


def test_one_snapshot_a_refresh_at_a_bounded_rate(monkeypatch):
    live_module = needs("rich.live")
    in_terminal(monkeypatch)
    taken, shown = [], []
    update = live_module.Live.update

    def noted(self, renderable, *, refresh=False):
        assert refresh
        shown.append(renderable)
        update(self, renderable, refresh=refresh)

    monkeypatch.setattr(live_module.Live, "update", noted)

    def take():
        taken.append(f"snapshot {len(taken)}")
        return taken[-1]

    began = time.monotonic()
    with live(take, 0.1):
        while len(taken) < 4:
            time.sleep(0.01)
        print("a line in between")
    seconds = time.monotonic() - began
    assert shown == taken
    assert 5 <= len(taken) <= seconds / 0.1 + 1


def test_a_slow_snapshot_takes_a_tenth_of_the_time(monkeypatch):
    needs("rich.live")
    in_terminal(monkeypatch)
    begins = []

    def take():
        begins.append(time.monotonic())
        time.sleep(0.1)
        return "slow"

    with live(take, 0.1):
        while len(begins) < 2:
            time.sleep(0.01)
    # 0.1 s of work, and then nine times as long a pause.
    assert begins[1] - begins[0] >= 1.0


def test_the_table_of_a_watch(monkeypatch):
    needs("rich.live")
    terminal = in_terminal(monkeypatch)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    with relustat.watch(model) as watch, watch.live(0.1):
        for _ in range(3):
            model(torch.randn(16, 4))
    # At the end the last table is seen, once more after all that changed.
    assert "384" in terminal.getvalue().rpartition("site")[2]


def test_a_long_table_is_whole_at_the_end(monkeypatch):
    needs("rich.live")
    terminal = in_terminal(monkeypatch)
    monkeypatch.setenv("LINES", "5")
    with live(lambda: "\n".join(map(str, range(40))), 5.0):
        pass
    assert "39" in terminal.getvalue()


def test_a_pipe_gets_the_last_table_alone(capsys):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
    with relustat.watch(model) as watch, watch.live():
        model(torch.randn(16, 4))
        report = str(watch.report())
    assert capsys.readouterr().out == f"{report}\n"
    with live(lambda: "table", 1.0, stderr=True, transient=True):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("every", [0, 0.05, -1, float("nan"), "1"])
def test_wrong_pauses(every):
    rule = r"live: every must be at least 0\.1 seconds, got"
    with (
        pytest.raises(ValueError, match=rule),
        relustat.watch(nn.ReLU()) as watch,
        watch.live(every),
    ):
        pass


def test_a_closed_watch():
    with relustat.watch(nn.ReLU()) as watch:
        pass
    with pytest.raises(ValueError, match="watch: a closed watch counts nothing"):
        watch.live()


def test_in_a_notebook(tmp_path):
    nbclient, nbformat = needs("nbclient"), needs("nbformat")
    needs("ipykernel")
    code = """
import time, torch, relustat
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
with relustat.watch(model) as watch, watch.live(0.1):
    for _ in range(5):
        model(torch.randn(16, 4))
        time.sleep(0.1)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    # One table, which the last refresh has replaced.
    assert "640" in output.data["text/html"]
