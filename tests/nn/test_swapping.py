"""swap and unswap: classes stay, only `forward` is another one."""

import copy
import pickle

import pytest
import torch
from models import ResNet, snapshot
from torch import nn

import relustat
from relustat import CountingReLU, LinearBins, MaxPool2d, swap, unswap


def relus(model):
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.ReLU)}


def test_all_are_swapped_and_count(device):
    model = ResNet().to(device).eval()
    x = torch.randn(2, 3, 32, 32, device=device)
    expected = model(x)
    assert swap(model) is model
    assert all(type(relu) is nn.ReLU for relu in relus(model).values())
    assert type(model.maxpool) is nn.MaxPool2d
    assert torch.equal(model(x), expected)
    assert {name: relu.counters.stats.calls for name, relu in relus(model).items()} == {
        "relu": 1,
        **{f"layer{layer}.{block}.relu": 2 for layer in (1, 2) for block in (0, 1)},
    }


def test_unswap_leaves_everything_as_it_was():
    model = ResNet()
    model.layer1.eval()
    before = snapshot(model)
    modules = dict(model.named_modules())
    state = model.state_dict()
    calls = []
    handle = model.relu.register_forward_hook(lambda *_: calls.append("relu"))
    swap(model)
    assert dict(model.named_modules()) == modules
    assert model.training
    assert not model.layer1.training
    assert model.state_dict().keys() == state.keys()
    model(torch.randn(2, 3, 32, 32))
    assert calls == ["relu"]
    assert unswap(model) is model
    handle.remove()
    assert snapshot(model) == before


def test_options(device):
    model = swap(nn.Sequential(nn.ReLU(inplace=True)), bins=LinearBins(-1, 1, 4), every=2)
    model.to(device)
    assert model[0].inplace
    assert model[0].counters.bins == LinearBins(-1, 1, 4)
    assert model[0].counters.every == 2


def test_pools_false():
    model = swap(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), pools=False)
    assert [each[:3] for each in relustat.swapped(model)] == [
        ("0", "ReLU", "counts"),
        ("1", "MaxPool2d", "as before"),
    ]


def test_every_pool():
    model = nn.Sequential(nn.MaxPool1d(2), nn.MaxPool2d(2, return_indices=True), nn.MaxPool3d(2))
    swap(model)
    assert [each.now for each in relustat.swapped(model)] == ["pools by switches"] * 3
    x = torch.randn(2, 3, 4, 4)
    _, indices = model[1](x)
    assert torch.equal(indices, nn.MaxPool2d(2, return_indices=True)(x)[1])
    unswap(model)
    assert [type(module) for module in model] == [nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d]


def test_unpooling_by_indices_is_the_same_in_each_run():
    pool = nn.MaxPool2d(3, 2, return_indices=True)
    unpool = swap(nn.Sequential(nn.MaxUnpool2d(3, 2)))[0]
    x = torch.randn(3, 64, 57, 57).to(memory_format=torch.channels_last)
    y, indices = pool(x)
    y = torch.randn_like(y)
    # With several threads it is chance which of two values stays.
    with_all = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = nn.MaxUnpool2d(3, 2)(y.contiguous(), indices.contiguous())
    expected_by_size = nn.MaxUnpool2d(3, 2)(y, indices, [58, 57])
    torch.set_num_threads(with_all)
    for _ in range(20):
        restored = unpool(y, indices)
        assert torch.equal(restored, expected)
        assert restored.is_contiguous(memory_format=torch.channels_last)
    # Slices keep the layout that PyTorch gives them.
    for each in (y, y.contiguous()):
        sliced, at = each[:, ::2], indices[:, ::2]
        assert torch.equal(unpool(sliced, at), expected[:, ::2])
        assert unpool(sliced, at).stride() == nn.MaxUnpool2d(3, 2)(sliced, at).stride()
    by_size = unpool(y, indices, output_size=[58, 57])
    assert torch.equal(by_size, expected_by_size)
    assert str(relustat.swapped(unpool)).splitlines()[1].split("  ")[1:] == [
        "MaxUnpool2d",
        "unpools in order",
    ]
    assert repr(unpool).endswith("in order)")
    assert "in order" not in repr(unswap(unpool))


@pytest.mark.parametrize(
    ("pool", "unpool", "shape"),
    [
        (nn.MaxPool1d, nn.MaxUnpool1d, (1, 1, 2000)),
        (nn.MaxPool2d, nn.MaxUnpool2d, (1, 1, 90, 91)),
        (nn.MaxPool3d, nn.MaxUnpool3d, (1, 1, 20, 21, 22)),
    ],
)
def test_unpooling_contiguous_planes_is_in_order_too(pool, unpool, shape):
    """PyTorch's threads share out the values of one plane."""
    y, indices = pool(5, 1, return_indices=True)(torch.randn(shape))
    y = torch.randn_like(y)
    torch.set_num_threads(1)
    expected = unpool(5, 1)(y, indices)
    swapped = swap(nn.Sequential(unpool(5, 1)))[0]
    gradients = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        for each in (swapped, unpool(5, 1)):
            values = y.clone().requires_grad_()
            restored = each(values, indices)
            assert each is not swapped or torch.equal(restored, expected)
            restored.backward(expected)
            gradients.append(values.grad)
    assert all(torch.equal(each, gradients[0]) for each in gradients)


def test_a_shared_relu_and_the_root_itself():
    relu = nn.ReLU()
    model = nn.Sequential(relu, nn.Linear(3, 3), relu)
    swap(model)
    model(torch.randn(2, 3))
    assert relu.counters.stats.calls == 2
    root = swap(nn.ReLU())
    root(torch.randn(2, 3))
    assert root.counters.stats.calls == 1


def test_subclasses_and_own_counting_relus_are_left_alone():
    class MyReLU(nn.ReLU):
        pass

    own = CountingReLU()
    own(torch.randn(2, 3))
    model = swap(nn.Sequential(MyReLU(), own, MaxPool2d(2), nn.ReLU()))
    assert [each.why_not for each in relustat.swapped(model)] == [
        *("a subclass of nn.ReLU", "relustat's own class", "relustat's own class", ""),
    ]
    unswap(model)
    assert type(model[1]) is CountingReLU
    assert own.stats.calls == 1
    assert type(model[2]) is MaxPool2d


def test_swapping_twice_keeps_the_counts():
    model = swap(nn.Sequential(nn.ReLU()))
    model(torch.randn(2, 3))
    swap(model)
    assert model[0].counters.stats.calls == 1


def test_bad_options_change_nothing():
    model = nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.ReLU())
    before = snapshot(model)
    with pytest.raises(ValueError, match="every"):
        swap(model, every=0)
    assert snapshot(model) == before


def test_swapped_models_are_copied_and_pickled():
    model = swap(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)))
    for kept in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        kept(torch.randn(1, 4, 4))
        assert kept[0].counters.stats.calls == 1
        unswap(kept)
        assert all("forward" not in vars(module) for module in kept)
    assert model[0].counters.stats.calls == 0


def test_a_compiled_model_notices():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    compiled = torch.compile(model, backend="aot_eager")
    x = torch.randn(3, 4)
    expected = compiled(x)
    swap(model)
    assert torch.equal(compiled(x), expected)
    assert model[1].counters.stats.calls == 1


def test_swap_within_watch():
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    with relustat.watch(model) as watch:
        swap(model)
        model(torch.randn(1, 4, 4))
    assert watch.stats["0"].calls == model[0].counters.stats.calls == 1


def test_the_list_prints_and_says_why_a_module_is_not_swapped():
    model = nn.Sequential(nn.ReLU(), nn.ReLU6(), nn.Threshold(0, 0), nn.ReLU(), nn.Sigmoid())
    model[3].forward = torch.relu
    found = relustat.swapped(swap(model))
    assert str(found).splitlines() == [
        "module      class        now  why not swapped",
        "0            ReLU     counts",
        "1           ReLU6  as before  activations='relu-like' counts it",
        "2       Threshold  as before  a ReLU by its arguments only",
        "3            ReLU  as before  its forward was replaced",
    ]
    assert str(relustat.swapped(nn.Linear(2, 2))) == "no activation and no pool"


def test_a_swap_of_nothing_warns():
    with pytest.warns(UserWarning, match=r"has no nn\.ReLU or pool to swap"):
        swap(nn.Sequential(nn.ReLU6()))
    with pytest.warns(UserWarning, match=r"has no nn\.ReLU to swap"):
        swap(nn.Sequential(nn.MaxPool2d(2)), pools=False)
    with pytest.raises(TypeError, match=r"swap: model must be an nn\.Module, got list"):
        swap([nn.ReLU()])


def test_unswap_does_not_lose_what_came_after_swap():
    model = swap(nn.Sequential(nn.ReLU(), nn.ReLU()))
    ours = model[1].forward
    model[1].forward = lambda x: ours(x) + 1
    with pytest.raises(ValueError, match="got another one at '1'; undo first"):
        unswap(model)
    assert len(relustat.swapped(model)) == 2
    model[1].forward = ours
    unswap(model)
    assert [each.now for each in relustat.swapped(model)] == ["as before"] * 2


def test_print_shows_that_a_module_is_swapped():
    model = swap(nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(2)), bins=None)
    assert repr(model[0]) == "ReLU(inplace=True, counting, bins=None)"
    assert repr(model[1]).endswith("ceil_mode=False, by switches)")
