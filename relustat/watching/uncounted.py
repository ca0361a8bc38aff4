"""What a watch sees and does not count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from relustat._dynamo import (
    TraceTimeAttributes,
    attribute_of,
    inline_in_graph,
    trace_time_attribute,
    values_of,
)

from .call_kinds import OTHERS, Kind, name_of
from .lookalikes import Lookalikes
from .relu_calls import BINDERS

_FUSED = "it computes a ReLU within a larger op"
_NO_BOUND = "a graph does not know the bound of its clamp"
# Those of which the compiler makes a graph.
_RECURRENT = frozenset({torch.rnn_relu_cell, torch.rnn_relu})


@inline_in_graph
class Uncounted:
    """What is not counted, and why.

    Attributes:
        reasons: by the name of a call site, or of the module that makes the call.
        others: the paths of the modules that compute another activation, by its name.
        lookalikes: finds calls that give what a ReLU gives.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.others: dict[str, set[str]] = {}
        self.lookalikes = Lookalikes(self.reasons)
        # What a graph says once, when it is traced, and to each watch for which it runs.
        self._traced = TraceTimeAttributes(self._meet_traced)

    def clear(self) -> None:
        self.reasons.clear()
        self.others.clear()
        self.lookalikes = Lookalikes(self.reasons)
        self._traced = TraceTimeAttributes(self._meet_traced)

    def meet(self, kind: Kind, function: Callable[..., Any], path: str) -> None:
        """Stores a call that is of a kind which is not counted, whatever its arguments are."""
        if kind is Kind.FUSED:
            self.reasons[path or name_of(function)] = _FUSED
        elif function in OTHERS:
            self.meet_other(OTHERS[function], path)

    def meet_other(self, activation: str, path: str) -> None:
        """Stores a call of an activation that is not counted, by its name."""
        self.others.setdefault(activation, set()).add(path)

    def meet_in_trace(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        path: str,
    ) -> None:
        """Stores a call that is traced, if its kind or its arguments say that it is not counted."""
        if function in OTHERS:
            self.meet_at_each_run(OTHERS[function], path)
        elif function in _RECURRENT:
            self.meet_at_each_run(_FUSED, path)
        elif function in BINDERS and len(args) < 3 and kwargs.get("max") is None:
            bound = args[1] if len(args) > 1 else kwargs.get("min")
            if isinstance(bound, Tensor):
                self.meet_at_each_run(_NO_BOUND, path)

    def meet_at_each_run(self, what: str, path: str) -> None:
        """Stores, whenever the graph runs that is traced now, an activation or a reason."""
        # Only a value that is used has a guard, which reads the attribute of another watch.
        assert trace_time_attribute(self._traced, attribute_of(what, path))

    def _meet_traced(self, attribute: str) -> bool:
        what, path = values_of(attribute)
        if what in (_FUSED, _NO_BOUND):
            self.reasons[path or "(model)"] = what
        else:
            self.others.setdefault(what, set()).add(path)
        return True
