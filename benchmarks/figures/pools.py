"""The speed of pooling with switches, unpooling and the backward, relative to PyTorch."""

from . import style

GEOMETRIES = {
    "k2s2": "2x2, stride 2",
    "k3s2": "3x3, stride 2",
    "k3s2p1": "3x3, stride 2,\npadding 1",
    "k5s3p2": "5x5, stride 3,\npadding 2",
    "k5s3": "5x5, stride 3",
}
POOLED = {
    ("indices", "float32", "nchw"): "float32 NCHW",
    ("plain", "float32", "nchw"): "the same, against no indices",
    ("compiled", "float32", "nchw"): "the same, against compiled",
    ("nn.MaxPool2d", "float32", "nchw"): "the same, and its backward",
    ("indices", "bfloat16", "nchw"): "bfloat16 NCHW",
    ("indices", "float32", "channels_last"): "float32 channels_last",
    ("indices", "bfloat16", "channels_last"): "bfloat16 channels_last",
}
UNPOOLED = {
    ("55", "float32", "nchw"): "float32 NCHW, 55",
    ("112", "float32", "nchw"): "float32 NCHW, 112",
    ("55", "float32", "channels_last"): "float32 channels_last, 55",
    ("112", "float32", "channels_last"): "float32 channels_last, 112",
    ("55", "bfloat16", "nchw"): "bfloat16 NCHW, 55",
    ("112", "bfloat16", "nchw"): "bfloat16 NCHW, 112",
}


def draw(rows):
    rows = style.found(rows, part="pool")
    if not rows:
        return None
    drawn, axes = style.figure(
        rows, "How many times as fast as PyTorch's pools: below 1 is slower", 8.8, 3, 1
    )
    pool, unpool, backward = axes[:, 0]
    pooled = style.found(rows, what="pool") + style.found(rows, what="pool, forward and backward")
    _bars(pool, pooled, POOLED, ("rival", "dtype", "layout"), 3)
    pool.set_title("max_pool2d with switches, against max_pool2d with indices, 16x64x112x112")
    for axis, what, title in (
        (unpool, "unpool", "max_unpool2d, to 16x64x55x55 and 16x64x112x112"),
        (backward, "pool backward", "backward of max_pool2d, to 16x64x55x55 and 16x64x112x112"),
    ):
        shown = style.found(rows, what=what)
        _bars(axis, shown, UNPOOLED, ("size", "dtype", "layout"), 3)
        axis.set_title(title)
    return drawn


def _bars(axis, rows, series, facts, columns):
    def times_as_fast(geometry, name):
        ratio = style.ratio(rows, geometry=geometry, **dict(zip(facts, name, strict=True)))
        return None if ratio is None else 1 / ratio

    measured = {row["geometry"] for row in rows}
    groups = {name: label for name, label in GEOMETRIES.items() if name in measured}
    style.bars(axis, groups, series, times_as_fast, style.times)
    axis.set_yscale("log")
    style.plain_ticks(axis.yaxis, [0.5, 1, 2, 4, 8, 16])
    axis.set_ylim(0.5, 9 / min(row["ratio"] for row in rows))
    axis.axhline(1, color="black", linewidth=1)
    axis.legend(loc="upper left", ncols=columns)
