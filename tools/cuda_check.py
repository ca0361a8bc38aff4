"""Compiles every CUDA source with nvcc, against any build of PyTorch, and checks the result.

It prints registers, static shared memory and spills of each kernel for each architecture, the time
to compile each source, and for sm_90 the instructions of the kernels with a budget. It fails on
warnings, errors, spills (except a few), and exceeded budgets. It needs no GPU and no CUDA build of
PyTorch.

    python tools/cuda_check.py [--store] [ARCHITECTURE ...]

The default of ARCHITECTURE is 75 80 90 100 120. --store writes the present numbers of instructions
into cuda_budget.json; from then on, 10 % more is a failure.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sysconfig
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kernel_budget
import toolkit
import torch
from sass import Trip, disassemble, find_nvdisasm, readable

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ["75", "80", "90", "100", "120"]
# The flags of setup.py. The definition replaces a header that CPU builds do not have.
FLAGS = ["-std=c++20", "-O3", "--fmad=false", "--expt-relaxed-constexpr"]
FLAGS += ["-DC10_CUDA_NO_CMAKE_CONFIGURE_FILE"]
STRICT = ["-Werror", "all-warnings", "-Xcompiler=-Wall", "-Xptxas=-v"]
# Before sm_90, some histograms per unit lack a few registers on rare paths: of 16-bit elements, and
# of those that are loaded with an output. Fewer elements at a time would cost more everywhere else.
MAY_SPILL = re.compile(
    r"counting_relu_kernel<B?Float16, "
    r"(LinearCounter<B?Float16, 8, 1>|KeySlotCounter<Float16, 8>), 8, false>"
    r"|count_activation_kernel<Float32, LinearCounter<Float32, 4, 1>, 4, false>"
)
MOST_SPILLED = 64


@dataclasses.dataclass(frozen=True)
class Usage:
    registers: int
    shared: int
    spilled: int  # and other local memory of a thread: arrays without registers

    def __str__(self) -> str:
        shared = f"+{self.shared}B" if self.shared else ""
        spilled = f"!{self.spilled}B" if self.spilled else ""
        return f"{self.registers}{shared}{spilled}"


@dataclasses.dataclass(frozen=True)
class Compiled:
    source: Path
    said: str
    seconds: float  # CPU time of all processes that nvcc started
    trips: dict[str, Trip]  # by mangled name of the kernel, for sm_90


def compile_source(
    nvcc: str, nvdisasm: str | None, source: Path, architectures: list[str]
) -> Compiled:
    """Raises SystemExit if nvcc fails."""
    torch_headers = Path(torch.__file__).parent / "include"
    headers = [torch_headers, torch_headers / "torch/csrc/api/include"]
    headers.append(Path(sysconfig.get_paths()["include"]))
    command = [nvcc, *FLAGS, *STRICT]
    command += [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    command += [f"-I{ROOT / 'csrc'}", *(f"-isystem={path}" for path in headers)]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--keep", "--keep-dir", folder, "-c", str(source), "-o", f"{folder}/object.o"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            said = process.stdout.read() if process.stdout else ""
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            lines = [
                line for line in said.splitlines() if not line.startswith(("ptxas info", "    "))
            ]
            raise SystemExit("\n".join([f"{source.name}: nvcc failed", *lines[:40]]))
        trips: dict[str, Trip] = {}
        if nvdisasm and kernel_budget.ARCHITECTURE in architectures:
            # nvcc names the architecture only if there are several.
            number = kernel_budget.ARCHITECTURE if len(architectures) > 1 else ""
            for cubin in Path(folder).glob(f"*{number}.cubin"):
                trips |= disassemble(nvdisasm, cubin)
    return Compiled(source, said, usage.ru_utime + usage.ru_stime, trips)


def read_usage(said: str) -> dict[str, dict[str, Usage]]:
    """By mangled name of the kernel, and by architecture."""
    kernels: dict[str, dict[str, Usage]] = defaultdict(dict)
    for part in re.split(r"Compiling entry function '", said)[1:]:
        name, architecture = re.match(r"([^']+)' for 'sm_(\d+)\w?'", part).groups()
        registers = int(re.search(r"Used (\d+) registers", part).group(1))
        shared = re.search(r"(\d+) bytes smem", part)
        spills = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", part)
        kernels[name][architecture] = Usage(
            registers, int(shared.group(1)) if shared else 0, sum(map(int, spills.groups()))
        )
    return kernels


def spills(usage: dict[str, dict[str, Usage]]) -> Iterator[str]:
    """The failures, a line for each."""
    for name, of_architectures in zip(readable(list(usage)), usage.values(), strict=True):
        for architecture, used in of_architectures.items():
            may = int(architecture) < 90 and MAY_SPILL.fullmatch(name)
            if used.spilled > (MOST_SPILLED if may else 0):
                most = f"at most {MOST_SPILLED} bytes" if may else "no registers"
                yield f"{name}: must spill {most} on sm_{architecture}, got {used.spilled} bytes"


def print_usage(usage: dict[str, dict[str, Usage]], architectures: list[str]) -> None:
    names = sorted(usage)
    columns = " ".join(f"sm_{a}" for a in architectures)
    print(f"registers (+ static shared memory, ! spilled) {columns}")
    for name, mangled in sorted(zip(readable(names), names, strict=True)):
        print(f"{name:<90} " + " ".join(f"{usage[mangled][a]!s:>5}" for a in architectures))


def print_times(done: list[Compiled]) -> None:
    print("seconds of CPU to compile, the slowest last")
    for compiled in sorted(done, key=lambda each: each.seconds):
        print(f"{compiled.source.relative_to(ROOT)!s:<60} {compiled.seconds:5.1f}")


def check_budget(done: list[Compiled], store: bool) -> list[str]:
    """Prints the table, and returns the failures."""
    names = [name for each in done for name in each.trips]
    found = [trip for each in done for trip in each.trips.values()]
    trips = dict(zip(readable(names), found, strict=True))
    print("\n".join(kernel_budget.table(trips)))
    if store:
        kernel_budget.store(trips)
    return list(kernel_budget.check(trips, kernel_budget.load()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("architectures", nargs="*", default=ARCHITECTURES, metavar="ARCHITECTURE")
    parser.add_argument("--store", action="store_true", help="write cuda_budget.json anew")
    options = parser.parse_args()
    nvcc, nvdisasm = toolkit.find("nvcc"), find_nvdisasm()
    if nvcc is None:
        raise SystemExit("cuda-check: needs nvcc on the PATH, or CUDA_HOME, got neither")
    with ThreadPoolExecutor(int(os.environ.get("MAX_JOBS", os.cpu_count() or 1))) as pool:
        done = list(
            pool.map(
                lambda source: compile_source(nvcc, nvdisasm, source, options.architectures),
                sorted([*(ROOT / "csrc").rglob("*.cu"), *(ROOT / "benchmarks").rglob("*.cu")]),
            )
        )
    usage: dict[str, dict[str, Usage]] = {}
    for compiled in done:
        usage |= read_usage(compiled.said)
    print_usage(usage, options.architectures)
    print_times(done)
    wrong = list(spills(usage))
    if kernel_budget.ARCHITECTURE not in options.architectures:
        print(f"the budget is for sm_{kernel_budget.ARCHITECTURE}, and was not checked")
    elif nvdisasm is None:
        missing = "the budget needs nvdisasm of nvidia-cuda-nvdisasm, PATH or CUDA_HOME, got none"
        print(missing)
        wrong += [missing] if os.environ.get("CI") else []
    else:
        wrong += check_budget(done, options.store)
    for line in wrong:
        print(f"WRONG: {line}")
    architectures = ", ".join(f"sm_{a}" for a in options.architectures)
    print(
        f"cuda-check: {len(done)} sources, {len(usage)} kernels, for {architectures}: no warnings, "
        f"{len(wrong)} wrong"
    )
    if wrong or not usage:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
