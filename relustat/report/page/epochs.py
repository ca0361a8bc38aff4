"""What a page holds of the epochs of a call site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from relustat.report.shown import EpochCounts

from .numbers import plain

_TRENDS = ("inactive_fraction", "nan_fraction", "units", "dead", "deaths", "revivals")


def by_epoch(history: EpochCounts, site: str) -> dict[str, Any]:
    """The numbers of each span of epochs."""
    epochs, _ = history.trend(site, "zero_fraction")
    trends = {name: history.trend(site, name)[1] for name in _TRENDS}
    return {
        "epochs": epochs.tolist(),
        **{name: [plain(value) for value in values] for name, values in trends.items()},
    }


def silent_since(history: EpochCounts, site: str, width: int) -> Mapping[int, str]:
    """Since which epoch each unit is dead that was dead in the last one.

    A unit that is dead now and is not among them fell silent within the last epoch.
    """
    if width not in history.total(site).widths:
        return {}
    last = {span.first: span.last for span in history.spans}
    since = {int(unit): "the first" for unit in history.dead_units(site, width)}
    for first, units in history.deaths(site, width).items():
        label = f"{first}" if last[first] == first else f"{first} to {last[first]}"
        since.update({int(unit): label for unit in units if int(unit) in since})
    return since
