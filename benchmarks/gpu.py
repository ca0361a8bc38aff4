"""Measures the CUDA kernels against PyTorch's on this machine's GPU, and prints one table.

    python benchmarks/gpu.py [--output FILE]        also writes the table there, as Markdown

Times are those of the GPU alone, except in rows with "host". They are medians over rounds of
several calls, which wait in the GPU's queue before the first one begins. Ours and PyTorch's calls
take turns, over random data that is larger than the L2 cache. Ratios are ours / PyTorch's.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from harness import gpu_timing as timing

import relustat
from relustat.functional import counting_relu, max_pool2d, max_unpool2d
from relustat.ops import library

LARGE = (64, 64, 128, 128)  # 67 million elements
FEATURES = (16384, 4096)
MEDIUM = (256, 512, 14, 14)
FEW_ROWS = [(1, 64, 1024, 1024), (4, 64, 512, 512)]
REPLAYED = {"64 K": (16, 64, 8, 8), "1 M": (16, 64, 32, 32), "8 M": (32, 64, 64, 64)}
POOLED = (32, 64, 112, 112)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LINEAR = relustat.LinearBins(-4, 4, 200)

Row = list[str]


def name_of(what: torch.dtype | relustat.Bins | None) -> str:
    if what is None:
        return "zeros only"
    if isinstance(what, relustat.Bins):
        return f"{len(what)} {type(what).__name__}"
    return str(what).removeprefix("torch.")


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us"


def copy_rate() -> float:
    """Bytes read and written in a second."""
    x = timing.buffers(LARGE, torch.float32)
    y = torch.empty_like(x[0])
    (taken,) = timing.kernel_seconds(lambda i: y.copy_(x[i % len(x)]))
    return 2 * y.nbytes / taken


def relu_row(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    counters: relustat.Counters,
    copy: float,
    what: str,
    data: str = "random",
    inplace: bool = False,
) -> Row:
    x = timing.buffers(shape, dtype, data)
    n = len(x)
    ours, theirs = timing.kernel_seconds(
        lambda i: counting_relu(x[i % n], counters, inplace=inplace),
        lambda i: F.relu(x[i % n], inplace=inplace),
    )
    what = f"counting_relu {list(shape)} {name_of(dtype)}, {what}"
    moved = 2 * x[0].nbytes / ours / copy
    return [what, microseconds(ours), f"{ours / theirs:.2f}", f"{moved:.0%} of the copy's"]


def relu_rows(copy: float) -> Iterator[Row]:
    log = relustat.LogBins()
    for dtype in DTYPES:
        for bins in (log, LINEAR, None):
            yield relu_row(LARGE, dtype, relustat.Counters(bins), copy, name_of(bins))
        for bins in (log, LINEAR):
            counters = relustat.Counters(bins, unit_histograms=True)
            yield relu_row(LARGE, dtype, counters, copy, f"{name_of(bins)} per unit")
        shapes = (FEATURES, MEDIUM, *FEW_ROWS)
        for shape in shapes:
            yield relu_row(shape, dtype, relustat.Counters(), copy, name_of(log))
        counters = relustat.Counters()
        yield relu_row(LARGE, dtype, counters, copy, "LogBins, all dead", data="dead")
        yield relu_row(LARGE, dtype, relustat.Counters(), copy, "LogBins, in place", inplace=True)
    counters = relustat.Counters()
    counters.enabled = False
    yield relu_row(LARGE, torch.float32, counters, copy, "enabled=False")
    yield relu_row(LARGE, torch.float32, relustat.Counters(every=100), copy, "every=100")


def replay_rows() -> Iterator[Row]:
    for name, shape in REPLAYED.items():
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.randn(shape, device=timing.DEVICE).to(dtype)
            counters = relustat.Counters()
            ours, theirs = timing.replay_seconds(
                lambda _, x=x, counters=counters: counting_relu(x, counters),
                lambda _, x=x: F.relu(x),
            )
            more = f"+{(ours - theirs) * 1e6:.1f} us"
            what = f"counting_relu, {name} elements {name_of(dtype)}, graph replay"
            yield [what, microseconds(ours), f"{ours / theirs:.2f}", more]


def host_row() -> Row:
    x = torch.randn(REPLAYED["64 K"], device=timing.DEVICE)
    counters = relustat.Counters()
    ours, theirs = timing.host_seconds(lambda _: counting_relu(x, counters), lambda _: F.relu(x))
    more = f"+{(ours - theirs) * 1e6:.1f} us"
    what = "counting_relu, 64 K elements float32, host"
    return [what, microseconds(ours), f"{ours / theirs:.2f}", more]


def pool_rows(kernel: int, dtype: torch.dtype, layout: torch.memory_format) -> Iterator[Row]:
    x = [each.contiguous(memory_format=layout) for each in timing.buffers(POOLED, dtype)]
    n = len(x)
    pooled = [max_pool2d(each, kernel, 2) for each in x]
    indexed = [F.max_pool2d(each, kernel, 2, return_indices=True) for each in x]

    def ours_backward(i: int) -> object:
        y, switches = pooled[i % n]
        arguments = switches.offsets, switches.input_size, *switches.pooling.arguments
        return library.max_unpool(y, *arguments, 1, False)

    def their_backward(i: int) -> object:
        y, indices = indexed[i % n]
        return torch.ops.aten.max_pool2d_with_indices_backward(
            y, x[i % n], [kernel] * 2, [2, 2], [0, 0], [1, 1], False, indices
        )

    pairs: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
        "max_pool2d with switches": (
            lambda i: max_pool2d(x[i % n], kernel, 2),
            lambda i: F.max_pool2d(x[i % n], kernel, 2, return_indices=True),
        ),
        "max_unpool2d": (
            lambda i: max_unpool2d(*pooled[i % n]),
            lambda i: F.max_unpool2d(*indexed[i % n], kernel, 2, output_size=POOLED),
        ),
        "max_pool2d's backward": (ours_backward, their_backward),
    }
    for what, (our_run, their_run) in pairs.items():
        ours, theirs = timing.kernel_seconds(our_run, their_run)
        last = ", channels_last" if layout == torch.channels_last else ""
        what = f"{what} {list(POOLED)} {name_of(dtype)}, k{kernel} s2{last}"
        yield [what, microseconds(ours), f"{ours / theirs:.2f}", ""]


def rows() -> Iterator[Row]:
    copy = copy_rate()
    yield [f"copy of {list(LARGE)} float32", "", "", f"{copy / 1e12:.2f} TB/s"]
    yield from relu_rows(copy)
    yield from replay_rows()
    yield host_row()
    for layout in (torch.contiguous_format, torch.channels_last):
        for dtype in (torch.float32, torch.bfloat16):
            for kernel in (2, 3):
                yield from pool_rows(kernel, dtype, layout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="write the table there, too")
    options = parser.parse_args()
    if not torch.cuda.is_available() or "CUDA" not in str(library.build_info()["kernels"]):
        raise SystemExit("gpu: needs a GPU and a build with CUDA kernels (see `relustat info`)")
    gpu = torch.cuda.get_device_properties(0)
    lines = ["| what | time | ours / PyTorch's | more |", "|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for row in rows():
        lines.append(f"| {' | '.join(row)} |")
        # At once: this may be stopped.
        print(lines[-1], flush=True)
    lines += [
        "",
        f"{gpu.name}, relustat {relustat.__version__} ({library.build_info()['kernels']}), "
        f"torch {torch.__version__}, {datetime.date.today()}.",
    ]
    print("\n".join(lines[-2:]))
    if options.output:
        options.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
