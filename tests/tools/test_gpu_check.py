"""tools/gpu_check.py without a GPU: every command is a stand-in."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import gpu_check
import pytest
import toolkit
import torch
from gpu_package import Manifest, python_version, sources_hash
from stages import Run, Stage, StageError, UnavailableError

PYTHON = sys.executable


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def summary(folder: Path) -> list[str]:
    """Without seconds, which differ."""
    lines = (folder / "summary.md").read_text().splitlines()
    return [re.sub(r"\| \d+ \|", "| s |", line) for line in lines]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def stage(name, *commands, limit=20.0, least=0.0, **more):
    return Stage(name, f"{name}.log", least, limit, lambda: list(commands), **more)


def raising(error):
    def plan():
        raise error

    return plan


def test_every_way_a_stage_can_end(tmp_path, capsys):
    children = tmp_path / "children"
    hang = f"sleep 100 & echo $! > {children}; echo started; wait"
    stages = [
        stage("fine", ["echo", "one"], ["echo", "all | is well"]),
        stage("broken", ["sh", "-c", "echo why; exit 3"], ["echo", "never"]),
        stage("endless", ["sh", "-c", hang], limit=1.0),
        stage("lacking", ["echo", "never"], needs=("broken", "fine")),
        stage("following", ["echo", "yes"], needs=("fine", "not chosen")),
        stage("long", ["echo", "never"], least=1000),
        Stage("missing", "x.log", 0, 9, raising(UnavailableError("needs a tool, got none"))),
        Stage("impossible", "x.log", 0, 9, raising(StageError("needs PyTorch, got none"))),
        stage(
            "old", ["sh", "-c", "echo Device not supported; exit 1"], unsupported=("Device not",)
        ),
    ]
    run = Run(tmp_path, 60, "# stand-in", tmp_path, os.environ)
    run.run(stages)
    assert summary(tmp_path) == [
        "# stand-in",
        "",
        "| stage | result | seconds | it said |",
        "|---|---|---|---|",
        "| fine | ok | s | all \\| is well |",
        "| broken | FAILED (exit 3) | s | why |",
        "| endless | FAILED (over 1 s) | s | started |",
        "| lacking | not run | s | needs broken |",
        "| following | ok | s | yes |",
        f"| long | not run | s | {int(run.end - time.monotonic() + 0.5)} s left, it takes at least "
        "1000 |",
        "| missing | not available | s | needs a tool, got none |",
        "| impossible | FAILED | s | needs PyTorch, got none |",
        "| old | not available | s | Device not |",
    ]
    assert [outcome.stage for outcome in run.outcomes if outcome.failed] == [
        "broken",
        "endless",
        "impossible",
    ]
    assert not is_running(int(children.read_text()))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(stages)
    assert re.sub(r"\d+ s", "s", lines[0]).split() == ["fine", "ok", "s", "all", "|", "is", "well"]


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    script(folder / "probe", 'echo "counting_relu exact"; echo "probe: 0 wrong $1"')
    Manifest(python_version(), torch.__version__, ["9.0"], sources_hash(), "abc").write(folder)
    return folder


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A PATH on which a GPU and its tools are."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script(tools / "nvidia-smi", 'echo "Stand-in GPU, 580.1, 9.0"')
    script(tools / "ncu", 'echo "$@" >&2; for last; do :; done; echo "$last" | grep -q once')
    script(tools / "compute-sanitizer", 'echo "$1"; [ "$1" != --tool=racecheck ]')
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_HOME", str(tools))
    return tools


def test_all_stages(tmp_path, machine, package, monkeypatch, capsys):
    asked = []

    def pytest_of(check, *arguments):
        asked.append(arguments)
        return [PYTHON, "-c", "print('12 passed')"]

    monkeypatch.setattr(gpu_check.Check, "pytest", pytest_of)
    output = tmp_path / "output"
    arguments = ["--package", str(package), "--output", str(output), "--budget", "120"]
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", *arguments])
    with pytest.raises(SystemExit) as end:
        gpu_check.main()
    assert end.value.code == 1
    lines = summary(output)
    assert lines[0] == "# Stand-in GPU, driver 580.1, sm_90"
    results = {line.split(" | ")[0][2:]: line.split(" | ")[1:] for line in lines[4:]}
    assert list(results) == [
        *("probe", "extension", "benchmarks", "tests", "profile"),
        *gpu_check.SANITIZERS,
        "twins",
    ]
    assert results["probe"] == ["ok", "s", "probe: 0 wrong |"]
    assert results["extension"][0] == "ok"
    # There is no GPU after all.
    assert results["benchmarks"][0] == "FAILED (exit 1)"
    assert results["benchmarks"][2].startswith("gpu: needs a GPU")
    assert results["tests"] == results["twins"] == ["ok", "s", "12 passed |"]
    assert results["profile"][0] == "ok"
    assert results["memcheck"] == ["ok", "s", "--tool=memcheck |"]
    assert results["racecheck"] == ["FAILED (exit 1)", "s", "--tool=racecheck |"]
    assert asked[0] == ("--maxfail=25", "tests/works_with/test_gpu.py")
    assert asked[1][:3] == ("-k", "cuda", "--continue-on-collection-errors")
    files = [path for path in output.rglob("*") if path.is_file()]
    assert len(files) == 8
    assert all(path.parent == output for path in files)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(results)


def test_chosen_stages_and_what_is_kept(tmp_path, machine, package, monkeypatch):
    output = tmp_path / "output"
    output.mkdir()
    (output / "tests.log").write_text("from before")
    arguments = ["--package", str(package), "--output", str(output), "--stages", "probe,memcheck"]
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", *arguments])
    gpu_check.main()
    assert [line.split(" | ")[0] for line in summary(output)[4:]] == ["| probe", "| memcheck"]
    assert (output / "tests.log").read_text() == "from before"


def test_a_stage_that_there_is_not(machine, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu_check.py", "--stages", "probe,bench"])
    with pytest.raises(SystemExit, match=r"stages must be of probe, extension, .*, got bench$"):
        gpu_check.main()


def test_no_gpu(machine, monkeypatch):
    script(machine / "nvidia-smi", "exit 9")
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    with pytest.raises(
        SystemExit, match=r"^gpu-check: needs a GPU that nvidia-smi sees, got none$"
    ):
        gpu_check.main()


def test_interrupted(tmp_path, machine, package):
    children = tmp_path / "children"
    script(package / "probe", f"echo a row; sleep 100 & echo $! > {children}; wait")
    output = tmp_path / "output"
    arguments = ["--package", str(package), "--output", str(output)]
    process = subprocess.Popen([PYTHON, gpu_check.__file__, *arguments], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (children.exists() and children.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert summary(output)[4:] == ["| probe | FAILED (interrupted) | s |  |"]
    assert (output / "probe.txt").read_text() == "a row\n"
    assert not is_running(int(children.read_text()))


MANIFEST = Manifest("3.12", "2.11.0+cu130", ["9.0", "10.0"], "hash", "abc")


@pytest.mark.parametrize(
    ("here", "reason"),
    [
        (("3.12", "2.11.0+cu130", "10.0", "hash"), None),
        (("3.12", "2.11.1", "9.0", "hash"), None),
        (("3.11", "2.11.0", "9.0", "hash"), "it is for Python 3.12, got 3.11"),
        (("3.12", "2.12.0", "9.0", "hash"), "it is for PyTorch 2.11.0+cu130, got 2.12.0"),
        (("3.12", "2.11.0", "8.0", "hash"), "it is for sm 9.0, 10.0, got 8.0"),
        (("3.12", "2.11.0", "9.0", "other"), "it was built from other sources"),
    ],
)
def test_what_a_package_is_for(here, reason):
    assert MANIFEST.why_not(*here) == reason


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    assert Manifest.load(tmp_path) is None
    MANIFEST.write(tmp_path)
    assert Manifest.load(tmp_path) == MANIFEST
    (tmp_path / "manifest.json").write_text("{}")
    assert Manifest.load(tmp_path) is None


def test_a_package_for_another_python_is_not_taken(package, monkeypatch, capsys):
    Manifest("3.9", torch.__version__, ["9.0"], sources_hash(), "abc").write(package)
    monkeypatch.setattr(gpu_check, "find_torch", lambda: torch.__version__)
    monkeypatch.setattr(toolkit, "find", lambda program: program)
    commands = list(gpu_check.Check(package, "9.0").extension())
    assert commands[0] == [PYTHON, "setup.py", "build_ext", "--inplace"]
    reason = f"it is for Python 3.9, got {python_version()}"
    assert capsys.readouterr().out == f"The package does not serve: {reason}; building.\n"


def test_what_is_missing(package, monkeypatch):
    monkeypatch.setenv("CUDA_HOME", str(package))
    monkeypatch.setattr(gpu_check, "find_torch", lambda: None)
    monkeypatch.setenv("PATH", "")
    check = gpu_check.Check(package, "8.0")
    with pytest.raises(
        UnavailableError, match=r"^needs nvcc, or a package that fits; got neither$"
    ):
        list(check.probe())
    with pytest.raises(UnavailableError, match=r"^needs ncu on the PATH, got none$"):
        list(check.profile())
    with pytest.raises(UnavailableError, match=r"^needs compute-sanitizer, got none$"):
        list(check.sanitizer("memcheck"))
    with pytest.raises(StageError, match=r"^needs PyTorch, got none that can be imported$"):
        list(check.extension())
    with pytest.raises(StageError, match=r"^needs nvcc to build, got none$"):
        check.check_that_it_builds()
