"""Reports as plain numbers, lists and strings, for files."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from relustat._printable import printable
from relustat.stats import json_file, npz
from relustat.stats.relu_stats import ReLUStats

from .call_site import CallSite


class Saved(NamedTuple):
    """What a report is made of, in the order in which it takes it."""

    stats: dict[str, ReLUStats]
    given: list[str]
    call_sites: dict[str, CallSite]
    groups: dict[str, dict[str, ReLUStats]]


def sites_to_npz(
    stats: Mapping[str, ReLUStats], call_sites: Mapping[str, CallSite]
) -> dict[str, dict[str, Any]]:
    """What :func:`relustat.stats.npz.save` takes."""
    return {
        name: {**each.to_dict(), "where": call_sites[name]._asdict()}
        for name, each in stats.items()
    }


def sites_from_npz(contents: npz.Contents) -> Saved:
    """What :func:`relustat.stats.npz.load` gave."""
    states = contents.states
    stats = {name: ReLUStats.from_dict(state) for name, state in states.items()}
    call_sites = {
        name: CallSite.from_dict(name, state.get("where", {})) for name, state in states.items()
    }
    return Saved(stats, contents.warnings, call_sites, {})


def read(path: str | os.PathLike[str]) -> Saved:
    """What a file of a report holds, or a file of the counts of one ReLU, whose name is "".

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not such a file, or a newer relustat wrote it.
    """
    if json_file.is_json(path):
        with json_file.reading(path, "stats") as state:
            if isinstance(state, dict) and "widths" in state:
                return Saved({"": ReLUStats.from_dict(state)}, [], {"": CallSite("", "")}, {})
            return from_dict(state)
    contents = npz.load(path)
    try:
        return sites_from_npz(contents)
    except ValueError as error:
        name = printable(os.fspath(path))
        raise ValueError(f"load: {name} must be a relustat stats file ({error})") from error


def from_dict(state: dict[str, Any]) -> Saved:
    """What ``Report.to_dict`` gave.

    Raises:
        ValueError: if it is not such a dict, or a newer relustat wrote it.
    """
    npz.check_version("from_dict", state)
    try:
        where = state.get("where", {})
        sites = state["call_sites"].items()
        groups = state.get("groups", {})
        if any("groups" in each for each in groups.values()):
            raise ValueError("from_dict: a group must have no groups of its own")
        return Saved(
            {name: ReLUStats.from_dict(each) for name, each in sites},
            list(map(str, state.get("given_warnings", []))),
            {name: CallSite.from_dict(name, where.get(name, {})) for name, _ in sites},
            {name: from_dict(each).stats for name, each in groups.items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"from_dict: must be what to_dict() returns, got {error!r}") from error


def finite(numbers: dict[str, Any]) -> dict[str, Any]:
    """The numbers with None for those that JSON does not know."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
