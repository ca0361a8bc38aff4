"""What the figures have in common: readable in print, without colour, and on a dark page."""

import statistics

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullLocator

# Okabe and Ito's colours, told apart by the colour-blind; markers and hatches tell the rest.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#777777")
MARKERS = "osD^"
DASHES = ("-", "--", "-.", ":")
HATCHES = ("", "///", "---", "xxx", "\\\\\\", "++", "|||")
# Keeps a number legible where a line or a neighbour's bar runs into it.
BACKED = {"facecolor": "white", "edgecolor": "none", "pad": 0.2, "alpha": 0.8}
WIDTH = 7.2

mpl.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "legend.fontsize": 8,
        "legend.handlelength": 1.6,
        "legend.columnspacing": 1.2,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#dddddd",
        "hatch.linewidth": 0.6,
        "svg.hashsalt": "relustat",
    }
)


def figure(rows, title, height, *grid, **options):
    """A figure and its axes, with a title and, below, what was measured where."""
    drawn, axes = plt.subplots(
        *grid, figsize=(WIDTH, height), layout="constrained", squeeze=False, **options
    )
    machine = rows[-1]["machine"]
    threads = statistics.mode(row["threads"] for row in rows)
    relustat, torch, *_ = machine["versions"].split(", ")
    measured = [
        f"{machine['machine']}, {threads} thread{'s' if threads > 1 else ''}, {machine['date']}",
        f"{relustat}, {torch}; memory: {machine['memory']}",
    ]
    drawn.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    drawn.supxlabel("\n".join(measured), x=0.01, ha="left", fontsize=8, color="#444444")
    return drawn, axes


def across(axes):
    """One axis in the place of these neighbours."""
    drawn = axes[0].figure
    first, *_, last = (axis.get_subplotspec() for axis in axes)
    for axis in axes:
        axis.remove()
    return drawn.add_subplot(first.get_gridspec()[first.num1 : last.num1 + 1])


def line(axis, at, rows, x, y, label, spread=False):
    """The ``at``-th line: ``x`` and ``y`` of each row, and the quartiles of its ratio if asked."""
    rows = sorted(rows, key=x)  # of several files
    positions, heights = [x(row) for row in rows], [y(row) for row in rows]
    look = {"color": COLOURS[at], "marker": MARKERS[at], "linestyle": DASHES[at]}
    axis.plot(positions, heights, markersize=5, label=label, **look)
    if spread:
        ends = [row["low"] for row in rows], [row["high"] for row in rows]
        axis.vlines(positions, *ends, color=COLOURS[at], linewidth=2, alpha=0.5)


def bars(axis, groups, series, value, text):
    """Bars side by side in each group; ``value(group, name)`` is None where there is none.

    ``groups`` and ``series`` are dictionaries from what rows say to what the figure says.
    """
    width = 0.86 / len(series)
    for at, (name, label) in enumerate(series.items()):
        heights = [value(group, name) for group in groups]
        positions = np.arange(len(groups)) + (at - (len(series) - 1) / 2) * width
        shown = [position for position in range(len(groups)) if heights[position] is not None]
        drawn = axis.bar(
            positions[shown],
            [heights[position] for position in shown],
            width,
            color=COLOURS[at],
            hatch=HATCHES[at],
            edgecolor="white",
            label=label,
        )
        texts = [text(heights[position]) for position in shown]
        axis.bar_label(drawn, texts, padding=1, fontsize=8, bbox=BACKED)
        for position in set(range(len(groups))) - set(shown):
            _say_not_measured(axis, positions[position])
    axis.set_xticks(range(len(groups)), groups.values())
    axis.set_xlim(-0.6, len(groups) - 0.4)
    axis.grid(axis="x", visible=False)


def _say_not_measured(axis, position):
    look = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 7, "color": "#777777"}
    axis.text(position, 0.02, "not measured", transform=axis.get_xaxis_transform(), **look)


def times(ratio):
    """A ratio of times as a short number."""
    return f"{ratio:.{2 if ratio < 0.95 else 1 if ratio < 9.95 else 0}f}"


def plain_ticks(axis, ticks):
    """These ticks only, as plain numbers, on a logarithmic axis."""
    axis.set_ticks(ticks)
    axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    axis.set_minor_locator(NullLocator())


def found(rows, **facts):
    """The rows that say so."""
    return [row for row in rows if all(row.get(name) == fact for name, fact in facts.items())]


def ratio(rows, **facts):
    """The ratio of the row that says so, if there is one."""
    matching = found(rows, **facts)
    return matching[0]["ratio"] if matching else None
