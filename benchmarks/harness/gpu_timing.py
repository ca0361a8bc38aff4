"""Times on a GPU in which the host has no share, and the host's own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

DEVICE = "cuda"
ROUNDS = 9
CALLS = 10  # between two events
# Clocks, in which the host fills the queue: some 0.2 ms.
SPIN = 400_000
REPEATS = 50  # in a graph
HOST_CALLS = 200

Run = Callable[[int], object]


def buffers(shape: tuple[int, ...], dtype: torch.dtype, data: str = "random") -> list[torch.Tensor]:
    """Enough of them that no run finds its input in the cache."""
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    one = torch.Size(shape).numel() * dtype.itemsize
    count = min(max(2, 3 * cache // one + 1), 64)
    if data == "dead":
        return [torch.full(shape, -1.0, device=DEVICE, dtype=dtype) for _ in range(count)]
    return [torch.randn(shape, device=DEVICE).to(dtype) for _ in range(count)]


def kernel_seconds(*runs: Run) -> list[float]:
    """The median time of a call of each, in turn; run(i) works on buffers i."""
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run(0)
    for _ in range(ROUNDS):
        for run, mine in zip(runs, times, strict=True):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda._sleep(SPIN)
            begin.record()
            for i in range(CALLS):
                run(i)
            end.record()
            end.synchronize()
            mine.append(begin.elapsed_time(end) / 1e3 / CALLS)
    return [statistics.median(mine) for mine in times]


def captured(run: Run) -> torch.cuda.CUDAGraph:
    """A graph of REPEATS calls."""
    run(0)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for i in range(REPEATS):
            run(i)
    return graph


def replay_seconds(*runs: Run) -> list[float]:
    """As kernel_seconds, of calls in a graph that is replayed."""
    graphs = [captured(run) for run in runs]
    taken = kernel_seconds(*(lambda _, graph=graph: graph.replay() for graph in graphs))
    return [seconds / REPEATS for seconds in taken]


def host_seconds(*runs: Run) -> list[float]:
    """The median time until a call returns, with work for the GPU that takes less."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(ROUNDS):
        for run, mine in zip(runs, times, strict=True):
            torch.cuda.synchronize()
            begin = time.perf_counter()
            for i in range(HOST_CALLS):
                run(i)
            mine.append((time.perf_counter() - begin) / HOST_CALLS)
    return [statistics.median(mine) for mine in times]
