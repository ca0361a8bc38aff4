"""Every activation of networks as people write them is found and counted, and nothing else.

The truth is what PyTorch dispatches without a watch, counted by NumPy.
"""

import collections
import contextlib
import copy
import dataclasses

import numpy as np
import pytest
import torch
from compiled_models import needs_inductor
from family_models import MODELS, make
from fused_models import tensors
from torch.utils._python_dispatch import TorchDispatchMode

import relustat


@pytest.fixture(autouse=True)
def _one_thread():
    # The models are small: more threads only wait for one another. tests/conftest.py undoes it.
    torch.set_num_threads(1)


every_model = pytest.mark.parametrize("name", MODELS)

# More values than with the default are near 0.
NEAR_ZERO = 0.05
KNEES = {"ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "Hardtanh", "Threshold", "SquaredReLU"}
GATES = {"Sigmoid", "Tanh", "Hardsigmoid"}
NAMES = {
    **{"relu": "ReLU", "leaky_relu": "LeakyReLU", "_prelu_kernel": "PReLU"},
    **{"rrelu_with_noise": "RReLU", "threshold": "Threshold", "counting_activation": "SquaredReLU"},
    **{"gelu": "GELU", "silu": "SiLU", "mish": "Mish", "hardswish": "Hardswish"},
    **{"hardsigmoid": "Hardsigmoid", "celu": "CELU", "softplus": "Softplus"},
    **{"sigmoid": "Sigmoid", "tanh": "Tanh"},
}


@dataclasses.dataclass
class Call:
    """A call of an activation: in which module, and what of."""

    name: str
    path: str
    input: np.ndarray
    output: np.ndarray
    lower: float
    upper: float | None

    def is_inactive(self, near_zero=NEAR_ZERO):
        if self.name in KNEES:
            return self.input <= np.float32(self.lower)
        return np.abs(self.output) <= np.float32(near_zero)

    def is_saturated(self):
        return None if self.upper is None else self.input >= np.float32(self.upper)


def of_units(flags, unit_dim):
    """How often a flag is set, for each unit."""
    if flags is None:
        return None
    return np.moveaxis(flags, unit_dim, 0).reshape(flags.shape[unit_dim], -1).sum(1).tolist()


class Dispatched(TorchDispatchMode):
    """Stores what is dispatched."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.paths = []

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        what = self.activation(op.overloadpacket.__name__.removesuffix("_"), args)
        if what is None:
            return op(*args, **kwargs)
        name, lower, upper = what
        # It may be written over, and the output, too, by a later call.
        before = args[0].double().numpy().copy()
        output = op(*args, **kwargs)
        after = args[0] if output is None else output
        numbers = before, after.double().numpy().copy()
        self.calls.append(Call(name, self.paths[-1], *numbers, lower, upper))
        return output

    def activation(self, op, args):
        if op == "hardtanh":
            lower, upper = args[1:] or (-1.0, 1.0)
            return "ReLU6" if (lower, upper) == (0, 6) else "Hardtanh", lower, upper
        if op == "elu":
            return "SELU" if len(args) > 2 and args[2] != 1 else "ELU", 0.0, None
        if op in NAMES:
            return NAMES[op], args[1] if op == "threshold" else 0.0, None
        return None

    @contextlib.contextmanager
    def of(self, model):
        def enter(path):
            return lambda *_: self.paths.append(path)

        def leave(*_):
            self.paths.pop()

        hooks = []
        for path, module in model.named_modules():
            hooks.append(module.register_forward_pre_hook(enter(path)))
            hooks.append(module.register_forward_hook(leave))
        with self:
            yield
        for hook in hooks:
            hook.remove()


def dispatched(model, x):
    """The calls of activations, and the output."""
    mode = Dispatched()
    with torch.no_grad(), mode.of(model):
        output = model(x)
    return mode.calls, output


def counted(stats):
    return stats.activation.name, stats.elements, stats.inactive, stats.saturated, stats.nans


def expected(call, near_zero=NEAR_ZERO):
    inactive, saturated = call.is_inactive(near_zero), call.is_saturated()
    is_nan = np.isnan(call.input if call.name in KNEES else call.output)
    sums = int(inactive.sum()), None if saturated is None else int(saturated.sum())
    return call.name, call.input.size, *sums, int(is_nan.sum())


def bits(tensor):
    """All of its numbers, of which 0 and -0 differ, and all NaN are alike."""
    numbers = tensor.detach().contiguous().reshape(-1)
    if numbers.is_floating_point():
        numbers = numbers.masked_fill(numbers.isnan(), torch.nan)
    return numbers.view(torch.uint8).tolist()


def same(one, other):
    pairs = zip(tensors(one), tensors(other), strict=True)
    return all(bits(a) == bits(b) for a, b in pairs)


@every_model
def test_what_is_counted_is_what_is_dispatched(name):
    model, x, unit_dim = make(name)
    model.eval()
    calls, output = dispatched(model, x)
    with torch.no_grad(), relustat.watch(model, activations="all", near_zero=NEAR_ZERO) as watch:
        assert same(model(x), output)
    sites = watch.stats
    assert [counted(stats) for stats in sites.values()] == [expected(call) for call in calls]
    assert {stats.calls for stats in sites.values()} == {1}
    # A module may have several names; what is called is a part of it.
    modules = dict(model.named_modules(remove_duplicate=False))
    for site, call in zip(sites, calls, strict=True):
        owner = site if site in modules else site.rpartition(".")[0]
        assert modules[owner] is modules[call.path]
    # All units are known.
    report = watch.report()
    assert report.notes == []
    assert all(row.after for row in report.values())
    assert not [warning for warning in report.warnings if "not counted" in warning]
    for stats, call in zip(sites.values(), calls, strict=True):
        assert stats.unit_inactive.tolist() == of_units(call.is_inactive(), unit_dim)
        saturated = stats.unit_saturated
        assert (None if saturated is None else saturated.tolist()) == of_units(
            call.is_saturated(), unit_dim
        )


@every_model
@pytest.mark.parametrize("choice", ["relu", "relu-like"])
def test_what_is_not_chosen_is_named_and_not_counted(name, choice):
    model, x, _ = make(name)
    model.eval()
    calls, output = dispatched(model, x)
    with torch.no_grad(), relustat.watch(model, activations=choice) as watch:
        assert same(model(x), output)
    chosen = {"ReLU"} if choice == "relu" else KNEES
    found = [counted(stats) for stats in watch.stats.values()]
    assert found == [expected(call) for call in calls if call.name in chosen]
    # Each of these calls is in a module of its own. Gates are not named.
    others = collections.Counter(
        call.name for call in calls if call.name not in chosen and call.name not in GATES
    )
    named = [
        (f"{count} {other}", "relu-like" if other in KNEES else "all")
        for other, count in sorted(others.items())
    ]
    warnings = [warning for warning in watch.report().warnings if "try activations=" in warning]
    if watch.stats or not named:
        texts = [f"{each}, not counted: try activations={more!r}" for each, more in named]
        assert warnings == texts
    else:
        for each, _ in named:
            assert len(warnings) == 1
            assert each in warnings[0]


def test_one_activation_is_chosen_by_its_class_or_its_name():
    model, x, _ = make("MobileNetV3")
    model.eval()
    calls, _ = dispatched(model, x)
    chosen = [torch.nn.Hardswish, "hardsigmoid"]
    with torch.no_grad(), relustat.watch(model, activations=chosen, near_zero=NEAR_ZERO) as watch:
        model(x)
    found = [counted(stats) for stats in watch.stats.values()]
    assert found == [expected(call) for call in calls if call.name != "ReLU"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_numbers_that_are_none(dtype):
    model, x, _ = make("rest")
    model, x = model.eval().to(getattr(torch, dtype)), x.to(getattr(torch, dtype))
    x[3, 2], x[5] = torch.nan, torch.inf
    calls, output = dispatched(model, x)
    with torch.no_grad(), relustat.watch(model, activations="all", near_zero=NEAR_ZERO) as watch:
        assert same(model(x), output)
    found = [counted(stats) for stats in watch.stats.values()]
    assert found == [expected(call) for call in calls]
    assert sum(stats.nans for stats in watch.stats.values()) > 0


# Each takes the compiler seconds.
GRAPHS = ["MobileNetV3", "ViT", "nnU-Net", "Primer", "CountingPrimer", "rest"]
GENERATED = ["policy", "Llama", "DCGAN", "binary"]


def watched(model, x, called):
    """The output of a watched model that is called so, and the report."""
    options = {"activations": "all", "near_zero": NEAR_ZERO}
    with torch.no_grad(), relustat.watch(model, **options) as watch:
        output = called(x)
    return output, watch.report()


def of_sites(report):
    return {site: row.stats for site, row in report.items()}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_count_the_same(name):
    model, x, _ = make(name)
    model.eval()
    output, eager = watched(model, x, model)
    graph = torch.compile(model, fullgraph=True, backend="eager")
    graph_output, compiled = watched(model, x, graph)
    assert same(graph_output, output)
    assert of_sites(compiled) == of_sites(eager)
    assert compiled.warnings == eager.warnings
    assert compiled.notes == eager.notes == []


@needs_inductor
@pytest.mark.parametrize("name", GENERATED)
def test_generated_code_counts_the_same(name):
    model, x, _ = make(name)
    model.eval()
    _, eager = watched(model, x, model)
    _, compiled = watched(model, x, torch.compile(model, fullgraph=True))
    assert compiled.warnings == eager.warnings
    # Its arithmetic may differ in the last bit, and none of these inputs is that close to a knee.
    for report in (eager, compiled):
        assert {stats.calls for stats in of_sites(report).values()} == {1}
    found, wanted = (
        {site: (*counted(stats), stats.widths) for site, stats in of_sites(report).items()}
        for report in (compiled, eager)
    )
    assert found == wanted


@every_model
def test_swapped_modules_count_what_is_dispatched(name):
    model, x, _ = make(name)
    model.eval()
    calls, output = dispatched(model, x)
    before = str(model)
    modules = dict(model.named_modules())
    own = {path for path, module in modules.items() if hasattr(module, "counters")}
    for path in own:
        modules[path].reset()
    relustat.swap(model, activations="all", pools=False, near_zero=NEAR_ZERO)
    with torch.no_grad():
        assert same(model(x), output)
    found = {
        path: counted(module.counters.stats)
        for path, module in modules.items()
        if hasattr(module, "counters")
    }
    # Of modules that compute nothing else: functions that a module calls are not swapped.
    wanted = {call.path: call for call in calls if not list(modules[call.path].children())}
    # A module that squares its ReLU is one activation.
    squares = {path for path in wanted if type(modules[path]).__name__ == "ReLUSquared"}
    assert found == {
        path: ("SquaredReLU" if path in squares else call.name, *expected(call)[1:])
        for path, call in wanted.items()
    }
    assert {each.path for each in relustat.swapped(model)} == set(wanted)
    relustat.unswap(model)
    assert str(model) == before
    assert not any("forward" in module.__dict__ for module in modules.values())
    assert {path for path, module in modules.items() if hasattr(module, "counters")} == own
    with torch.no_grad():
        assert same(model(x), output)


def trained(model, x, run):
    """One step's output, gradients, and statistics of norms."""
    model = copy.deepcopy(model).train()
    x = x.clone().requires_grad_(x.is_floating_point())
    torch.manual_seed(2)  # of dropout, and RReLU
    outputs = tensors(run(model, x))
    sum(output.square().sum() for output in outputs).backward()
    gradients = [each.grad for each in (x, *model.parameters()) if each.grad is not None]
    return (*outputs, *gradients, *model.buffers())


@every_model
def test_gradients_are_the_same(name):
    model, x, _ = make(name)

    def plain(model, x):
        return model(x)

    def counting(model, x):
        with relustat.watch(model, activations="all") as watch:
            output = model(x)
        assert watch.stats
        return output

    def swapped(model, x):
        return relustat.swap(model, activations="all", pools=False)(x)

    alone = trained(model, x, plain)
    assert all(each.isfinite().all() for each in alone)
    for run in (counting, swapped):
        assert same(trained(model, x, run), alone)
