"""Checks of speed without a clock: threads, allocations, instructions, generated code, imports.

Instructions are those of the AVX2 kernels, counted by valgrind, beside instructions/stored.json.
`python benchmarks/test_smoke.py` writes that file anew.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._inductor.utils import run_and_get_code
from torch.profiler import ProfilerActivity, profile

import relustat
from relustat.functional import max_pool2d, max_unpool2d

pytestmark = pytest.mark.smoke

HERE = Path(__file__).parent
STORED = HERE / "instructions" / "stored.json"
# As setup.py has them.
FLAGS = ["-std=c++20", "-O3", "-fno-trapping-math", "-fno-math-errno", "-ffp-contract=off"]
COMPILER = os.environ.get("CXX", "g++")
NONE, SEARCH, LINEAR, LOG = 0, 1, 2, 3
CELLS = 16 * 112 * 112
# Elements are those of the input. Units and inner: [outer, units, inner] are the tensor's sizes.
PROGRAMS = {
    "relu-zeros": (["relu", NONE, 0, 64, 784], 1 << 20),
    "relu-linear200": (["relu", LINEAR, 200, 64, 784], 1 << 20),
    "relu-log": (["relu", LOG, 0, 64, 784], 1 << 20),
    "relu-log-features": (["relu", LOG, 0, 1000, 1], 1 << 20),
    "relu-edges200": (["relu", SEARCH, 200, 64, 784], 1 << 20),
    "relu-linear200-bfloat16": (["narrow", LINEAR, 200], 1 << 20),
    "relu-linear200-units": (["units", LINEAR, 200, 512], 1 << 20),
    "hardtanh-log": (["family", LOG, 0, 64, 784, 1], 1 << 20),
    "hardtanh-log-features": (["family", LOG, 0, 1000, 1, 1], 1 << 20),
    "leaky-log": (["family", LOG, 0, 64, 784, 2], 1 << 20),
    "squared-log": (["family", LOG, 0, 64, 784, 4], 1 << 20),
    "pool-k2s2": (["pool", 2, 112], CELLS),
    "pool-k3s2": (["pool", 3, 112], CELLS),
    "pool-k3s2-small": (["pool", 3, 7], CELLS),
    "relu-log-pool-k2s2": (["relu_pool", LOG, 0, 2, 112], CELLS),
    "relu-zeros-pool-k3s2": (["relu_pool", NONE, 0, 3, 112], CELLS),
    "relu-log-pool-k3s2-small": (["relu_pool", LOG, 0, 3, 7], CELLS),
    "unpool-k2s2": (["unpool", 2, 56], CELLS),
    "unpool-k3s2": (["unpool", 3, 112], CELLS),
    "unpool-k3s2-small": (["unpool", 3, 7], CELLS),
}
# Compilers differ; a loop that is no longer vectorised takes several times as many.
MARGIN, OTHER_COMPILERS_MARGIN = 1.1, 2


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    for tool in ("valgrind", COMPILER):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: instructions are not counted")
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2: instructions are not counted")
    return compiled(tmp_path_factory.mktemp("instructions"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_instructions_for_an_element(program, name):
    stored = json.loads(STORED.read_text())
    margin = MARGIN if stored["compiler"] == compiler() else OTHER_COMPILERS_MARGIN
    assert instructions(program, name) <= margin * stored["instructions for an element"][name]


def test_vectors_rectify(program):
    # One by one, an element would take a load, a comparison and a store at least.
    assert instructions(program, "relu-zeros") < 3


def test_threads_share_the_work():
    if torch.get_num_threads() < 2:
        pytest.skip("PyTorch has one thread here")
    x, relu = torch.randn(16, 64, 79, 79), relustat.CountingReLU()
    relu(x)
    before = processor_seconds()
    for _ in range(100):
        relu(x)
    # Threads that wait may spin: this tells two from one, not a fair share from another.
    spent = [spent - before.get(thread, 0) for thread, spent in processor_seconds().items()]
    *_, second, first = sorted(spent)
    assert second > first / 3


@pytest.mark.parametrize("inplace", [False, True])
def test_one_op_and_one_allocation(inplace):
    x, relu = torch.randn(16, 64, 28, 28), relustat.CountingReLU(inplace=inplace)
    relu(x)
    ops, allocations = watched(lambda: relu(x))
    assert [op for op in ops if not op.startswith("aten::empty")] == [
        "relustat::counting_relu_" if inplace else "relustat::counting_relu"
    ]
    assert allocations == ([] if inplace else [x.nbytes])


def test_pools_allocate_what_they_return():
    x = torch.randn(4, 8, 56, 56)
    y, switches = max_pool2d(x, 2)
    assert watched(lambda: max_pool2d(x, 2))[1] == [y.nbytes, y.numel()]
    assert watched(lambda: max_unpool2d(y, switches))[1] == [x.nbytes]
    _, indices = F.max_pool2d(x, 2, return_indices=True)
    assert indices.nbytes == 8 * y.numel()


def test_compiled_code_rectifies_in_place_and_copies_nothing():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), relustat.CountingReLU(), nn.Conv2d(8, 8, 3))
    compiled = torch.compile(model)
    with torch.compiler.config.patch(force_disable_caches=True), torch.no_grad():
        _, [code] = run_and_get_code(compiled, torch.randn(2, 3, 16, 16))
    assert "relustat.counting_relu_.default(" in code
    for other in ("relustat.counting_relu.default(", "as_strided", "clone"):
        assert other not in code


def test_the_compiler_is_not_imported():
    program = "import torch, relustat, sys; print(*sys.modules)"
    run = [sys.executable, "-c", program]
    imported = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert "relustat" in imported
    heavy = {"torch._dynamo", "torch._inductor", "torch.onnx", "sympy", "matplotlib", "pandas"}
    assert not heavy & set(imported)


def watched(compute):
    """The ops that PyTorch dispatches, and the sizes of what it allocates."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        kept = compute()
    events = profiled.profiler.kineto_results.events()
    sizes = [event.nbytes() for event in events if event.name() == "[memory]"]
    del kept
    return [event.name for event in profiled.events() if "::" in event.name], sizes


def processor_seconds():
    """What each thread of this process has had of a processor."""
    spent = {}
    for thread in Path("/proc/self/task").iterdir():
        # Behind the name, which may hold anything: user and system time are fields 14 and 15.
        fields = (thread / "stat").read_text().rpartition(")")[2].split()
        spent[thread.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def compiled(folder):
    program = folder / "main"
    include = f"-I{HERE.parent / 'csrc'}"
    source = HERE / "instructions/main.cpp"
    subprocess.run([COMPILER, *FLAGS, include, source, "-o", program], check=True)
    return program


def compiler():
    asked = [COMPILER, "-dumpfullversion", "-dumpversion"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return f"{COMPILER} {version.split('.')[0].strip()}"


def instructions(program, name):
    arguments, elements = PROGRAMS[name]
    output = program.with_name(f"{name}.callgrind")
    valgrind = ["valgrind", "--tool=callgrind", "--toggle-collect=*measured*"]
    run = [*valgrind, f"--callgrind-out-file={output}", program, *map(str, arguments)]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stderr
    return int(re.search(r"Collected : (\d+)", said)[1]) / elements


def store(folder):
    program = compiled(folder)
    counts = {name: round(instructions(program, name), 2) for name in PROGRAMS}
    stored = {"compiler": compiler(), "instructions for an element": counts}
    STORED.write_text(json.dumps(stored, indent=2) + "\n")


if __name__ == "__main__":
    build = HERE.parent / "build"
    build.mkdir(exist_ok=True)
    store(build)
    sys.stdout.write(STORED.read_text())
