"""Call sites that are one row."""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from relustat._messages import many
from relustat.stats.relu_stats import ReLUStats

from .call_site import CallSite

# More calls of one place are one row of the printed table.
_MOST_CALLS_APART = 10

Names = dict[str, list[str]]
"""The names of the call sites that are one row, by the name of the row."""


def by_module(call_sites: Mapping[str, CallSite]) -> Names:
    """A row for each module; functions that the model itself calls are the row "(model)"."""
    rows: Names = {}
    for name, site in call_sites.items():
        rows.setdefault(site.module or "(model)", []).append(name)
    return rows


def crowded_places(call_sites: Mapping[str, CallSite]) -> set[str]:
    """The places with so many calls that they are one row."""
    counts = Counter(site.place for site in call_sites.values())
    return {place for place, count in counts.items() if count > _MOST_CALLS_APART}


def by_place(call_sites: Mapping[str, CallSite], places: Collection[str] | None) -> Names:
    """A row for each call site, but one for all calls of some places.

    Args:
        call_sites: where the call sites are.
        places: those places, whose rows have the same name however many calls there were; None: the
            crowded ones.
    """
    joined = crowded_places(call_sites) if places is None else places
    names: Names = {}
    for name, site in call_sites.items():
        names.setdefault(site.place, []).append(name)
    rows: Names = {}
    for name, site in call_sites.items():
        if site.place in joined:
            calls = many(len(names[site.place]), "call") if places is None else "all calls"
            rows[f"{site.place} ({calls})"] = names[site.place]
        else:
            rows[name] = [name]
    return rows


def sums(stats: Mapping[str, ReLUStats], rows: Names) -> dict[str, ReLUStats]:
    """The sum of each row, of the call sites that have counts."""
    added = {}
    for row, names in rows.items():
        counted = [stats[name] for name in names if name in stats]
        if counted:
            added[row] = functools.reduce(operator.add, counted)
    return added


def merged(sites: Sequence[CallSite], place: str) -> CallSite:
    """What is said of all call sites of a row."""
    return functools.reduce(CallSite.merged, (site._replace(place=place) for site in sites))
