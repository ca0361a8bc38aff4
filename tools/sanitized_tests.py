"""Runs tests with the extension compiled with GCC's sanitizers.

    python tools/sanitized_tests.py [--levels LEVEL ...] [--which NAMES] address|thread

build/sanitized-address and build/sanitized-thread get a copy of the package with its extension:
that in relustat/ stays as it is. The levels are instruction sets, as ATEN_CPU_CAPABILITY names
them: default, avx2, avx512; without the option, this processor's own. Those that it has not are
left out. The names are an expression for pytest's -k.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch

LEVELS = ("default", "avx2", "avx512")
ROOT = Path(__file__).resolve().parent.parent
COMPILED = {
    # Without the wrapping that Python is compiled with, which would hide what overflows. Without
    # checks of every address, which double the time to compile: AddressSanitizer finds wrong ones.
    "address": "-fsanitize=address,undefined -fno-wrapv "
    "-fno-sanitize=null,vptr,alignment,pointer-overflow,object-size",
    # PyTorch's headers have fences, of which GCC warns.
    "thread": "-fsanitize=thread -Wno-tsan",
}
RUNTIME = {"address": "libasan.so", "thread": "libtsan.so"}

# Those that call every kernel, with threads and without.
OPS = [
    f"tests/ops/test_{name}.py"
    for name in (
        *("counting_relu", "counting_activation", "unit_histograms", "close_edges", "masks"),
        *("max_pool", "max_unpool", "switches", "relu_max_pool", "activation_hash"),
    )
]
THREADS = "tests/works_with/test_threads.py"
# Bins and activations make no difference to what threads share.
ALIKE = ("counting_activation", "close_edges", "masks")
TESTS = {
    "address": [*OPS, THREADS],
    "thread": [THREADS, *(name for name in OPS if not any(each in name for each in ALIKE))],
}
KINDS = "not large and not exhaustive"
NAMES = "not alone and not compiled"

OPTIONS = {
    # Leaks are not looked for: at its end, Python leaves most of what it and PyTorch hold.
    "ASAN_OPTIONS": "detect_leaks=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    # Accesses in libraries that are not compiled with the sanitizer are not looked at: it does not
    # see how they synchronise. Their locks and threads are. Orders of locks are not looked at: the
    # detector takes 64 locks of a thread, and a fork holds more (csrc/cpu/shared_counters.cpp).
    "TSAN_OPTIONS": "ignore_noninstrumented_modules=1 halt_on_error=1 detect_deadlocks=0",
}


def folder(sanitizer: str) -> Path:
    return ROOT / "build" / f"sanitized-{sanitizer}"


def build(sanitizer: str) -> None:
    options = ["--build-lib", folder(sanitizer) / "lib", "--build-temp", folder(sanitizer) / "temp"]
    flags = COMPILED[sanitizer]
    # To optimise would take longer than the tests do without.
    variables = {"USE_CUDA": "0", "DEBUG": "1", "LDFLAGS": flags}
    variables["CFLAGS"] = f"{flags} -fno-sanitize-recover=all -fno-omit-frame-pointer"
    command = [sys.executable, "setup.py", "--quiet", "build", *options]
    subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=True)


def library(name: str) -> str:
    """The path of a library of the compiler."""
    command = [os.environ.get("CXX", "g++"), f"-print-file-name={name}"]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(path).is_absolute():
        raise SystemExit(f"sanitized tests: GCC with {name} is needed, got a compiler without it")
    return path


def openmp() -> tuple[Path, Path]:
    """LLVM's OpenMP, and Archer, its tool for the thread sanitizer.

    PyTorch's own, GCC's, synchronises its threads by what the sanitizer cannot see: every parallel
    loop would be a race. LLVM's has the same functions, and Archer tells where its threads wait.
    """
    folders = ["lib/llvm-*/lib", "lib64", "lib"]
    for archer in [path for each in folders for path in Path("/usr").glob(f"{each}/libarcher.so")]:
        runtime = archer.with_name("libomp.so.5")
        if runtime.exists():
            return runtime, archer
    raise SystemExit(
        "sanitized tests: LLVM's OpenMP with libarcher.so is needed, got none in /usr/lib; "
        "Debian has it in libomp-dev"
    )


def environment(sanitizer: str, level: str | None) -> dict[str, str]:
    # The runtimes must come before all other libraries, and that of C++ before exceptions.
    preloaded = [library(RUNTIME[sanitizer]), library("libstdc++.so")]
    variables = dict(OPTIONS)
    if sanitizer == "thread":
        runtime, archer = openmp()
        preloaded.append(str(runtime))
        variables["OMP_TOOL_LIBRARIES"] = str(archer)
        # Also on one processor.
        variables["OMP_NUM_THREADS"] = "4"
    if level is not None:
        variables["ATEN_CPU_CAPABILITY"] = level
    return os.environ | variables | {"LD_PRELOAD": " ".join(preloaded)}


def has(level: str) -> bool:
    """Whether this processor has an instruction set."""
    own = torch.backends.cpu.get_cpu_capability().lower()
    return own in LEVELS and LEVELS.index(level) <= LEVELS.index(own)


def run(sanitizer: str, level: str | None, names: str) -> int:
    files = [ROOT / name for name in TESTS[sanitizer]]
    options = ["-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}", f"-c={ROOT / 'pyproject.toml'}"]
    options += ["--numprocesses=auto", "--maxprocesses=8", "--dist=worksteal"]
    which = ["-m", KINDS, "-k", f"{NAMES} and ({names})" if names else NAMES]
    # Python imports from the folder in which it starts.
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *which, *files],
        cwd=folder(sanitizer) / "lib",
        env=environment(sanitizer, level),
        check=False,
    ).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sanitizer", choices=list(COMPILED))
    parser.add_argument("--levels", nargs="*", default=[], choices=LEVELS, help="instruction sets")
    parser.add_argument("--which", default="", metavar="NAMES", help="as pytest -k takes them")
    options = parser.parse_args()
    build(options.sanitizer)
    for level in options.levels or [None]:
        if level is not None and not has(level):
            print(f"sanitized tests: this processor has no {level}")
        elif run(options.sanitizer, level, options.which) != 0:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
