"""Models with layers that may be skipped, and every way to call a ReLU of one of them."""

import functools

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import relustat


def step(x):
    return F.relu(x)


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


class Layers(nn.Module):
    """Layers that may be skipped, and every way to call a ReLU of one of them.

    ``expected`` are the names of all calls if no layer is skipped, in the order of execution.
    """

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
        self.stem, self.aux = nn.Linear(4, 4), nn.Linear(4, 4)
        self.relu = nn.ReLU()


class Straight(Layers):
    expected = ("relu", "functional_relu", "relu_1", "functional_relu_1")

    def forward(self, x, skipped):
        a, b, c = self.layers
        x = self.relu(self.stem(x))
        if 0 not in skipped:
            x = F.relu(a(x))
        if 1 not in skipped:
            x = self.relu(b(x))
        return torch.relu(c(x)) if 2 not in skipped else x


class InALoop(Layers):
    expected = ("functional_relu", "functional_relu_1", "functional_relu_2", "relu")

    def forward(self, x, skipped):
        for index, layer in enumerate(self.layers):
            if index not in skipped:
                x = F.relu(layer(x))
        return self.relu(x)


class InAComprehension(Layers):
    expected = ("relu", "relu_1", "relu_2")

    def forward(self, x, skipped):
        kept = [layer for index, layer in enumerate(self.layers) if index not in skipped]
        return sum([self.relu(layer(x)) for layer in kept])


class AfterOtherLayers(Layers):
    expected = ("relu after stem", "relu", "relu_1", "relu after aux")

    def forward(self, x, skipped):
        layers = [self.stem, *self.layers[:2], self.aux]
        for index, layer in enumerate(layers):
            if index not in skipped:
                x = self.relu(layer(x))
        return x


class InAMethod(Layers):
    expected = (
        *("functional_relu", "functional_relu_1", "functional_relu_2"),
        *("functional_relu after stem",),
    )

    def forward(self, x, skipped):
        for index, layer in enumerate([*self.layers, self.stem]):
            if index not in skipped:
                x = self.block(layer, x)
        return x

    def block(self, layer, x):
        return F.relu(layer(x))


class InMethods(Layers):
    expected = ("functional_relu", "functional_relu_1")

    def forward(self, x, skipped):
        x = self.first(x) if 0 not in skipped else x
        return self.second(x)

    @decorated
    def first(self, x):
        return F.relu(self.stem(x))

    @torch.no_grad()
    def second(self, x):
        return F.relu(self.aux(x))


class ByFunctions(Layers):
    """A call of another function has the function's name. That of ``inner`` is written first."""

    expected = ("step_1", "step_2", "act", "step")

    def __init__(self):
        super().__init__()
        self.act = F.relu

    def forward(self, x, skipped):
        def inner(x):
            return step(x)

        x = step(self.stem(x)) if 0 not in skipped else x
        x = step(self.aux(x)) if 1 not in skipped else x
        return inner_of(inner, self.act(x))


def inner_of(inner, x):
    return inner(x)


class BeforeLayers(Layers):
    """The first input has no layer."""

    expected = ("functional_relu after input", "functional_relu", "functional_relu_1")

    def forward(self, x, skipped):
        for index, layer in enumerate(self.layers):
            x = F.relu(x)
            x = layer(x) if index not in skipped else x + self.layers[index](x)
        return x


class Residual(Layers):
    """The layer comes second in the sum."""

    expected = ("relu", "relu_1", "relu_2")

    def forward(self, x, skipped):
        x = self.stem(x)
        for index, layer in enumerate(self.layers):
            if index not in skipped:
                x = self.relu(x + layer(x))
        return x


class Checkpointed(Layers):
    """The function is passed on, not called here."""

    expected = ("functional_relu", "functional_relu_1", "functional_relu_2")

    def block(self, layer, x):
        return F.relu(layer(x))

    def forward(self, x, skipped):
        for index, layer in enumerate(self.layers):
            if index not in skipped:
                x = checkpoint(self.block, layer, x, use_reentrant=False)
        return x


class ByALambda(Layers):
    expected = ("functional_relu", "functional_relu_1", "functional_relu_2")

    def __init__(self):
        super().__init__()
        self.act = lambda x: F.relu(x)

    def forward(self, x, skipped):
        first, second, third = self.layers
        x = self.act(first(x)) if 0 not in skipped else x
        x = self.act(second(x)) if 1 not in skipped else x
        return self.act(third(x))


def through(layers, x):
    for layer in layers:
        x = F.relu(layer(x))
    return x


class LoopOfAFunction(Layers):
    expected = ("through", "through_1", "through_2")

    def forward(self, x, skipped):
        return through([each for n, each in enumerate(self.layers) if n not in skipped], x)


def branching(x, aux):
    if aux:
        F.relu(x - 1)
    return F.relu(x)


class BranchesOfAFunction(Layers):
    expected = ("branching", "branching_1", "branching_2", "branching_3")

    def forward(self, x, skipped):
        x = branching(self.stem(x), 0 not in skipped)
        return branching(self.aux(x), 1 not in skipped)


CLASSES = [
    BranchesOfAFunction,
    *(BeforeLayers, Residual, Checkpointed, ByALambda, LoopOfAFunction),
    *(Straight, InALoop, InAComprehension, AfterOtherLayers, InAMethod, InMethods, ByFunctions),
]


def names_of(model, *skips, compiled=False, **options):
    x = torch.randn(2, 4)
    called = torch.compile(model, backend="eager", dynamic=False) if compiled else model
    with relustat.watch(model, **options) as watch:
        for skipped in skips:
            called(x, skipped)
    return watch
