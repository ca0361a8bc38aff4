"""Counts one ReLU, or another activation, at its call site."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from relustat._dynamo import inline_in_graph
from relustat._torch_internals import (
    dispatch_mode_depth,
    unseen_by_dispatch_modes,
    unseen_by_function_modes,
)
from relustat.nn.activations import ChosenActivations
from relustat.ops.counters import Counters
from relustat.ops.counting_activation import counting_activation
from relustat.ops.counting_relu import counting_relu
from relustat.ops.inputs import describe, is_countable, is_symbolic, keeps_numbers, why_symbolic
from relustat.ops.library import KERNEL_DTYPES
from relustat.ops.reference.checks import unit_dims_of

from .call_kinds import OTHERS
from .call_names import call_place
from .call_sites import CallSites
from .family_calls import find_family_call
from .forward_pass import ForwardPass
from .labels import LabelsOf, Parts, count_call, count_in_graph, labels_for
from .masks import MaskOf, mask_for
from .relu_calls import ActivationCall, find_relu_call
from .traced_calls import traced_call
from .uncounted import Uncounted
from .units.of_tensors import assumed_dim

During = Literal["train", "eval", "all"]

_PLAIN = (Tensor, nn.Parameter)


@inline_in_graph
class SiteCounter:
    """Finds the call site of an activation, and counts it there.

    Args:
        sites: where the counts are added.
        functional, modules, during, mask, groups: what is counted; see :func:`relustat.watch`.
        chosen: the activations that are counted.

    Attributes:
        counts_others: whether anything but ReLUs is chosen.
        uncounted: what could not be counted, with the reason.
    """

    def __init__(
        self,
        sites: CallSites,
        *,
        functional: bool,
        modules: bool,
        during: During,
        mask: MaskOf | None,
        groups: LabelsOf | None,
        chosen: ChosenActivations,
    ) -> None:
        if during not in get_args(During):
            raise ValueError(f"watch: during must be 'train', 'eval' or 'all', got {during!r}")
        self._sites = sites
        self._functional = functional
        self._modules = modules
        self._during = during
        self._mask = mask
        self._groups = groups
        self._chosen = chosen
        self._places: dict[Any, str] = {}
        self.counts_others = chosen.names != {"ReLU"}
        self.uncounted = Uncounted()

    def is_counted(self, module: nn.Module) -> bool:
        """Whether the ReLUs of a module that is called now are counted."""
        return self._during == "all" or module.training == (self._during == "train")

    def find(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        path: str,
    ) -> ActivationCall | None:
        """The activation that a call computes, if it is chosen; a ReLU that is not is noted."""
        call = find_relu_call(function, args, kwargs)
        if call is None:
            call = find_family_call(function, args, kwargs, self._chosen)
            if call is None and OTHERS.get(function) in self._chosen.names:
                self._note_uncounted(OTHERS[function], path)
            return call
        if "ReLU" in self._chosen.names:
            return call
        if torch.compiler.is_dynamo_compiling():
            self.uncounted.meet_at_each_run("ReLU", path)
        else:
            self.uncounted.meet_other("ReLU", path)
        return None

    def _note_uncounted(self, activation: str, path: str) -> None:
        if not torch.compiler.is_dynamo_compiling():
            reason = f"the arguments of its {activation} are none that can be counted"
            self.uncounted.reasons[path or activation] = reason

    def count(
        self,
        forward: ForwardPass,
        call: ActivationCall,
        compute: Callable[[], Any],
        where: FrameType | None = None,
    ) -> Any:
        """Computes an activation and counts it.

        Args:
            forward: the forward pass that calls it.
            call: what is called.
            compute: calls it without counting.
            where: the frame of the model's code that calls it; in a trace it is not known.
        """
        watched, x = forward.watched, call.x
        is_compiling = torch.compiler.is_dynamo_compiling()
        what = "" if call.member is None else call.member.activation.encoded()
        if not is_compiling:
            self._sites.seen.add(watched.path)
        if not (self._modules if watched.is_relu_module else self._functional):
            return compute()
        if is_compiling:
            traced = traced_call(x, watched, forward.caller, what)
            site = self._sites.at_traced(traced, forward.calls.next(traced.place), forward)
            followed = traced.dims
        else:
            units = forward.units.of(x)
            if units is not None and units.shape != x.shape:
                units = None  # changed in place by something that was not seen
            followed = None if units is None else units.dims
            place = self._place(forward, None if units is None else units.layer, where, what)
            is_in_block = forward.is_in_block_only()
            repeat = 0 if is_in_block else forward.calls.next(place)
            site = self._sites.at(place, repeat, forward)
            if is_in_block and watched.module is not None:
                forward.is_counted = self.is_counted(watched.module)
        if not forward.is_counted or not site.is_chosen:
            return compute()
        is_counted = is_countable(x) and (call.member is None or x.dtype in KERNEL_DTYPES)
        if not is_counted or not (is_compiling or keeps_numbers(x)):
            output = compute()  # which may raise an error
            self.uncounted.reasons[site.name] = f"its input was {describe(x)}"
            return output
        counters = site.counters
        if not is_compiling:
            why = why_symbolic(x)
            if why:
                self.uncounted.reasons[site.name] = why
                return compute()
            is_known = followed is not None or not x.numel()
            site.meet(units, "" if is_known else assumed_dim(x.dim()))
        known = None
        if counters.unit_dim == "auto":
            known = followed
        else:
            try:
                counters.units_of(x)
            except (IndexError, ValueError) as error:
                self.uncounted.reasons[site.name] = str(error)
                return compute()
        # A subclass may compute ReLUs in its own way; the compiler has already traced into it.
        is_plain = is_compiling or type(x) in _PLAIN
        # A mode that replays ops, such as that of selective checkpointing, must see the same ops in
        # the recomputation, which counts nothing.
        # And a mode of torch functions must see the function itself.
        is_recorded = not is_compiling and (dispatch_mode_depth() > 0 or not forward.mode.is_alone)
        is_replaced = call.replaceable and is_plain and not is_recorded
        values = x if is_plain else _plain(x)

        output = None
        if call.member is not None and call.member.activation.near_zero is not None:
            values, output, compute = _observed(values, call.inplace, compute)
        counted = call, compute, values, output, counters, known, is_replaced
        if (self._mask is None and self._groups is None) or not self._asks(x):
            return self._computed(*counted, None, None)
        with torch.no_grad(), unseen_by_function_modes(), _unseen_by_modes():
            unit_dims = unit_dims_of(values, counters.units_of(values, known)[0])
            mask = labels = None
            if self._mask is not None:
                mask = mask_for(self._mask, site.name, values, unit_dims)
            if self._groups is not None:
                labels = labels_for(self._groups, site.name, values, unit_dims)
            if labels is not None and is_compiling:
                count_in_graph(site, values, output, labels, mask, unit_dims)
        if labels is None or is_compiling:
            return self._computed(*counted, mask, None)
        with site.lock:
            with torch.no_grad(), unseen_by_function_modes(), _unseen_by_modes():
                parts = Parts(
                    site, call.member, values, output, labels, mask, unit_dims, inplace=call.inplace
                )
            return self._computed(*counted, mask, parts)

    def _computed(
        self,
        call: ActivationCall,
        compute: Callable[[], Any],
        values: Tensor,
        output: Tensor | None,
        counters: Counters,
        unit_dim: tuple[int, ...] | None,
        is_replaced: bool,
        mask: Tensor | None,
        parts: Parts | None,
    ) -> Any:
        """Counts a call and its parts by label, and computes it; if it is replaced, in one op."""
        is_compiling = torch.compiler.is_dynamo_compiling()
        # What fails is not counted. What writes over its input is counted before.
        is_last = not is_replaced and not is_compiling and not call.inplace
        computed = compute() if is_last else None
        if is_replaced:
            computed = _counted(call, counters, unit_dim, mask)
        elif is_compiling or not is_symbolic(call.x):
            # Hidden from other watches and modes: they see the call itself.
            with torch.no_grad(), unseen_by_function_modes(), _unseen_by_modes():
                count_call(call.member, values, output, counters, unit_dim, mask)
        if parts is not None:
            self._count_parts(parts)
        return computed if is_replaced or is_last else compute()

    def _count_parts(self, parts: Parts) -> None:
        try:
            with torch.no_grad(), unseen_by_function_modes(), _unseen_by_modes():
                parts.count()
        except BaseException as error:
            reason = f"a call is not in all its groups, because of {type(error).__name__}"
            self.uncounted.reasons[parts.site.name] = reason
            raise

    def _asks(self, x: Tensor) -> bool:
        """Whether a call is counted, so that a mask or labels are asked for."""
        if torch.compiler.is_dynamo_compiling():
            return not is_symbolic(x)
        return self._sites.counting

    def _place(
        self, forward: ForwardPass, layer: str | None, where: FrameType | None, what: str
    ) -> str:
        """Where the activation is computed, encoded: texts are quick keys."""
        watched, caller = forward.watched, forward.caller
        call = forward.written_call(where)
        key = watched, watched.path, caller, call, layer, what
        place = self._places.get(key)
        if place is None:
            relu = watched if watched.is_relu_module else None
            found = call_place(caller, relu, call, layer)._replace(activation=what)
            place = self._places[key] = found.encoded()
        return place


def _counted(
    call: ActivationCall, counters: Counters, unit_dim: tuple[int, ...] | None, mask: Tensor | None
) -> Tensor:
    """A call in the same op that counts it."""
    if call.member is None:
        return counting_relu(call.x, counters, inplace=call.inplace, unit_dim=unit_dim, mask=mask)
    return counting_activation(
        call.x,
        counters,
        call.member,
        inplace=call.inplace,
        slopes=call.slopes,
        unit_dim=unit_dim,
        mask=mask,
    )


def _observed(
    values: Tensor, inplace: bool, compute: Callable[[], Any]
) -> tuple[Tensor, Tensor, Callable[[], Any]]:
    """The input and the output of a call whose output is looked at, and what returns that."""
    before = values
    if inplace:
        with torch.no_grad(), unseen_by_function_modes(), _unseen_by_modes():
            before = values.detach().clone()
    output = compute()
    after = output if type(output) in _PLAIN else _plain(output)
    if after.dtype != before.dtype:
        before = before.to(after.dtype)  # as autocast has done
    return before, after, lambda: output


def _plain(x: Tensor) -> Tensor:
    with torch.no_grad(), unseen_by_function_modes(), _unseen_by_modes():
        return x.as_subclass(Tensor)


def _unseen_by_modes() -> contextlib.AbstractContextManager[Any]:
    if torch.compiler.is_dynamo_compiling():
        return contextlib.nullcontext()
    unseen: contextlib.AbstractContextManager[Any] = unseen_by_dispatch_modes()
    return unseen
