"""The state of a watch for a checkpoint: a text, and the tensors that it speaks of.

Checkpoints differ in what they keep of nested dicts and of empty ones. All of them keep these.
"""

from __future__ import annotations

import json
import numbers
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from relustat._messages import named, some
from relustat.nn.module_paths import plain_path
from relustat.stats import npz

# In the text, a tensor stands under this name with its number.
_COUNTS = "counts"
# torch.load does not compare those of its archives.
_CHECKSUM = "crc32"


def packed(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state of dicts, lists, texts and numbers, in which lists of integers become tensors."""
    counts: list[Tensor] = []
    described = json.dumps(_described(state, counts))
    numbered = {str(index): each for index, each in enumerate(counts)}
    state = {"version": npz.VERSION, "described": described, _COUNTS: numbered}
    return {**state, _CHECKSUM: _checksum(state)}


def unpacked(state: Any) -> dict[str, Any]:
    """What :func:`packed` was given, with arrays in the place of tensors.

    Raises:
        ValueError: if this is no such state, or that of a newer relustat.
    """
    npz.check_version("load_state_dict", state)
    counts = {int(number): _array(each) for number, each in state.get(_COUNTS, {}).items()}
    unpacked: dict[str, Any] = _with_counts(json.loads(state["described"]), counts)
    return unpacked


def check_unchanged(state: Mapping[str, Any]) -> None:
    """Raises a ValueError if a state that :func:`unpacked` has read is not as it was packed.

    Those of earlier versions cannot tell.
    """
    if state.get(_CHECKSUM, found := _checksum(state)) != found:
        raise ValueError("load_state_dict: the state must be as it was saved, got another checksum")


def _checksum(state: Mapping[str, Any]) -> int:
    found = zlib.crc32(state["described"].encode())
    for _, each in sorted(state[_COUNTS].items()):
        found = zlib.crc32(_array(each).tobytes(), found)
    return found


def _described(state: Any, counts: list[Tensor]) -> Any:
    if isinstance(state, Mapping):
        return {name: _described(each, counts) for name, each in state.items()}
    if isinstance(state, Tensor) or (state and _are_counts(state)):
        # Whatever the default device is.
        counts.append(torch.as_tensor(state, dtype=torch.int64, device="cpu"))
        return {_COUNTS: len(counts) - 1}
    if isinstance(state, (list, tuple)):
        return [_described(each, counts) for each in state]
    return int(state) if isinstance(state, np.integer) else state


def _are_counts(state: Any) -> bool:
    """Whether this is a list of integers, or of such lists."""
    return isinstance(state, (list, tuple)) and all(
        _are_counts(each)
        if isinstance(each, (list, tuple))
        else isinstance(each, numbers.Integral) and not isinstance(each, bool)
        for each in state
    )


def _array(counts: Any) -> Any:
    if not isinstance(counts, Tensor) or counts.dtype != torch.int64 or counts.is_meta:
        what = f"{counts.dtype} on {counts.device}" if isinstance(counts, Tensor) else repr(counts)
        raise ValueError(f"load_state_dict: counts must be int64 tensors, got {what}")
    return counts.detach().cpu().numpy().copy()


def _with_counts(state: Any, counts: Mapping[int, Any]) -> Any:
    if isinstance(state, dict):
        if list(state) == [_COUNTS] and isinstance(state[_COUNTS], int):
            return counts[state[_COUNTS]]
        return {name: _with_counts(each, counts) for name, each in state.items()}
    return [_with_counts(each, counts) for each in state] if isinstance(state, list) else state


def parameter_sizes(model: nn.Module) -> dict[str, str]:
    """The size of each parameter that has one, as a text."""
    return {
        plain_path(name): str(list(each.shape))
        for name, each in model.named_parameters()
        if not is_lazy(each)
    }


def check_parameters(model: nn.Module, there: Mapping[str, str]) -> None:
    """Raises ValueError if a state is that of another model, as far as parameters tell.

    Args:
        model: the model.
        there: the :func:`parameter_sizes` of the state's model.
    """
    here = parameter_sizes(model)
    others = [name for name in here if there.get(name, here[name]) != here[name]]
    if others:
        first = others[0]
        raise ValueError(
            "load_state_dict: the state must be of this model, got other sizes of "
            f"{some(map(named, others))}: {there[first]} in the state, {here[first]} here"
        )
    if here and there and not here.keys() & there.keys():
        raise ValueError(
            "load_state_dict: the state must be of this model, got parameters with other names: "
            f"{some(map(named, there))} in the state, {some(map(named, here))} here"
        )


def check_options(here: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Raises ValueError if a state is that of a watch with other options."""
    for name, mine in here.items():
        # Older states lack newer options, which were not given then.
        theirs = there.get(name)
        if theirs != mine:
            raise ValueError(
                f"load_state_dict: {name} must be that of the watch, got {theirs!r} in the "
                f"state, {mine!r} here"
            )
