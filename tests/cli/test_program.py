"""The command as a program: help, exit status, pipes, errors."""

import os
import pty
import subprocess
import sys

import pytest
import torch
from optional import needs

from relustat import Report, cli
from relustat.cli import info
from relustat.functional import relu_stats

COMMANDS = ("demo", "analyze", "compare", "show", "merge", "info")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "relus.npz"
    sites = {f"layer{index}": relu_stats(torch.randn(4, 300))[1] for index in range(200)}
    Report(sites).save(path)
    return path


def test_every_command_says_what_it_does_and_its_exit_status(capsys):
    for arguments in ([], *([command] for command in COMMANDS)):
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments, "--help"])
        assert ended.value.code == 0
        printed = capsys.readouterr().out
        assert "exit status:\n  0 " in printed
        assert "\n  130  interrupted" in printed
        if arguments and arguments[0] not in ("demo", "info"):
            assert f"examples:\n  relustat {arguments[0]} " in printed


def test_info(capsys):
    assert cli.main(["info"]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["PyTorch"].strip().startswith(torch.__version__)


def test_wrong_usage_is_2():
    for arguments in ([], ["no-command"], ["show"], ["analyze"], ["merge", "a.npz"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2


def test_wrong_arguments_are_one_sentence(capsys):
    for arguments, message in (
        (
            ["analyze", "m:n", "--imags", "x"],
            "there is no argument --imags, did you mean --images?",
        ),
        (
            ["analyze", "m:n", "--random", "0"],
            "argument --random: must be an integer of at least 1",
        ),
        (["show", "a.npz", "b.npz"], "relustat show: error: there is no argument b.npz"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
        printed = capsys.readouterr().err
        assert message in printed
        assert printed.count("\n") == 1


def test_wrong_input_is_2_and_one_sentence(tmp_path, capsys):
    assert cli.main(["show", str(tmp_path / "none.npz")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("relustat: ")
    assert printed.err.count("\n") == 1
    assert "No such file or directory" in printed.err


def test_debug_shows_where(tmp_path, capsys):
    assert cli.main(["show", str(tmp_path / "none.npz"), "--debug"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("Traceback (most recent call last):")
    assert printed.splitlines()[-1].startswith("relustat: ")


def test_what_nobody_expected_is_1(monkeypatch, capsys):
    def fails(_):
        raise KeyError("lost")

    monkeypatch.setattr(info, "run", fails)
    assert cli.main(["info"]) == 1
    printed = capsys.readouterr().err
    assert printed == "relustat: unexpected KeyError: 'lost'; --debug shows where\n"


def test_an_interrupt_is_130(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "run", interrupted)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr().err == "relustat: interrupted\n"


def test_a_closed_pipe_is_no_error(saved):
    with subprocess.Popen(
        [sys.executable, "-m", "relustat", "show", str(saved), "--units", "layer3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def shown_in_terminal(saved, **settings):
    """What `relustat show` writes to a terminal."""
    parent, child = pty.openpty()
    environment = {name: each for name, each in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        [sys.executable, "-m", "relustat", "show", str(saved)],
        stdout=child,
        env={**environment, "TERM": "xterm-256color", **settings},
    ):
        os.close(child)
        shown = b""
        while True:
            try:
                shown += os.read(parent, 65536)
            except OSError:  # the other end is closed
                break
    os.close(parent)
    return shown.decode()


def test_colours_in_a_terminal_alone(saved, capsys):
    needs("rich")
    yellow = "\x1b[33m"
    assert yellow in shown_in_terminal(saved)
    plain = shown_in_terminal(saved, NO_COLOR="1")
    assert "layer199" in plain
    assert yellow not in plain
    assert cli.main(["show", str(saved)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_completion(capsys):
    needs("shtab")
    with pytest.raises(SystemExit) as ended:
        cli.main(["--print-completion", "bash"])
    assert ended.value.code == 0
    script = capsys.readouterr().out
    assert all(name in script for name in (*COMMANDS, "--images", "--print-completion"))


def test_completion_without_shtab(monkeypatch, capsys):
    find = cli.program.importlib.util.find_spec
    monkeypatch.setattr(
        cli.program.importlib.util,
        "find_spec",
        lambda name: None if name == "shtab" else find(name),
    )
    with pytest.raises(SystemExit) as ended:
        cli.main(["--print-completion", "bash"])
    assert ended.value.code == 2
    assert "pip install 'relustat[completion]'" in capsys.readouterr().err
