"""What relustat 0.1.0 wrote is read, and who imports one of its modules learns where it went.

The files are of a model with two ReLUs, of four and two units, in five epochs of six inputs each.
"""

import importlib
import json
import pickle
from pathlib import Path

import pytest

import relustat
from relustat import History, LinearBins, ReLUStats, Report
from relustat._moved import _NEW

FILES = Path(__file__).parent / "files_0_1_0"


@pytest.mark.parametrize("name", _NEW)
def test_a_module_that_moved(name):
    with pytest.raises(ImportError, match=f"^{name} has moved: import its names from relustat"):
        importlib.import_module(name)
    assert importlib.import_module(_NEW[name]).__all__


def test_by_every_way():
    with pytest.raises(ImportError, match=r"^relustat\.modules has moved.* relustat\.nn$"):
        from relustat.modules import CountingReLU  # noqa: F401
    with pytest.raises(ImportError, match=r"^relustat\.bins has moved.* relustat\.stats$"):
        from relustat import bins  # noqa: F401
    with pytest.raises(ImportError, match=r"^relustat\.counters has moved.* relustat\.ops$"):
        pickle.loads(b"crelustat.counters\nCounters\n.")


def test_other_modules_that_do_not_exist():
    for name in ("relustat.places", "relustat.none", "relustat.analysis.none"):
        with pytest.raises(ModuleNotFoundError, match="No module named"):
            importlib.import_module(name)


def test_modules_that_users_import_by_the_same_name():
    for module, name in [
        ("history", "History"),
        ("report", "Report"),
        ("report", "Row"),
        ("stats", "ReLUStats"),
        ("watching", "Watch"),
    ]:
        found = getattr(importlib.import_module(f"relustat.{module}"), name)
        assert getattr(relustat, name, found) is found


def test_a_report():
    report = Report.load(FILES / "report.npz")
    assert list(report.stats) == ["1", "3"]
    assert report.stats["1"].bins == LinearBins(-2, 2, 4)
    assert report.stats["1"].calls == report.stats["3"].calls == 5
    assert report.stats["1"].elements == 120
    described = json.loads((FILES / "report.json").read_text())
    read = {name: ReLUStats.from_dict(each) for name, each in described["call_sites"].items()}
    assert report.stats == read
    # Not what version 0.1 counted, but what follows from it.
    assert report.stats["1"].dead_units.tolist() == report.stats["1"].dead_for(5).tolist()
    assert report.stats["1"] == ReLUStats.load(FILES / "stats.npz")


def test_a_history():
    history = History.load(FILES / "history.npz")
    assert history == History.from_dict(json.loads((FILES / "history.json").read_text()))
    assert (history.limit, history.call_sites) == (3, ("1", "3"))
    assert [(span.first, span.last) for span in history.spans][-1] == (4, 4)
    assert history.total("1").elements == 120
