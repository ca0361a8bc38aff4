"""What a report says of dead units."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from relustat.stats.relu_stats import ReLUStats


def only_inactive(stats: ReLUStats) -> str:
    """What dead units did, for messages."""
    return "gave only zeros" if stats.activation.gives_zero else "were inactive throughout"


def has_several_samples(stats: ReLUStats) -> bool:
    """Whether a unit has several elements in a call: of a single one, dead means zero."""
    return any(counts.elements > counts.calls * width for width, counts in stats.by_width.items())


def died(stats: ReLUStats) -> Iterator[str]:
    """Which units have fired, and are dead now."""
    for width in stats.widths:
        part = stats.of_width(width)
        since = part.calls_since_fired[np.setdiff1d(part.dead_now_units, part.dead_units)]
        if not len(since):
            continue
        least, most = int(since.min()), int(since.max())
        of_width = " of that width" if len(stats.widths) > 1 else ""
        last = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        first = f"{part.calls - most:,}"
        begin = first if least == most else f"{first} to {part.calls - least:,}"
        # What lies side by side has no common first call.
        when = f", since call {begin}" if part.parts == 1 else f" of each of {part.parts} parts"
        were = only_inactive(stats)
        died = f"{len(since)} of {width} units {were} in the last {last} calls"
        yield f"{died}{of_width}{when}"
