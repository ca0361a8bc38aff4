"""What setup.py says where it cannot compile, and of wheels for one PyTorch."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from repository import ROOT

MINOR = ".".join(torch.__version__.split(".")[:2])
# As on another system, of which this one's modules know nothing.
ELSEWHERE = """
import runpy, sys, sysconfig, torch.utils.cpp_extension
sysconfig.get_config_vars()
sys.platform, sys.argv = {platform!r}, ["setup.py", {command!r}]
runpy.run_path("setup.py", run_name="__main__")
"""


@pytest.fixture
def project(tmp_path):
    """What setup.py reads, apart from the checkout, in which it would write."""
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc")
    return tmp_path


def python(project, *arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, "USE_CUDA": "0", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def refusal(done):
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    return said


@pytest.mark.parametrize(
    ("environment", "got"),
    [
        ({"CXX": "no-such-compiler"}, "no-such-compiler: No such file or directory"),
        ({"PATH": ""}, "c++: No such file or directory"),
        ({"CXX": "g++ -nostdinc"}, "g++ -nostdinc: .*fatal error: .*No such file or directory"),
    ],
    ids=["unknown", "no path", "without headers"],
)
def test_without_a_compiler(project, environment, got):
    if "PATH" in environment and "CXX" in os.environ:
        pytest.skip("CXX names a compiler")
    if "-nostdinc" in got and shutil.which("g++") is None:
        pytest.skip("no g++")
    said = refusal(python(project, "setup.py", "build_ext", **environment))
    assert re.fullmatch(
        r"relustat: a C\+\+20 compiler with OpenMP and the headers of Python must be at hand, got "
        + re.escape(got).replace(r"\.\*", ".*")
        + r"; install them \(on Debian g\+\+ and python3-dev\), or name another compiler by CXX",
        said,
    )
    assert not list(project.glob("build/temp*"))


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_on_another_system(project, platform):
    program = ELSEWHERE.format(platform=platform, command="build_ext")
    said = refusal(python(project, "-c", program))
    assert said == (
        f"relustat: the package must be built on Linux, got {platform}; use a Linux container or a "
        "virtual machine there, such as WSL on Windows"
    )


def test_metadata_on_another_system(project):
    program = ELSEWHERE.format(platform="darwin", command="egg_info")
    assert python(project, "-c", program).returncode == 0
    assert (project / "relustat.egg-info" / "PKG-INFO").exists()


def test_without_pytorch(project):
    without = "import sys, runpy; sys.modules['torch'] = None; sys.argv = ['setup.py', 'build_ext']"
    said = refusal(python(project, "-c", f"{without}; runpy.run_path('setup.py')"))
    assert said.startswith("relustat: PyTorch must be installed before relustat is built, ")


def metadata(project, **environment):
    """All of it, without a compiler: tools that only resolve versions have none."""
    command = ("setup.py", "-q", "egg_info")
    done = python(project, *command, CXX="no-such-compiler", **environment)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    folder = project / "relustat.egg-info"
    return (folder / "PKG-INFO").read_text(), (folder / "requires.txt").read_text()


def test_metadata_of_any_build(project):
    lines, requires = metadata(project)
    assert re.search(r"^Version: [0-9.]+$", lines, re.MULTILINE)
    assert re.findall(r"^Requires-Dist: (torch\W.*)$", lines, re.MULTILINE) == ["torch>=2.11"]
    assert "torch==" not in requires


def test_a_wheel_names_its_pytorch(project):
    lines, requires = metadata(project, RELUSTAT_WHEEL_FOR_TORCH=MINOR)
    assert re.search(rf"^Version: [0-9.]+\+torch{MINOR}\.cpu$", lines, re.MULTILINE)
    assert f"Requires-Dist: torch=={MINOR}.*\n" in lines
    assert f"torch=={MINOR}.*\n" in requires


def test_a_wheel_for_another_pytorch_than_is_installed(project):
    said = refusal(python(project, "setup.py", "egg_info", RELUSTAT_WHEEL_FOR_TORCH="2.99"))
    assert said == (
        "relustat: RELUSTAT_WHEEL_FOR_TORCH must be the minor version of PyTorch that is "
        f"installed, got 2.99, and PyTorch {torch.__version__}"
    )
