"""The time of counting over nn.ReLU, by size, dtype and layout."""

from . import style

COUNTED = {
    "zeros": "zeros only",
    "log": "LogBins",
    "linear200": "200 linear bins",
    "units_linear200": "200 linear bins per unit",
}
LAYOUTS = {"nchw": "NCHW", "channels_last": "channels_last", "features": "(N, features)"}


def draw(rows):
    rows = style.found(rows, part="relu", rival="nn.ReLU")
    if not rows:
        return None
    drawn, axes = style.figure(
        rows,
        "Time of CountingReLU / time of nn.ReLU: below 1 is faster",
        6.2,
        2,
        2,
        width_ratios=(5, 3),
    )
    (by_float32, by_bfloat16), by_layout = axes[0], style.across(axes[1])
    float32 = style.found(rows, dtype="float32")
    _lines(by_float32, [row for row in float32 if _in_first_panel(row)])
    by_float32.set_title("float32, NCHW (1K, 48K: features)")
    _lines(by_bfloat16, style.found(rows, dtype="bfloat16"))
    by_bfloat16.set_title("bfloat16, NCHW")
    by_bfloat16.sharey(by_float32)
    by_bfloat16.legend(loc="upper right")
    of_layouts = style.found(float32, size="6M")
    style.bars(
        by_layout,
        LAYOUTS,
        COUNTED,
        lambda layout, counted: style.ratio(of_layouts, layout=layout, what=counted),
        style.times,
    )
    by_layout.set_title("float32, 6M elements")
    for axis in (by_float32, by_layout):
        axis.set_yscale("log")
        style.plain_ticks(axis.yaxis, [0.25, 0.5, 1, 2, 4, 8, 16, 32])
    by_layout.set_ylim(0.5, 1.3 * max(row["ratio"] for row in of_layouts))
    for axis in (*axes[0], by_layout):
        axis.axhline(1, color="black", linewidth=1)
    return drawn


def _in_first_panel(row):
    return row["layout"] == "nchw" or row["size"] in ("48K", "1K")


def _lines(axis, rows):
    rows = sorted(rows, key=lambda row: row["elements"])
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    for at, (counted, label) in enumerate(COUNTED.items()):
        # Side by side, so that none hides another.
        aside = 0.08 * (at - 1.5)
        style.line(
            axis,
            at,
            style.found(rows, what=counted),
            lambda row, aside=aside: sizes.index(row["size"]) + aside,
            lambda row: row["ratio"],
            label,
            spread=True,
        )
    axis.set_xticks(range(len(sizes)), sizes)
    axis.set_xlabel("elements")
