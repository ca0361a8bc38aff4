"""Gradients of pooling and unpooling of any order, and what the compiler is told of them."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from oracle import DTYPES, same_bits
from pool_cases import CHANNELS_LAST, formats, nasty
from torch import nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.library import opcheck

import relustat
from relustat import MaxPool2d
from relustat.functional import max_pool1d, max_pool2d, max_pool3d, max_unpool2d
from relustat.ops import library
from relustat.ops.max_pool import OVERLAPS

POOLS = {
    1: (max_pool1d, F.max_pool1d),
    2: (max_pool2d, F.max_pool2d),
    3: (max_pool3d, F.max_pool3d),
}
GEOMETRIES = [
    ([2, 2], [2, 2], [0, 0], [1, 1], False),
    ([3, 3], [2, 2], [1, 1], [1, 1], True),
    ([3, 2], [1, 3], [1, 0], [2, 1], False),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("shape", [(2, 3, 7, 9), (3, 7, 9), (0, 3, 7, 9)])
def test_opcheck(device, geometry, dtype, shape):
    for x in formats(torch.randn(shape, device=device).to(dtype), 2):
        x.requires_grad_(dtype == torch.float32)
        opcheck(library.max_pool, (x, *geometry))
        y, offsets = library.max_pool(x.detach(), *geometry)
        values = y.clone().requires_grad_(x.requires_grad)
        gradient = torch.randn_like(x).requires_grad_(x.requires_grad)
        for overlap in range(3):
            opcheck(library.max_unpool, (values, offsets, [7, 9], *geometry, overlap))
            opcheck(library.max_unpool_backward, (gradient, y, offsets, *geometry, overlap))


def test_opcheck_of_one_and_three_axes(device):
    for axes, shape in ((1, (2, 3, 9)), (3, (2, 3, 5, 6, 7)), (3, (3, 5, 6, 7))):
        geometry = [3] * axes, [2] * axes, [1] * axes, [1] * axes, False
        for x in formats(torch.randn(shape, device=device), axes):
            opcheck(library.max_pool, (x, *geometry))
            y, offsets = library.max_pool(x, *geometry)
            opcheck(library.max_unpool, (y, offsets, list(shape[-axes:]), *geometry, 1))
            opcheck(library.max_unpool_backward, (x, None, offsets, *geometry, 0))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradcheck(device, geometry):
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64, device=device, requires_grad=True)

    def pool(x):
        return library.max_pool(x, *geometry)[0]

    assert gradcheck(pool, (x,), check_forward_ad=True)
    assert gradgradcheck(pool, (x,))
    y, offsets = library.max_pool(x.detach(), *geometry)
    # Not the pooled values: those that point at one cell are equal, where "max" has no derivative.
    y = torch.randn_like(y).requires_grad_()
    gradient = torch.randn_like(x).requires_grad_()
    for overlap in range(3):

        def unpool(y, overlap=overlap):
            return library.max_unpool(y, offsets, [7, 6], *geometry, overlap)

        def backward(gradient, overlap=overlap):
            return library.max_unpool_backward(gradient, y.detach(), offsets, *geometry, overlap)

        assert gradcheck(unpool, (y,), check_forward_ad=True)
        assert gradgradcheck(unpool, (y,))
        assert gradcheck(backward, (gradient,), check_forward_ad=True)
        assert gradgradcheck(backward, (gradient,))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_equal_torchs(device, dtype, axes):
    ours, theirs = POOLS[axes]
    # 16-bit sums of more than two are rounded once by us, and each by torch.
    geometries = [(2, 2), (2, 3), (1, 1)]
    if dtype in (torch.float32, torch.float64):
        geometries += [(3, 2), (3, 2, 1), (3, 1, 1, 2), (5, 3, 2)]
    for geometry in geometries:
        values = nasty((2, 3, 9, 10, 11)[: 2 + axes], dtype, device)
        # PyTorch's channels_last_3d indices are wrong where a window is all -inf.
        values[values == -float("inf")] = -9
        for layout in formats(values, axes):
            gradients = []
            for pool in (ours, theirs):
                x = layout.clone().requires_grad_()
                y = pool(x, *geometry)
                y = y[0] if pool is ours else y
                torch.manual_seed(1)
                y.backward(torch.randn(y.shape, device=device).to(dtype))
                gradients.append(x.grad)
            assert torch.equal(*gradients), geometry


def test_double_backward_equals_torchs(device):
    x = torch.randn(2, 3, 9, 9, device=device, dtype=torch.float64, requires_grad=True)
    seconds = []
    for pool in (lambda x: max_pool2d(x, 3, 2)[0], lambda x: F.max_pool2d(x, 3, 2)):
        (first,) = torch.autograd.grad(pool(x).pow(3).sum(), x, create_graph=True)
        seconds.append(torch.autograd.grad(first.pow(2).sum(), x)[0])
    assert torch.equal(*seconds)


def test_only_the_switches_are_saved(device):
    saved = []

    def pack(tensor):
        saved.append((tensor.dtype, tensor.numel()))
        return tensor

    x = torch.randn(2, 8, 16, 16, device=device, requires_grad=True)
    outputs = 2 * 8 * 8 * 8
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = MaxPool2d(2)(x)
        assert saved == [(torch.uint8, outputs)]
        saved.clear()
        nn.MaxPool2d(2)(x)
        assert (torch.int64, outputs) in saved
    y.sum().backward()
    assert x.grad.sum() == outputs


def cnn(relu, pool):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        relu(),
        pool(3, 2, 1),
        nn.Conv2d(8, 16, 3, padding=1),
        relu(inplace=True),
        pool(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),
    )


def trained(model, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for chosen in torch.arange(32).repeat(5).split(8):
        optimizer.zero_grad()
        F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, CHANNELS_LAST[2]], ids=str)
def test_training_gives_bit_identical_weights(device, memory_format):
    images = torch.randn(32, 3, 16, 16, device=device).to(memory_format=memory_format)
    labels = torch.randint(0, 10, (32,), device=device)
    weights = []
    for relu, pool in ((nn.ReLU, nn.MaxPool2d), (relustat.CountingReLU, MaxPool2d)):
        torch.manual_seed(1)
        model = cnn(relu, pool).to(device, memory_format=memory_format)
        weights.append(trained(model, images, labels))
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name]), name


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing(device, use_reentrant):
    x = torch.randn(2, 3, 9, 9, device=device, requires_grad=True)
    pool = MaxPool2d(3, 2)
    torch.utils.checkpoint.checkpoint(pool, x, use_reentrant=use_reentrant).sum().backward()
    expected = torch.autograd.grad(F.max_pool2d(x, 3, 2).sum(), x)[0]
    assert torch.equal(x.grad, expected)


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_model_equals_eager(device, dynamic):
    model = cnn(nn.ReLU, MaxPool2d).to(device)
    eager = copy.deepcopy(model)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for batch in (4, 4, 7, 3):
        x = torch.randn(batch, 3, 16, 16, device=device)
        outputs = [each(x) for each in (compiled, eager)]
        assert torch.equal(*outputs)
        for output in outputs:
            output.square().sum().backward()
    for ours, theirs in zip(model.parameters(), eager.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("dynamic", [False, True])
def test_switches_pass_through_compile(device, dynamic):
    def pool(x):
        return max_pool2d(x * 1, 3, 2, 1)

    def unpool(y, switches):
        return max_unpool2d(y, switches, overlap="sum") + 1

    def both(x):
        y, switches = pool(x)
        return max_unpool2d(y * 2, switches), switches.indices()

    compiled = {
        function: torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
        for function in (pool, unpool, both)
    }
    for batch in (2, 5, 3):
        x = torch.randn(batch, 3, 9, 10, device=device)
        y, switches = pool(x)
        compiled_y, compiled_switches = compiled[pool](x)
        assert torch.equal(compiled_y, y)
        assert compiled_switches == switches
        assert type(compiled_switches.input_size[0]) is int
        assert torch.equal(compiled[unpool](y, switches), unpool(y, switches))
        for ours, theirs in zip(compiled[both](x), both(x), strict=True):
            assert torch.equal(ours, theirs)


def test_functional_transforms_and_traces_see_a_plain_pool(device):
    pool = MaxPool2d(2)
    x = torch.randn(3, 2, 4, 4, device=device)
    assert torch.equal(torch.func.vmap(pool)(x), F.max_pool2d(x, 2))
    gradient = torch.func.grad(lambda x: pool(x).sum())(x)
    assert gradient.count_nonzero() == 3 * 2 * 2 * 2
    traced = torch.jit.trace(pool, (x,))
    exported = torch.export.export(nn.Sequential(pool), (x,)).module()
    assert "relustat::" not in str(traced.inlined_graph)
    assert "relustat" not in exported.code
    for form in (traced, exported, torch.fx.symbolic_trace(pool)):
        assert torch.equal(form(x), F.max_pool2d(x, 2))


class PoolUnpool(nn.Module):
    def forward(self, x):
        y, switches = max_pool2d(x, 3, 2)
        return max_unpool2d(y, switches), switches


class Unpool(nn.Module):
    def forward(self, y, switches):
        return max_unpool2d(y, switches)


@pytest.mark.parametrize("dynamic", [False, True])
def test_exported_switches(dynamic):
    sizes = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    x = torch.randn(2, 3, 9, 9)
    exported = torch.export.export(PoolUnpool(), (x,), dynamic_shapes=(sizes,) if dynamic else None)
    x = torch.randn(4, 3, 12, 13) if dynamic else x
    unpooled, switches = exported.module()(x)
    expected, expected_switches = PoolUnpool()(x)
    assert torch.equal(unpooled, expected)
    assert switches == expected_switches
    assert torch.equal(switches.indices(), expected_switches.indices())
    assert pickle.loads(pickle.dumps(switches)) == switches


def test_switches_as_exported_input():
    y, switches = max_pool2d(torch.randn(2, 3, 9, 9), 3, 2)
    exported = torch.export.export(Unpool(), (y, switches)).module()
    assert torch.equal(exported(y, switches), max_unpool2d(y, switches))


def test_meta_device():
    y, switches = max_pool2d(torch.empty(2, 3, 9, 9, device="meta"), 3, 2)
    assert y.is_meta
    assert switches.offsets.shape == (2, 3, 4, 4)
    assert max_unpool2d(y, switches).shape == (2, 3, 9, 9)


def test_max_without_its_values_is_refused(device):
    _, switches = max_pool2d(torch.randn(1, 4, 4, device=device), 2)
    for requires_grad in (False, True):
        gradient = torch.randn(1, 4, 4, device=device, requires_grad=requires_grad)
        with pytest.raises(ValueError, match=r"overlap=2 \(max\) needs y"):
            library.max_unpool_backward(
                gradient, None, switches.offsets, *switches.pooling.arguments, 2
            )


def test_gradient_is_independent_of_later_changes_to_switches(device):
    x = torch.randn(1, 3, 4, 4, device=device, requires_grad=True)
    y, switches = max_pool2d(x, 2)
    switches.offsets.fill_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_gradients_of_every_overlap(device):
    x = torch.tensor([[0.0, 5.0, 0.0, 0.0]], device=device)
    y, switches = max_pool1d(x, 3, 1)
    y = torch.tensor([[3.0, 2.0]], device=device, requires_grad=True)
    expected = {"last": [[0, 1]], "sum": [[1, 1]], "max": [[1, 0]]}
    for overlap in OVERLAPS:
        unpooled = relustat.functional.max_unpool1d(y, switches, overlap=overlap)
        assert torch.autograd.grad(unpooled.sum(), y)[0].tolist() == expected[overlap]


@pytest.mark.parametrize("requires_grad", [False, True])
def test_forward_mode(device, requires_grad):
    x = torch.randn(2, 3, 7, 7, device=device, requires_grad=requires_grad)
    direction = torch.randn_like(x)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, direction)
        ours, switches = max_pool2d(dual, 3, 2)
        theirs = F.max_pool2d(dual, 3, 2)
        for ours_part, theirs_part in zip(
            forward_ad.unpack_dual(ours), forward_ad.unpack_dual(theirs), strict=True
        ):
            assert torch.equal(ours_part, theirs_part)
        assert torch.equal(MaxPool2d(3, 2)(dual), theirs)
    y = torch.randn(switches.offsets.shape, device=device, requires_grad=requires_grad)
    # Whole numbers, whose sums are exact.
    direction = torch.randint_like(y, -9, 10)
    for overlap in OVERLAPS:

        def unpool(y, overlap=overlap):
            return max_unpool2d(y, switches, overlap=overlap)

        with forward_ad.dual_level():
            tangent = forward_ad.unpack_dual(unpool(forward_ad.make_dual(y, direction))).tangent
        cells = torch.randint_like(x, -9, 10)
        values = y.detach().requires_grad_()
        (adjoint,) = torch.autograd.grad(unpool(values), values, cells)
        assert (tangent * cells).sum() == (direction * adjoint).sum()


def test_functional_jvp_equals_torchs(device):
    x, direction = torch.randn(2, 2, 3, 7, 7, device=device)
    ours = torch.func.jvp(lambda x: max_pool2d(x, 3, 2)[0], (x,), (direction,))
    theirs = torch.func.jvp(lambda x: F.max_pool2d(x, 3, 2), (x,), (direction,))
    assert all(map(torch.equal, ours, theirs))


def test_denormals_decide_the_gradient_of_max_in_any_mode(device):
    _, switches = max_pool1d(torch.tensor([[0.0, 5.0, 0.0]], device=device), 2, 1)
    y = torch.tensor([[1e-40, 2e-40]], device=device, requires_grad=True)
    torch.set_flush_denormal(True)
    try:
        unpooled = relustat.functional.max_unpool1d(y, switches, overlap="max")
        (gradient,) = torch.autograd.grad(unpooled[0, 1], y)
    finally:
        torch.set_flush_denormal(False)
    assert gradient.tolist() == [[0, 1]]


def test_same_bits_of_a_gradient_with_infinities(device):
    y, switches = max_pool1d(torch.tensor([[0.0, 1.0]], device=device), 2)
    y = y.clone().requires_grad_()
    gradient = torch.tensor([[float("nan"), float("inf")]], device=device)
    relustat.functional.max_unpool1d(y, switches).backward(gradient)
    assert same_bits(y.grad, torch.tensor([[float("inf")]], device=device))
