"""The ops' tests again, at each instruction set that this CPU has."""

import os
import subprocess
import sys

import pytest
import torch
from repository import ROOT

LEVELS = {"default": "DEFAULT", "avx2": "AVX2", "avx512": "AVX512"}
ORDER = ["DEFAULT", "AVX2", "AVX512"]

TESTED = ("counting_relu", "checks", "max_pool", "max_unpool", "activation_hash")


def run(level, *command):
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "ATEN_CPU_CAPABILITY": level},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("level", LEVELS)
def test_op_at(level):
    own = torch.backends.cpu.get_cpu_capability()
    if own not in ORDER or ORDER.index(LEVELS[level]) > ORDER.index(own):
        pytest.skip(f"this CPU has {own}")
    told = run(level, "-c", "import relustat.ops.library as ops; print(ops.cpu_capability())")
    assert told.stdout.strip() == LEVELS[level], told.stderr
    if LEVELS[level] == own:
        # As these tests are run anyway.
        return
    tested = run(
        level,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not large and not exhaustive"),
        *("-k", "not alone", "tests/ops/test_counting_relu.py", "tests/ops/test_checks.py"),
        *(
            "tests/ops/test_max_pool.py",
            "tests/ops/test_max_unpool.py",
            "tests/ops/test_activation_hash.py",
        ),
    )
    assert tested.returncode == 0, tested.stdout[-5000:]
