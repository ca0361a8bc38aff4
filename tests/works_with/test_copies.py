"""Copies, pickles and scripts of a watched model hold nothing of the watch."""

import copy
import functools
import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.optim.swa_utils import AveragedModel

import relustat


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
        self.relu = nn.ReLU(inplace=True)
        self.block.register_forward_hook(seen)

    def forward(self, x):
        return self.relu(self.block(x) - 1)


def seen(*_):
    pass


class WithState(Plain):
    def __getstate__(self):
        return self.__dict__.copy()


class WithNestedState(Plain):
    def __getstate__(self):
        return {"all": self.__dict__, "items": list(self.__dict__.items())}

    def __setstate__(self, state):
        assert state["all"].keys() == dict(state["items"]).keys()
        self.__dict__.update(state["all"])


class WithHandle(Plain):
    def __init__(self):
        super().__init__()
        self.handle = self.block.register_forward_hook(seen)


class WithReduce(Plain):
    def __reduce__(self):
        return rebuilt, (type(self), self.__dict__)


def rebuilt(kind, state):
    module = kind()
    module.__dict__.update(state)
    return module


class WithShallowDeepcopy(Plain):
    def __deepcopy__(self, memo):
        made = type(self)()
        made.__dict__.update(self.__dict__)
        return made


class WithDeepcopy(Plain):
    def __deepcopy__(self, memo):
        made = type(self)()
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made


MODELS = {
    "PyTorch's own": lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU()),
    "a ReLU": nn.ReLU,
    "plain": Plain,
    "__getstate__": WithState,
    "nested state": WithNestedState,
    "a handle": WithHandle,
    "parametrised": lambda: parametrizations.weight_norm(nn.Linear(4, 6)),
    "__reduce__": WithReduce,
    "__deepcopy__": WithDeepcopy,
    "shallow __deepcopy__": WithShallowDeepcopy,
    "a graph": lambda: torch.fx.symbolic_trace(Plain()),
    "swapped": lambda: relustat.swap(Plain()),
}


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle 2": lambda model: pickle.loads(pickle.dumps(model, 2)),
    "pickle 5": lambda model: pickle.loads(pickle.dumps(model, 5)),
    "pickle in Python": lambda model: pickle.loads(pickle._dumps(model)),
    "torch.save": saved,
    "averaged": lambda model: AveragedModel(model).module,
}


def traces(model):
    """What a watch adds, by the paths of modules."""
    found = {}
    for path, module in model.named_modules():
        hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        ours = [hook for hook in hooks if type(hook).__module__.startswith("relustat")]
        always = module._forward_hooks_always_called
        answers = {"__reduce_ex__", "__deepcopy__", "_relustat_watched"} & set(vars(module))
        kind = type(module) if "relustat" in vars(type(module)).__repr__() else None
        found[path] = [*ours, *always, *answers, *([kind] if kind else [])]
    return {path: traces for path, traces in found.items() if traces}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", MODELS)
def test_a_copy_is_as_that_of_a_plain_model(name, how):
    model = MODELS[name]()
    x = torch.randn(3, 4)
    if name == "parametrised" and how not in ("deepcopy", "averaged"):
        pytest.skip("PyTorch pickles no parametrised modules")
    calls = set() if name == "parametrised" else {1}  # which has no ReLU
    expected = model(x)
    with relustat.watch(model) as watch:
        assert traces(model)
        twin = COPIES[how](model)
        shares = name == "shallow __deepcopy__" and how in ("deepcopy", "averaged")
        if not shares:  # the watched children
            assert torch.equal(twin(x), expected)
            assert watch.stats == {}
        if name not in ("a graph", "parametrised"):  # each copy of these has a class of its own
            assert type(twin) is type(COPIES[how](MODELS[name]()))
        if name == "a handle":
            twin.handle.remove()
            assert len(twin.block._forward_hooks) == 1
        model(x)
        assert {stats.calls for stats in watch.stats.values()} == calls
    assert traces(twin) == traces(model) == {}
    relustat.unwatch(twin)
    with relustat.watch(twin) as watch:
        twin(x)
    assert {stats.calls for stats in watch.stats.values()} == calls


@pytest.mark.parametrize("how", COPIES)
def test_a_lazy_model_is_initialised_once(how):
    """Its modules hold handles of hooks."""
    model, x = nn.Sequential(nn.LazyLinear(6), nn.ReLU()), torch.randn(2, 4)
    with relustat.watch(model):
        twin = COPIES[how](model)
    twin(x)
    assert torch.equal(twin(x), twin(x))
    assert traces(twin) == traces(model) == {}


def test_modules_that_change_their_class_meanwhile():
    """As weight norm and LoRA do, and their merging."""
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 6)), nn.ReLU())
    x = torch.randn(2, 4)
    with relustat.watch(model):
        expected = model(x)
        parametrize.remove_parametrizations(model[0], "weight")
        torch.testing.assert_close(model(x), expected)
        assert traces(copy.deepcopy(model)) == {}
        parametrizations.weight_norm(model[0])
        assert traces(copy.deepcopy(model)) == {}
        torch.testing.assert_close(copy.deepcopy(model)(x), expected)
    assert traces(model) == {}


@pytest.mark.parametrize("before", [True, False])
def test_a_root_that_is_parametrised_meanwhile(before):
    root = nn.Linear(4, 6)
    if before:
        parametrizations.weight_norm(root)
    with relustat.watch(root):
        root(torch.randn(2, 4))
        (parametrize.remove_parametrizations if before else parametrizations.weight_norm)(
            *((root, "weight") if before else (root,))
        )
        root(torch.randn(2, 4))
    assert traces(root) == {}
    if not before:
        parametrize.remove_parametrizations(root, "weight")
    assert type(root) is nn.Linear


def test_slices_of_a_watched_model_are_plain():
    model = nn.Sequential(nn.ReLU(), nn.Linear(4, 4))
    with relustat.watch(model):
        part = model[:1]
        assert type(part) is nn.Sequential
        assert part[0] is model[0]
    pickle.loads(pickle.dumps(part))


def test_a_modules_own_answers_come_back():
    model = nn.ReLU()
    own = functools.partial(object.__reduce_ex__, model)
    model.__dict__["__reduce_ex__"] = own
    with relustat.watch(model):
        assert model.__dict__["__reduce_ex__"] is not own
    assert model.__dict__["__reduce_ex__"] is own


def test_copies_in_another_thread_lose_no_counts():
    model, x = Plain(), torch.randn(2, 4)
    with relustat.watch(model) as watch, ThreadPoolExecutor(1) as pool:
        copies = pool.submit(lambda: [copy.deepcopy(model) for _ in range(200)])
        for _ in range(300):
            model(x)
        assert traces(copies.result()[-1]) == {}
    assert {name: stats.calls for name, stats in watch.stats.items()} == {
        "block.1": 300,
        "relu": 300,
    }


def test_a_watched_model_that_is_swapped_is_pickled():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with relustat.watch(model):
        relustat.swap(model)
        twin = pickle.loads(pickle.dumps(model))
        assert traces(twin) == {}
        assert [each.now for each in relustat.swapped(relustat.unswap(twin))] == ["as before"]
        relustat.unswap(twin)
    relustat.unswap(model)
    assert traces(model) == {}
    torch.jit.script(model)


def test_swap_and_watch_give_the_errors_of_both():
    model = relustat.swap(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    with relustat.watch(model):
        pass
    with pytest.raises(TypeError, match="unswap"):
        torch.jit.script(model)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    with relustat.watch(model):
        relustat.unswap(relustat.swap(model))
        with pytest.raises(TypeError, match="a watched model cannot be scripted"):
            torch.jit.script(model[1])


def test_what_modules_share_stays_shared():
    model = nn.Sequential(nn.ReLU(), nn.ReLU())
    model[0].table = model[1].table = {"a": [1, 2]}
    model[0].numbers = model[1].numbers = [1, 2]
    with relustat.watch(model):
        for make in COPIES.values():
            twin = make(model)
            assert twin[0].table is twin[1].table
            assert twin[0].numbers is twin[1].numbers


def test_a_part_that_is_watched_too():
    model = Plain()
    with relustat.watch(model), relustat.watch(model.block) as watch:
        twin = copy.deepcopy(model)
        assert traces(twin) == {}
        watch.close()
        assert b"relustat" not in pickle.dumps(model)
        assert traces(model)
    assert traces(model) == {}


def test_shallow_copies_share_the_children():
    model = nn.Sequential(nn.Sequential(nn.ReLU()))
    with relustat.watch(model) as watch:
        twin = copy.copy(model)
        assert twin[0] is model[0]
        assert traces(twin).keys() == {"0", "0.0"}
        twin(torch.randn(2, 3))
    assert watch.stats["0.0"].calls == 1
    assert traces(twin) == {}


def test_they_load_where_relustat_is_not_installed(tmp_path):
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    with relustat.watch(model):
        torch.save(model, tmp_path / "watched.pt")
        averaged = AveragedModel(model)
    torch.save(averaged, tmp_path / "averaged.pt")
    load = (
        "import sys; sys.modules['relustat'] = None\n"
        "import torch\n"
        "for file in sys.argv[1:]: torch.load(file, weights_only=False)(torch.zeros(1, 4))"
    )
    files = [str(tmp_path / "watched.pt"), str(tmp_path / "averaged.pt")]
    subprocess.run([sys.executable, "-c", load, *files], check=True)


class Stubborn(nn.Module):
    """Copies its attributes one by one, past all that Python asks."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(x)

    def twin(self):
        made = type(self)()
        made.__dict__.update({name: copy.deepcopy(each) for name, each in vars(self).items()})
        return made


def test_unwatch_takes_off_what_an_unusual_copy_has():
    model = Stubborn()
    with relustat.watch(model) as watch:
        twin = model.twin()
        twin(torch.randn(2, 3))
        assert watch.stats == {}
        relustat.unwatch(twin)
        assert traces(twin) == {}
        relustat.unwatch(model)
    assert traces(model) == {}


def test_scripting_a_watched_model_says_what_to_do():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU()).eval()
    with relustat.watch(model):
        for part in (model, model[1]):
            with pytest.raises(TypeError, match=r"a watched model cannot be scripted; close\(\)"):
                torch.jit.script(part)
    x = torch.randn(2, 4)
    assert torch.equal(torch.jit.script(model)(x), model(x))
