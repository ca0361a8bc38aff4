"""Everything that writes a file keeps the old one if the disk is full, and names it."""

import contextlib
import errno
import re
import resource
from pathlib import Path

import pytest
import torch
from optional import needs
from reports import small_model, watched

from relustat import cli
from relustat.analysis import GradientNorms
from relustat.cli.data.share import Share
from relustat.cli.resuming import Done, ResumeFile
from relustat.demo import run as demo
from relustat.watching.watches import watch

OLD = b"what was there before"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def report():
    return watched(small_model())


@contextlib.contextmanager
def full_disk(folder, name):
    """No byte fits into a file; the old file and the others are as they were afterwards."""
    (folder / name).write_bytes(OLD)
    before = sorted(folder.iterdir())
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (folder / name).read_bytes() == OLD
    assert sorted(folder.iterdir()) == before


def refuse(folder, name, write):
    # The number and the sentence would be others on a full disk.
    message = f"[Errno {errno.EFBIG}] File too large: '{name}'"
    with full_disk(folder, name), pytest.raises(OSError, match=re.escape(message)):
        write()


def test_counts_and_histories(folder, report):
    stats = next(iter(report.values())).stats
    refuse(folder, "report.npz", lambda: report.save("report.npz"))
    refuse(folder, "stats.npz", lambda: stats.save("stats.npz"))
    model = small_model()
    with watch(model) as watching:
        model(torch.randn(4, 3, 8, 8))
        watching.snapshot(0)
    refuse(folder, "history.npz", lambda: watching.history.save("history.npz"))


def test_pages(folder, report):
    needs("jinja2")
    refuse(folder, "a.html", lambda: report.to_html("a.html"))
    refuse(folder, "b.html", lambda: report.to_html("b.html", other=report))


def test_sound(folder):
    model = torch.nn.Linear(2, 1)
    norms = GradientNorms(model)
    model(torch.ones(1, 2)).sum().backward()
    norms.record()
    refuse(folder, "a.wav", lambda: norms.to_wav("a.wav"))


def test_resume_files(folder):
    model = small_model()
    file = ResumeFile(Path("pass.pt"), Share(), {}, 60.0)
    with watch(model) as watching:
        model(torch.randn(4, 3, 8, 8))
        refuse(folder, "pass.pt", lambda: file.save(watching, Done()))


@pytest.mark.parametrize("kind", ["png", "json", "csv"])
def test_files_of_the_command(folder, report, capsys, kind):
    needs("matplotlib")
    report.save("report.npz")
    with full_disk(folder, f"a.{kind}"):
        status = cli.main(["show", "report.npz", f"--{kind}", f"a.{kind}"])
    assert status == 2
    assert capsys.readouterr().err == f"relustat: a.{kind}: File too large\n"


def test_files_of_the_demo(folder, report):
    needs("matplotlib")
    change = report.compare(report, names=("a", "b"))
    refuse(folder, "histograms.png", lambda: demo.write(Path(), report, report, change))
