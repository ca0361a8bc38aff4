"""How time grows with elements, bins, units and threads, and what the data's spread does to it."""

from . import style

LAYOUTS = {"nchw": "NCHW", "features": "(N, features)"}
SPREADS = {
    "uniform": "uniform",
    "normal": "normal",
    "half_zeros": "half\nzeros",
    "one_value": "one\nvalue",
    "one_edge": "one\nedge",
}
BINS = {"log": "LogBins", "linear200": "200 linear bins"}
WORST_SPREAD = 1.3


def draw(rows):
    rows = style.found(rows, part="scaling")
    if not rows:
        return None
    drawn, axes = style.figure(
        rows, "How the time of CountingReLU grows (LogBins if not said otherwise)", 5.6, 2, 6
    )
    upper = [style.across(axes[0, at : at + 2]) for at in (0, 2, 4)]
    lower = [style.across(axes[1, :2]), style.across(axes[1, 2:])]
    for axis, part in zip(
        (*upper, *lower), (_elements, _bins, _units, _threads, _spread), strict=True
    ):
        part(axis, style.found(rows, what=part.__name__[1:]))
    return drawn


def _elements(axis, rows):
    for at, (label, seconds) in enumerate(
        (("CountingReLU", "seconds"), ("nn.ReLU", "rival_seconds"))
    ):
        style.line(
            axis,
            at,
            rows,
            lambda row: row["elements"],
            lambda row, seconds=seconds: 1e9 * row[seconds] / row["elements"],
            label,
        )
    axis.set_xscale("log", base=2)
    axis.set_xticks([1 << power for power in (10, 16, 22, 28)])
    axis.set_yscale("log")
    style.plain_ticks(axis.yaxis, [0.1, 0.2, 0.5, 1, 2, 5])
    axis.set_title("ns per element")
    axis.set_xlabel("elements")
    axis.legend()


def _bins(axis, rows):
    style.line(axis, 0, rows, lambda row: row["bins"], lambda row: row["ratio"], None, spread=True)
    axis.set_xscale("log", base=2)
    axis.set_xticks([1 << power for power in (0, 4, 8, 12)])
    axis.set_ylim(bottom=0)
    axis.set_title("time / time with 1 linear bin")
    axis.set_xlabel("linear bins")


def _units(axis, rows):
    for at, (layout, label) in enumerate(LAYOUTS.items()):
        style.line(
            axis,
            at,
            style.found(rows, layout=layout),
            lambda row: row["units"],
            lambda row: row["ratio"],
            label,
            spread=True,
        )
    axis.set_xscale("log", base=2)
    axis.set_xticks([1 << power for power in (0, 4, 8, 12, 16)])
    axis.set_ylim(bottom=0)
    axis.set_title("time / time with 1 unit")
    axis.set_xlabel("units")
    axis.legend()


def _threads(axis, rows):
    counts = sorted({row["threads"] for row in rows})
    axis.plot(counts, counts, color="black", linewidth=1, label="ideal")
    for at, (counted, label) in enumerate({"log": "CountingReLU", "plain": "nn.ReLU"}.items()):
        style.line(
            axis,
            at,
            style.found(rows, counted=counted),
            lambda row: row["threads"],
            lambda row: 1 / row["ratio"],
            label,
        )
    axis.set_xticks(counts)
    axis.set_ylim(bottom=0)
    axis.set_title("times as fast as 1 thread")
    axis.set_xlabel("threads")
    axis.legend()


def _spread(axis, rows):
    style.bars(
        axis,
        SPREADS,
        BINS,
        lambda spread, bins: style.ratio(rows, spread=spread, bins=bins),
        lambda ratio: f"{ratio:.2f}",
    )
    axis.axhline(WORST_SPREAD, color="black", linewidth=1, linestyle="--")
    axis.margins(y=0.2)
    axis.set_title("time / time with normal data; dashed: the goal")
    axis.legend(ncols=2, loc="upper left")
