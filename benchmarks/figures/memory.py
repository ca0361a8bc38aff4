"""Bytes that counting takes, and that pools keep for backward."""

from harness.table import in_bytes

from . import style

COUNTED = {
    "zeros": "zeros only",
    "log": "LogBins",
    "linear200": "200 linear bins",
    "units_linear200": "the same per unit",
}
COUNTERS = {"bytes": "CountingReLU's counters, once", "rival_bytes": "the output, each call"}
GEOMETRIES = {"k2s2": "2x2, stride 2", "k3s2": "3x3, stride 2"}
SAVED = {
    "switches": "relustat: switches",
    "indices": "PyTorch: indices",
    "indices_and_input": "PyTorch: indices and input",
}


def draw(rows):
    rows = style.found(rows, part="memory")
    if not rows:
        return None
    drawn, axes = style.figure(
        rows, "Memory that counting takes, and that a pool keeps for backward", 5.6, 2, 1
    )
    relu, pool = axes[:, 0]
    counters = style.found(rows, rival="nn.ReLU's output")
    style.bars(relu, COUNTED, COUNTERS, _bytes_of(counters), in_bytes)
    relu.set_title("CountingReLU, float32 16x64x79x79: 64 units")
    relu.set_yscale("log")
    relu.set_ylim(1e2, 1e10)
    relu.set_yticks([1e3, 1e6, 1e9], ["1 kB", "1 MB", "1 GB"])
    relu.minorticks_off()
    saved = style.found(rows, what="saved for backward")
    style.bars(pool, GEOMETRIES, SAVED, _bytes_saved(saved), in_bytes)
    pool.set_title("max_pool2d, float32 16x64x112x112")
    pool.set_ylim(top=1.5 * max(row["rival_bytes"] for row in saved))
    pool.yaxis.set_major_formatter(lambda count, _: f"{count / 1e6:g} MB")
    for axis in axes[:, 0]:
        axis.legend(loc="upper left")
    return drawn


def _bytes_of(rows):
    return lambda counted, name: next((row[name] for row in rows if row["what"] == counted), None)


def _bytes_saved(rows):
    def saved(geometry, name):
        rival = "indices" if name == "switches" else name
        matching = style.found(rows, geometry=geometry, rival=rival)
        return matching[0]["bytes" if name == "switches" else "rival_bytes"] if matching else None

    return saved
