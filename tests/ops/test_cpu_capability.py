"""The ops' tests again, at each instruction set that this CPU has."""

import os
import subprocess
import sys

import pytest
import torch
from repository import ROOT

LEVELS = {"default": "DEFAULT", "avx2": "AVX2", "avx512": "AVX512"}
ORDER = ["DEFAULT", "AVX2", "AVX512"]

FILES = [
    f"tests/ops/test_{name}.py"
    for name in (
        *("counting_relu", "family_checks", "unit_histograms", "close_edges", "masks", "checks"),
        *("max_pool", "max_unpool", "switches", "activation_hash", "relu_max_pool"),
    )
]
WHICH = ["-m", "not large and not exhaustive", "-k", "not alone and not compiled"]


def started(level, *command):
    return subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "ATEN_CPU_CAPABILITY": level},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def tests_at():
    """The tests at all levels below this CPU's own, started together."""
    own = torch.backends.cpu.get_cpu_capability()
    below = [level for level in LEVELS if own in ORDER[ORDER.index(LEVELS[level]) + 1 :]]
    running = {
        level: started(level, "-m", "pytest", "-q", "-p", "no:cacheprovider", *WHICH, *FILES)
        for level in below
    }
    yield running
    for process in running.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("level", LEVELS)
def test_op_at(level, tests_at):
    own = torch.backends.cpu.get_cpu_capability()
    if own not in ORDER or ORDER.index(LEVELS[level]) > ORDER.index(own):
        pytest.skip(f"this CPU has {own}")
    told = started(level, "-c", "import relustat.ops.library as ops; print(ops.cpu_capability())")
    assert told.communicate()[0].strip() == LEVELS[level]
    if LEVELS[level] == own:
        # As these tests are run anyway.
        return
    output, _ = tests_at[level].communicate()
    assert tests_at[level].returncode == 0, output[-5000:]
