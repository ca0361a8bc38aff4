"""Files of statistics: ``.npz`` archives of integers, written whole or not at all.

An archive holds a JSON text ``relustat`` (version, call sites, bins) and one int64 array for each
count, named ``<call site>/<width>/<count>`` by number.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

# Raised when an older relustat could no longer read what is written.
VERSION = 1

_ARRAYS = ("zeros", "dead_calls", "slots")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` when it is complete, and is removed if it is not."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        try:
            file = draft.open("xb")
        except OSError as error:
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
        with file:
            yield file
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def check_version(name: str, state: dict[str, Any]) -> None:
    """Raises ValueError unless this relustat can read ``state``."""
    version = state.get("version") if isinstance(state, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"{name}: must be what relustat wrote, got no version")
    if version > VERSION:
        raise ValueError(
            f"{name}: this relustat reads versions up to {VERSION}, got version {version}; "
            "update relustat"
        )


def save(path: str | os.PathLike[str], states: dict[str, dict[str, Any]]) -> None:
    """Writes ``ReLUStats.to_dict()`` of each call site."""
    arrays: dict[str, Any] = {}
    sites = []
    for index, (site, state) in enumerate(states.items()):
        widths = {}
        for width, counts in state["widths"].items():
            for name in _ARRAYS:
                arrays[f"{index}/{width}/{name}"] = np.array(counts[name], dtype=np.int64)
            widths[width] = {"calls": counts["calls"], "elements": counts["elements"]}
        sites.append({"name": site, "bins": state["bins"], "widths": widths})
    text = json.dumps({"version": VERSION, "sites": sites})
    with replacing(path) as file:
        np.savez_compressed(file, relustat=np.array(text), **arrays)


def load(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Reads what :func:`save` wrote.

    Raises:
        ValueError: if it is no such file, or a newer relustat wrote it.
    """
    with open(path, "rb") as file:
        try:
            return _read(file)
        # A damaged archive makes zipfile, zlib, json and NumPy raise whatever they like.
        except Exception as error:
            raise ValueError(f"load: {path} must be a relustat stats file ({error})") from error


def _read(file: IO[bytes]) -> dict[str, dict[str, Any]]:
    with np.load(file, allow_pickle=False) as archive:
        described = json.loads(str(archive["relustat"]))
        check_version("load", described)
        states = {}
        for index, site in enumerate(described["sites"]):
            for width, counts in site["widths"].items():
                for name in _ARRAYS:
                    counts[name] = archive[f"{index}/{width}/{name}"]
            states[site["name"]] = {
                "version": described["version"],
                "bins": site["bins"],
                "widths": site["widths"],
            }
        return states
