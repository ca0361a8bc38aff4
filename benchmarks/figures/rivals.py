"""The speed of CountingReLU, relative to other ways to count."""

from . import style

LABELS = {
    "Histc": "relu, torch.histc, zero count per channel",
    "TunedHistc": "the same, tuned by hand",
    "CompiledHistc": "the same, torch.compile",
    "Histogram": "relu, torch.histogram",
    "Observer": "relu, torch.ao HistogramObserver",
    "NumPyHook": "nn.ReLU, np.histogram in a hook",
    "MonitorchLens": "nn.ReLU, monitorch OutputActivation (rates only)",
    "Loop": "relu, zeros counted in a Python loop",
    "fast_histogram": "fast-histogram, no ReLU",
    "boost_histogram": "boost-histogram, no ReLU",
}
SIZES = ("51M", "6M", "0.8M", "1K")


def draw(rows):
    rows = [row for row in style.found(rows, part="relu") if row["rival"] in LABELS]
    if not rows:
        return None
    rows.sort(key=_place)
    drawn, axes = style.figure(
        rows, "How many times as fast CountingReLU is, with 200 bins and zeros per channel", 4.6
    )
    axis = axes[0, 0]
    for position, row in enumerate(rows):
        axis.barh(position, 1 / row["ratio"], color=style.COLOURS[0])
        ends = 1 / row["high"], 1 / row["low"]
        axis.hlines(position, *ends, color="black", linewidth=1)
        axis.annotate(
            style.times(1 / row["ratio"]),
            (ends[1], position),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axis.set_yticks(range(len(rows)), [_label(row) for row in rows])
    axis.invert_yaxis()
    axis.set_xscale("log")
    style.plain_ticks(axis.xaxis, [1, 2, 5, 10, 20, 50, 100, 200, 500])
    axis.set_xlim(0.5, 2 * max(1 / row["low"] for row in rows))
    axis.axvline(1, color="black", linewidth=1)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("time of the rival / time of CountingReLU, float32\n51M to 1K: elements")
    return drawn


def _place(row):
    return list(LABELS).index(row["rival"]), SIZES.index(row["size"]), -row["threads"]


def _label(row):
    threads = f", {row['threads']} threads" if row["threads"] > 1 else ", 1 thread"
    library = row["rival"].endswith("_histogram")
    return f"{LABELS[row['rival']]}; {row['size']}{threads if library else ''}"
