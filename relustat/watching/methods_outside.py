"""Methods of a model that are called by themselves, and compute ReLUs that no hook announces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import CodeType, FrameType

import torch
from torch import nn

from relustat._dynamo import inline_all_in_graph

from .call_kinds import relu_names
from .call_positions import class_code, is_of_user

# The functions that led to a call, from the innermost outwards.
_MOST_FRAMES = 8
_REASON = "it was called outside of the model's own call; `with watch.counting():` counts it"


class MethodsOutside:
    """Finds methods, such as ``decode``, that ran without a call of the model around them.

    Args:
        modules: the modules of the model, and their paths.
    """

    def __init__(self, modules: Mapping[nn.Module, str]) -> None:
        self._modules = modules
        self._callers: set[CodeType] = set()

    def clear(self) -> None:
        self._callers.clear()

    def called_from(self, frame: FrameType | None) -> None:
        """Stores the code that calls a module, if no module of the model is called around it."""
        left = _MOST_FRAMES
        while frame is not None and left:
            if is_of_user(frame.f_globals.get("__name__")):
                self._callers.add(frame.f_code)
                left -= 1
            frame = frame.f_back

    def uncounted(self) -> Iterator[tuple[str, str]]:
        """The names of methods that computed a ReLU, and why it was not counted."""
        for code in list(self._callers):
            name = self._method(code)
            if name:
                yield name, _REASON

    def _method(self, code: CodeType) -> str:
        """The name of a method that computes a ReLU; empty for any other code."""
        if code.co_name.startswith("<"):
            return ""  # a part of a function, with which it is looked at
        for module, path in list(self._modules.items()):
            if isinstance(module, torch.jit.ScriptModule):
                continue
            for call in class_code(module).calls_in(code):
                is_of_child = call.is_of_self and call.text in module._modules
                if not is_of_child and call.text in relu_names():
                    return f"{path}.{code.co_name}" if path else code.co_name
        return ""


inline_all_in_graph(globals())
