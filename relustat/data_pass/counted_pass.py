"""A model that takes batches while its ReLUs are counted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from relustat._messages import some
from relustat.nn.module_paths import check_is_module
from relustat.watching.handle import Watch
from relustat.watching.watches import watch

from .model_call import ModelCall, samples_in

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

Call = Callable[[nn.Module, Any], object]
"""Calls a model with a batch."""


class CountedPass:
    """A context in which a model is watched, evaluates, and is on a device.

    Afterwards the model is closed to counting, on its device and in its mode of before.

    Args:
        model: the model.
        device: where it is during the pass; None: where it is.
        autocast: the dtype of autocast; None: none.
        call: how it is called with a batch; None: as :class:`ModelCall` says.
        options: those of :func:`relustat.watch`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        device: torch.device | str | None = None,
        autocast: torch.dtype | None = None,
        call: Call | None = None,
        **options: Any,
    ) -> None:
        check_is_module("analyze", model)
        if autocast is not None and not isinstance(autocast, torch.dtype):
            raise TypeError(f"analyze: autocast must be a torch.dtype or None, got {autocast!r}")
        if call is not None and not callable(call):
            raise TypeError(f"analyze: call must be a function, got {type(call).__name__}")
        self._model = model
        self._its_device = _device_of(model)
        self._device = self._its_device if device is None else torch.device(device)
        self._autocast = autocast
        self._call = call
        self._arguments = ModelCall(model).arguments
        self._options = options
        self._contexts = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._contexts as contexts:
            if self._device != self._its_device:
                # Before the move, which can fail half-way.
                contexts.callback(self._model.to, self._its_device)
                self._model.to(self._device)
            contexts.enter_context(_evaluating(self._model))
            contexts.enter_context(torch.no_grad())
            if self._autocast is not None:
                contexts.enter_context(torch.autocast(self._device.type, self._autocast))
            self.watch: Watch = contexts.enter_context(watch(self._model, **self._options))
            if self._call is not None:
                contexts.enter_context(self.watch.counting())
            self._contexts = contexts.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._contexts.close()

    def step(self, batch: Any) -> int:
        """Calls the model with a batch.

        Returns:
            The number of samples in it.
        """
        if self._call is not None:
            self._call(self._model, batch)
        else:
            arguments = self._arguments(batch).on(self._device)
            try:
                self._model(*arguments.positional, **arguments.named)
            except (TypeError, AttributeError) as error:
                if isinstance(batch, Mapping) and not arguments.named:
                    raise ValueError(
                        "analyze: a batch that is a dict must have an argument of forward as a "
                        f"key, or be what forward takes, got {some(map(repr, batch))} ({error})"
                    ) from error
                raise
        return samples_in(batch)


def _device_of(model: nn.Module) -> torch.device:
    """The device of the first parameter or buffer."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Each module is in evaluation mode, and afterwards in the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
