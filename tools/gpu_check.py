"""All that a machine with a GPU can show, in one command and within 8 minutes.

    python tools/gpu_check.py [--output FOLDER]

Builds the extension in place for this GPU, runs the tests on it, compute-sanitizer on a few of
them, and the GPU benchmarks. Needs PyTorch, a CUDA toolkit and pytest, and no network. Logs go to
FOLDER (build/gpu-check); one short table comes last. Fails if anything did.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 470  # seconds in all
# Tests that run kernels on the CPU, compile at length, or need packages of their own; no GPU shows
# them anything.
ELSEWHERE = [
    "test_histogram",
    "test_cuda_activation_hash",
    "test_cuda_counting_relu",
    "test_cuda_pooling",
    "test_cpu_capability",
    "test_demo",
]
SANITIZED = "more_bins or per_unit or negative_zero or graph_replays"


@dataclasses.dataclass
class Step:
    name: str
    command: list[str]
    limit: int  # seconds
    result: str = "not run"
    seconds: float = 0

    def run(self, folder: Path, environment: dict[str, str], left: float) -> None:
        limit = max(min(self.limit, left), 1)
        log = folder / f"{self.name.replace(' ', '-')}.log"
        print(f"{self.name} ...", flush=True)
        begin = time.monotonic()
        with log.open("w") as output:
            try:
                done = subprocess.run(
                    self.command,
                    cwd=ROOT,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=limit,
                    check=False,
                )
                self.result = "ok" if done.returncode == 0 else f"FAILED ({done.returncode})"
            except subprocess.TimeoutExpired:
                self.result = f"FAILED (over {limit:.0f} s)"
        self.seconds = time.monotonic() - begin
        lines = log.read_text(errors="replace").splitlines()
        for line in lines[-40 if self.result != "ok" else -1 :]:
            print(f"    {line}", flush=True)


def why_not() -> str | None:
    if not torch.cuda.is_available():
        return "a GPU that PyTorch sees, got none"
    if importlib.util.find_spec("pytest") is None:
        return "pytest, got none"
    import setuptools

    if int(setuptools.__version__.split(".")[0]) < 77:
        return f"setuptools of at least 77, got {setuptools.__version__}"
    return None


def steps(folder: Path) -> list[Step]:
    python = sys.executable
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ignored = [f"--ignore=tests/{name}.py" for name in ELSEWHERE]
    parallel = ["-n", "4"] if importlib.util.find_spec("xdist") else []
    planned = [
        Step("build", [python, "setup.py", "build_ext", "--inplace"], 240),
        Step("tests on the GPU", [*pytest, "tests/test_cuda.py"], 120),
        Step("all tests", [*pytest, *parallel, *ignored, "--ignore=tests/test_cuda.py"], 300),
    ]
    sanitizer = shutil.which("compute-sanitizer")
    for tool in ("memcheck", "racecheck"):
        name = f"compute-sanitizer {tool}"
        command = [str(sanitizer), f"--tool={tool}", "--error-exitcode=9", "--print-limit=5"]
        command += [*pytest, "-k", SANITIZED, "tests/test_cuda.py"]
        step = Step(name, command, 90)
        if sanitizer is None:
            step.result = "not found"
        planned.append(step)
    table = ["--output", str(folder / "benchmarks.md")]
    planned.append(Step("benchmarks", [python, "benchmarks/gpu.py", *table], 90))
    return planned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build/gpu-check", metavar="FOLDER")
    folder = parser.parse_args().output.resolve()
    missing = why_not()
    if missing:
        raise SystemExit(f"gpu-check: needs {missing}")
    folder.mkdir(parents=True, exist_ok=True)
    gpu = torch.cuda.get_device_properties(0)
    environment = {
        **os.environ,
        "FORCE_CUDA": "1",
        "TORCH_CUDA_ARCH_LIST": f"{gpu.major}.{gpu.minor}",
        "PYTHONPATH": str(ROOT),
    }
    planned = steps(folder)
    end = time.monotonic() + LIMIT
    for step in planned:
        if step.result == "not run":
            step.run(folder, environment, end - time.monotonic())
        if step.name == "build" and step.result != "ok":
            break
    benchmarks = folder / "benchmarks.md"
    if benchmarks.exists():
        print(benchmarks.read_text())
    print(f"{gpu.name}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    for step in planned:
        print(f"{step.name:<28} {step.result:<22} {step.seconds:5.0f} s")
    if any(step.result not in ("ok", "not found") for step in planned):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
