"""The code that Inductor makes of a counted model: no copies, and in place where the input dies."""

import pytest
import torch
from compiled_models import needs_inductor, with_integers
from generated_code import OP, codes
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

import relustat

pytestmark = needs_inductor


def convolutions():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)
    )


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(2))
        self.relus = nn.ModuleList([nn.ReLU(inplace=True), nn.ReLU()])

    def forward(self, x):
        x = self.relus[0](self.norms[0](self.first(x)))
        return self.second(self.relus[1](x + self.norms[1](self.second(x))))


def counted(model, counted_by, **options):
    if counted_by == "swap":
        return relustat.swap(model, **{"pools": False, **options})
    relustat.watch(model, **options)
    return model


COUNTED_BY = pytest.mark.parametrize("counted_by", ["watch", "swap"])


@pytest.mark.parametrize(
    ("make", "memory_format", "counted_by"),
    [
        (convolutions, torch.contiguous_format, "watch"),
        (convolutions, torch.channels_last, "swap"),
        (Residual, torch.contiguous_format, "swap"),
        (Residual, torch.channels_last, "watch"),
    ],
)
def test_inference_is_in_place_and_without_copies(make, memory_format, counted_by):
    model = counted(make().eval().to(memory_format=memory_format), counted_by)
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(2, 3, 12, 12).contiguous(memory_format=memory_format)
    with torch.no_grad():
        _, [code] = codes(lambda: compiled(x))
    assert len(code.of("counting_relu_")) == 2
    assert code.of("counting_relu") == code.copies == []
    for maker, reader in code.makers_and_readers("counting_relu_"):
        assert "extern_kernels.convolution" in maker or "batch_norm" in maker
        assert "extern_kernels.convolution" in reader


@COUNTED_BY
def test_training_is_in_place_and_without_copies(counted_by):
    model = counted(convolutions(), counted_by)
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randn(2, 3, 12, 12)
    _, [forward, backward] = codes(lambda: compiled(x).sum().backward())
    assert forward.of("counting_relu") == forward.copies == backward.copies == []
    for maker, reader in forward.makers_and_readers("counting_relu_"):
        assert "extern_kernels.convolution" in maker
        assert "extern_kernels.convolution" in reader
    for maker, reader in backward.makers_and_readers("counting_relu_backward_"):
        assert "convolution_backward" in maker
        assert "convolution_backward" in reader
    assert len(forward.of("counting_relu_")) == len(backward.of("counting_relu_backward_")) == 2
    # Its stores of a byte for each output are slow.
    assert "bool*" not in forward.text + backward.text


def test_pools_and_unpools_are_without_copies():
    class AutoEncoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1) for _ in range(4)])
            self.pool = relustat.MaxPool2d(3, 2, return_switches=True)
            self.unpool = relustat.MaxUnpool2d()

        def forward(self, x):
            pooled, switches = self.pool(self.layers[0](x))
            return self.layers[3](self.unpool(self.layers[1](pooled), switches))

    model = with_integers(AutoEncoder())
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randint(-2, 3, (2, 8, 13, 13)).float()
    with torch.no_grad():
        y, [code] = codes(lambda: compiled(x))
        assert torch.equal(y, model(x))
    assert code.copies == []
    for op in ("max_pool", "max_unpool"):
        [(maker, _)] = code.makers_and_readers(op)
        assert "extern_kernels.convolution" in maker
    _, [forward, backward] = codes(lambda: compiled(x).sum().backward())
    assert forward.copies == backward.copies == []


@COUNTED_BY
def test_numbers_of_counters_are_constants_of_a_graph(counted_by):
    """Beside a variable, Inductor leaves convolutions in the layouts of eager code."""
    graphs = []

    def look(graph, _):
        graphs.append(graph)
        return graph

    @torch.compile(fullgraph=True, backend=look)
    def call(model, x):
        return model(x)

    all_options = (
        *({}, {"bins": None}, {"bins": relustat.LinearBins(-1, 1, 8)}),
        *({"unit_dim": 2}, {"unit_dim": 3}, {"zero_blocks": 2}, {"zero_blocks": 4}),
    )
    for options in all_options:
        call(counted(convolutions(), counted_by, **options), torch.randn(2, 3, 12, 12))
    assert len(graphs) == len(all_options)
    for graph in graphs:
        inputs = [node.meta["example_value"] for node in graph.graph.find_nodes(op="placeholder")]
        assert {type(each) for each in inputs} <= {FakeTensor, nn.Parameter}
        assert all(isinstance(size, int) for each in inputs for size in each.shape)


@COUNTED_BY
def test_the_size_of_a_batch_may_be_a_variable(counted_by):
    model = counted(with_integers(convolutions()), counted_by)
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    x = torch.randint(-2, 3, (2, 3, 12, 12)).float()
    with torch.no_grad():
        _, [code] = codes(lambda: compiled(x))
        assert len(code.of("counting_relu_")) == 2
        assert code.copies == []
        for n in (3, 5):
            x = torch.randint(-2, 3, (n, 3, 12, 12)).float()
            assert torch.equal(compiled(x), model(x))


def test_an_input_that_lives_on_is_not_written_over():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
            self.relu = relustat.CountingReLU()

        def forward(self, x):
            x = self.layers[0](x)
            return x + self.layers[1](self.relu(x))

    model = with_integers(Skip())
    compiled = torch.compile(model, fullgraph=True)
    x = torch.randint(-2, 3, (2, 3, 12, 12)).float()
    with torch.no_grad():
        y, [code] = codes(lambda: compiled(x))
        assert torch.equal(y, model(x))
    # A copy is rectified.
    assert f"{OP}counting_relu_.default(" in code.text
    assert code.copies != []
