"""Counting every ReLU of a model for a while, without changing the model."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._dynamo import OptimizedModule

from .bins import Bins, LogBins
from .call_sites import CallSites
from .counters import Counters, UnitDim
from .forwards import Forward, Forwards, ModuleHook, Underway
from .functional import counting_relu, describe, is_countable, keeps_numbers
from .reference import is_recomputation
from .relu_calls import ReLUCall, find_relu_call
from .report import Report
from .stats import ReLUStats

if TYPE_CHECKING:
    from typing_extensions import Self

# Values are weak too: a model keeps its watch, by its hooks.
_watches: weakref.WeakKeyDictionary[nn.Module, weakref.ref[Watch]] = weakref.WeakKeyDictionary()


def watch(
    model: nn.Module,
    bins: Bins | None = LogBins(),
    *,
    functional: bool = True,
    modules: bool = True,
    unit_dim: UnitDim = "auto",
    unit_histograms: bool = False,
    every: int = 1,
) -> Watch:
    """Counts every ReLU that ``model`` computes, however it is written, until closed.

    Finds ``nn.ReLU`` modules (in-place ones stay in-place; a module called twice has two call
    sites), ``F.relu``, ``torch.relu``, ``Tensor.relu`` and their in-place forms, ``clamp(min=0)``,
    ``clamp_min(0)`` and ``threshold(0, 0)``. Outputs and gradients stay what they were, bit for
    bit; but PyTorch's transformer layers leave their fused fast path, which hides its ReLUs, for
    the plain one. Closing removes the hooks, and the model is what it was before.

    Args:
        model: called as usual while it is watched. Calls of its submodules count too, calls of
            ``model.forward`` do not.
        bins: where the histograms' bins lie; None: count zeros only.
        functional: count functional calls.
        modules: count ``nn.ReLU`` modules.
        unit_dim: as in :class:`relustat.Counters`; "auto" also knows which layer an input came
            from: channels for convolutions, pools and norms, the last dimension for linear layers.
        unit_histograms: one histogram for each unit, instead of one for each call site.
        every: count each ``every``-th call of a call site, the first included.

    Returns:
        A :class:`Watch`: a context manager, or to be closed with ``close()``.

    Raises:
        TypeError: if ``model`` is no ``nn.Module``.
        ValueError: if it is watched already, or an argument is wrong.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
        >>> with relustat.watch(model) as watch:
        ...     _ = model(torch.randn(16, 4))
        >>> {name: stats.elements for name, stats in watch.stats.items()}
        {'1': 128}
    """
    return Watch(
        model,
        lambda: Counters(bins, unit_dim=unit_dim, unit_histograms=unit_histograms, every=every),
        functional=functional,
        modules=modules,
    )


def unwatch(model: nn.Module) -> None:
    """Closes the watch of ``model``, if it has one.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.ReLU()
        >>> _ = relustat.watch(model)
        >>> relustat.unwatch(model)
    """
    watching = _watches.get(model, lambda: None)()
    if watching is not None:
        watching.close()


class Watch:
    """What :func:`watch` returns."""

    def __init__(
        self,
        model: nn.Module,
        make_counters: Callable[[], Counters],
        *,
        functional: bool,
        modules: bool,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"watch: model must be an nn.Module, got {type(model).__name__}")
        if model in _watches:
            raise ValueError(
                f"watch: a model can be watched once at a time, got a {type(model).__name__} that "
                "is watched already; close() that watch, or unwatch(model), first"
            )
        compiled = [
            path or "the model itself"
            for path, module in model.named_modules()
            if isinstance(module, OptimizedModule)
        ]
        if compiled:
            raise ValueError(
                "watch: compiled modules cannot be watched, got "
                f"{', '.join(compiled)}; put CountingReLU in before compiling"
            )
        make_counters()  # raises if an argument is wrong
        self._model = model
        self._functional = functional
        self._modules = modules
        self._paused = False
        self._closed = False
        self._sites = CallSites(model, make_counters)
        self._uncounted: dict[str, str] = {}
        self._underway = Underway()
        self._forwards = Forwards(self._call, self._underway)
        self._handles = []
        self._opaque = []
        for path, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                self._opaque.append(path or type(module).__name__)
                continue
            # The first to enter is the last to leave.
            enter, leave = ModuleHook(self._enter), ModuleHook(self._leave)
            self._handles.append(module.register_forward_pre_hook(enter, prepend=True))
            self._handles.append(module.register_forward_hook(leave, always_call=True))
        _watches[model] = weakref.ref(self)

    def __enter__(self) -> Self:
        if self._closed:
            raise ValueError("watch: a closed watch cannot be entered again; call watch(model)")
        return self

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Watch of a {type(self._model).__name__}, {state}>"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Takes the hooks off; what was counted stays readable. Closing twice does nothing.

        Where other threads are inside the model, their hooks go when they leave it.
        """
        self._closed = True
        self._forwards.abandon()
        self._take_hooks_off()
        _watches.pop(self._model, None)

    @property
    def stats(self) -> dict[str, ReLUStats]:
        """Statistics by call-site name, in the order of execution; a snapshot on the host.

        A module's site is named by its path; its second call within one forward adds ``_1``, its
        third ``_2``. A functional call in module ``block`` is ``block.relu``, then
        ``block.relu_1``.
        """
        return self._sites.stats

    def report(self) -> Report:
        """A table of all call sites, with warnings: ``print(watch.report())``."""
        warnings = [f"{name}: not counted, {reason}" for name, reason in self._uncounted.items()]
        warnings += [
            f"{path}: a TorchScript module; ReLUs inside it are not seen" for path in self._opaque
        ]
        never = self._sites.never_called() if self._modules else []
        warnings += [f"{path}: never called" for path in never]
        return Report(self.stats, warnings)

    def reset(self) -> None:
        """Sets all counts to 0."""
        self._sites.reset()
        self._uncounted.clear()

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Nothing is counted within ``with watch.pause():``."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    # The forward pass, from hook to hook

    def _enter(self, module: nn.Module) -> None:
        if not self._closed and module in self._sites.paths and not is_recomputation():
            self._forwards.enter(module)

    def _leave(self, module: nn.Module) -> None:
        self._forwards.leave(module)
        if self._closed:
            self._take_hooks_off()

    def _take_hooks_off(self) -> None:
        # Forwards of other threads end by their hooks; the last of them takes these off.
        if not self._underway:
            for handle in self._handles:
                handle.remove()
            self._handles.clear()

    def _call(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        forward = self._forwards.current()
        if forward is None or self._closed or is_recomputation():
            return function(*args, **kwargs)
        call = find_relu_call(function, args, kwargs)
        if call is not None and forward.settle():
            output = self._count(forward, call, lambda: function(*args, **kwargs))
        else:
            output = function(*args, **kwargs)
        forward.units.follow(function, args, kwargs, output)
        return output

    def _count(self, forward: Forward, call: ReLUCall, compute: Callable[[], Any]) -> Any:
        self._sites.meet(forward.module)
        key = forward.site_of(self._sites.kind_in(forward.module))
        wanted = self._modules if key.is_module else self._functional
        if self._paused or not wanted:
            return compute()
        x = call.x
        if not is_countable(x) or not keeps_numbers(x):
            self._uncounted[self._sites.name_of(key)] = f"its input was {describe(x)}"
            return compute()
        counters = self._sites.counters_at(key, forward)
        known = forward.units.unit_dim_of(x) if counters.unit_dim == "auto" else None
        try:
            counters.units_of(x, known)
        except IndexError as error:
            self._uncounted[self._sites.name_of(key)] = str(error)
            return compute()
        if call.replaceable and type(x) in (Tensor, nn.Parameter):
            return counting_relu(x, counters, inplace=call.inplace, unit_dim=known)
        # Not for other watches to see: they see the call itself.
        with torch.no_grad(), torch._C.DisableTorchFunction():
            counting_relu(x.as_subclass(Tensor), counters, unit_dim=known)
        return compute()
