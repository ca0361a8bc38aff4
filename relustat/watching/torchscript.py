"""The parts of a model that TorchScript runs, inside which no call is seen."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import torch
from torch import nn

from relustat.nn.module_paths import named_modules

from .call_kinds import relu_names
from .call_positions import class_code


def scripted_parts(model: nn.Module) -> Iterator[tuple[str, str]]:
    """The names of a model's TorchScript modules, and functions with a ReLU, and what each is."""
    inside: set[nn.Module] = set()
    functions: set[object] = set()
    for module, path in named_modules(model):
        if module in inside:
            continue
        if isinstance(module, torch.jit.ScriptModule):
            inside.update(module.modules())
            yield path or "(model)", "it is a TorchScript module, inside which nothing is seen"
        else:
            for name, function in _functions(module):
                if function in functions:
                    continue
                functions.add(function)
                yield (
                    f"{path}.{name}" if path else name,
                    "it is a TorchScript function, inside which nothing is seen",
                )


def _functions(module: nn.Module) -> Iterator[tuple[str, object]]:
    """The TorchScript functions with a ReLU that a module holds, or that its code names."""
    held = vars(module)
    around = vars(sys.modules.get(type(module).__module__, torch))
    for name in {**held, **dict.fromkeys(class_code(module).names)}:
        function = held.get(name, around.get(name))
        if isinstance(function, torch.jit.ScriptFunction) and _computes_relu(function.graph):
            yield name, function


def _computes_relu(graph: torch.Graph) -> bool:
    return not relu_names().isdisjoint(re.findall(r"aten::(\w+)", str(graph)))
