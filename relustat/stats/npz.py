"""Files of statistics: ``.npz`` archives of integers, written whole or not at all.

An archive holds a JSON text ``relustat`` (version, call sites, bins) and one int64 array for each
count, named ``<call site>/<width>/<count>`` by number. The archive of a history holds all counts
of all spans in one array, ``counts``, and their shapes in the text. Calls since units fired have an
array of their own there, which version 0.1 neither wrote nor misses.
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

# Increases when an older relustat can no longer read what is written.
VERSION = 1

_ARRAYS = ("zeros", "dead_calls", "slots")
_SINCE = "since_fired"
_SATURATED = "saturated"  # only of an activation with an upper knee
# An archive under such a name would be taken for something else.
_OTHER_KINDS = frozenset({".csv", ".htm", ".html", ".json", ".png"})
_HISTORY_ARRAYS = (*_ARRAYS, "dead_epochs", "deaths", "revivals", "dead")


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
            "update relustat"
        )


class Archive(NamedTuple):
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
    """Writes what :class:`Archive` holds."""
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
    for width in _widths_of(state):
        since_fired.append(np.array(width.pop(_SINCE), dtype=np.int64))
        for name in _in_history(width):
            array = np.array(width[name], dtype=np.int64)
            width[name] = array.shape
            counts.append(array.ravel())
    arrays = {"counts": np.concatenate(counts), _SINCE: np.concatenate(since_fired)}
    _write(path, state, arrays)


def _in_history(width: dict[str, Any]) -> tuple[str, ...]:
    return (*_HISTORY_ARRAYS, _SATURATED) if _SATURATED in width else _HISTORY_ARRAYS


def _widths_of(state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for span in state["windows"]:
        for site in span["call_sites"].values():
            yield from site["widths"].values()


def _write(path: str | os.PathLike[str], described: dict[str, Any], arrays: dict[str, Any]) -> None:
    if Path(path).suffix.lower() in _OTHER_KINDS:
        name = printable(os.fspath(path))
        raise ValueError(f"save: path must be that of a .npz or .json file, got {name}")
    with replacing(path) as file:
        np.savez_compressed(file, relustat=np.array(json.dumps(described)), **arrays)


def load(path: str | os.PathLike[str]) -> Archive:
    """Reads what :func:`save` wrote.

    Raises:
        ValueError: if it is not such a file, or a newer relustat wrote it.
    """
    with _reading(path, "stats") as (described, archive):
        if "windows" in described:
            spans = len(described["windows"])
            raise _ForeseenError(f"got a history of {spans} spans; History.load reads it")
        states = {}
        for index, site in enumerate(described["sites"]):
            for width, counts in site["widths"].items():
                for name in (*_ARRAYS, _SINCE, _SATURATED):
                    if name in _ARRAYS or f"{index}/{width}/{name}" in archive:
                        counts[name] = archive[f"{index}/{width}/{name}"]
            states[str(site.pop("name"))] = {**site, "version": described["version"]}
        return Archive(states, list(map(str, described.get("warnings", []))))


def load_history(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what :func:`save_history` wrote; errors are those of :func:`load`."""
    with _reading(path, "history") as (state, archive):
        if "sites" in state:
            sites = len(state["sites"])
            raise _ForeseenError(f"got statistics of {sites} call sites; Report.load reads them")
        counts, at = archive["counts"], 0
        since_fired, of_unit = archive.get(_SINCE), 0
        for width in _widths_of(state):
            for name in _in_history(width):
                shape = width[name]
                width[name] = counts[at : at + math.prod(shape)].reshape(shape)
                at += math.prod(shape)
            if since_fired is not None:
                units = len(width["zeros"])
                width[_SINCE] = since_fired[of_unit : of_unit + units]
                of_unit += units
        return state


@contextlib.contextmanager
def _reading(path: str | os.PathLike[str], kind: str) -> Iterator[tuple[dict[str, Any], Any]]:
    """The JSON text and the archive."""
    rule = f"load: {printable(os.fspath(path))} must be a relustat {kind} file"
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                described = json.loads(str(archive["relustat"]))
                check_version("load", described)
                yield described, archive
        except _ForeseenError as error:
            raise ValueError(f"{rule} ({error})") from error
        # zipfile, zlib, json and NumPy raise many kinds of errors on a damaged archive. NumPy's
        # advise to unpickle it.
        except Exception as error:
            raise ValueError(f"{rule}, got something else, or it is damaged") from error
