"""Budgets of instructions for kernels, and their check.

A row is one kernel, compiled for sm_90. Its instructions for an element must not exceed its goal,
and not the number in cuda_budget.json by more than 10 %.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from roofline import GPUS
from sass import PIPES, SIZES, Trip, elements

STORED = Path(__file__).with_name("cuda_budget.json")
ARCHITECTURE = "90"
GROWTH = 1.1


@dataclasses.dataclass(frozen=True)
class Row:
    """A kernel and its budget.

    Attributes:
        kernel: its name, as :func:`sass.readable` has it.
        goal: the largest number of instructions for an element.
        moved: number of bytes that are read and written for an element.
        share: number of elements for each that the kernel stores.
        in_flight: the smallest number of vectors that a trip loads before it uses the first.
    """

    name: str
    kernel: str
    goal: float
    moved: float
    share: float = 1
    in_flight: int = 1

    def pipes(self, trip: Trip) -> dict[str, float]:
        count = elements(self.kernel, trip) * self.share
        return {pipe: n / count for pipe, n in trip.pipes().items()}


def _relu_rows(format_name: str, log: float, linear: float, zeros: float | None) -> Iterator[Row]:
    size = SIZES[format_name]
    vector = 16 // size
    name = f"counting_relu {format_name.lower()}"
    counters = [
        ("LogBins", f"KeyCounter<{format_name}, {vector}>", log, 1),
        ("LogBins per unit", f"KeySlotCounter<{format_name}, {vector}>", 1.1 * log, 2),
        ("LinearBins", f"LinearCounter<{format_name}, {vector}, 0>", linear, 1),
        ("LinearBins per unit", f"LinearCounter<{format_name}, {vector}, 1>", 1.1 * linear, 2),
    ]
    if zeros is not None:
        counters.append(("zeros only", f"NanCounter<{format_name}, {vector}>", zeros, 1))
    for bins, counter, goal, in_flight in counters:
        kernel = f"counting_relu_kernel<{format_name}, {counter}, {vector}, false>"
        yield Row(f"{name} {bins}", kernel, goal, 2 * size, in_flight=in_flight)


def _pool_rows() -> Iterator[Row]:
    # A switch of a byte for each output; of 3 x 3 windows with stride 2, four inputs for each.
    kernel = "max_pool_kernel<BFloat16, char, int, SquareWindows<3, 0>, 1, false>"
    yield Row("max_pool 3x3 bfloat16, per output", kernel, 150, 4 * 2 + 2 + 1)
    for format_name in ("Float32", "BFloat16"):
        size = SIZES[format_name]
        windows = 8 // size
        moved = size + (size + 1) / 4
        kernel = f"max_unpool_quads_kernel<{format_name}, LastCells, {windows}, true>"
        yield Row(f"max_unpool 2x2 {format_name.lower()}, per cell", kernel, 10, moved)
        kernel = f"max_unpool_backward_quads_kernel<{format_name}, {windows}, true>"
        name = f"max_unpool_backward 2x2 {format_name.lower()}, per cell"
        yield Row(name, kernel, 10, moved, share=4)


def _relu_pool_rows(format_name: str, log: float, linear: float) -> Iterator[Row]:
    size = SIZES[format_name]
    vector = 16 // size
    counters = [
        ("LogBins", f"KeyCounter<{format_name}, {vector}>", log),
        ("LinearBins", f"LinearCounter<{format_name}, {vector}, 0>", linear),
    ]
    for bins, counter, goal in counters:
        kernel = f"relu_max_pool_quads_kernel<{format_name}, {counter}, {vector}>"
        name = f"relu_max_pool 2x2 {format_name.lower()} {bins}, per cell"
        yield Row(name, kernel, goal, size + (size + 1) / 4, share=4)


def _activation_rows(format_name: str, log: float, linear: float) -> Iterator[Row]:
    """Of the kernel that ReLU6, Hardtanh and Threshold share, and of outputs near 0."""
    size = SIZES[format_name]
    name = f"counting_activation {format_name.lower()} ReLU6"
    counters = [
        ("LogBins", f"KeyCounter<{format_name}, 4>", log),
        ("LogBins per unit", f"KeySlotCounter<{format_name}, 4>", 1.1 * log),
        ("LinearBins", f"LinearCounter<{format_name}, 4, 0>", linear),
    ]
    for bins, counter, goal in counters:
        kernel = f"counting_activation_kernel<{format_name}, {counter}, 4, false, 0>"
        yield Row(f"{name} {bins}", kernel, goal, 2 * size, in_flight=2)
    kernel = f"count_activation_kernel<{format_name}, KeyCounter<{format_name}, 4>, 4, false>"
    name = f"count_activation {format_name.lower()} near 0, LogBins"
    yield Row(name, kernel, log, 2 * size, in_flight=2)


ROWS = [
    *_relu_rows("Float32", 15, 22, 9),
    *_relu_rows("BFloat16", 11, 20, 9),
    *_relu_rows("Float16", 13, 22, None),
    *_relu_pool_rows("Float32", 24, 31),
    *_relu_pool_rows("BFloat16", 20, 29),
    *_activation_rows("Float32", 21, 28),
    *_activation_rows("BFloat16", 23, 30),
    *_pool_rows(),
]


def check(trips: Mapping[str, Trip], stored: Mapping[str, float]) -> Iterator[str]:
    """The failures, a line for each.

    Args:
        trips: by kernel.
        stored: instructions for an element, by row.
    """
    for row in ROWS:
        trip = trips.get(row.kernel)
        if trip is None:
            yield f"{row.name}: must be one of the kernels, got no {row.kernel}"
            continue
        took = sum(row.pipes(trip).values())
        if took > row.goal:
            yield f"{row.name}: at most {row.goal:g} instructions, got {took:.2f}"
        before = stored.get(row.name)
        if before is None:
            yield f"{row.name}: must be stored in {STORED.name}; --store does so"
        elif took > GROWTH * before:
            yield f"{row.name}: at most 10 % more than the stored {before:g}, got {took:.2f}"
        if trip.loads < row.in_flight:
            yield f"{row.name}: at least {row.in_flight} vectors in flight, got {trip.loads}"


def table(trips: Mapping[str, Trip]) -> list[str]:
    """Instructions for an element, and the time of the busiest pipe over that of memory."""
    gpus = " ".join(f"{gpu.name:>5}" for gpu in GPUS)
    lines = [
        f"{'instructions per element, sm_90':<44} {'goal':>5} {'all':>6} "
        + " ".join(f"{pipe:>5}" for pipe in PIPES)
        + f" | time over memory's: {gpus}"
    ]
    for row in ROWS:
        if row.kernel not in trips:
            continue
        pipes = row.pipes(trips[row.kernel])
        counts = " ".join(f"{pipes.get(pipe, 0):5.1f}" for pipe in PIPES)
        loads = " ".join(f"{gpu.load(pipes, row.moved):5.2f}" for gpu in GPUS)
        lines.append(
            f"{row.name:<44} {row.goal:5.1f} {sum(pipes.values()):6.2f} {counts} | {'':19} {loads}"
        )
    return lines


def load() -> dict[str, float]:
    stored: dict[str, float] = json.loads(STORED.read_text())
    return stored


def store(trips: Mapping[str, Trip]) -> None:
    took = {
        row.name: round(sum(row.pipes(trips[row.kernel]).values()), 2)
        for row in ROWS
        if row.kernel in trips
    }
    STORED.write_text(json.dumps(took, indent=2) + "\n")
