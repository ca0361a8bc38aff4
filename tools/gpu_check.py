"""Checks and measures all that needs a GPU, the most valuable facts first.

    python tools/gpu_check.py [--package FOLDER] [--output FOLDER] [--budget SECONDS] [--stages A,B]

Stages, in order:
    probe       every kernel without PyTorch: exact or wrong, and times
    extension   takes the package's build of the extension, or builds one
    benchmarks  benchmarks/gpu.py
    tests       tests/works_with/test_gpu.py
    profile     Nsight Compute on the probe
    memcheck, racecheck, synccheck, initcheck   compute-sanitizer on the probe
    twins       the [cuda] twins of all other tests

With a fitting package of gpu_package.py nothing is compiled. Each stage prints a line and rewrites
FOLDER/summary.md (default: build/gpu-check), so that nothing is lost when the budget ends or the
program is stopped. A stage whose tools are missing is "not available". The program fails if a stage
fails.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import toolkit
from gpu_package import Manifest, probe_commands, python_version, sources_hash
from stages import Run, Stage, StageError, UnavailableError

ROOT = Path(__file__).resolve().parent.parent
BUDGET = 470  # seconds
OLDEST_SETUPTOOLS = 77
# Tests that other stages run, or that run on the CPU although their names contain CUDA.
ELSEWHERE = ["cuda_host", "demo", "ops/test_cpu_capability.py", "tools", "works_with/test_gpu.py"]
SECTIONS = ["SpeedOfLight", "WarpStateStats", "ComputeWorkloadAnalysis", "MemoryWorkloadAnalysis"]
SECTIONS += ["Occupancy", "LaunchStats"]
SANITIZERS = ["memcheck", "racecheck", "synccheck", "initcheck"]


def ask(*command: str) -> str | None:
    """The output of a command, or None if it does not exist or fails."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def find_gpu() -> tuple[str, str] | None:
    """The name of the GPU, and its architecture, such as "9.0"."""
    fields = "name,driver_version,compute_cap"
    said = ask("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", "--id=0")
    if not said:
        return None
    name, driver, architecture = said.splitlines()[0].split(", ")
    return f"{name}, driver {driver}", architecture


def find_torch() -> str | None:
    """The version of this Python's PyTorch, from another process, because it may be broken."""
    return ask(sys.executable, "-c", "import torch; print(torch.__version__)")


def find_sanitizer() -> str | None:
    beside = toolkit.home() / "compute-sanitizer/compute-sanitizer"
    return toolkit.find("compute-sanitizer") or shutil.which(str(beside))


class Check:
    """The commands of the stages."""

    def __init__(self, package: Path | None, architecture: str) -> None:
        self.package = package
        self.architecture = architecture
        self.built_probe = ROOT / "build/gpu-check-probe"
        self.wheels = ROOT / "build/gpu-check-wheels"

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(map(str, [ROOT, ROOT / "tests", self.wheels]))
        return {
            **os.environ,
            "PYTHONPATH": path,
            "FORCE_CUDA": "1",
            "TORCH_CUDA_ARCH_LIST": self.architecture,
        }

    def why_not_package(self, torch: str) -> str | None:
        """The reason not to use the package, or None."""
        if self.package is None:
            return "no package was given"
        manifest = Manifest.load(self.package)
        if manifest is None:
            return f"{self.package} holds no manifest"
        return manifest.why_not(python_version(), torch, self.architecture, sources_hash())

    def probe_program(self) -> Path:
        """Raises UnavailableError if there is none."""
        manifest = self.package and Manifest.load(self.package)
        # It needs neither Python nor PyTorch.
        if manifest and not manifest.why_not(
            manifest.python, manifest.torch, self.architecture, sources_hash()
        ):
            return self.package / "probe"
        if self.built_probe.exists():
            return self.built_probe
        raise UnavailableError("the probe was not built")

    def probe(self) -> Iterator[list[str]]:
        self.built_probe.unlink(missing_ok=True)
        try:
            program = self.probe_program()
        except UnavailableError:
            nvcc = toolkit.find("nvcc")
            if nvcc is None:
                raise UnavailableError("needs nvcc, or a package that fits; got neither") from None
            self.built_probe.parent.mkdir(exist_ok=True)
            yield from probe_commands(nvcc, self.architecture, self.built_probe)
            program = self.built_probe
        yield [str(program)]

    def extension(self) -> Iterator[list[str]]:
        torch = find_torch()
        if torch is None:
            raise StageError("needs PyTorch, got none that can be imported")
        reason = self.why_not_package(torch)
        wheels = sorted(map(str, self.package.glob("wheels/*.whl"))) if self.package else []
        if wheels:
            shutil.rmtree(self.wheels, ignore_errors=True)
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
            yield [*pip, "--target", str(self.wheels), *wheels]
        if reason is None:
            for library in self.package.glob("_C*.so"):
                shutil.copy2(library, ROOT / "relustat")
        else:
            if self.package is not None:
                print(f"The package does not serve: {reason}; building.", flush=True)
            self.check_that_it_builds()
            yield [sys.executable, "setup.py", "build_ext", "--inplace"]
        yield [
            sys.executable,
            "-c",
            "import relustat; print(relustat._C.build_info()['kernels'])",
        ]

    def check_that_it_builds(self) -> None:
        if toolkit.find("nvcc") is None:
            raise StageError("needs nvcc to build, got none")
        said = ask(sys.executable, "-c", "import setuptools; print(setuptools.__version__)")
        if said is None or int(said.split(".")[0]) < OLDEST_SETUPTOOLS:
            raise StageError(f"needs setuptools of at least {OLDEST_SETUPTOOLS}, got {said}")

    def benchmarks(self) -> Iterator[list[str]]:
        yield [sys.executable, "benchmarks/gpu.py"]

    def pytest(self, *arguments: str) -> list[str]:
        if importlib.util.find_spec("pytest") is None:
            raise UnavailableError("needs pytest, got none")
        return [sys.executable, "-m", "pytest", "-q", "--tb=short", *arguments]

    def tests(self) -> Iterator[list[str]]:
        yield self.pytest("--maxfail=25", "tests/works_with/test_gpu.py")

    def profile(self) -> Iterator[list[str]]:
        profiler = toolkit.find("ncu")
        if profiler is None:
            raise UnavailableError("needs ncu on the PATH, got none")
        sections = [word for section in SECTIONS for word in ("--section", section)]
        kernels = "regex:counting_relu_kernel|max_pool_|max_unpool_"
        yield [
            *[profiler, "--csv", "--clock-control", "none", *sections, "--kernel-name", kernels],
            *[str(self.probe_program()), "--once"],
        ]

    def sanitizer(self, tool: str) -> Iterator[list[str]]:
        program = find_sanitizer()
        if program is None:
            raise UnavailableError("needs compute-sanitizer, got none")
        options = [f"--tool={tool}", "--error-exitcode=9", "--print-limit=5"]
        yield [program, *options, str(self.probe_program()), "--small"]

    def twins(self) -> Iterator[list[str]]:
        # pytest-xdist
        parallel = ["-n", "8"] if importlib.util.find_spec("xdist") else []
        ignored = [f"--ignore=tests/{name}" for name in ELSEWHERE]
        yield self.pytest("-k", "cuda", "--continue-on-collection-errors", *parallel, *ignored)

    def stages(self) -> list[Stage]:
        built = ("extension",)
        return [
            Stage("probe", "probe.txt", 10, 150, self.probe),
            Stage("extension", "extension.log", 15, 240, self.extension),
            Stage("benchmarks", "benchmarks.md", 20, 80, self.benchmarks, needs=built),
            Stage("tests", "tests.log", 20, 100, self.tests, needs=built),
            Stage(
                *("profile", "profile.csv", 20, 90, self.profile),
                unsupported=("ERR_NVGPUCTRPERM",),
            ),
            *(
                Stage(
                    *(tool, "sanitizers.log", 5, 30, functools.partial(self.sanitizer, tool)),
                    unsupported=("Device not supported",),
                )
                for tool in SANITIZERS
            ),
            Stage("twins", "twins.log", 40, 200, self.twins, needs=built),
        ]


def chosen(stages: list[Stage], words: str | None) -> list[Stage]:
    """Raises SystemExit if there is no stage of a name."""
    names = [stage.name for stage in stages]
    wanted = words.split(",") if words else names
    for name in wanted:
        if name not in names:
            raise SystemExit(f"gpu-check: stages must be of {', '.join(names)}, got {name}")
    return [stage for stage in stages if stage.name in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", type=Path, metavar="FOLDER", help="of gpu_package.py")
    parser.add_argument("--output", type=Path, default=ROOT / "build/gpu-check", metavar="FOLDER")
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="SECONDS", help="for all")
    parser.add_argument("--stages", metavar="A,B", help="only these")
    options = parser.parse_args()
    gpu = find_gpu()
    if gpu is None:
        raise SystemExit("gpu-check: needs a GPU that nvidia-smi sees, got none")
    name, architecture = gpu
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    package = options.package and options.package.resolve()
    check = Check(package, architecture)
    stages = chosen(check.stages(), options.stages)
    if not options.stages:
        for old in {stage.log for stage in stages}:
            (output / old).unlink(missing_ok=True)
    # So that the running command is killed, and the summary is written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(
        output,
        options.budget,
        f"# {name}, sm_{architecture.replace('.', '')}",
        ROOT,
        check.environment(),
    )
    print(run.heading[2:], flush=True)
    run.run(stages)
    if any(outcome.failed for outcome in run.outcomes):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
