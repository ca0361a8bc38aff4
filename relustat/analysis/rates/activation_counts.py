"""Counts of active and dead outputs and gradients, from which rates are computed."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from relustat._dynamo import inline_in_graph
from relustat._hooks import take_off, take_off_gradient
from relustat._torch_internals import unseen_by_dispatch_modes, unseen_by_function_modes
from relustat.nn.module_paths import named_modules
from relustat.ops.counters import Counters
from relustat.ops.counting_relu import counting_relu
from relustat.ops.inputs import is_countable, is_symbolic, keeps_numbers
from relustat.ops.unit_dim import UnitDim
from relustat.watching.handle import Watch
from relustat.watching.site_counter import During
from relustat.watching.watches import watch

Kind = Literal["outputs", "gradients"]

_DROPOUT_LAYERS = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)
_TRANSPOSED_LAYERS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class LayerRates(NamedTuple):
    """The rates of one layer over some calls, both between 0 and 1."""

    activation: float
    death: float


class OutputCounts:
    """Counts the outputs of a model's ReLUs and dropout layers, from :meth:`open` to :meth:`close`.

    Args:
        during: see :class:`relustat.analysis.ActivationRates`.
    """

    def __init__(self, during: During) -> None:
        self._during = during
        self._watch: Watch | None = None
        self._dropouts: dict[str, Counters] = {}
        self._hooks: list[tuple[nn.Module, _DropoutHook]] = []

    def open(self, model: nn.Module) -> None:
        """Begins to count. If it raises an error, call :meth:`close`.

        Raises:
            TypeError, ValueError: see :func:`relustat.watch`.
        """
        self._watch = watch(model, bins=None, during=self._during)
        for module, path in named_modules(model):
            if isinstance(module, _DROPOUT_LAYERS):
                # Dropout1d drops whole channels, the dimension before the last one.
                unit_dim: UnitDim = -2 if isinstance(module, nn.Dropout1d) else "auto"
                counters = Counters(None, unit_dim=unit_dim)
                self._dropouts[path or "dropout"] = counters
                hook = _DropoutHook(counters, self._during)
                self._hooks.append((module, hook))
                module.register_forward_hook(hook)

    def rates(self) -> dict[str, LayerRates]:
        """The rates of the layers called since :meth:`reset`: ReLUs as executed, then dropouts."""
        relus = self._watch.stats if self._watch else {}
        dropouts = {path: counters.stats for path, counters in self._dropouts.items()}
        return {
            name: LayerRates(stats.activation_rate, stats.death_rate)
            for name, stats in (relus | dropouts).items()
            if stats.calls
        }

    def reset(self) -> None:
        if self._watch:
            self._watch.reset()
        for counters in self._dropouts.values():
            counters.reset()

    def close(self) -> None:
        if self._watch:
            self._watch.close()
        for module, hook in self._hooks:
            take_off(module, hook)


class GradientCounts:
    """Counts the gradients of a model's parameters, from :meth:`open` to :meth:`close`.

    Args:
        during: see :class:`relustat.analysis.ActivationRates`.
    """

    def __init__(self, during: During) -> None:
        self._during = during
        self._hooks: dict[str, _GradientHook] = {}
        self._registered: list[tuple[Tensor, object]] = []

    def open(self, model: nn.Module) -> None:
        """Begins to count the gradients of modules that own both ``weight`` and ``bias``.

        If it raises an error, call :meth:`close`.

        Raises:
            ValueError: if one of these modules is lazy and has no weights yet.
        """
        for module, path in named_modules(model):
            parameters = dict(module.named_parameters(recurse=False))
            if not {"weight", "bias"} <= parameters.keys():
                continue
            if any(map(nn.parameter.is_lazy, parameters.values())):
                raise ValueError(
                    "ActivationRates: layers must have their weights, got the lazy "
                    f"{path or type(module).__name__!r}; call the model once before"
                )
            for name in ("weight", "bias"):
                if parameters[name].requires_grad:
                    hook = _GradientHook(module, self._during)
                    self._hooks[f"{path}.{name}" if path else name] = hook
                    # If a whole training step is compiled, the compiler would make graphs of it.
                    outside = torch.compiler.disable(hook)
                    self._registered.append((parameters[name], outside))
                    parameters[name].register_post_accumulate_grad_hook(outside)

    def rates(self) -> dict[str, LayerRates]:
        """The rates of the parameters with a gradient since :meth:`reset`, in the model's order."""
        rates = {name: hook.rates() for name, hook in self._hooks.items()}
        return {name: found for name, found in rates.items() if found is not None}

    def reset(self) -> None:
        for hook in self._hooks.values():
            hook.counts = None

    def close(self) -> None:
        for parameter, hook in self._registered:
            take_off_gradient(parameter, hook)


@inline_in_graph
class _DropoutHook:
    """Counts the outputs of a dropout layer. A copied layer has its own counts."""

    def __init__(self, counters: Counters, during: During) -> None:
        self._counters = counters
        self._during = during

    def __call__(self, module: nn.Module, _args: Any, output: Any) -> None:
        if not (_is_time(module, self._during) and is_countable(output)) or is_symbolic(output):
            return
        count = _count if torch.compiler.is_dynamo_compiling() else _count_in_eager_code()
        count(output, self._counters)


@inline_in_graph
def _count(output: Tensor, counters: Counters) -> None:
    # The watch must not see it: it is no ReLU of the model. The ReLU of a magnitude is 0 exactly
    # where the magnitude is.
    with torch.no_grad(), unseen_by_function_modes():
        counting_relu(output.abs(), counters, inplace=True)


def _count_unseen(output: Tensor, counters: Counters) -> None:
    # Modes that replay ops would not find these ops in a recomputation.
    with unseen_by_dispatch_modes():
        _count(output, counters)


@functools.cache
def _count_in_eager_code() -> Callable[[Tensor, Counters], None]:
    """:func:`_count_unseen`, of which the compiler would make a graph, between two other graphs."""
    uncompiled: Callable[[Tensor, Counters], None] = torch.compiler.disable(_count_unseen)
    return uncompiled


class _GradientHook:
    """Counts a parameter's gradients. Each accumulation is a call.

    Attributes:
        counts: the numbers of calls, active entries and dead outputs: int64 [3] on the gradient's
            device, None before the first call.
    """

    def __init__(self, module: nn.Module, during: During) -> None:
        # Weak: the garbage collector does not see the hooks that a parameter holds.
        self._module = weakref.ref(module)
        self._during = during
        self._shape = (0, 0)
        self.counts: Tensor | None = None

    @torch.no_grad()
    def __call__(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        if gradient is None or not is_countable(gradient) or not keeps_numbers(gradient):
            return
        module = self._module()
        if not gradient.numel() or module is None or not _is_time(module, self._during):
            return
        # A counting ReLU would take a call in a backward pass as a repeated one.
        magnitudes = _by_outputs(module, gradient).abs()
        active, dead = magnitudes.gt(0).sum(), magnitudes.eq(0).all(1).sum()
        counts = torch.stack((torch.ones_like(active), active, dead))
        if self.counts is not None:
            counts += self.counts.to(counts.device)
        self.counts = counts
        self._shape = (magnitudes.shape[0], magnitudes.shape[1])

    def rates(self) -> LayerRates | None:
        if self.counts is None:
            return None
        calls, active, dead = self.counts.tolist()
        outputs, entries = self._shape
        return LayerRates(active / (calls * outputs * entries), dead / (calls * outputs))


def _by_outputs(module: nn.Module, gradient: Tensor) -> Tensor:
    """[outputs, entries]."""
    if isinstance(module, _TRANSPOSED_LAYERS) and gradient.dim() > 1:
        # [inputs, outputs / groups, ...], where inputs are ordered by group.
        grouped = gradient.unflatten(0, (module.groups, -1))
        gradient = grouped.transpose(1, 2).flatten(0, 1)
    return gradient.reshape(gradient.shape[0] if gradient.dim() else 1, -1)


@inline_in_graph
def _is_time(module: nn.Module, during: During) -> bool:
    return during == "all" or module.training == (during == "train")
