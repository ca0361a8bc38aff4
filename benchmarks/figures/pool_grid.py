"""Every row of the grid of pools: how many times as fast as PyTorch, by size and geometry."""

import numpy as np
from matplotlib.colors import TwoSlopeNorm

from . import style

WHAT = {"pool": "max_pool2d", "unpool": "max_unpool2d", "backward": "backward of max_pool2d"}
SERIES = {
    ("float32", "nchw"): "float32",
    ("bfloat16", "nchw"): "bfloat16",
    ("float32", "channels_last"): "float32, channels_last",
    ("bfloat16", "channels_last"): "bfloat16, channels_last",
}
# As doublings: a quarter to sixteen times as fast.
SLOWEST, FASTEST = -2, 4
# Above it black is not readable.
READABLE = 5


def draw(rows):
    rows = [row for row in style.found(rows, part="grid") if row["what"] in WHAT]
    if not rows:
        return None
    drawn, axes = style.figure(
        rows, "How many times as fast as PyTorch: orange is slower, violet faster", 13, 3, 1
    )
    columns = sorted({(row["batch"], row["size"]) for row in rows})
    geometries = list(dict.fromkeys(row["geometry"] for row in rows))
    labels = [
        f"{geometry}  {label}" if at == 0 else label
        for geometry in geometries
        for at, label in enumerate(SERIES.values())
    ]
    for axis, (what, title) in zip(axes[:, 0], WHAT.items(), strict=True):
        _table(axis, style.found(rows, what=what), columns, geometries)
        axis.set_title(title)
        axis.set_yticks(range(len(labels)), labels)
    (first, _), (last, _) = columns[0], columns[-1]
    axis.set_xlabel(
        f"size of a map; batch {first} left of the line, {last} right of it\n"
        "k3s2p1: kernel 3, stride 2, padding 1"
    )
    return drawn


def _table(axis, rows, columns, geometries):
    ratios = np.array(
        [
            [
                1
                / style.ratio(
                    rows, geometry=geometry, dtype=dtype, layout=layout, batch=batch, size=size
                )
                for batch, size in columns
            ]
            for geometry in geometries
            for dtype, layout in SERIES
        ]
    )
    norm = TwoSlopeNorm(0, SLOWEST, FASTEST)
    axis.imshow(np.log2(ratios), cmap="PuOr", norm=norm, aspect="auto")
    for (row, column), ratio in np.ndenumerate(ratios):
        colour = "white" if ratio > READABLE else "black"
        text = {"ha": "center", "va": "center", "fontsize": 7, "color": colour}
        axis.text(column, row, style.times(ratio), **text)
    batches = [batch for batch, _ in columns]
    axis.set_xticks(range(len(columns)), [size for _, size in columns])
    axis.axvline(batches.count(batches[0]) - 0.5, color="black", linewidth=1)
    for at in range(1, len(geometries)):
        axis.axhline(at * len(SERIES) - 0.5, color="black", linewidth=0.8)
    axis.grid(visible=False)
