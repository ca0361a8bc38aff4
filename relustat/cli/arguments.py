"""The types of arguments."""

from __future__ import annotations

import argparse
import ast
import math
import re
from pathlib import Path
from typing import Any

import torch

from relustat.nn.activations import ChosenActivations
from relustat.stats.bins import Bins, EdgeBins, LinearBins, LogBins

from .data.share import Share

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_WORDS = {"true": True, "false": False, "none": None, "null": None}


def positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 2**63:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text}")
    return int(text)


def not_negative(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, got {text}")
    return int(text)


def seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to 2**63 - 1, got {text}")
    return int(text)


def rate(text: str) -> float:
    number = as_float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be positive and finite, got {text}")
    return number


def activations(text: str) -> str | list[str]:
    """A choice of :func:`relustat.watch`, or names with commas between them."""
    chosen: str | list[str] = text if text in ("relu", "relu-like", "all") else text.split(",")
    try:
        ChosenActivations.of("analyze", chosen, 0.0)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).partition("activations ")[2]) from None
    return chosen


def near_zero(text: str) -> float:
    number = as_float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be at least 0 and finite, got {text}")
    return number


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    found = tuple(map(as_float, text.split(",")))
    if not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError(f"must be numbers such as 0.5 or 0.5,0.4,0.3, got {text}")
    return found


def as_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must be a folder, got an empty text")
    return Path(text)


def file(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must be a file, got an empty text")
    return Path(text)


def seconds(text: str) -> float:
    """A time such as 90, 60s, 5m or 1h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"must be a time such as 60s, 5m or 1h, got {text}")
    return float(found[1]) * _SECONDS[found[2]]


def share(text: str) -> Share:
    """A part of the batches: I/N."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, got {text}")
    return Share(int(found[1]) - 1, int(found[2]))


def shape(text: str) -> tuple[int, ...]:
    """The sizes of one input: 3x224x224."""
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"must be sizes such as 3x224x224 or 512, got {text}")
    return tuple(map(int, text.split("x")))


def setting(text: str) -> tuple[str, Any]:
    """An argument of a model: a name and a Python literal, or else a text."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"must be name=value, got {text}")
    if value.lower() in _WORDS:
        return name, _WORDS[value.lower()]
    try:
        return name, ast.literal_eval(value)
    except Exception:  # of many kinds, and all mean that it is a text
        return name, value


def dtype(text: str) -> torch.dtype:
    found = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"must be bfloat16 or float16, got {text}")
    return found


def device(text: str) -> torch.device:
    try:
        return torch.device(text)
    except RuntimeError as error:
        rule = f"must be a device such as cpu or cuda:0, got {text}"
        raise argparse.ArgumentTypeError(rule) from error


def bins(text: str) -> Bins | None:
    """Bins: ``log``, ``log:16``, ``linear:-4:4:200``, ``edges:-1:0:1`` or ``none``."""
    kind, *given = text.split(":")
    values = [int(each) if each.is_integer() else each for each in map(as_float, given)]
    are_numbers = not any(map(math.isnan, values))
    try:
        if text in ("none", "log"):
            return None if text == "none" else LogBins()
        if kind == "log" and len(values) == 1 and are_numbers:
            return LogBins(*values)  # type: ignore[arg-type]
        if kind == "linear" and len(values) == 3 and are_numbers:
            return LinearBins(*values)  # type: ignore[arg-type]
        if kind == "edges" and are_numbers:
            return EdgeBins(values)
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"{error}, from {text}") from error
    raise argparse.ArgumentTypeError(
        f"must be log, log:PER_OCTAVE, linear:LOW:HIGH:NUMBER, edges:E0:E1:... or none, got {text}"
    )
