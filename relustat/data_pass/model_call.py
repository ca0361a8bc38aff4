"""How a batch of a loader becomes the arguments of a model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from relustat._messages import some
from relustat.nn.module_paths import uncompiled

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments(NamedTuple):
    """What a model is called with."""

    positional: tuple[Any, ...]
    named: dict[str, Any]

    def on(self, device: torch.device) -> Arguments:
        """The same with all tensors on a device."""
        return Arguments(*(_on(device, each) for each in self))


def samples_in(batch: Any) -> int:
    """The number of samples in a batch: the size of the first dimension of its first tensor.

    In the place of the tensor can be a list. A batch with neither is one sample.
    """
    first = batch[0] if _is_tuple(batch) and batch else batch
    length = _length(first)
    return 1 if length is None else length


def _length(argument: Any) -> int | None:
    if isinstance(argument, PackedSequence):
        return int(argument.batch_sizes[0])
    if isinstance(argument, Tensor):
        return len(argument) if argument.ndim else None
    if isinstance(argument, Mapping):
        found = map(_length, argument.values())
        return next((length for length in found if length is not None), None)
    return len(argument) if isinstance(argument, (tuple, list)) else None


def _is_tuple(batch: Any) -> bool:
    """Whether a batch has several elements. A packed sequence is a tuple by chance."""
    return isinstance(batch, (tuple, list)) and not isinstance(batch, PackedSequence)


def _on(device: torch.device, argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return argument.to(device, non_blocking=True)
    # Packed sequences, batches of graphs and of Hugging Face, and others.
    move = getattr(argument, "to", None)
    if callable(move):
        return move(device)
    if isinstance(argument, Mapping):
        return {name: _on(device, each) for name, each in argument.items()}
    if isinstance(argument, tuple) and hasattr(argument, "_fields"):
        return type(argument)(*(_on(device, each) for each in argument))
    if isinstance(argument, (tuple, list)):
        return type(argument)(_on(device, each) for each in argument)
    return argument


class ModelCall:
    """Takes from a batch what the ``forward`` of a model takes.

    A tuple or a list, such as ``(images, labels)``, gives its first elements: as many as
    ``forward`` must have. A dict gives the arguments that ``forward`` names; if it names none and
    must have one, it takes the dict. All else is one argument.

    Args:
        model: the model, also one that is compiled, or in ``DistributedDataParallel``.
    """

    def __init__(self, model: nn.Module) -> None:
        self._names: list[str] = []
        self._required = 1
        self._takes_any_name = False
        try:
            parameters = inspect.signature(_unwrapped(model).forward).parameters.values()
        except (TypeError, ValueError):  # of TorchScript, for example
            return
        required = [
            each for each in parameters if each.kind in _POSITIONAL and each.default is each.empty
        ]
        self._required = max(len(required), 1)
        self._takes_any_name = any(each.kind is each.VAR_KEYWORD for each in parameters)
        self._names = [
            each.name
            for each in parameters
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        ]

    def arguments(self, batch: Any) -> Arguments:
        """The arguments for a batch.

        Raises:
            ValueError: if a dict has no argument of ``forward``.
        """
        if isinstance(batch, Mapping):
            return self._of_mapping(batch)
        if not _is_tuple(batch):
            return Arguments((batch,), {})
        first = batch[: self._required]
        if self._required == 1 and first and isinstance(first[0], Mapping):
            return self._of_mapping(first[0])
        return Arguments(tuple(first), {})

    def _of_mapping(self, batch: Mapping[Any, Any]) -> Arguments:
        named = {name: batch[name] for name in batch if name in self._names}
        if not named and self._takes_any_name:
            named = dict(batch)
        if named:
            return Arguments((), named)
        if self._required == 1:
            return Arguments((batch,), {})
        raise ValueError(
            "analyze: a batch that is a dict must have arguments of forward as keys, got "
            f"{some(map(repr, batch))}; forward takes {some(self._names)}"
        )


def _unwrapped(model: nn.Module) -> nn.Module:
    inner = uncompiled(model)
    if isinstance(inner, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return _unwrapped(inner.module)
    return inner
