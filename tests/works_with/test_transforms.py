"""torch.func and forward-mode AD: PyTorch's numbers, and nothing counted under a transform."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import forward_ad
from torch.func import (
    functional_call,
    functionalize,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    vjp,
    vmap,
)
from torch.utils._pytree import tree_leaves

import relustat
from relustat import Counters, CountingReLU, MaxPool2d, MaxUnpool2d
from relustat.functional import counting_relu, max_pool2d, max_unpool2d

X = (3, 2, 8, 8)


class Clamp(nn.Module):
    def forward(self, x):
        return F.relu(x - 0.1).clamp(min=0.05).clamp(min=0)


def net():
    return nn.Sequential(
        *(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        *(nn.Conv2d(3, 3, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), Clamp()),
        *(nn.Flatten(), nn.Linear(3, 4), nn.ReLU()),
    )


def loss(model):
    return lambda weights, x: functional_call(model, weights, (x,)).square().sum()


def weights_of(model):
    return dict(model.named_parameters())


def shuffled(x):
    return x * torch.rand_like(x)


def ensemble(model, x):
    models = [copy.deepcopy(model) for _ in range(2)]
    for factor, each in enumerate(models):
        for weight in each.parameters():
            weight.data *= 1 + factor
    weights, buffers = stack_module_state(models)
    return vmap(lambda *state: functional_call(model, state, (x,)))(weights, buffers)


TRANSFORMS = {
    "grad": lambda model, x: grad(loss(model))(weights_of(model), x),
    "grad of grad": lambda model, x: grad(lambda x: grad(lambda x: model(x).sin().sum())(x).sum())(
        x
    ),
    "vjp": lambda model, x: vjp(model, x)[1](x.new_ones(len(x), 4)),
    "jvp": lambda model, x: jvp(model, (x,), (x + 1,)),
    "vmap": lambda model, x: vmap(model)(x[:, None]),
    "vmap in chunks": lambda model, x: vmap(model, chunk_size=2)(x[:, None]),
    "vmap over the last dimension": lambda model, x: vmap(model, in_dims=4)(x[None].movedim(1, 4)),
    "vmap with randomness": lambda model, x: vmap(
        lambda x: model(shuffled(x)), randomness="different"
    )(x[:, None]),
    "jacrev": lambda model, x: jacrev(model)(x),
    "jacfwd": lambda model, x: jacfwd(model)(x),
    "hessian": lambda model, x: hessian(lambda x: model(x).sin().sum())(x[:1]),
    "gradients of samples": lambda model, x: vmap(grad(loss(model)), (None, 0))(
        weights_of(model), x[:, None]
    ),
    "ensemble": ensemble,
    "functionalize": lambda model, x: functionalize(model)(x),
    "jvp of grad": lambda model, x: jvp(grad(lambda x: model(x).sin().sum()), (x,), (x + 1,)),
}


def calls_of(model, watch):
    counted = (
        watch.stats.values()
        if watch
        else [model[position].counters.stats for position in (1, 4, 9)]
    )
    return [stats.calls for stats in counted]


def results(transform, model, x):
    torch.manual_seed(1)
    return tree_leaves(transform(model, x))


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_transforms_give_torchs_numbers_and_count_nothing(device, transform, watched):
    plain = net().to(device)
    model = copy.deepcopy(plain)
    x = torch.randn(X, device=device)
    watch = relustat.watch(model) if watched else None
    if not watched:
        relustat.swap(model)
    ones = [1] * (5 if watched else 3)
    model(x)
    assert calls_of(model, watch) == ones
    expected = results(TRANSFORMS[transform], plain, x)
    for ours, theirs in zip(results(TRANSFORMS[transform], model, x), expected, strict=True):
        assert torch.equal(ours, theirs)
    assert calls_of(model, watch) == ones
    assert torch._C._len_torch_function_stack() == 0
    model(x)
    assert calls_of(model, watch) == [2 * calls for calls in ones]


@pytest.mark.parametrize("watched", [False, True])
def test_linearize_counts_the_one_plain_call_it_makes(device, watched):
    plain = net().to(device).requires_grad_(False)
    model = copy.deepcopy(plain)
    x = torch.randn(X, device=device)
    expected, tangents = linearize(plain, x)
    watch = relustat.watch(model) if watched else None
    if not watched:
        relustat.swap(model)
    output, ours = linearize(model, x)
    assert torch.equal(output, expected)
    assert torch.equal(ours(x + 1), tangents(x + 1))
    assert set(calls_of(model, watch)) == {1}


def test_functional_call_is_a_plain_call(device):
    model = relustat.swap(net()).to(device)
    x = torch.randn(X, device=device)
    with relustat.watch(model) as watch:
        functional_call(model, weights_of(model), (x,))
    assert {stats.calls for stats in watch.stats.values()} == {1}
    assert len(watch.stats) == 5
    assert model[1].counters.stats.calls == 1


def test_the_function_counts_nothing_under_a_transform(device):
    counters = Counters()
    x = torch.randn(3, 4, device=device)

    def function(x):
        return counting_relu(x, counters)

    assert torch.equal(grad(lambda x: function(x).sum())(x), (x > 0).float())
    assert torch.equal(vmap(function)(x), F.relu(x))
    assert torch.equal(vmap(lambda x: counting_relu(x * 1, counters, inplace=True))(x), F.relu(x))
    assert counters.stats.calls == 0


# Poolings that return switches, and unpooling: forward mode and functionalize; grad and vjp raise.


def pooled(x):
    return max_pool2d(x, 3, 2)[0]


def pooled_by_module(x):
    return MaxPool2d(3, 2, return_switches=True)(x)[0]


def restored(x):
    return MaxUnpool2d("sum")(*max_pool2d(x, 3, 2))


def unpooled_by(overlap):
    def unpool(x):
        # Other values than were pooled: equal ones leave "max" without a derivative.
        return max_unpool2d(x[..., :3, :3].sin(), SWITCHES, overlap=overlap)

    _, SWITCHES = max_pool2d(torch.randn(X, generator=torch.manual_seed(2)), 3, 2)
    return unpool


WITH_SWITCHES = [pooled, pooled_by_module, restored, *map(unpooled_by, ("last", "sum", "max"))]


@pytest.mark.parametrize("function", WITH_SWITCHES)
def test_forward_mode_transforms_of_switches(function):
    x = torch.randn(X, dtype=torch.float64)
    direction = torch.randn_like(x)
    jacobian = torch.autograd.functional.jacobian(function, x)
    assert torch.equal(jacfwd(function)(x), jacobian)
    expected = jacobian.flatten(4) @ direction.flatten()
    torch.testing.assert_close(jvp(function, (x,), (direction,))[1], expected)
    torch.testing.assert_close(linearize(function, x)[1](direction), expected)
    with forward_ad.dual_level():
        dual = function(forward_ad.make_dual(x, direction))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, expected)
    assert torch.equal(functionalize(function)(x), function(x))


@pytest.mark.parametrize("function", WITH_SWITCHES)
def test_reverse_mode_transforms_of_switches_raise(function):
    x = torch.randn(X)
    for transform in (
        grad(lambda x: function(x).sum()),
        jacrev(function),
        lambda x: vjp(function, x),
    ):
        with pytest.raises(RuntimeError, match="cannot use C\\+\\+ torch::autograd::Function"):
            transform(x)


@pytest.mark.parametrize("function", [pooled, pooled_by_module, restored])
def test_vmap_of_switches(function):
    x = torch.randn(4, *X)
    assert torch.equal(vmap(function)(x), torch.stack([function(each) for each in x]))


def test_switches_do_not_leave_a_vmap():
    with pytest.raises(ValueError, match="must only return Tensors, got type <class 'int'>"):
        vmap(lambda x: max_pool2d(x, 2))(torch.randn(X))


@pytest.mark.parametrize("vectorize", [False, True])
def test_autograd_functional(vectorize):
    x = torch.randn(1, 2, 7, 7, dtype=torch.float64)
    relu = CountingReLU()

    def ours(x):
        return relu(pooled(x) - 0.1).sin()

    def theirs(x):
        return F.relu(F.max_pool2d(x, 3, 2) - 0.1).sin()

    for transform in (torch.autograd.functional.jacobian, torch.autograd.functional.hessian):
        reduced = transform is torch.autograd.functional.hessian
        functions = [(lambda x, f=f: f(x).sum()) if reduced else f for f in (ours, theirs)]
        matrices = [transform(function, x, vectorize=vectorize) for function in functions]
        assert torch.equal(*matrices)
    assert relu.stats.calls == 2
