"""Exported and traced models hold PyTorch's own ops, nothing of ours, and count nothing."""

import copy
import functools
import io

import pytest
import torch
import torch.nn.functional as F
from optional import needs
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

import relustat
from relustat import CountingReLU, MaxPool2d, MaxUnpool2d, functional


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.relu_in_place = nn.ReLU(inplace=True)
        self.pool_of_two = nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool_of_two(self.relu_in_place(self.pool(self.relu(self.conv(x))) - 0.1))


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = MaxPool2d(3, 2, return_switches=True)
        self.unpool = MaxUnpool2d(overlap="sum")

    def forward(self, x):
        return self.unpool(*self.pool(x))


def exported(model, x, **options):
    return torch.export.export(model, (x,), **options)


def dynamic(strict):
    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    return lambda model, x: exported(model, x, strict=strict, dynamic_shapes=(sizes,)).module()


EXPORTS = {
    "export": lambda model, x: exported(model, x, strict=False).module(),
    "strict export": lambda model, x: exported(model, x, strict=True).module(),
    "dynamic export": dynamic(strict=False),
    "strict dynamic export": dynamic(strict=True),
    "decomposed export": lambda model, x: exported(model, x).run_decompositions().module(),
    "export for training": lambda model, x: exported(model.train(), x).module(),
    "make_fx": lambda model, x: make_fx(model)(x),
    "make_fx before dispatch": lambda model, x: make_fx(model, pre_dispatch=True)(x),
    "make_fx of fake tensors": lambda model, x: make_fx(
        model, tracing_mode="symbolic", _allow_non_fake_inputs=True
    )(x),
    "functionalized make_fx": lambda model, x: make_fx(torch.func.functionalize(model))(x),
}


def ops_of(graph_module):
    """The names of all functions that a graph calls, without overloads."""
    calls = [node.target for node in graph_module.graph.nodes if node.op == "call_function"]
    return [getattr(target, "overloadpacket", target).__name__ for target in calls]


def tensors_of(graph_module):
    """Those that a graph holds, be they parameters, buffers or constants."""
    held = [node.target for node in graph_module.graph.nodes if node.op == "get_attr"]
    values = [functools.reduce(getattr, name.split("."), graph_module) for name in held]
    return [value for value in values if isinstance(value, torch.Tensor)]


def counting(device, warm):
    """A swapped model, its plain twin and an input; with counters in place, if warm."""
    plain = Net().to(device).eval()
    model = relustat.swap(copy.deepcopy(plain))
    x = torch.randn(2, 3, 20, 20, device=device)
    if warm:
        model(x)
    return model, plain, x


def calls_of(model):
    return [each.counters.stats.calls for each in model.modules() if hasattr(each, "counters")]


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("export", EXPORTS)
def test_graphs_hold_plain_ops_and_count_nothing(device, export, warm):
    model, plain, x = counting(device, warm)
    expected = plain(x)
    graph = EXPORTS[export](model, x)
    assert torch.equal(graph(x), expected)
    graph(x)
    assert ops_of(graph) == ops_of(EXPORTS[export](plain, x))
    assert "relustat" not in graph.code
    assert all(tensor.dtype == torch.float32 for tensor in tensors_of(graph))
    assert calls_of(model) == [warm, warm]
    model(x)
    assert calls_of(model) == [1 + warm] * 2


def test_symbolic_traces_call_swapped_modules_as_they_call_plain_ones(device):
    model, plain, x = counting(device, warm=False)
    traced, expected = torch.fx.symbolic_trace(model), torch.fx.symbolic_trace(plain)
    assert traced.code == expected.code
    assert torch.equal(traced(x), plain(x))
    assert calls_of(model) == [1, 1]


def test_symbolic_traces_of_a_watched_model_call_its_modules(device):
    _, model, x = counting(device, warm=False)
    with relustat.watch(model) as watch:
        traced = torch.fx.symbolic_trace(model)
        assert watch.stats == {}
        assert torch.equal(traced(x), model(x))
    assert {name: stats.calls for name, stats in watch.stats.items()} == {
        "relu": 2,
        "relu_in_place": 2,
    }


@pytest.mark.parametrize("warm", [False, True])
def test_jit_trace_holds_plain_ops_and_counts_nothing(device, warm):
    model, plain, x = counting(device, warm)
    # To check itself, trace calls the model as anyone does.
    traced = torch.jit.trace(model, (x,), check_trace=False)
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    for form in (traced, torch.jit.load(file)):
        assert torch.equal(form(x), plain(x))
        kinds = {node.kind() for node in form.inlined_graph.nodes()}
        assert {"aten::relu", "aten::relu_", "aten::max_pool2d"} <= kinds
        assert not any(kind.startswith("relustat") for kind in kinds)
    assert calls_of(model) == [warm, warm]


@pytest.mark.parametrize("export", EXPORTS)
def test_export_of_a_watched_model(device, export):
    _, model, x = counting(device, warm=False)
    expected = model(x)
    ops = ops_of(EXPORTS[export](model, x))
    with relustat.watch(model) as watch:
        graph = EXPORTS[export](model, x)
        assert watch.stats == {}
        assert torch.equal(graph(x), expected)
        assert torch._C._len_torch_function_stack() == 0
        assert ops_of(graph) == ops
        assert "relustat" not in graph.code
        assert watch.stats == {}
        model(x)
    assert [stats.calls for stats in watch.stats.values()] == [1, 1]


def test_onnx_holds_relus_and_pools_only(device):
    needs("onnx")
    needs("onnxscript")
    model, plain, x = counting(device, warm=True)
    nodes = []
    for each in (model, plain):
        program = torch.onnx.export(each, (x,), dynamo=True, verbose=False)
        graph = program.model_proto.graph
        nodes.append([node.op_type for node in graph.node])
        assert {node.domain for node in graph.node} == {""}
        assert all(tensor.data_type == 1 for tensor in graph.initializer)  # 1: float32
    assert nodes == [["Conv", "Relu", "MaxPool", "Sub", "Relu", "MaxPool"]] * 2
    assert calls_of(model) == [1, 1]


@pytest.mark.parametrize(
    "make", [CountingReLU, lambda: MaxPool2d(2), MaxUnpool2d, lambda: relustat.swap(Net())]
)
def test_jit_script_says_what_to_do(make):
    for model in (make(), nn.Sequential(make())):
        before = [type(module) for module in model.modules()]
        with pytest.raises(TypeError, match=r"cannot be scripted.*relustat\.unswap"):
            torch.jit.script(model)
        assert [type(module) for module in model.modules()] == before


def test_unswapped_models_are_scripted():
    model, plain, x = counting("cpu", warm=True)
    scripted = torch.jit.script(relustat.unswap(model))
    assert torch.equal(scripted(x), plain(x))


# Switches have no counterpart in PyTorch: poolings that return them stay what they are.


@pytest.mark.parametrize("export", EXPORTS)
def test_unpooling_is_exported_as_our_ops(device, export):
    model = AutoEncoder()
    x = torch.randn(2, 3, 9, 9, device=device)
    graph = EXPORTS[export](model, x)
    assert {"max_pool", "max_unpool"} <= set(ops_of(graph))
    assert torch.equal(graph(x), model(x))


def test_unpooling_is_traced_as_our_ops(device):
    x = torch.randn(2, 3, 9, 9, device=device)
    # Sizes become constants, which is what is warned of.
    with pytest.warns(torch.jit.TracerWarning):
        traced = torch.jit.trace(AutoEncoder(), (x,))
    kinds = {node.kind() for node in traced.inlined_graph.nodes()}
    assert {"relustat::max_pool", "relustat::max_unpool"} <= kinds
    assert torch.equal(traced(x + 1), AutoEncoder()(x + 1))


def test_indices_lead_to_onnx(device):
    needs("onnx")
    needs("onnxscript")
    x = torch.randn(2, 3, 9, 9, device=device)
    pool = MaxPool2d(3, 2, return_indices=True)
    program = torch.onnx.export(pool, (x,), dynamo=True, verbose=False)
    assert {node.domain for node in program.model_proto.graph.node} == {""}
    with pytest.raises(Exception, match="relustat"):
        torch.onnx.export(AutoEncoder(), (x,), dynamo=True, verbose=False)


def test_the_function_is_exported_as_a_plain_relu(device):
    counters = relustat.Counters()
    x = torch.randn(2, 3, device=device)

    def function(x):
        return functional.counting_relu(x, counters)

    graph = make_fx(function)(x)
    assert ops_of(graph) == ["relu"]
    assert torch.equal(graph(x), F.relu(x))
    assert counters.stats.calls == 0
