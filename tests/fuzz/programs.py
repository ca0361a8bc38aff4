"""Random small models: layers, activations in all spellings, views, residuals, repeated blocks."""

import itertools
import math

import torch
from program_source import HEAD, Block, Program, Value, moved

# A spelling, the name of its call site, and what it computes.
RELUS = (
    ("F.relu(x)", "relu", "ReLU"),
    ("torch.relu(x)", "relu", "ReLU"),
    ("x.relu()", "relu", "ReLU"),
    ("F.relu(x, inplace=True)", "relu", "ReLU"),
    ("torch.relu_(x)", "relu", "ReLU"),
    ("x.relu_()", "relu", "ReLU"),
    ("x.clamp(min=0)", "clamp", "ReLU"),
    ("torch.clamp_min(x, 0)", "clamp_min", "ReLU"),
    ("F.threshold(x, 0, 0)", "threshold", "ReLU"),
)
OTHERS = (
    ("F.relu6(x)", "relu6", "ReLU6"),
    ("F.relu6(x, inplace=True)", "relu6", "ReLU6"),
    ("F.hardtanh(x)", "hardtanh", "Hardtanh"),
    ("F.leaky_relu(x, 0.2)", "leaky_relu", "LeakyReLU"),
    ("F.leaky_relu(x, 0.2, True)", "leaky_relu", "LeakyReLU"),
    ("F.gelu(x)", "gelu", "GELU"),
    ("F.silu(x)", "silu", "SiLU"),
    ("F.silu(x, inplace=True)", "silu", "SiLU"),
    ("torch.tanh(x)", "tanh", "Tanh"),
    ("x.sigmoid()", "sigmoid", "Sigmoid"),
)
MODULES = (
    *(("nn.ReLU()", "ReLU"), ("nn.ReLU(inplace=True)", "ReLU")) * 2,
    *(("nn.ReLU6()", "ReLU6"), ("nn.LeakyReLU(inplace=True)", "LeakyReLU"), ("nn.GELU()", "GELU")),
)


class Writer:
    """Writes a program from choices."""

    def __init__(self, choices):
        self.choices = choices
        self.layers = 0
        self.blocks = itertools.count()

    def block(self, value, steps, depth=0):
        block = Block(f"Block{next(self.blocks)}")
        kept = value
        block.lines.append("kept = x")
        for _ in range(steps):
            step = self.choices.of(STEPS)
            if step == "keep":
                kept = value
                block.lines.append("kept = x")
            elif step in ("add", "cat"):
                value = join(step, block, value, kept)
            elif step in ("block", "twice", "loop"):
                if depth < 2:
                    value = self.inner(step, block, value, depth)
            else:
                value = getattr(self, step)(block, value) or value
        return block, value

    # Layers

    def layer(self, block, made, shape, units):
        name = block.child("layer", made)
        block.lines.append(f"x = self.{name}(x)")
        self.layers += 1
        return Value(shape, units, self.layers)

    def linear(self, block, value):
        if value.rank > 1:
            width = 1 + self.choices.below(5)
            shape = (*value.shape[:-1], width)
            made = f"nn.Linear({value.shape[-1]}, {width})"
            return self.layer(block, made, shape, (value.rank - 1,))
        return None

    def conv(self, block, value):
        if value.rank not in (3, 4):
            return None
        width, size = 1 + self.choices.below(5), self.choices.of((1, 3))
        made = f"nn.Conv{value.rank - 2}d({value.shape[1]}, {width}, {size}, padding={size // 2})"
        return self.layer(block, made, (value.shape[0], width, *value.shape[2:]), (1,))

    def norm(self, block, value):
        if value.rank == 4 and value.units in (None, (1,)):
            # Not GroupNorm: PyTorch 2.13 crashes in its backward in channels_last, if the input
            # needs no gradient.
            return self.layer(block, f"nn.BatchNorm2d({value.shape[1]})", value.shape, (1,))
        if value.rank in (3, 4):
            units = (value.rank - 1,) if value.units is None else value.units
            made = f"nn.LayerNorm({value.shape[-1]})"
            return self.layer(block, made, value.shape, units)
        return None

    # Activations

    def relu(self, block, value):
        self.function(block, value, RELUS)

    def other(self, block, value):
        self.function(block, value, OTHERS)

    def function(self, block, value, spellings):
        spelling, base, activation = self.choices.of(spellings)
        block.lines.append(f"x = {spelling}")
        self.called(block, "", False, base, value, activation)

    def module(self, block, value):
        known = list(block.activations)
        if known and self.choices.below(2):
            name = self.choices.of(known)
        else:
            made, activation = self.choices.of(MODULES)
            if self.choices.one_in(4) and "relu" not in known:
                name = "relu"
                block.made.append(f"self.relu = {made}")
            else:
                name = block.child("act", made)
            block.activations[name] = activation
        block.lines.append(f"x = self.{name}(x)")
        self.called(block, name, True, "", value, block.activations[name])

    def sequential(self, block, value):
        if value.rank < 2:
            return None
        width = value.shape[-1]
        name = block.child("seq", f"nn.Sequential(nn.Linear({width}, {width}), nn.ReLU())")
        self.layers += 1
        value = Value(value.shape, (value.rank - 1,), self.layers)
        block.lines.append(f"x = self.{name}(x)")
        # Of nn.Sequential no code is read.
        block.calls.append((f"{name}.1", True, "", 0, [0], value, "ReLU"))
        return value

    def called(self, block, path, is_module, base, value, activation):
        written = block.written.setdefault((path, is_module, base), [])
        call = (path, is_module, base, len(written), written, value, activation)
        block.calls.append(call)
        written.append(0)

    # Blocks

    def inner(self, step, block, value, depth):
        if step == "loop":
            return self.loop(block, value)
        before = self.layers
        child, after = self.block(value, 1 + self.choices.below(4), depth + 1)
        block.inner.append(child)
        name = block.child("block", f"{child.name}()")
        is_twice = step == "twice" and after.shape == value.shape and after.units == value.units
        rounds = 2 if is_twice else 1
        for again in range(rounds):
            block.lines.append(f"x = self.{name}(x)")
            block.calls += [(f"{name}.{path}".rstrip("."), *rest) for path, *rest in child.calls]
            if again:
                self.layers += self.layers - before
                after = after._replace(made=self.layers)
        return after

    def loop(self, block, value):
        """Layers in a list, and one ReLU behind each."""
        if value.rank < 2:
            return value
        width, number = value.shape[-1], 2 + self.choices.below(2)
        child = Block(f"Block{next(self.blocks)}")
        layers = ", ".join([f"nn.Linear({width}, {width})"] * number)
        child.made.append(f"self.layers = nn.ModuleList([{layers}])")
        child.lines += ["for layer in self.layers:", "    x = F.relu(layer(x))"]
        self.layers += number
        value = Value(value.shape, (value.rank - 1,), self.layers)
        written = [0] * number
        child.calls += [
            ("", False, "relu", index, written, value, "ReLU") for index in range(number)
        ]
        block.inner.append(child)
        name = block.child("block", f"{child.name}()")
        block.lines.append(f"x = self.{name}(x)")
        block.calls += [(name, *rest) for _, *rest in child.calls]
        return value

    # Views and arithmetic

    def scale(self, block, _):
        block.lines.append(self.choices.of(("x = x * 2 - 0.5", "x = x - 1", "x = -x")))

    def contiguous(self, block, _):
        block.lines.append(self.choices.of(("x = x.contiguous()", "x = x.clone()")))

    def transpose(self, block, value):
        if value.rank < 3:
            return None
        first, second = (1 + self.choices.below(value.rank - 1) for _ in range(2))
        block.lines.append(f"x = x.transpose({first}, {second})")
        order = list(range(value.rank))
        order[first], order[second] = second, first
        return moved(value, order)

    def permute(self, block, value):
        rest = list(range(1, value.rank))
        order = [0]
        while rest:
            order.append(rest.pop(self.choices.below(len(rest))))
        block.lines.append(f"x = x.permute({', '.join(map(str, order))})")
        return moved(value, order)

    def flatten(self, block, value):
        if value.rank < 3:
            return None
        start = 1 + self.choices.below(value.rank - 2)
        if start > 1 and len(value.units or ()) > 1:
            return None  # what are units of both groups and positions?
        block.lines.append(f"x = x.flatten({start})")
        shape = (*value.shape[:start], math.prod(value.shape[start:]))
        units = value.units and tuple(sorted({min(dim, start) for dim in value.units}))
        is_one = value.units and math.prod(value.shape[dim] for dim in value.units) == 1
        if is_one and shape[max(units)] > 1:
            units = ()  # nothing tells the positions of a single unit apart
        return value._replace(shape=shape, units=units)

    def unsqueeze(self, block, value):
        if value.rank > 3:
            return None
        dim = 1 + self.choices.below(value.rank)
        block.lines.append(f"x = x.unsqueeze({dim})")
        shape = (*value.shape[:dim], 1, *value.shape[dim:])
        units = value.units and tuple(each + (each >= dim) for each in value.units)
        return value._replace(shape=shape, units=units)

    def mean(self, block, value):
        if value.rank < 3 or value.units is None or len(value.units) > 1:
            return None
        dim = 1 + self.choices.below(value.rank - 1)
        block.lines.append(f"x = x.mean({dim})")
        shape = (*value.shape[:dim], *value.shape[dim + 1 :])
        units = tuple(each - (each > dim) for each in value.units if each != dim)
        return value._replace(shape=shape, units=units)

    def part(self, block, value):
        dim = 1 + self.choices.below(value.rank - 1) if value.rank > 1 else 0
        if not dim or value.shape[dim] < 2:
            return None
        block.lines.append(f"x = x.narrow({dim}, 1, {value.shape[dim] - 1})")
        shape = (*value.shape[:dim], value.shape[dim] - 1, *value.shape[dim + 1 :])
        return value._replace(shape=shape)

    def groups(self, block, value):
        if value.rank < 2 or value.rank > 4 or value.units != (1,) or value.shape[1] % 2:
            return None
        block.lines.append("x = x.unflatten(1, (2, -1))")
        shape = (value.shape[0], 2, value.shape[1] // 2, *value.shape[2:])
        # A dimension of one is none of units.
        return value._replace(shape=shape, units=(1, 2) if shape[2] > 1 else (1,))

    def pool(self, block, value):
        if value.rank != 4 or min(value.shape[2:]) < 2:
            return None
        if self.choices.below(2):
            block.lines.append("x = F.max_pool2d(x, 2)")
        else:
            block.lines.append(f"x = self.{block.child('pool', 'nn.MaxPool2d(2)')}(x)")
        return value._replace(shape=(*value.shape[:2], *(size // 2 for size in value.shape[2:])))


STEPS = (
    *("relu", "relu", "relu", "module", "module", "sequential", "linear", "conv", "norm"),
    *("linear", "conv", "scale", "scale", "contiguous", "transpose", "permute", "flatten"),
    *("unsqueeze", "mean", "part", "groups", "pool", "keep", "add", "cat", "block", "twice"),
    *("loop", "relu", "block", "other", "other"),
)


def join(step, block, value, kept):
    """A residual, or both side by side; left out where the units are a matter of taste."""
    if value.shape != kept.shape or value.rank < 2 or () in (value.units, kept.units):
        return value
    known = [each for each in (value, kept) if each.units is not None]
    units = {each.units for each in known}
    if step == "cat":
        if len(known) == 1 or len(units) > 1:
            return value
        block.lines.append("x = torch.cat([x, kept], 1)")
        shape = (value.shape[0], 2 * value.shape[1], *value.shape[2:])
        return value._replace(shape=shape, made=max(value.made, kept.made))
    if len(units) > 1 and value.made == kept.made:
        return value
    block.lines.append("x = x + kept")
    return max(known, key=lambda each: each.made) if known else value


def any_program(choices):
    shape = choices.of(((2, 3), (3, 2, 4), (2, 3, 4, 4), (1, 4, 3), (0, 3, 2, 2), (2, 4, 5, 3)))
    writer = Writer(choices)
    block, _ = writer.block(Value(shape, None), 1 + choices.below(14))
    return Program(HEAD + block.source(), block.name, shape, block.calls)


def any_model_input(choices, program, dtype=torch.float32):
    generator = torch.Generator().manual_seed(choices.bits(2))
    x = 2 * torch.randn(program.shape, generator=generator)
    if choices.one_in(8) and x.numel():
        x.view(-1)[:2] = torch.tensor([math.nan, math.inf])[: x.numel()]
    return x.to(dtype)
