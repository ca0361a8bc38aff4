"""Pairs each row with its rival, round by round, and ends with one compact table of ratios."""

import ctypes
import gc
import platform
import statistics
import time

import pytest
import torch

import relustat

_rows = []
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# Above what size memory is mapped for a tensor alone; how much the heap keeps of what is freed.
_THRESHOLDS = {"fresh": (64 << 10, 128 << 10), "reused": (32 << 20, 1 << 30)}


@pytest.fixture
def pages(request):
    """Whether the allocator hands out fresh pages for every large tensor, or used ones again.

    A fresh page costs a fault when it is first written, which is most of a large ReLU's time. Used
    pages come back only below 32 MiB, glibc's limit.
    """
    mode = request.param
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        pytest.skip("needs glibc's mallopt")

    def hand_out(mode):
        largest_in_heap, kept = _THRESHOLDS[mode]
        libc.mallopt(_M_MMAP_THRESHOLD, largest_in_heap)
        libc.mallopt(_M_TRIM_THRESHOLD, kept)

    hand_out(mode)
    yield mode
    hand_out("fresh")


@pytest.fixture
def paired(benchmark, request):
    """Times ``ours`` and ``rival`` in turn and notes the ratio of each round."""

    def run(ours, rival, *, rounds, calls=1):
        rival_seconds = []

        def time_rival():
            start = time.perf_counter()
            for _ in range(calls):
                rival()
            rival_seconds.append(time.perf_counter() - start)

        def repeat():
            for _ in range(calls):
                ours()

        gc.collect()
        with torch.no_grad():
            benchmark.pedantic(repeat, setup=time_rival, rounds=rounds, warmup_rounds=2)
        seconds = benchmark.stats.stats.data
        rival_seconds = rival_seconds[-len(seconds) :]
        ratios = sorted(o / r for o, r in zip(seconds, rival_seconds, strict=True))
        quartiles = statistics.quantiles(ratios, n=4)
        benchmark.extra_info.update(ratio=quartiles[1], low=quartiles[0], high=quartiles[2])
        name = request.node.name.removeprefix("test_")
        _rows.append((name, statistics.median(seconds) / calls, *quartiles))

    return run


def pytest_terminal_summary(terminalreporter):
    if not _rows:
        return
    write = terminalreporter.write_line
    write("")
    write(
        f"relustat {relustat.__version__}, torch {torch.__version__}, {_cpu_name()}, "
        f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    )
    width = max(len(row[0]) for row in _rows)
    write(f"{'ours / rival':<{width}}  {'ours':>10}  ratio  quartiles")
    for name, seconds, low, ratio, high in _rows:
        write(f"{name:<{width}}  {seconds * 1e6:>7.1f} us  {ratio:>5.2f}  {low:.2f} .. {high:.2f}")


def _cpu_name():
    try:
        with open("/proc/cpuinfo") as info:
            named = (line for line in info if line.startswith("model name"))
            return next(named).split(":")[1].strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
