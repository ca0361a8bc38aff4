"""The command on standard outputs that have few characters."""

import io
import os
import subprocess
import sys

import pytest
from optional import needs
from reports import silence, small_model, watched
from repository import ROOT

from relustat import cli


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def saved():
    model = small_model()
    watched(model).save("é▁.npz")
    silence(model[0], [3])
    watched(model).save("b.npz")


def printed(monkeypatch, encoding, errors, *arguments):
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", output)
        assert cli.main(list(arguments)) == 0
        output.flush()
    return output.buffer.getvalue().decode(encoding)


# In the locale C, Python sets "surrogateescape", which is as strict for what is no surrogate.
@pytest.mark.parametrize(
    ("encoding", "errors"),
    [("ascii", "strict"), ("ascii", "surrogateescape"), ("latin-1", "strict")],
)
def test_every_command(monkeypatch, saved, encoding, errors):
    for arguments in (
        ["info"],
        ["show", "é▁.npz"],
        ["show", "é▁.npz", "--units", "1"],
        ["compare", "é▁.npz", "b.npz"],
        ["compare", "é▁.npz", "b.npz", "--names", "é▁", "b"],
        ["merge", "é▁.npz", "-o", "é▁2.npz"],
        ["analyze", f"{ROOT}/tests/helpers/analyzed_models.py:mlp", "--random", "4"],
    ):
        assert printed(monkeypatch, encoding, errors, *arguments)
    table = printed(monkeypatch, encoding, errors, "show", "b.npz")
    picture = table.splitlines()[2].split("%")[-1].split("  ")[-1]
    assert set(picture) <= set(" .:-=+*#@")
    assert "@" in picture


def test_the_demo(monkeypatch):
    needs("rich")
    needs("matplotlib")
    needs("sklearn")
    arguments = ["demo", "--epochs", "1", "--samples", "64", "--output", "é[/bold]層"]
    for encoding in ("ascii", "latin-1"):
        text = printed(monkeypatch, encoding, "strict", *arguments)
        first = "\\xe9" if encoding == "ascii" else "é"
        assert text.endswith(f"report.json and report.csv to {first}[/bold]\\u5c64\n")


def test_in_the_locale_c(saved):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["PYTHONPATH"] = str(ROOT)
    environment.pop("PYTHONIOENCODING", None)
    result = subprocess.run(
        [sys.executable, "-m", "relustat", "show", "b.npz"],
        env=environment,
        capture_output=True,
        check=True,
    )
    assert result.stdout.isascii()
    assert b"1 of 8 units gave only zeros" in result.stdout
