"""Bytes read and written over time, beside a copy's."""

import statistics

from . import style

COUNTED = {
    "plain": "nn.ReLU",
    "zeros": "CountingReLU,\nzeros only",
    "log": "CountingReLU,\nLogBins",
    "linear200": "CountingReLU,\n200 linear bins",
}
OUTPUTS = {False: "new output", True: "in place"}


def draw(rows):
    rows = style.found(rows, part="roofline")
    if not rows:
        return None
    drawn, axes = style.figure(rows, "Bytes read and written over time, 51M float32 elements", 3.6)
    axis = axes[0, 0]
    style.bars(
        axis,
        COUNTED,
        OUTPUTS,
        lambda counted, inplace: _gigabytes(rows, what=counted, inplace=inplace),
        lambda rate: f"{rate:.1f}",
    )
    copy = statistics.median(row["bytes"] / row["rival_seconds"] / 1e9 for row in rows)
    axis.axhline(copy, color="black", linewidth=1, linestyle="--", label=f"copy: {copy:.1f} GB/s")
    axis.set_ylabel("GB/s")
    axis.margins(y=0.1)
    axis.legend(loc="upper right")
    return drawn


def _gigabytes(rows, **facts):
    matching = style.found(rows, **facts)
    return matching[0]["bytes"] / matching[0]["seconds"] / 1e9 if matching else None
