"""`relustat analyze` beyond one process: ranks, shares, kills, interrupts."""

import os
import signal
import subprocess
import sys
import time

import analyzed_models
import numpy as np
import pytest
import torch
from analyzed_models import mlp, numbers
from repository import ROOT

from relustat import Report, cli

FILE = analyzed_models.__file__
COMMAND = [sys.executable, "-m", "relustat", "analyze"]


def torchrun(ranks):
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return [sys.executable, *launch, "-m", "relustat", "analyze"]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LOADED", "loaded.txt")
    monkeypatch.setenv("SECONDS", "0.02")


def number_loaded():
    try:
        with open("loaded.txt") as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0


def started(command, *arguments, new_session=False):
    """A process that has loaded some samples of `slow`."""
    process = subprocess.Popen(
        [*command, f"{FILE}:mlp", "--data", f"{FILE}:slow", "--batch-size", "4", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=new_session,
    )
    before = number_loaded()
    while number_loaded() < before + 14:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    return process


def undisturbed():
    arguments = ["--data", f"{FILE}:slow", "--batch-size", "4", "--quiet", "--npz", "whole.npz"]
    os.environ["SECONDS"] = "0"
    assert cli.main(["analyze", f"{FILE}:mlp", *arguments]) == 0
    os.remove("loaded.txt")
    return Report.load("whole.npz")


def sums(report):
    """All counts but the calls since a unit fired, which depend on the order of the calls."""
    states = {name: row.stats.to_dict() for name, row in report.items()}
    for state in states.values():
        state.pop("parts", None)
        for counts in state["widths"].values():
            del counts["since_fired"]
    return states


# 103 samples are 13 batches, of which the last is not full: 13 is no multiple of 2 or 3.
RANDOM = [f"{FILE}:mlp", "--random", "103", "--batch-size", "8"]


@pytest.fixture
def whole():
    assert cli.main(["analyze", *RANDOM, "--quiet", "--npz", "one.npz"]) == 0
    return Report.load("one.npz")


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_equal_one_process(whole, ranks):
    result = subprocess.run(
        [*torchrun(ranks), *RANDOM, "--npz", "ranks.npz", "--html", "relus.html"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    report = Report.load("ranks.npz")
    assert sums(report) == sums(whole)
    assert result.stdout == f"{report}\n"
    assert report["1"].elements == 103 * 8
    assert report["1"].calls == 13
    assert os.path.exists("relus.html")


def test_more_ranks_than_batches():
    arguments = [f"{FILE}:mlp", "--random", "3", "--quiet", "--npz", "ranks.npz"]
    subprocess.run([*torchrun(2), *arguments], check=True, timeout=300, capture_output=True)
    report = Report.load("ranks.npz")
    assert report["1"].elements == 3 * 8
    assert report.warnings == Report({name: row.stats for name, row in report.items()}).warnings


def test_one_error_for_all_ranks():
    arguments = [f"{FILE}:mlp", "--random", "3", "--shape", "5"]
    result = subprocess.run([*torchrun(2), *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode != 0
    assert "relustat: [rank 0] analyze: the model does not take a batch" in result.stderr


@pytest.mark.parametrize("count", [2, 3, 20])
def test_shares_add_up(whole, count, capsys):
    names = [f"part{index}.npz" for index in range(1, count + 1)]
    for index, name in enumerate(names, 1):
        arguments = ["--shard", f"{index}/{count}", "--quiet", "--npz", name]
        assert cli.main(["analyze", *RANDOM, *arguments]) == 0
    assert cli.main(["merge", *names, "-o", "all.npz"]) == 0
    assert sums(Report.load("all.npz")) == sums(whole)


def test_a_pass_that_is_killed_goes_on():
    whole = undisturbed()
    os.environ["SECONDS"] = "0.02"
    arguments = ["--resume", "pass.pt", "--save-every", "0.05s", "--npz", "relus.npz"]
    for kills in range(3):
        process = started(COMMAND, *arguments)
        process.kill()
        process.communicate()
        assert os.path.exists("pass.pt") or not kills
        assert not os.path.exists("relus.npz")
    before = number_loaded()
    result = subprocess.run(
        [*COMMAND, f"{FILE}:mlp", "--data", f"{FILE}:slow", "--batch-size", "4", *arguments],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    # The last process did not begin anew.
    assert 0 < number_loaded() - before < 60
    assert Report.load("relus.npz").stats == whole.stats
    # And there is nothing left to do.
    again = ["--data", f"{FILE}:slow", "--batch-size", "4", *arguments]
    before = number_loaded()
    assert cli.main(["analyze", f"{FILE}:mlp", *again]) == 0
    assert number_loaded() == before
    assert Report.load("relus.npz") == whole


def test_a_pass_of_other_arguments(capsys):
    arguments = ["analyze", f"{FILE}:mlp", "--random", "9", "--resume", "pass.pt", "--quiet"]
    assert cli.main(arguments) == 0
    for others, message in (
        (["--batch-size", "4"], "got --batch-size None in the file, 4 here"),
        (["--set", "width=3"], "got --set [] in the file, [('width', 3)] here"),
        (["--bins", "none"], "got --bins LogBins"),
        (["--shard", "1/2"], "all files must be of 2 shares, got pass.pt"),
    ):
        assert cli.main([*arguments, *others]) == 2
        assert message in capsys.readouterr().err
    with open("pass.pt", "wb") as file:
        file.write(b"hello")
    assert cli.main(arguments) == 2
    assert "must be a file that `relustat analyze --resume` wrote" in capsys.readouterr().err


def test_a_pass_of_other_weights_or_rows(capsys):
    torch.save(mlp().state_dict(), "weights.pt")
    np.save("rows.npy", numbers(9).numpy())
    arguments = ["analyze", f"{FILE}:mlp", "--npy", "rows.npy", "--weights", "weights.pt"]
    arguments += ["--resume", "pass.pt", "--quiet"]
    assert cli.main(arguments) == 0
    torch.save(mlp().state_dict(), "weights.pt")
    assert cli.main(arguments) == 2
    assert "must be of the same pass, got weights " in capsys.readouterr().err
    os.remove("pass.pt")
    assert cli.main(arguments) == 0
    np.save("rows.npy", numbers(9).numpy() + 1)
    assert cli.main(arguments) == 2
    assert "must be of the same pass, got data " in capsys.readouterr().err


@pytest.mark.parametrize(("model", "data"), [("Noisy", "dataset"), ("mlp", "random_order")])
def test_random_passes_are_the_same_in_shares(model, data):
    arguments = ["analyze", f"{FILE}:{model}", "--data", f"{FILE}:{data}", "--quiet"]
    arguments += ["--batch-size", "4"] if data == "dataset" else []
    for name, share in (("whole", "1/1"), ("again", "1/1"), ("a", "1/2"), ("b", "2/2")):
        assert cli.main([*arguments, "--shard", share, "--npz", f"{name}.npz"]) == 0
    assert cli.main(["merge", "a.npz", "b.npz", "-o", "merged.npz"]) == 0
    whole = sums(Report.load("whole.npz"))
    assert sums(Report.load("again.npz")) == whole
    assert sums(Report.load("merged.npz")) == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes(number):
    """As of a terminal, or of a job system; the processes that load data get it, too."""
    process = started(COMMAND, "--workers", "2", "--npz", "relus.npz", new_session=True)
    os.killpg(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.count("Ending after this batch") == 1
    assert "interrupted after" in Report.load("relus.npz").warnings[-1]


def test_ctrl_c_ends_the_pass_and_reports(capsys):
    arguments = ["--workers", "2", "--npz", "relus.npz", "--resume", "pass.pt"]
    process = started(COMMAND, *arguments)
    process.send_signal(signal.SIGINT)
    printed, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    report = Report.load("relus.npz")
    assert printed == f"{report}\n"
    batches = report["1"].calls
    assert error == (
        "Ending after this batch, with a report; Ctrl-C again ends at once.\nWrote relus.npz\n"
        f"{FILE}:mlp: {batches * 4} samples in {batches} batches\n"
    )
    assert 0 < batches < 15
    assert report.warnings[-1] == (
        f"interrupted after {batches} of 15 batches, {batches * 4} samples"
    )
    # It can also go on.
    os.environ["SECONDS"] = "0"
    again = ["--data", f"{FILE}:slow", "--batch-size", "4", *arguments]
    assert cli.main(["analyze", f"{FILE}:mlp", *again]) == 0
    assert Report.load("relus.npz").stats == undisturbed().stats


def test_ctrl_c_again_ends_at_once():
    os.environ["SECONDS"] = "0.6"
    process = started(COMMAND, "--npz", "relus.npz")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(1.1)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "relustat: interrupted"
    assert not os.path.exists("relus.npz")


def test_an_interrupt_of_ranks():
    process = started(torchrun(2), "--npz", "relus.npz")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    report = Report.load("relus.npz")
    batches = report["1"].calls
    assert 0 < batches < 15
    assert report.warnings[-1].startswith(f"interrupted after {batches} of 15 batches")
