"""Gradients of any order, and what the compiler is told."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from oracle import BINS, DTYPES, nasty_values, same_bits
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.library import opcheck

import relustat
from relustat import Counters, CountingReLU
from relustat.functional import counting_activation, counting_relu
from relustat.ops import family, library


def arguments(x, bins="linear", **options):
    counters = Counters(BINS[bins], unit_dim=1, **options)
    return counters.words_for(x.size(1), x.device), counters.edges_on(x.device), 1, counters.binning


@pytest.mark.parametrize("bins", ["linear", "log", "edges", "none"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_opcheck(device, dtype, bins, requires_grad):
    for shape in [(4, 5), (2, 3, 4, 5), (0, 3)]:
        x = torch.randn(shape, device=device, dtype=dtype, requires_grad=requires_grad)
        opcheck(library.counting_relu, (x, *arguments(x, bins)))
        opcheck(library.counting_relu_, (x.clone(), *arguments(x, bins)))
    x = torch.randn(2, 3, 4, 5, device=device, dtype=dtype)
    for layout in (x.to(memory_format=torch.channels_last), x[..., ::2], x.transpose(0, 3)):
        opcheck(library.counting_relu, (layout, *arguments(layout, bins)))
        opcheck(library.counting_relu_, (layout.clone(), *arguments(layout, bins)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_gradient_in_compiled_code(device, dtype):
    op = torch.ops.relustat.counting_relu_backward_.default
    output = torch.randn(2, 3, 4, 5, device=device).to(dtype).relu()
    output[0, 0, 0, :2] = torch.tensor([torch.nan, -0.0])
    gradient = torch.randn(2, 3, 4, 5, device=device).to(dtype)
    expected = torch.ops.aten.threshold_backward(gradient, output, 0)
    layouts = (torch.contiguous_format, torch.channels_last)
    for ours, theirs in itertools.product(layouts, layouts):
        written = gradient.clone(memory_format=ours)
        arguments = written, output.contiguous(memory_format=theirs)
        opcheck(op, (written.clone(), arguments[1]))
        op(*arguments)
        assert same_bits(written, expected)
    wide = torch.zeros(2, 3, 4, 10, device=device, dtype=dtype)
    wide[..., ::2] = gradient
    op(wide[..., ::2], output)
    assert same_bits(wide[..., ::2], expected)


@pytest.mark.parametrize("inplace", [False, True])
def test_gradcheck(device, inplace):
    counters = Counters()

    def function(x):
        return counting_relu(x * 1, counters, inplace=inplace)

    x = torch.randn(3, 4, 5, device=device, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_equal_relus(device, dtype, inplace):
    values = torch.cat([nasty_values(dtype, torch.tensor([])), torch.randn(99).to(dtype)]).to(
        device
    )
    upstream = torch.randn(len(values), device=device).to(dtype)
    counters = Counters()
    gradients = []
    for relu in (
        lambda x: counting_relu(x, counters, inplace=inplace),
        lambda x: F.relu(x, inplace=inplace),
    ):
        x = values.clone().requires_grad_()
        y = relu(x * 1)
        (first,) = torch.autograd.grad(y, x, upstream.requires_grad_(), create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), upstream)
        gradients.append((first.detach(), second))
    assert same_bits(gradients[0][0], gradients[1][0])
    assert same_bits(gradients[0][1], gradients[1][1])


def test_in_place_on_a_leaf_is_refused_before_anything_is_written(device):
    x = torch.tensor([[-1.0, 2.0]], device=device, requires_grad=True)
    counters = Counters()
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        counting_relu(x, counters, inplace=True)
    assert x.tolist() == [[-1, 2]]
    assert counters.stats.calls == 0


@pytest.mark.parametrize("member", [None, family.relu6()])
def test_in_place_on_an_inference_tensor_is_refused_before_anything_is_written(device, member):
    with torch.inference_mode():
        x = torch.tensor([[-1.0, 2.0]], device=device)
    counters = Counters() if member is None else Counters(activation=member.activation)

    def call():
        if member is None:
            counting_relu(x, counters, inplace=True)
        else:
            counting_activation(x, counters, member, inplace=True)

    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside"):
        call()
    assert x.tolist() == [[-1, 2]]
    assert counters.stats.calls == 0
    with torch.inference_mode():
        call()
    assert x.tolist() == [[0, 2]]
    assert counters.stats.zeros == 1


def test_in_place_invalidates_what_was_saved(device):
    x = torch.randn(4, 4, device=device, requires_grad=True)
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        saved = x * 1
        y = saved**2
        with mode():
            counting_relu(saved, Counters(), inplace=True)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_in_place_through_a_view(device):
    gradients = []
    for relu in (lambda x: counting_relu(x, Counters(), inplace=True), torch.relu_):
        x = torch.linspace(-1, 1, 12, device=device).view(3, 4).requires_grad_()
        base = x * 2
        relu(base[:, 1:3])
        (base**2).sum().backward()
        gradients.append(x.grad)
    assert same_bits(*gradients)


def cnn(relu):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        relu(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        relu(inplace=True),
        nn.Flatten(),
        nn.Linear(16 * 6 * 6, 10),
        relu(),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_training_gives_bit_identical_weights(device, dtype):
    images = torch.randn(32, 3, 16, 16, device=device, dtype=dtype)
    labels = torch.randint(0, 10, (32,), device=device)
    trained = []
    for relu in (nn.ReLU, CountingReLU):
        torch.manual_seed(1)
        model = cnn(relu).to(device, dtype)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        for chosen in torch.arange(32).repeat(5).split(8):
            optimizer.zero_grad()
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
        trained.append(model.state_dict())
    assert trained[0].keys() == trained[1].keys()
    for name, weights in trained[0].items():
        assert torch.equal(weights, trained[1][name]), name
    assert model[2].stats.calls == 20
    assert model[2].stats.elements == 20 * 8 * 8 * 16 * 16


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing_counts_once(device, use_reentrant):
    model = cnn(CountingReLU).to(device)
    x = torch.randn(4, 3, 16, 16, device=device, requires_grad=True)
    torch.utils.checkpoint.checkpoint(model, x, use_reentrant=use_reentrant).sum().backward()
    assert [layer.stats.calls for layer in model if isinstance(layer, CountingReLU)] == [1, 1, 1]


def test_compiled_model_trains_and_counts(device):
    model = nn.Sequential(nn.Linear(6, 5), CountingReLU(), nn.Linear(5, 2), CountingReLU(True))
    plain = copy.deepcopy(model)
    compiled = torch.compile(model.to(device), fullgraph=True, backend="aot_eager")
    plain.to(device)
    for _ in range(3):
        x = torch.randn(7, 6, device=device)
        for each in (compiled, plain):
            each(x).sum().backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    assert model[1].stats == plain[1].stats
    assert model[3].stats == plain[3].stats
    assert model[1].stats.calls == 3


def test_functional_transforms_compute_and_do_not_count(device):
    relu = CountingReLU().to(device)
    x = torch.randn(5, 3, device=device)
    assert torch.equal(torch.func.vmap(relu)(x), F.relu(x))
    assert torch.equal(torch.func.grad(lambda x: relu(x).sum())(x), (x > 0).float())
    assert relu.stats.calls == 0


def test_meta_device():
    assert relustat.functional.counting_relu(torch.empty(2, 3, device="meta"), Counters()).is_meta


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
def test_forward_mode(device, inplace, requires_grad):
    x = torch.tensor([[-1.0, 2.0, 0.0]], device=device, requires_grad=requires_grad)
    counters = Counters()
    with forward_ad.dual_level():
        tangents = []
        for relu in (
            lambda x: counting_relu(x, counters, inplace=inplace),
            lambda x: F.relu(x, inplace=inplace),
        ):
            dual = forward_ad.make_dual(x * 1, torch.full_like(x, 3.0))
            tangents.append(forward_ad.unpack_dual(relu(dual)))
        assert torch.equal(tangents[0].tangent, tangents[1].tangent)
        assert torch.equal(tangents[0].primal, tangents[1].primal)
    assert (counters.stats.calls, counters.stats.zeros) == (1, 2)


def test_traces_hold_plain_relus():
    model = nn.Sequential(nn.Linear(3, 4), CountingReLU(), CountingReLU(inplace=True))
    x = torch.randn(2, 3)
    expected = F.relu(model[0](x))
    traced = torch.jit.trace(model, (x,))
    # To check itself, trace calls the model as anyone does.
    model[1].reset()
    model[2].reset()
    assert "relustat::" not in str(traced.inlined_graph)
    symbolic = torch.fx.symbolic_trace(model)
    exported = torch.export.export(model, (x,)).module()
    assert model[1].stats.calls == 0
    for form in (traced, exported):
        assert torch.equal(form(x), expected)
    assert model[1].stats.calls == 0
    assert torch.equal(symbolic(x), expected)
    model(x)
    assert model[1].stats.calls == model[2].stats.calls == 1


def test_fake_tensors_leave_the_counters_alone():
    relu = CountingReLU()
    with FakeTensorMode() as mode:
        assert relu(mode.from_tensor(torch.randn(2, 3))).shape == (2, 3)
    x = torch.randn(2, 3)
    relu(x)
    assert relu.stats.zeros == int((x <= 0).sum())
