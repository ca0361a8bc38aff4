"""Gradients of the relatives of ReLU, of any order, and what the compiler is told."""

import copy

import pytest
import torch
from family_cases import FUSED, IN_PLACE, SMOOTH
from oracle import BINS, DTYPES, same_bits
from torch import nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.library import opcheck

import relustat
from relustat import Counters
from relustat.functional import count_activation, counting_activation
from relustat.ops import family, library


def arguments(x, member, bins="linear"):
    counters = Counters(BINS[bins], unit_dim=1, activation=member.activation)
    words = counters.words_for(x.size(1), x.device)
    how = member.kind, member.first, member.second
    return words, counters.edges_on(x.device), 1, counters.binning, *how


MEMBERS = {name: case.made().member for name, case in FUSED.items()}


@pytest.mark.parametrize(
    ("name", "dtype", "bins"),
    [
        ("relu6", torch.float32, "linear"),
        ("leaky", torch.bfloat16, "none"),
        ("threshold", torch.float64, "linear"),
        ("squared", torch.float16, "linear"),
    ],
)
def test_opcheck(device, dtype, name, bins):
    member = MEMBERS[name]
    for shape, requires_grad in [((4, 5), True), ((2, 3, 4, 5), False), ((0, 3), True)]:
        x = torch.randn(shape, device=device, dtype=dtype, requires_grad=requires_grad)
        opcheck(library.counting_activation, (x, *arguments(x, member, bins)))
        opcheck(library.counting_activation_, (x.clone(), *arguments(x, member, bins)))
        opcheck(library.count_activation, (x, None, *arguments(x, member, bins)))
    x = torch.randn(2, 3, 4, 5, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    opcheck(library.counting_activation, (x, *arguments(x, member, bins)))


def test_opcheck_of_slopes_and_outputs(device):
    x = torch.randn(2, 3, 4, device=device, requires_grad=True)
    slopes = torch.rand(1, 3, 1, device=device, requires_grad=True)
    opcheck(library.counting_activation, (x, *arguments(x, family.prelu()), slopes))
    silu = family.smooth("SiLU", 0.1)
    opcheck(library.count_activation, (x, torch.randn_like(x), *arguments(x, silu)))


def gradients(module, x, before, order=1):
    x = x.clone().requires_grad_()
    parameters = [x, *module.parameters()]
    y = module(before(x))
    found = torch.autograd.grad(
        y,
        parameters,
        torch.linspace(-1, 2, y.numel(), dtype=y.dtype, device=y.device).view_as(y),
        create_graph=order > 1,
    )
    return y.detach(), *found


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1), (3, 1), (1, 1, 1, 1)])
def test_signs_of_zero_in_gradients_of_slopes(device, shape):
    """Where there is nothing to sum, -0.0 stays, and no 0.0 is added to it."""
    for value in (0.0, -0.0, -1.0, 1.0):
        for upstream in (0.0, -0.0):
            found = []
            for ours in (True, False):
                x = torch.full(shape, value, device=device, requires_grad=True)
                slopes = torch.tensor([-1.0], device=device, requires_grad=True)
                counters = Counters(activation=family.PRELU.activation)
                if ours:
                    y = counting_activation(x, counters, family.PRELU, slopes=slopes)
                else:
                    y = torch.prelu(x, slopes)
                given = torch.full(shape, upstream, device=device)
                found.append(torch.autograd.grad(y, [x, slopes], given))
            for mine, its in zip(*found, strict=True):
                assert same_bits(mine, its)


@pytest.mark.parametrize("name", [*FUSED, "prelu", "prelu-channels"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_are_pytorchs(device, dtype, name):
    if name in FUSED:
        plain, counting = FUSED[name].plain, FUSED[name].made()
    else:
        slopes = 5 if name == "prelu-channels" else 1
        plain, counting = nn.PReLU(slopes), relustat.CountingPReLU(slopes)
    plain, counting = (copy.deepcopy(each).to(device, dtype) for each in (plain, counting))
    x = (2 * torch.randn(4, 5, 6, device=device)).to(dtype)
    x.view(-1)[:8] = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.3, 6.0, torch.nan, torch.inf]).to(x)
    for layout in (x, x.transpose(0, 2).contiguous().transpose(0, 2)):
        for mine, theirs in zip(
            gradients(counting, layout, lambda x: x),
            gradients(plain, layout, lambda x: x),
            strict=True,
        ):
            assert same_bits(mine, theirs)


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gradients_in_place_are_pytorchs(device, dtype, name):
    case = IN_PLACE[name]
    x = (2 * torch.randn(4, 5, 6, device=device)).to(dtype)
    x.view(-1)[:5] = torch.tensor([0.0, 1.0, -1.0, 0.3, 6.0]).to(x)
    mine = gradients(case.made(), x, lambda x: x * 1)
    theirs = gradients(case.plain, x, lambda x: x * 1)
    assert all(same_bits(*pair) for pair in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("name", FUSED)
def test_gradcheck(device, name):
    module = FUSED[name].made()
    x = torch.randn(3, 4, 5, device=device, dtype=torch.float64, requires_grad=True)
    assert gradcheck(module, (x,))
    assert gradgradcheck(module, (x,))


def test_gradcheck_of_slopes(device):
    member = family.prelu()
    counters = Counters(activation=member.activation)
    x = torch.randn(3, 4, 5, device=device, dtype=torch.float64, requires_grad=True)
    slopes = torch.rand(4, device=device, dtype=torch.float64, requires_grad=True)

    def function(x, slopes):
        return counting_activation(x, counters, member, slopes=slopes)

    assert gradcheck(function, (x, slopes))
    assert gradgradcheck(function, (x, slopes))


@pytest.mark.parametrize("name", ["relu6", "leaky", "threshold", "squared"])
def test_forward_mode(device, name):
    module, plain = FUSED[name].made(), FUSED[name].plain
    x, tangent = torch.randn(2, 3, 4, device=device).unbind()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, tangent)
        mine, theirs = (forward_ad.unpack_dual(each(dual)) for each in (module, plain))
        assert same_bits(mine.primal, theirs.primal)
        assert same_bits(mine.tangent, theirs.tangent)
    assert module.stats.elements == 12


def test_a_count_beside_a_call_is_no_part_of_its_gradient(device):
    member = family.smooth("SiLU", 1e-3)
    counters = Counters(activation=member.activation)
    x = torch.randn(4, 5, device=device, requires_grad=True)
    y = nn.functional.silu(x)
    count_activation(x, y, counters, member)
    y.sum().backward()
    plain = x.detach().clone().requires_grad_()
    nn.functional.silu(plain).sum().backward()
    assert same_bits(x.grad, plain.grad)


def test_a_leaf_cannot_be_changed_in_place(device):
    module = relustat.CountingReLU6(inplace=True)
    x = torch.randn(4, 5, device=device, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        module(x)
    assert module.stats.calls == 0


@pytest.mark.parametrize("name", ["relu", *IN_PLACE])
def test_in_place_over_a_tensor_that_overlaps_itself_is_refused_uncounted(device, name):
    counting = relustat.CountingReLU(True) if name == "relu" else IN_PLACE[name].made()
    x = torch.ones(2, 1, device=device)
    with pytest.raises(RuntimeError, match="refers to a single memory location"):
        counting(x.clone().requires_grad_().clone().expand(2, 3))
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match="a single memory location"):
        counting(forward_ad.make_dual(x.clone(), x).expand(2, 3))
    assert counting.stats.calls == 0


def test_recomputations_are_not_counted(device):
    module = relustat.CountingLeakyReLU().to(device)
    x = torch.randn(4, 5, device=device, requires_grad=True)
    for use_reentrant in (False, True):
        module.reset()
        torch.utils.checkpoint.checkpoint(module, x, use_reentrant=use_reentrant).sum().backward()
        assert module.stats.calls == 1


# The input of a compiled graph is changed by the graph's own code, with gradients off or on.
@pytest.mark.parametrize("name", ["relu", *IN_PLACE])
def test_compiled_code_that_writes_over_its_input(device, name):
    plain = nn.ReLU(inplace=True) if name == "relu" else IN_PLACE[name].plain
    module = relustat.CountingReLU(inplace=True) if name == "relu" else IN_PLACE[name].made()
    x = 2 * torch.randn(4, 5, 6, device=device)
    x.view(-1)[::7] = 0
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    mine = gradients_of_input(compiled, x)
    theirs = gradients_of_input(plain, x)
    assert all(same_bits(*pair) for pair in zip(mine, theirs, strict=True))
    assert module.stats.calls == 1


def gradients_of_input(module, x):
    x = x.clone().requires_grad_()
    y = module(x * 1)
    return y.detach(), *torch.autograd.grad(y, x, torch.full_like(y, 0.7))


@pytest.mark.parametrize("name", ["relu6", "leaky", "threshold", "squared", "prelu"])
def test_compiled_modules(device, name):
    if name == "prelu":
        plain, module = nn.PReLU(5), relustat.CountingPReLU(5)
    else:
        plain, module = FUSED[name].plain, FUSED[name].made()
    plain, module = plain.to(device), module.to(device)
    x = 2 * torch.randn(4, 5, 6, device=device)
    compiled = torch.compile(module, fullgraph=True)
    mine, theirs = gradients(compiled, x, lambda x: x), gradients(plain, x, lambda x: x)
    assert same_bits(mine[0], theirs[0])
    assert same_bits(mine[1], theirs[1])
    eager = copy.deepcopy(module)
    eager.reset()
    eager(x)
    assert module.stats == eager.stats


def test_smooth_ones_have_no_op(device):
    member = family.smooth("SiLU", 1e-3)
    counters = Counters(activation=member.activation)
    with pytest.raises(ValueError, match="member must be one that an op computes, got SiLU"):
        counting_activation(torch.ones(2, device=device), counters, member)
    assert set(SMOOTH) == {kind.__class__.__name__ for kind in SMOOTH.values()}


@pytest.mark.parametrize("make", [relustat.CountingReLU6, relustat.CountingHardtanh])
def test_a_layer_behind_may_write_over_an_in_place_output(device, make):
    counting = make(inplace=True)
    plain = nn.Hardtanh(counting.min_val, counting.max_val, inplace=True)
    x = 3 * torch.randn(4, 5, device=device)
    found = [gradients_of_input(lambda x, m=m: m(x).mul_(2), x) for m in (counting, plain)]
    assert all(same_bits(*pair) for pair in zip(*found, strict=True))
    # PyTorch's leaky_relu_ needs its output.
    leaky = relustat.CountingLeakyReLU(0.1, True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients_of_input(lambda x: leaky(x).mul_(2), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("inplace", [False, True])
def test_knees_that_sixteen_bits_round(device, dtype, inplace):
    x = torch.tensor([-1.0, 0.1, 0.15, 0.2, 0.25], device=device).to(dtype)
    counting = relustat.CountingHardtanh(0.1, 0.2, inplace)
    mine = gradients_of_input(counting, x)
    theirs = gradients_of_input(nn.Hardtanh(0.1, 0.2, inplace), x)
    assert all(same_bits(*pair) for pair in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("name", IN_PLACE)
def test_second_derivatives_in_place(device, name):
    module = IN_PLACE[name].made()

    def function(x):
        return module(x * 1)

    x = torch.randn(3, 4, device=device, dtype=torch.float64, requires_grad=True)
    assert gradcheck(function, (x,))
    assert gradgradcheck(function, (x,))


def test_a_negative_slope_in_place_has_pytorchs_error(device):
    module = relustat.CountingLeakyReLU(-0.3, inplace=True)
    x = torch.randn(3, device=device, requires_grad=True)
    with pytest.raises(RuntimeError, match="In-place leakyReLu backward calculation"):
        module(x * 1).sum().backward()
