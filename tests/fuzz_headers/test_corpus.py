"""The inputs that `make fuzz-headers` has kept, through each harness again, without a fuzzer."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import fuzz_headers
import pytest
from repository import ROOT

COMPILER = os.environ.get("CXX", "g++")
# Without optimisation: to compile takes longer than to run.
FLAGS = ["-std=c++20", "-O0", "-ffp-contract=off", f"-I{ROOT / 'csrc'}"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Each harness, compiled: all at a time."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"no C++ compiler: {COMPILER}")
    folder = tmp_path_factory.mktemp("harnesses")

    def build(name):
        sources = [fuzz_headers.SOURCES / f"{each}.cpp" for each in (name, "replay")]
        command = [COMPILER, *FLAGS, *sources, "-o", folder / name]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = list(pool.map(build, fuzz_headers.HARNESSES))
    assert [each.stderr for each in built if each.returncode != 0] == []
    return folder


def test_every_harness_has_a_corpus():
    sources = {path.stem for path in fuzz_headers.SOURCES.glob("*.cpp")}
    assert sources == {*fuzz_headers.HARNESSES, "replay"}


@pytest.mark.parametrize("name", fuzz_headers.HARNESSES)
def test_corpus(name, programs):
    corpus = (fuzz_headers.SOURCES / "corpus" / f"{name}.txt").read_text()
    done = subprocess.run(
        [programs / name], input=corpus, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-1000:]
