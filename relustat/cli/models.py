"""The model that ``relustat analyze`` is given, and its weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from relustat._messages import many, some
from relustat._optional import import_optional

from .messages import first_line
from .named_objects import called, named_object
from .seeds import set_seeds

# Where training scripts put a model's state in their checkpoints.
_STATES = ("state_dict", "model_state_dict", "model", "module", "net", "ema_state_dict")
# What wrappers put before its names: DistributedDataParallel, torch.compile, and Lightning's habit.
_PREFIXES = ("module.", "_orig_mod.", "model.")


def make_model(text: str, settings: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """A model from its name: a function or a class that makes it, or the model itself.

    Args:
        text: the name.
        settings: the arguments of the function.
        seed: the seed of random weights.

    Raises:
        ValueError: if there is no such thing, it fails, or it gives no ``nn.Module``.
    """
    set_seeds(seed)
    found = named_object("MODEL", text)
    if isinstance(found, nn.Module):
        if settings:
            raise ValueError(f"--set: {text} must be a function or a class, got a model")
        return found
    if not callable(found):
        raise ValueError(
            f"MODEL: {text} must be a model, or what makes one, got a {type(found).__name__}"
        )
    model = called("MODEL", text, found, seed, settings)
    if not isinstance(model, nn.Module):
        raise ValueError(f"MODEL: {text} must give an nn.Module, got a {type(model).__name__}")
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Loads a state dict, also one that a checkpoint holds under a usual name.

    Raises:
        ImportError: if the package safetensors is needed and missing.
        ValueError: if the file is none of weights, or they do not fit the model.
    """
    mine = model.state_dict()
    state = _without_prefix(_state_in(_read(path), path), mine)
    there = {_identity(each) for name, each in mine.items() if name in state}
    missing = [
        name
        for name, each in mine.items()
        # Old files lack the number of batches, those of safetensors the second name of a tensor.
        if name not in state
        and not name.endswith("num_batches_tracked")
        and _identity(each) not in there
    ]
    unexpected = [name for name in state if name not in mine]
    unlike = [
        f"{name}: {_shape(state[name])} in the file, {_shape(each)} in the model"
        for name, each in mine.items()
        # A lazy parameter takes any shape.
        if name in state and not is_lazy(each) and _shape(state[name]) != _shape(each)
    ]
    found = [
        f"{many(len(names), noun)} ({some(names)})"
        for names, noun in (
            (missing, "missing key"),
            (unexpected, "unexpected key"),
            (unlike, "unlike shape"),
        )
        if names
    ]
    if found:
        raise ValueError(f"--weights: {path} must fit the model, got {'; '.join(found)}")
    model.load_state_dict(state, strict=False)


def _shape(value: object) -> object:
    return list(value.shape) if isinstance(value, Tensor) else type(value).__name__


def _identity(value: object) -> object:
    """What two names of one tensor have in common."""
    if not isinstance(value, Tensor) or is_lazy(value) or not value.numel():
        return object()
    return value.device, value.data_ptr(), value.shape


def _read(path: Path) -> Any:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "none"
        raise ValueError(f"--weights must be a file of weights, got {path}, which is {what}")
    if path.suffix == ".safetensors":
        safetensors = import_optional("safetensors.torch", "safetensors", "--weights")
        try:
            return safetensors.load_file(path)
        except Exception as error:
            raise ValueError(
                f"--weights: {path} must be a file of safetensors ({first_line(error)})"
            ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of files of other kinds
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch's own messages advise to run what is in the file.
        raise ValueError(
            f"--weights: {path} must be a state dict that torch.save wrote, of tensors only, got "
            "something else, which is not loaded because that can run code"
        ) from error


def _state_in(content: Any, path: Path) -> dict[str, Any]:
    """The state dict, or the one in a checkpoint."""
    if isinstance(content, Mapping):
        states = (content[name] for name in _STATES if isinstance(content.get(name), Mapping))
        state = next(states, content)
        has_names = all(isinstance(name, str) for name in state)
        if has_names and any(isinstance(each, Tensor) for each in state.values()):
            return dict(state)
    holds = (
        f"a dict of {some(map(str, content))}"
        if isinstance(content, Mapping)
        else (f"a {type(content).__name__}")
    )
    raise ValueError(f"--weights: {path} must hold a state dict, got {holds}")


def _without_prefix(state: dict[str, Any], mine: Mapping[str, Any]) -> dict[str, Any]:
    """The state without what wrappers of the model have put before all names."""
    for prefix in _PREFIXES:
        if (
            state
            and all(name.startswith(prefix) for name in state)
            and not (mine.keys() & state.keys())
        ):
            return _without_prefix(
                {name.removeprefix(prefix): each for name, each in state.items()}, mine
            )
    return state
