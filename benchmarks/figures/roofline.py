"""Bytes read and written over time, beside passes that count nothing."""

import statistics

from . import style

COUNTED = {
    "plain": "nn.ReLU",
    "zeros": "CountingReLU,\nzeros only",
    "log": "CountingReLU,\nLogBins",
    "linear200": "CountingReLU,\n200 linear bins",
}
OUTPUTS = {False: "into new memory", True: "in place"}
PASSES = {"copy": "copy into memory in use", "negation": "negation in place"}


def draw(rows):
    rows = style.found(rows, part="roofline")
    if not rows:
        return None
    title = "Bytes read and written over time, 51M float32 elements"
    drawn, axes = style.figure(rows, title, 4.2)
    axis = axes[0, 0]
    style.bars(
        axis,
        COUNTED,
        OUTPUTS,
        lambda counted, inplace: _gigabytes(rows, what=counted, inplace=inplace),
        lambda rate: f"{rate:.1f}",
    )
    for at, (rival, label) in enumerate(PASSES.items()):
        rates = [
            row["bytes"] / row["rival_seconds"] / 1e9 for row in style.found(rows, rival=rival)
        ]
        if rates:
            rate = statistics.median(rates)
            look = {"color": style.COLOURS[at], "linewidth": 2, "linestyle": ("--", ":")[at]}
            axis.axhline(rate, label=f"PyTorch's {label}: {rate:.1f}", **look)
    axis.set_ylabel("GB/s")
    axis.set_ylim(top=1.4 * axis.get_ylim()[1])
    axis.legend(loc="upper left", ncols=2)
    return drawn


def _gigabytes(rows, **facts):
    matching = style.found(rows, **facts)
    return matching[0]["bytes"] / matching[0]["seconds"] / 1e9 if matching else None
