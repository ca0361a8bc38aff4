"""Compiles every CUDA source with nvcc, against any build of PyTorch, and tells what came out.

Prints registers, static shared memory and spills of each kernel for each architecture. Fails on
warnings, errors and spills. Needs no GPU and no CUDA build of PyTorch.

    python tools/cuda_check.py [ARCHITECTURE ...]        75 80 90 100 120 unless said otherwise
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ["75", "80", "90", "100", "120"]
# As setup.py has them; the definition stands in for a header that CPU builds lack.
FLAGS = ["-std=c++20", "-O3", "--fmad=false", "--expt-relaxed-constexpr"]
FLAGS += ["-DC10_CUDA_NO_CMAKE_CONFIGURE_FILE"]
STRICT = ["-Werror", "all-warnings", "-Xcompiler=-Wall", "-Xptxas=-v,-warn-spills"]


@dataclasses.dataclass(frozen=True)
class Usage:
    registers: int
    shared: int
    spilled: int  # and other memory of a thread's own: arrays that found no registers

    def __str__(self) -> str:
        shared = f"+{self.shared}B" if self.shared else ""
        spilled = f"!{self.spilled}B" if self.spilled else ""
        return f"{self.registers}{shared}{spilled}"


def find_nvcc() -> str | None:
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    return shutil.which("nvcc") or shutil.which(f"{home}/bin/nvcc")


def compile_source(nvcc: str, source: Path, architecture: str, target: Path) -> str:
    """Returns what the compiler said; raises SystemExit if it failed."""
    torch_headers = Path(torch.__file__).parent / "include"
    headers = [torch_headers, torch_headers / "torch/csrc/api/include"]
    headers.append(Path(sysconfig.get_paths()["include"]))
    command = [
        nvcc,
        *FLAGS,
        *STRICT,
        f"-gencode=arch=compute_{architecture},code=sm_{architecture}",
    ]
    command += [f"-isystem={path}" for path in headers]
    command += ["-c", str(source), "-o", str(target / f"{source.stem}-{architecture}.o")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode != 0:
        raise SystemExit(f"{source.name} for sm_{architecture}: {said[-4000:]}")
    return said


def read_usage(said: str) -> dict[str, Usage]:
    """By mangled name of the kernel."""
    kernels = {}
    for part in said.split("Compiling entry function '")[1:]:
        name = part[: part.index("'")]
        registers = int(re.search(r"Used (\d+) registers", part).group(1))
        shared = re.search(r"(\d+) bytes smem", part)
        spills = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", part)
        kernels[name] = Usage(
            registers, int(shared.group(1)) if shared else 0, sum(map(int, spills.groups()))
        )
    return kernels


def readable(names: list[str]) -> list[str]:
    demangled = subprocess.run(
        ["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    noise = r"void |relustat::(cuda::|portable::)?|\(.*\)$|Arguments<\w+>$|unsigned "
    return [re.sub(noise, "", re.sub(r"\(.*?\)(?=\d)", "", name)) for name in demangled]


def main(architectures: list[str]) -> None:
    nvcc = find_nvcc()
    if nvcc is None:
        raise SystemExit("cuda-check: needs nvcc on the PATH, or CUDA_HOME, got neither")
    sources = sorted((ROOT / "csrc").rglob("*.cu"))
    jobs = [(source, architecture) for source in sources for architecture in architectures]
    usage: dict[str, dict[str, Usage]] = defaultdict(dict)
    with (
        tempfile.TemporaryDirectory() as target,
        ThreadPoolExecutor(int(os.environ.get("MAX_JOBS", os.cpu_count() or 1))) as pool,
    ):
        all_said = pool.map(lambda job: compile_source(nvcc, *job, Path(target)), jobs)
        for (_, architecture), said in zip(jobs, all_said, strict=True):
            for kernel, used in read_usage(said).items():
                usage[kernel][architecture] = used
    names = sorted(usage)
    print(
        "registers (+ static shared memory, ! spilled) "
        + " ".join(f"sm_{a}" for a in architectures)
    )
    for name, mangled in sorted(zip(readable(names), names, strict=True)):
        print(f"{name:<90} " + " ".join(f"{usage[mangled][a]!s:>5}" for a in architectures))
    spilled = [name for name in names if any(used.spilled for used in usage[name].values())]
    print(
        f"cuda-check: {len(sources)} sources, {len(names)} kernels, for "
        + ", ".join(f"sm_{a}" for a in architectures)
        + f": no warnings, {len(spilled)} kernels spill registers"
    )
    if spilled or not names:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:] or ARCHITECTURES)
