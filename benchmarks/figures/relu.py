"""The time of counting over nn.ReLU, by size, dtype and layout."""

from . import style

COUNTED = {
    "zeros": "zeros only",
    "log": "LogBins",
    "linear200": "200 linear bins",
    "units_linear200": "200 linear bins per unit",
}
LAYOUTS = {"nchw": "NCHW", "channels_last": "channels_\nlast", "features": "(N,\nfeatures)"}


def draw(rows):
    rows = style.found(rows, part="relu", rival="nn.ReLU")
    if not rows:
        return None
    drawn, axes = style.figure(
        rows,
        "Time of CountingReLU / time of nn.ReLU: below 1 is faster",
        3.9,
        1,
        3,
        sharey=True,
        width_ratios=(5, 3, 5),
    )
    by_size = {
        "float32, NCHW (1K, 48K: features)": [
            row
            for row in style.found(rows, dtype="float32")
            if row["layout"] == "nchw" or row["size"] in ("48K", "1K")
        ],
        "bfloat16, NCHW": style.found(rows, dtype="bfloat16"),
    }
    for axis, (title, shown) in zip(axes[0], by_size.items(), strict=False):
        _lines(axis, sorted(shown, key=lambda row: row["elements"]))
        axis.set_title(title)
    of_layouts = style.found(rows, dtype="float32", size="6M")
    style.bars(
        axes[0, 2],
        LAYOUTS,
        COUNTED,
        lambda layout, counted: style.ratio(of_layouts, layout=layout, what=counted),
        style.times,
    )
    axes[0, 2].set_title("float32, 6M elements")
    axes[0, 0].set_yscale("log")
    style.plain_ticks(axes[0, 0].yaxis, [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64])
    for axis in axes[0]:
        axis.axhline(1, color="black", linewidth=1)
    axes[0, 2].legend(loc="upper left")
    return drawn


def _lines(axis, rows):
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    for at, (counted, label) in enumerate(COUNTED.items()):
        shown = style.found(rows, what=counted)
        style.line(
            axis,
            at,
            shown,
            lambda row: sizes.index(row["size"]),
            lambda row: row["ratio"],
            label,
            spread=True,
        )
    axis.set_xticks(range(len(sizes)), sizes)
    axis.set_xlabel("elements")
