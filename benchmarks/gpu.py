"""Measures the CUDA kernels against PyTorch's on this machine's GPU, and prints one table.

    python benchmarks/gpu.py [--output FILE]        also writes the table there, as Markdown

Times are medians of CUDA events. Ours and PyTorch's run in turn, over buffers that together are
larger than the L2 cache, on random data. Ratios are of medians: ours / PyTorch's.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

import relustat
from relustat.functional import counting_relu, max_pool2d, max_unpool2d

ROUNDS = 30
LARGE = (64, 64, 128, 128)  # 67 million elements
FEATURES = (16384, 4096)
SMALL = 1 << 16


def seconds(*runs: Callable[[int], object]) -> list[float]:
    """The median time of each, run in turn; run(i) works on buffers i."""
    times: list[list[float]] = [[] for _ in runs]
    for i in range(ROUNDS + 3):
        for run, mine in zip(runs, times, strict=True):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            run(i)
            end.record()
            end.synchronize()
            mine.append(begin.elapsed_time(end) / 1e3)
    return [statistics.median(mine[3:]) for mine in times]


def buffers(shape: tuple[int, ...], dtype: torch.dtype, data: str = "random") -> list[torch.Tensor]:
    """Enough of them that no run finds its input in the cache."""
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    one = torch.Size(shape).numel() * dtype.itemsize
    count = max(2, 3 * cache // one + 1)
    if data == "dead":
        return [torch.full(shape, -1.0, device="cuda", dtype=dtype) for _ in range(count)]
    return [torch.randn(shape, device="cuda").to(dtype) for _ in range(count)]


def copy_bandwidth() -> float:
    """Bytes read and written in a second."""
    x = buffers(LARGE, torch.float32)
    y = torch.empty_like(x[0])
    (taken,) = seconds(lambda i: y.copy_(x[i % len(x)]))
    return 2 * y.nbytes / taken


def relu_row(
    shape: tuple[int, ...], dtype: torch.dtype, bins: relustat.Bins | None, data: str, copy: float
) -> list[str]:
    x = buffers(shape, dtype, data)
    counters = relustat.Counters(bins)
    ours, theirs = seconds(
        lambda i: counting_relu(x[i % len(x)], counters), lambda i: F.relu(x[i % len(x)])
    )
    what = f"CountingReLU {list(shape)} {name_of(dtype)}, {name_of(bins)}, {data}"
    moved = 2 * x[0].nbytes / ours / copy
    return [what, f"{ours * 1e6:.0f} us", f"{ours / theirs:.2f}", f"{moved:.0%} of the copy's"]


def replay_row() -> list[str]:
    x = torch.randn(16, 64, 8, 8, device="cuda")
    assert x.numel() == SMALL
    counters = relustat.Counters()
    repeats = 100

    def captured(run: Callable[[torch.Tensor], object]) -> torch.cuda.CUDAGraph:
        run(x)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(repeats):
                run(x)
        return graph

    graphs = [captured(lambda x: counting_relu(x, counters)), captured(F.relu)]
    ours, theirs = (
        taken / repeats
        for taken in seconds(lambda _: graphs[0].replay(), lambda _: graphs[1].replay())
    )
    more = f"+{(ours - theirs) * 1e6:.1f} us"
    return ["CountingReLU, 65536 elements, graph replay", f"{ours * 1e6:.1f} us", more, ""]


def pool_rows(kernel: int, dtype: torch.dtype) -> list[list[str]]:
    x = buffers((32, 64, 112, 112), dtype)
    pooled = [max_pool2d(each, kernel, 2) for each in x]
    indexed = [F.max_pool2d(each, kernel, 2, return_indices=True) for each in x]
    size = list(x[0].shape)
    n = len(x)

    def ours_backward(i: int) -> None:
        y, switches = pooled[i % n]
        arguments = switches.offsets, switches.input_size, *switches.pooling.arguments
        relustat._ops.max_unpool(y, *arguments, 1, False)

    def their_backward(i: int) -> None:
        y, indices = indexed[i % n]
        torch.ops.aten.max_pool2d_with_indices_backward(
            y, x[i % n], [kernel] * 2, [2, 2], [0, 0], [1, 1], False, indices
        )

    pairs = {
        "max_pool2d with switches": (
            lambda i: max_pool2d(x[i % n], kernel, 2),
            lambda i: F.max_pool2d(x[i % n], kernel, 2, return_indices=True),
        ),
        "max_unpool2d": (
            lambda i: max_unpool2d(*pooled[i % n]),
            lambda i: F.max_unpool2d(*indexed[i % n], kernel, 2, output_size=size),
        ),
        "max_pool2d's backward": (ours_backward, their_backward),
    }
    rows = []
    for what, (our_run, their_run) in pairs.items():
        ours, theirs = seconds(our_run, their_run)
        what = f"{what} {size} {name_of(dtype)}, k{kernel} s2"
        rows.append([what, f"{ours * 1e6:.0f} us", f"{ours / theirs:.2f}", ""])
    return rows


def name_of(what: torch.dtype | relustat.Bins | None) -> str:
    if what is None:
        return "zeros only"
    if isinstance(what, relustat.Bins):
        return f"{len(what)} {type(what).__name__}"
    return str(what).removeprefix("torch.")


def rows() -> list[list[str]]:
    copy = copy_bandwidth()
    table = [["copy of 67 million float32", "", "", f"{copy / 1e12:.2f} TB/s"]]
    linear = relustat.LinearBins(-4, 4, 200)
    for dtype in (torch.float32, torch.bfloat16):
        for bins in (relustat.LogBins(), linear, None):
            table.append(relu_row(LARGE, dtype, bins, "random", copy))
        table.append(relu_row(LARGE, dtype, relustat.LogBins(), "dead", copy))
        table.append(relu_row(FEATURES, dtype, relustat.LogBins(), "random", copy))
        table.append(relu_row((256, 512, 14, 14), dtype, relustat.LogBins(), "random", copy))
    table.append(replay_row())
    for dtype in (torch.float32, torch.bfloat16):
        for kernel in (2, 3):
            table += pool_rows(kernel, dtype)
    return table


def as_markdown(table: list[list[str]]) -> str:
    lines = ["| what | time | ours / PyTorch's | bytes moved |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in table]
    gpu = torch.cuda.get_device_properties(0)
    lines += [
        "",
        f"{gpu.name}, relustat {relustat.__version__} ({relustat._ops.build_info()['kernels']}), "
        f"torch {torch.__version__}, {datetime.date.today()}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="write the table there, too")
    options = parser.parse_args()
    if not torch.cuda.is_available() or "CUDA" not in str(relustat._ops.build_info()["kernels"]):
        raise SystemExit("gpu: needs a GPU and a build with CUDA kernels (see `relustat info`)")
    text = as_markdown(rows())
    if options.output:
        options.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
