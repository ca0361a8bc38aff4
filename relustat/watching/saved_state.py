"""The state of a watch as tensors, numbers and texts, for a checkpoint."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from relustat._messages import named, some

VERSION = 1


def as_tensors(state: Any) -> Any:
    """What ``to_dict()`` returns, with tensors in the place of lists of integers."""
    if isinstance(state, Mapping):
        return {name: as_tensors(each) for name, each in state.items()}
    if isinstance(state, (list, tuple)):
        if _is_counts(state):
            return torch.tensor(state, dtype=torch.int64)
        return [as_tensors(each) for each in state]
    return state


def _is_counts(state: Any) -> bool:
    if isinstance(state, (list, tuple)):
        return all(map(_is_counts, state))
    return isinstance(state, numbers.Integral) and not isinstance(state, bool)


def as_arrays(state: Any) -> Any:
    """What ``from_dict()`` reads, of what :func:`as_tensors` gave."""
    if isinstance(state, Mapping):
        return {name: as_arrays(each) for name, each in state.items()}
    if isinstance(state, list):
        return [as_arrays(each) for each in state]
    return state.cpu().numpy() if isinstance(state, Tensor) else state


def parameter_sizes(model: nn.Module) -> dict[str, list[int]]:
    """The size of each parameter that has one."""
    return {name: list(each.shape) for name, each in model.named_parameters() if not is_lazy(each)}


def check_is_state(state: Any) -> None:
    """Raises ValueError if this is not what a watch of this version gave."""
    version = state.get("version") if isinstance(state, Mapping) else None
    if not isinstance(version, int):
        raise ValueError(
            "load_state_dict: state must be what state_dict() returned, got no version"
        )
    if version > VERSION:
        raise ValueError(
            f"load_state_dict: this relustat reads versions up to {VERSION}, got version "
            f"{version}; update relustat"
        )


def check_is_of_model(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Raises ValueError if a state is that of another model, as far as parameters tell."""
    here, there = parameter_sizes(model), state["parameters"]
    others = [name for name in here if name in there and list(there[name]) != here[name]]
    if others:
        first = others[0]
        raise ValueError(
            "load_state_dict: the state must be of this model, got other sizes of "
            f"{some(map(named, others))}: {list(there[first])} in the state, {here[first]} here"
        )
    if here and there and not here.keys() & there.keys():
        raise ValueError(
            "load_state_dict: the state must be of this model, got parameters with other names: "
            f"{some(map(named, there))} in the state, {some(map(named, here))} here"
        )
