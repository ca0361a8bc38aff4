"""Tensors and modes for which PyTorch puts a layer of its own between a call and its kernel."""

import pytest
import torch
import torch.nn.functional as F
from oracle import BINS, DTYPES, assert_counts, same_bits
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import relustat
from relustat import Counters, CountingReLU
from relustat.functional import counting_relu
from relustat.ops import library

INTEGERS = [torch.int8, torch.int16, torch.int32, torch.int64]


def imaginary(values):
    return torch.complex(torch.ones_like(values), -values).conj().imag


def negative(values):
    return torch._neg_view(-values)


def transposed(values):
    return negative(values.transpose(1, 2).contiguous()).transpose(1, 2)


def strided(values):
    return negative(values.repeat_interleave(2, dim=2))[..., ::2]


# Views that hold the negatives of these values: is_neg() is True.
VIEWS = [imaginary, negative, transposed, strided]
EACH_VIEW = pytest.mark.parametrize("make_view", VIEWS)
# There are no complex numbers of bfloat16.
EACH_VIEW_OF_EACH_DTYPE = pytest.mark.parametrize(
    ("make_view", "dtype"),
    [
        (view, dtype)
        for view in VIEWS
        for dtype in DTYPES
        if (view, dtype) != (imaginary, torch.bfloat16)
    ],
)


def view_of(values, make_view):
    view = make_view(values)
    assert view.is_neg()
    assert torch.equal(view, values)
    return view


def some_values(device, dtype):
    return torch.randn(4, 6, 5, device=device).mul(3).to(dtype)


def call_function(x, counters):
    return counting_relu(x, counters, inplace=True)


def call_module(x, counters):
    relu = CountingReLU(inplace=True)
    relu.counters = counters
    return relu(x)


def arguments(x, counters):
    """What the ops take after x."""
    unit_dim, units = counters.units_of(x)
    device = torch.device(x.device.type)
    return (
        counters.words_for(units, device),
        counters.edges_on(device),
        unit_dim,
        counters.binning,
    )


def call_op(x, counters):
    assert library.counting_relu_(x, *arguments(x, counters)) is None
    return x


@pytest.mark.parametrize("call", [call_function, call_module, call_op])
@EACH_VIEW_OF_EACH_DTYPE
def test_in_place_over_a_negative_view(device, dtype, make_view, call):
    values = some_values(device, dtype)
    x = view_of(values, make_view)
    counters = Counters(BINS["linear"], unit_dim=1)
    for calls in (1, 2):
        before = x.clone()
        version = x._version
        assert call(x, counters) is x
        assert x.is_neg()
        assert x._version == version + 1
        assert torch.equal(x, values.relu())
        if calls == 1:
            assert_counts(counters.stats, before, BINS["linear"], 1)
    assert counters.stats.calls == 2
    assert counters.stats.zeros == 2 * (values <= 0).sum()


@EACH_VIEW_OF_EACH_DTYPE
def test_a_negative_view_that_is_kept(device, dtype, make_view):
    values = some_values(device, dtype)
    x = view_of(values, make_view)
    counters = Counters(BINS["log"], unit_dim=1)
    assert torch.equal(counting_relu(x, counters), values.relu())
    assert torch.equal(x, values)
    assert_counts(counters.stats, values, BINS["log"], 1)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_negative_views_of_integers(dtype, inplace):
    values = torch.arange(-12, 12).reshape(4, 6).to(dtype)
    x = negative(values.clone())
    counters = Counters(BINS["edges"], unit_dim=1)
    assert torch.equal(counting_relu(x, counters, inplace=inplace), values.relu())
    assert_counts(counters.stats, values, BINS["edges"], 1)


@EACH_VIEW
def test_a_watched_model_rectifies_a_negative_view_in_place(device, make_view):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x, y):
            return self.relu(x), torch.relu_(y), y.clamp_(min=0)

    values = some_values(device, torch.float32)
    x, y = (view_of(values, make_view) for _ in range(2))
    with relustat.watch(Model(), unit_dim=1) as watch:
        outputs = watch._model(x, y)
    assert all(torch.equal(output, values.relu()) for output in outputs)
    zeros = int((values <= 0).sum())
    found = {name: stats.zeros for name, stats in watch.stats.items()}
    assert found == dict.fromkeys(("relu", "functional_relu", "clamp"), zeros)


@EACH_VIEW
def test_gradients_through_negative_views(device, make_view):
    values = some_values(device, torch.float64)
    gradients = []
    for relu in (torch.relu_, CountingReLU(inplace=True), torch.relu, CountingReLU()):
        leaf = values.clone().requires_grad_()
        x = make_view(leaf * 2)
        relu(x).pow(2).sum().backward()
        gradients.append(leaf.grad)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
    assert gradients[0].count_nonzero() == (values > 0).sum()


def test_a_leaf_behind_a_negative_view_is_refused_like_relus():
    leaf = torch.randn(3, 4, requires_grad=True)
    counters = Counters()
    for relu in (torch.relu_, lambda x: counting_relu(x, counters, inplace=True)):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            relu(torch._neg_view(leaf))
    assert counters.stats.calls == 0


@pytest.mark.parametrize("call", [call_function, call_module, call_op])
def test_a_view_that_overlaps_itself_is_refused_uncounted(device, call):
    x = torch._neg_view(torch.ones(1, 3, device=device)).expand(4, 3)
    counters = Counters()
    for write in (torch.relu_, lambda x: call(x, counters)):
        with pytest.raises(RuntimeError, match="refers to a single memory location"):
            write(x)
    assert counters.stats.calls == 0
    assert torch.equal(x, -torch.ones(4, 3, device=device))


def test_counters_are_no_negative_view():
    counters = Counters(None)
    x = torch._neg_view(torch.ones(3, 4))
    words, *rest = arguments(x, counters)
    with pytest.raises(ValueError, match=r"^counting_relu_: counters must be no negative view$"):
        library.counting_relu_(x, torch._neg_view(words), *rest)
    assert torch.equal(x, -torch.ones(3, 4))
    assert counters.stats.calls == 0


@pytest.mark.parametrize("inplace", [False, True])
def test_conjugate_tensors_are_refused_unchanged(inplace):
    counters = Counters()
    z = torch.complex(torch.ones(2), torch.ones(2)).conj()
    with pytest.raises(TypeError, match="input must be a dense tensor of float32"):
        counting_relu(z, counters, inplace=inplace)
    op = library.counting_relu_ if inplace else library.counting_relu
    with pytest.raises(TypeError, match="input must be float32"):
        op(z, *arguments(z, counters))
    assert torch.equal(z, torch.complex(torch.ones(2), -torch.ones(2)))
    assert counters.stats.calls == 0


def test_a_tensor_of_zeros_without_memory():
    counters = Counters()
    zeros = torch._efficientzerotensor(3, 4)
    assert counting_relu(zeros, counters).eq(0).all()
    assert (counters.stats.zeros, counters.stats.elements) == (12, 12)
    with pytest.raises(RuntimeError, match="ZeroTensors are immutable"):
        counting_relu(zeros, counters, inplace=True)
    assert counters.stats.calls == 1


class Nothing(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("inplace", [False, True])
def test_below_a_dispatch_mode(device, inplace):
    values = some_values(device, torch.float32)
    counters = Counters(unit_dim=1)
    x = negative(values)
    with Nothing():
        y = counting_relu(x, counters, inplace=inplace)
    assert torch.equal(y, values.relu())
    assert counters.stats.zeros == (values <= 0).sum()


@pytest.mark.parametrize("inplace", [False, True])
def test_fake_negative_views(inplace):
    counters = Counters(unit_dim=1)
    real = arguments(torch.empty(4, 6, 5), counters)
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch._neg_view(torch.empty(4, 6, 5))
        op = library.counting_relu_ if inplace else library.counting_relu
        y = op(x, *real)
    assert inplace or (y.shape == x.shape and not y.is_neg())
    assert counters.stats.calls == 0


@pytest.mark.parametrize("inplace", [False, True])
def test_functionalized(inplace):
    values = some_values("cpu", torch.float32)
    counters = Counters(unit_dim=1)

    def function(x):
        return counting_relu(negative(x), counters, inplace=inplace)

    assert torch.equal(torch.func.functionalize(function)(values), values.relu())


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_compiled(device, inplace, inside):
    values = some_values(device, torch.float32)
    relu = CountingReLU(inplace=inplace, unit_dim=1)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def function(x):
        return relu(negative(x) if inside else x) + 1

    x = values.clone() if inside else negative(values)
    assert torch.equal(function(x), values.relu() + 1)
    assert relu.stats.zeros == (values <= 0).sum()
    assert torch.equal(x, values.relu() if inplace and not inside else values)


@EACH_VIEW
def test_pools_of_negative_views(device, make_view):
    values = some_values(device, torch.float32)
    x = view_of(values, make_view)
    y, switches = relustat.functional.max_pool2d(x, 2)
    expected, indices = F.max_pool2d(values, 2, return_indices=True)
    assert same_bits(y, expected)
    assert torch.equal(switches.indices(), indices)
    unpooled = relustat.functional.max_unpool2d(negative(y), switches)
    assert torch.equal(unpooled, F.max_unpool2d(y, indices, 2, output_size=values.shape[1:]))


@EACH_VIEW
def test_hashes_of_negative_views(device, make_view):
    values = some_values(device, torch.float32)
    x = view_of(values, make_view)
    assert torch.equal(library.activation_hash(x, 7), library.activation_hash(values, 7))
