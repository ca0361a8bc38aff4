"""A model as source code, and what is true of its activations: names, units and order."""

import itertools
import types
from dataclasses import dataclass, field
from typing import Any, NamedTuple

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
_files = itertools.count()


class Value(NamedTuple):
    """What a variable holds.

    Attributes:
        shape: with a batch in dimension 0.
        units: the dimensions of the units, ascending; (): one unit; None: not known.
        made: how many layers there were before the one whose units these are.
    """

    shape: tuple
    units: tuple | None
    made: int = -1

    @property
    def rank(self):
        return len(self.shape)


@dataclass
class Block:
    """A class: its lines, and its activations in the order of execution.

    Attributes:
        calls: of each execution: a path within the block, whether a module is called, the base of
            the name, the index among the calls of this name in the class, a list of the length
            that all of them have in the end, the value, and the name of the activation.
        activations: what its own modules compute, by their names.
    """

    name: str
    made: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    written: dict = field(default_factory=dict)
    activations: dict = field(default_factory=dict)
    inner: list = field(default_factory=list)

    def child(self, kind, what):
        name = f"{kind}{len(self.made)}"
        self.made.append(f"self.{name} = {what}")
        return name

    def source(self):
        init = ["super().__init__()", *self.made]
        lines = [f"class {self.name}(nn.Module):", "    def __init__(self):"]
        lines += [f"        {line}" for line in init]
        lines += ["", "    def forward(self, x):"]
        lines += [f"        {line}" for line in [*self.lines, "return x"]]
        return "\n".join([*(each.source() for each in self.inner), *lines, "\n"])


def moved(value, order):
    shape = tuple(value.shape[dim] for dim in order)
    units = value.units and tuple(sorted(order.index(dim) for dim in value.units))
    return value._replace(shape=shape, units=units)


class Site(NamedTuple):
    """A call site: its name, the dimensions of its units or None, and its activation's name."""

    name: str
    units: tuple | None
    activation: str


class Program(NamedTuple):
    """A model's source, the sizes of an input, and its calls of activations in order."""

    source: str
    root: str
    shape: tuple
    calls: list

    def make(self):
        file = f"<program {next(_files)}>"
        module = types.ModuleType("fuzzed_program")
        exec(compile(self.source, file, "exec"), module.__dict__)
        return module.__dict__[self.root]()

    def sites_of(self, model):
        """The call site of each execution of an activation, in order, in a model of this source."""
        taken = {name for name, _ in model.named_modules()}
        repeats: dict[Any, int] = {}
        found = []
        for path, is_module, base, index, written, value, activation in self.calls:
            key = path, is_module, base, index
            repeat = repeats[key] = repeats.get(key, -1) + 1
            name = path
            if not is_module:
                name = f"{path}.{base}" if path else base
                if name in taken:
                    name = f"{path}.functional_{base}" if path else f"functional_{base}"
            name = numbered(name, index + len(written) * repeat, taken)
            found.append(Site(name, value.units, activation))
        return found


def numbered(name, number, taken):
    line = "_"
    while number and f"{name}{line}{number}" in taken:
        line += "_"
    return f"{name}{line}{number}" if number else name
