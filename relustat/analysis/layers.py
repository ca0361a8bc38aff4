"""A model's layers by name: what comes out of them, and what is computed on the way there."""

from __future__ import annotations

import contextlib
import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..call_sites import SiteKey, site_name
from ..functional import counting_relu
from ..places import named_modules, plain_path, uncompiled
from ..relu_calls import ReLUCall, find_relu_call

_SHOWN_NAMES = 5


class LayerCalls(TorchFunctionMode):
    """Follows a model's forward up to the layers that are wanted, and ends it there.

    A layer is a module, named by its path; its second call within one forward adds ``_1``, its
    third ``_2``. So is a functional ReLU: ``<path>.relu``, as :func:`relustat.watch` names it.
    Counting ReLUs of the model count nothing meanwhile; a watch that is open may.

    Args:
        op: who asks, for messages.
        model: in evaluation mode. Compiled parts of it are run in eager mode.
        layers: names of the wanted layers; none: the forward goes on to its end.

    Raises:
        TypeError: if ``model`` is no module.
        ValueError: if a module of it is in training mode.
    """

    def __init__(self, op: str, model: nn.Module, layers: Sequence[str] = ()) -> None:
        super().__init__()
        check_is_evaluated(op, model)
        self._op = op
        self._model = uncompiled(model)
        self._wanted = tuple(dict.fromkeys(layers))
        self._paths = {
            plain_path(path) for path, _ in model.named_modules(remove_duplicate=False)
        } - {""}
        self._outputs: dict[str, Tensor] = {}
        self._calls: Counter[tuple[str, bool]] = Counter()
        self._met: list[str] = []
        self._within: list[tuple[str, str]] = []
        self._relu_modules: set[str] = set()

    def run(self, x: Tensor) -> dict[str, Tensor]:
        """Calls the model, with or without gradients as the caller has it.

        Returns:
            The outputs of the wanted layers, by name, in their order.

        Raises:
            ValueError: if a wanted layer was not met, or gives no tensor.
        """
        self._outputs.clear()
        self._calls.clear()
        self._met.clear()
        self._within.clear()
        eagerly = torch.compiler.set_stance("force_eager")
        with contextlib.suppress(_AllReached), self._hooks(), eagerly, self:
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
        x = batch.detach().requires_grad_()
        # The model may work in place.
        (output,) = self.run(x.clone()).values()
        return x, output

    def on_relu(self, name: str, call: ReLUCall, compute: Callable[[], Any]) -> Any:  # noqa: ARG002
        """Computes a ReLU, which ``name`` names. Subclasses do it in their way."""
        return compute()

    def on_call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Computes any other torch call."""
        return function(*args, **kwargs)

    @property
    def path(self) -> str:
        """The module whose forward is being run."""
        return self._within[-1][0] if self._within else ""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        call = find_relu_call(func, args, kwargs) if self._within else None
        if call is None:
            return self.on_call(func, args, kwargs)
        if func is counting_relu:
            # An analysis is no use of the model that is to be counted.
            func, args, kwargs = F.relu, (call.x, call.inplace), {}
        path, name = self._within[-1]
        if path in self._relu_modules:
            return self.on_relu(name or "relu", call, lambda: func(*args, **kwargs))
        name = self._next_name(path, is_module=False)
        output = self.on_relu(name, call, lambda: func(*args, **kwargs))
        self._reach(name, output)
        return output

    @contextlib.contextmanager
    def _hooks(self) -> Iterator[None]:
        with contextlib.ExitStack() as hooks:
            for module, path in named_modules(self._model):
                if isinstance(module, torch.jit.ScriptModule):
                    continue
                if isinstance(module, (nn.ReLU, nn.Threshold)):
                    self._relu_modules.add(path)
                for handle in (
                    module.register_forward_pre_hook(self._entering(path), prepend=True),
                    module.register_forward_hook(self._leaving(), always_call=True),
                ):
                    hooks.callback(handle.remove)
            yield

    def _entering(self, path: str) -> Callable[..., None]:
        def enter(*_: Any) -> None:
            name = self._next_name(path, is_module=True) if path else path
            self._within.append((path, name))

        return enter

    def _leaving(self) -> Callable[..., None]:
        def leave(_module: nn.Module, _args: Any, output: Any) -> None:
            _, name = self._within.pop()
            # None: its forward has raised.
            if output is not None:
                self._reach(name, output)

        return leave

    def _next_name(self, path: str, *, is_module: bool) -> str:
        call = self._calls[path, is_module]
        self._calls[path, is_module] += 1
        name = site_name(SiteKey(path, is_module, call), self._paths)
        self._met.append(name)
        return name

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
        # What follows may work in place.
        self._outputs[name] = output.clone()

    def _near(self, layer: str) -> str:
        if layer in self._paths:
            return "that module was not called"
        # Modules that were not met come last.
        names = list(dict.fromkeys([*self._met, *sorted(self._paths)]))
        return f"near names: {near_names(layer, names)}"


class _AllReached(BaseException):
    """Ends a forward; no ``except Exception`` of a model catches it."""


def near_names(name: str, names: Sequence[str]) -> str:
    """The names most like ``name``, for messages; the first few if none is."""
    near = difflib.get_close_matches(name, names, n=_SHOWN_NAMES, cutoff=0.5)
    shown = near or names[:_SHOWN_NAMES]
    return ", ".join(map(repr, shown)) + (", ..." if len(names) > len(shown) else "")


def check_is_evaluated(op: str, model: nn.Module) -> None:
    """Raises an error unless all of the model is in evaluation mode."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"{op}: model must be an nn.Module, got {type(model).__name__}")
    for module, path in named_modules(model):
        if module.training:
            where = repr(path) if path else f"the {type(module).__name__}"
            raise ValueError(
                f"{op}: the model must be in evaluation mode, got {where} in training mode; "
                "call model.eval() first"
            )


def layer_outputs(model: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """What comes out of some layers, in one forward that ends at the last of them.

    Args:
        model: in evaluation mode.
        x: its input.
        layers: modules' paths ("" is the model) and functional ReLUs' names, as
            :func:`relustat.watch` gives them; ``_1`` is the second call of a module.

    Returns:
        The outputs by name; later in-place layers do not change them. With gradients, unless
        they are switched off.

    Raises:
        ValueError: if a module is in training mode, no layer is given, or one is unknown.
        TypeError: if ``model`` is no module.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(inplace=True)).eval()
        >>> outputs = relustat.analysis.layer_outputs(model, torch.randn(2, 4), ["0", "1"])
        >>> torch.equal(outputs["0"].relu(), outputs["1"])
        True
    """
    return outputs_of("layer_outputs", model, x, layers)


def outputs_of(op: str, model: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """:func:`layer_outputs`; ``op`` is who asks, for messages."""
    if isinstance(layers, str) or not layers:
        raise ValueError(f"{op}: layers must be a list of at least one name, got {layers!r}")
    return LayerCalls(op, model, layers).run(x)
