"""A model's layers by name, followed through a forward."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.overrides import TorchFunctionMode

from relustat._dynamo import running_eagerly
from relustat._hooks import forward_hooks
from relustat.nn.activations import computes_relu
from relustat.nn.module_paths import named_modules, plain_path, uncompiled
from relustat.ops.counting_relu import counting_relu
from relustat.watching.call_names import (
    CallNumbers,
    CallPlace,
    call_place,
    numbered,
    written_call,
)
from relustat.watching.relu_calls import ActivationCall, find_relu_call
from relustat.watching.torchscript import scripted_parts
from relustat.watching.units.followed import FollowedUnits

from .evaluation import check_drops_nothing, check_is_evaluated
from .origins import Origin, Origins

_SHOWN_NAMES = 5


class LayerCalls(TorchFunctionMode):
    """Follows a model's forward up to the layers that are wanted, and ends it there.

    A layer is a module, named by its path, or a ReLU, named as by :func:`relustat.watch`. The
    second call of another module within one forward adds ``_1``, the third ``_2``. The model's
    counting ReLUs count nothing in this forward; an open watch does count. Calls of the model in
    other threads are not affected.

    Args:
        op: the name of the caller, for messages.
        model: in evaluation mode. Its compiled parts run in eager mode.
        layers: the names of the wanted layers. Without any, the forward runs to its end.

    Attributes:
        opaque: what each TorchScript part of the model is, in which ReLUs are hidden.

    Raises:
        TypeError: if ``model`` is not a module, or a layer is not a name.
        ValueError: if a module of it is in training mode.
    """

    def __init__(self, op: str, model: nn.Module, layers: Sequence[str] = ()) -> None:
        super().__init__()
        check_is_evaluated(op, model)
        for layer in layers:
            if not isinstance(layer, str):
                raise TypeError(f"{op}: layer must be a name, a string, got {layer!r}")
        self._op = op
        self._model = uncompiled(model)
        self._modules = dict(named_modules(self._model))
        self._wanted = tuple(dict.fromkeys(layers))
        self._paths = {
            plain_path(path) for path, _ in model.named_modules(remove_duplicate=False)
        } - {""}
        self._outputs: dict[str, Tensor] = {}
        self._calls, self._units = CallNumbers(), FollowedUnits()
        self._met: list[str] = []
        self._within: list[_ModuleCall] = []
        self._thread = 0
        self._origins = Origins(self._model)
        self.opaque = dict(scripted_parts(self._model))

    def run(self, x: Tensor) -> dict[str, Tensor]:
        """Calls the model, with or without gradients, as is set outside.

        Returns:
            The outputs of the wanted layers, by name, in their order.

        Raises:
            ValueError: if a wanted layer was not called or gives no tensor, or if the model applies
                dropout as in training.
        """
        self._calls, self._units = CallNumbers(), FollowedUnits()
        for kept in (self._outputs, self._met, self._within):
            kept.clear()
        self._thread = threading.get_ident()
        # The model may change its input in place, or return it.
        x = x.clone()
        self._origins.begin(x)
        with contextlib.suppress(_AllReached), self._hooks(), running_eagerly(), self:
            self._model(x)
        missing = [layer for layer in self._wanted if layer not in self._outputs]
        if missing:
            raise ValueError(
                f"{self._op}: layer must name a module that the model calls, or a ReLU in one, "
                f"got {missing[0]!r}; {self._near(missing[0])}"
            )
        return {layer: self._outputs[layer] for layer in self._wanted}

    def run_with_gradient(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """The input as a leaf that requires a gradient, and the output of the one wanted layer."""
        # A copy of an inference tensor is a normal tensor.
        x = batch.detach().clone() if batch.is_inference() else batch.detach()
        x.requires_grad_()
        (output,) = self.run(x).values()
        return x, output

    def depends_on_input(self, value: object) -> bool:
        """Whether a tensor is known to be computed from the model's input."""
        return self._origins.of(value) is Origin.INPUT

    def is_constant(self, value: object) -> bool:
        """Whether a tensor is known to be the same for all inputs."""
        return self._origins.of(value) is Origin.CONSTANT

    def on_relu(self, name: str, call: ActivationCall, compute: Callable[[], Any]) -> Any:  # noqa: ARG002
        """Computes the ReLU of a name. Subclasses override it."""
        return compute()

    def on_call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Computes any other torch call."""
        return function(*args, **kwargs)

    @property
    def path(self) -> str:
        """The module whose forward is being run."""
        return self._within[-1].path if self._within else ""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        output = self._call(func, args, kwargs)
        self._origins.follow(func, args, kwargs, output)
        self._units.follow(func, args, kwargs, output, self)
        return output

    def _call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = find_relu_call(function, args, kwargs) if self._within else None
        if call is None:
            check_drops_nothing(self._op, self.path, function, args, kwargs)
            return self.on_call(function, args, kwargs)
        if function is counting_relu:
            # An analysis does not count into the model's counters.
            function, args, kwargs = F.relu, (call.x, call.inplace), {}
        within = self._within[-1]
        if within.place is None:
            name = self._next_relu(self._place(within, None, call.x))
        elif within.has_name or not within.path:
            name = self._next_relu(within.place)
        else:
            name, within.has_name = within.name, True
        output = self.on_relu(name, call, lambda: function(*args, **kwargs))
        if name != within.name:
            self._reach(name, output)
        return output

    def _hooks(self) -> contextlib.AbstractContextManager[None]:
        return forward_hooks(
            [
                (module, self._entering(path), self._leaving)
                for module, path in self._modules.items()
                if not isinstance(module, ScriptModule)
            ]
        )

    def _entering(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any) -> None:
            if threading.get_ident() != self._thread:
                return
            entered = _ModuleCall(module, path, path, sys._getframe(1))
            if computes_relu(module):
                caller = self._within[-1] if self._within else None
                entered.place = self._place(caller, entered, args[0] if args else None)
                if path:
                    entered.name = self._next_relu(entered.place)
            elif path:
                entered.name = numbered(path, self._calls.next(path), self._paths)
                self._met.append(entered.name)
            self._within.append(entered)

        return enter

    def _place(self, caller: _ModuleCall | None, relu: _ModuleCall | None, x: object) -> CallPlace:
        units = self._units.of(x) if isinstance(x, Tensor) else None
        call = None
        if caller is not None:
            call = written_call(caller.module, sys._getframe(1), caller.frame)
        return call_place(caller, relu, call, units.layer if units else None)

    def _next_relu(self, place: CallPlace) -> str:
        name = place.name(self._calls.next(place), self._paths)
        self._met.append(name)
        return name

    def _leaving(self, _module: nn.Module, _args: Any, output: Any) -> None:
        if threading.get_ident() == self._thread:
            name = self._within.pop().name
            # None if its forward has raised.
            if output is not None:
                self._reach(name, output)

    def _reach(self, name: str, output: Any) -> None:
        if name not in self._wanted:
            return
        if not isinstance(output, Tensor):
            raise ValueError(
                f"{self._op}: layer must give a tensor, got {name!r}, which gives a "
                f"{type(output).__name__}"
            )
        if len(self._outputs) + 1 == len(self._wanted):
            self._outputs[name] = output
            raise _AllReached
        # A later layer may change it in place.
        self._outputs[name] = output.clone()

    def _near(self, layer: str) -> str:
        if layer in self._paths:
            return "that module was not called"
        # Modules that were not called come last.
        names = list(dict.fromkeys([*self._met, *sorted(self._paths)]))
        if not names:
            return "the model has no layers but itself, ''"
        return f"near names: {near_names(layer, names)}"


@dataclasses.dataclass
class _ModuleCall:
    """A call of a module that has begun.

    Attributes:
        frame: the frame that called it.
        place: that of its ReLU, if it is a ReLU's module.
        has_name: whether a ReLU in it has had its name.
    """

    module: nn.Module
    path: str
    name: str
    frame: FrameType
    place: CallPlace | None = None
    has_name: bool = False


class _AllReached(BaseException):
    """Ends a forward. No ``except Exception`` of a model catches it."""


def near_names(name: str, names: Sequence[str]) -> str:
    """The names most like ``name``, for messages; the first few names if none is like it."""
    near = difflib.get_close_matches(name, names, n=_SHOWN_NAMES, cutoff=0.5)
    shown = near or names[:_SHOWN_NAMES]
    return ", ".join(map(repr, shown)) + (", ..." if len(names) > len(shown) else "")
