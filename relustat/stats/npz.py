"""Files of statistics: ``.npz`` archives of integers, written whole or not at all.

An archive holds a JSON text ``relustat`` (version, call sites, bins) and one int64 array for each
count, named ``<call site>/<width>/<count>`` by number. The archive of a history holds all counts
of all spans in one array, ``counts``, and their shapes in the text. Calls since units fired have an
array of their own there, which version 0.1 neither wrote nor misses. The text names the ``arrays``
that are there of each width; that of 0.1 names none.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from relustat._files import replacing
from relustat._printable import printable

from . import archive
from .activation import Activation
from .bins import bins_from_dict
from .counter_layout import slot_count

# Increases when an older relustat can no longer read what is written.
VERSION = 1

_ARRAYS = ("zeros", "dead_calls", "slots")  # all that version 0.1 wrote
_SINCE = "since_fired"
_SATURATED = "saturated"  # only of an activation with an upper knee
# An archive under such a name would be taken for something else.
_OTHER_KINDS = frozenset({".csv", ".htm", ".html", ".json", ".png"})
_LIFETIMES = ("dead_epochs", "deaths", "revivals", "dead")
_HISTORY_ARRAYS = (*_ARRAYS, *_LIFETIMES)

_Shapes = tuple[tuple[int, ...], ...]


class _ForeseenError(ValueError):
    """An error whose message helps."""


def check_version(name: str, state: dict[str, Any]) -> None:
    """Raises ValueError unless this relustat can read ``state``."""
    version = state.get("version") if isinstance(state, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _ForeseenError(f"{name}: must be what relustat wrote, got no version")
    if version > VERSION:
        raise _ForeseenError(
            f"{name}: this relustat reads versions up to {VERSION}, got version {version}; "
            "install a newer relustat"
        )


class Contents(NamedTuple):
    """What :func:`load` reads.

    Attributes:
        states: ``ReLUStats.to_dict()`` of each call site.
        warnings: what whoever counted has warned of.
    """

    states: dict[str, dict[str, Any]]
    warnings: list[str]


def save(
    path: str | os.PathLike[str], states: dict[str, dict[str, Any]], warnings: Sequence[str] = ()
) -> None:
    """Writes what :class:`Contents` holds."""
    arrays: dict[str, Any] = {}
    sites = []
    for index, (site, state) in enumerate(states.items()):
        widths = {}
        for width, counts in state["widths"].items():
            for name in (*_ARRAYS, _SINCE, _SATURATED):
                if name in counts:
                    arrays[f"{index}/{width}/{name}"] = np.array(counts[name], dtype=np.int64)
            widths[width] = {name: n for name, n in counts.items() if isinstance(n, int)}
        sites.append({**state, "name": site, "widths": widths})
    described: dict[str, Any] = {"version": VERSION, "sites": sites}
    if warnings:
        described["warnings"] = list(warnings)
    _write(path, described, arrays)


def save_history(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Writes ``History.to_dict()``. The dict is changed."""
    counts = [np.zeros(0, np.int64)]
    since_fired = [np.zeros(0, np.int64)]
    for _, _, width in _widths_of(state):
        since_fired.append(np.array(width.pop(_SINCE), dtype=np.int64))
        for name in _in_history(width):
            array = np.array(width[name], dtype=np.int64)
            width[name] = array.shape
            counts.append(array.ravel())
    arrays = {"counts": np.concatenate(counts), _SINCE: np.concatenate(since_fired)}
    _write(path, state, arrays)


def _in_history(width: dict[str, Any]) -> tuple[str, ...]:
    return (*_HISTORY_ARRAYS, _SATURATED) if _SATURATED in width else _HISTORY_ARRAYS


def _widths_of(state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    """The state of each call site in each span, and its widths with their counts."""
    for span in state["windows"]:
        for site in span["call_sites"].values():
            for width, counts in site["widths"].items():
                yield site, width, counts


def _write(path: str | os.PathLike[str], described: dict[str, Any], arrays: dict[str, Any]) -> None:
    if Path(path).suffix.lower() in _OTHER_KINDS:
        name = printable(os.fspath(path))
        raise ValueError(f"save: path must be that of a .npz or .json file, got {name}")
    text = np.array(json.dumps({**described, "arrays": [*_ARRAYS, _SINCE]}))
    write = np.savez_compressed if text.nbytes <= archive.MOST_TEXT else np.savez
    with replacing(path) as file:
        write(file, relustat=text, **arrays)


def _shapes_of(site: dict[str, Any], width: str) -> dict[str, _Shapes]:
    """The shapes that the counts of a width may have."""
    units, bins = int(width), bins_from_dict(site["bins"])
    slots = slot_count(0 if bins is None else len(bins))
    of_units = dict.fromkeys((*_ARRAYS, _SINCE, *_LIFETIMES, _SATURATED), ((units,),))
    if Activation.from_dict(site.get("activation")).upper is None:
        del of_units[_SATURATED]
    return {**of_units, "slots": ((1, slots), (units, slots))}


def load(path: str | os.PathLike[str]) -> Contents:
    """Reads what :func:`save` wrote.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not such a file, or a newer relustat wrote it.
    """
    with _reading(path, "stats") as (described, members):
        if "windows" in described:
            spans = len(described["windows"])
            raise _ForeseenError(f"got a history of {spans} spans; History.load reads it")
        states: dict[str, dict[str, Any]] = {}
        for index, site in enumerate(described["sites"]):
            for width, counts in site["widths"].items():
                shapes = _shapes_of(site, width)
                for name in (*_ARRAYS, _SINCE, _SATURATED):
                    member = f"{index}/{width}/{name}"
                    if name in described.get("arrays", _ARRAYS) or member in members:
                        counts[name] = members.integers(member, *shapes[name])
            called = str(site.pop("name"))
            if called in states:
                raise ValueError(f"each call site must be there once, got {called} twice")
            states[called] = {**site, "version": described["version"]}
        return Contents(states, list(map(str, described.get("warnings", []))))


def load_history(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what :func:`save_history` wrote; errors are those of :func:`load`."""
    with _reading(path, "history") as (state, members):
        if "sites" in state:
            sites = len(state["sites"])
            raise _ForeseenError(f"got statistics of {sites} call sites; Report.load reads them")
        arrays: list[tuple[dict[str, Any], str, tuple[int, ...]]] = []
        of_since: list[tuple[dict[str, Any], str, tuple[int, ...]]] = []
        for site, width, counts in _widths_of(state):
            shapes = _shapes_of(site, width)
            for name in _in_history(counts):
                shape = tuple(counts[name])
                if shape not in shapes[name]:
                    raise ValueError(f"{name} must be one of {shapes[name]}, got {shape}")
                arrays.append((counts, name, shape))
            of_since.append((counts, _SINCE, shapes[_SINCE][0]))
        _divide(members, "counts", arrays)
        if _SINCE in state.get("arrays", ()) or _SINCE in members:
            _divide(members, _SINCE, of_since)
        return state


def _divide(
    members: archive.Archive, name: str, arrays: list[tuple[dict[str, Any], str, tuple[int, ...]]]
) -> None:
    """Puts the parts of one array where they belong: into a dict, by a name, in a shape."""
    sizes = [math.prod(shape) for _, _, shape in arrays]
    whole, at = members.integers(name, (sum(sizes),)), 0
    for (counts, key, shape), size in zip(arrays, sizes, strict=True):
        counts[key] = whole[at : at + size].reshape(shape)
        at += size


@contextlib.contextmanager
def _reading(
    path: str | os.PathLike[str], kind: str
) -> Iterator[tuple[dict[str, Any], archive.Archive]]:
    """The JSON text and the archive."""
    rule = f"load: {printable(os.fspath(path))} must be a relustat {kind} file"
    with open(path, "rb") as file:
        try:
            members = archive.Archive(file)
            described = json.loads(members.text("relustat"))
            check_version("load", described)
            yield described, members
        except _ForeseenError as error:
            raise ValueError(f"{rule} ({error})") from error
        # zipfile, zlib, json and NumPy raise many kinds of errors on a damaged archive.
        except Exception as error:
            raise ValueError(f"{rule}, got something else, or it is damaged") from error
