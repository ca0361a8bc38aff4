"""Runs the CUDA kernels on the CPU: compiles tests/cuda_host and hands it cases.

RELUSTAT_SANITIZE=address,undefined or =thread builds it with that sanitizer.
"""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import os
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from repository import ROOT

SOURCES = sorted((ROOT / "tests/cuda_host").glob("*.cpp"))
SANITIZE = os.environ.get("RELUSTAT_SANITIZE", "")
COMPILER = os.environ.get("CXX", "g++")
FLAGS = [
    "-std=c++20",
    "-O1",
    "-g1" if SANITIZE else "-g0",  # reports of sanitizers name lines
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-pthread",
    f"-I{ROOT / 'csrc'}",
]
# GCC does not see that what is loaded on a condition is used on the same.
FLAGS += ["-Wno-unknown-warning-option", "-Wno-maybe-uninitialized"]
# As --fmad=false has it on GPUs.
FLAGS += ["-ffp-contract=off", "-fno-strict-aliasing"]
if SANITIZE:
    FLAGS += [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]

DTYPES = [
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
]  # as csrc/common/dtype.h has them
LIMIT = 300  # seconds; threads that wait for one another would wait for ever
COUNTING_RELU, MAX_POOL, MAX_UNPOOL, MAX_UNPOOL_BACKWARD, CHECK_SWITCHES = range(5)
DIVIDE, FITS_NARROW_INDEX, ACTIVATION_HASH, EVERY_NUMBER, RELU_MAX_POOL = 5, 6, 7, 8, 9
COUNTING_ACTIVATION = 10


@dataclasses.dataclass
class Case:
    """One call: numbers and buffers as tests/cuda_host/*.cpp take them.

    Buffers are contiguous tensors; ``offsets`` says how many bytes off alignment each starts.
    """

    op: int
    numbers: list[int]
    buffers: list[torch.Tensor]
    offsets: list[int]

    def encoded(self) -> bytes:
        parts = [_numbers(self.op, len(self.numbers), *self.numbers, len(self.buffers))]
        for buffer, offset in zip(self.buffers, self.offsets, strict=True):
            data = _bytes(buffer)
            parts += [_numbers(len(data), offset), data]
        return b"".join(parts)


def run(cases: list[Case]) -> list[list[torch.Tensor]]:
    """What each case's buffers hold afterwards."""
    sent = _numbers(len(cases)) + b"".join(case.encoded() for case in cases)
    done = subprocess.run([_program()], input=sent, capture_output=True, check=False, timeout=LIMIT)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    results = []
    at = 0
    for case in cases:
        buffers = []
        for buffer in case.buffers:
            size = buffer.numel() * buffer.element_size()
            data = bytearray(done.stdout[at : at + size])
            at += size
            buffers.append(_tensor(data, buffer))
        results.append(buffers)
    assert at == len(done.stdout)
    return results


def _numbers(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def _bytes(tensor: torch.Tensor) -> bytes:
    return (
        tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    )


def _tensor(data: bytearray, like: torch.Tensor) -> torch.Tensor:
    if not data:
        return like.clone()
    return torch.frombuffer(data, dtype=like.dtype).reshape(like.shape)


def _program() -> Path:
    folder = ROOT / "build" / f"cuda_host-{SANITIZE or 'plain'}"
    program = folder / "run"
    read = [*ROOT.glob("csrc/**/*.h"), *ROOT.glob("csrc/**/*.cuh"), *SOURCES]
    read += [*ROOT.glob("tests/cuda_host/*.h"), Path(__file__)]
    newest = max(path.stat().st_mtime for path in read)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        # Tests run in several processes.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if program.exists() and program.stat().st_mtime > newest:
            return program
        if shutil.which(COMPILER) is None:
            pytest.skip(f"no C++ compiler: {COMPILER}")
        error = _build(folder, program)
    assert error is None, error
    return program


@functools.cache
def _build(folder: Path, program: Path) -> str | None:
    """What the compiler said, if it failed: once, not for each test."""
    objects = [folder / f"{source.stem}.o" for source in SOURCES]
    commands = [
        [COMPILER, *FLAGS, "-c", source, "-o", target]
        for source, target in zip(SOURCES, objects, strict=True)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        errors = [error for error in pool.map(_call, commands) if error]
    return errors[0] if errors else _call([COMPILER, *FLAGS, *objects, "-o", program])


def _call(command: list[str | Path]) -> str | None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr[-4000:] if done.returncode != 0 else None
