"""Models by name, and their weights."""

import sys

import analyzed_models
import pytest
import torch
from analyzed_models import mlp
from optional import needs
from torch import nn

from relustat.cli.models import load_weights, make_model
from relustat.cli.named_objects import named_object

FILE = analyzed_models.__file__


@pytest.fixture(autouse=True)
def _path_of_before(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_names_of_models():
    assert make_model(f"{FILE}:mlp", {"width": 3})[0].out_features == 3
    assert make_model("analyzed_models:mlp", {})[0].out_features == 8
    assert isinstance(make_model(f"{FILE}:ResNet", {}), nn.Module)
    assert make_model(f"{FILE}:Seeded", {"seed": 3, "function": 4}).seed == 3
    assert make_model("torch.nn:Linear", {"in_features": 2, "out_features": 3}).in_features == 2
    ready = make_model(f"{FILE}:ready", {})
    assert make_model(f"{FILE}:ready", {}) is ready


def test_a_file_beside_others(tmp_path):
    """Its folder is where it imports from, and a module of its name stays what it was."""
    (tmp_path / "parts.py").write_text("from torch import nn\nclass Part(nn.ReLU): pass\n")
    (tmp_path / "json.py").write_text("from parts import Part\nimport json\n")
    model = make_model(f"{tmp_path / 'json.py'}:Part", {})
    assert type(model).__name__ == "Part"
    assert sys.modules["json"].__file__ != str(tmp_path / "json.py")
    del sys.modules["parts"]


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, "MODEL must be package.module:name or file.py:name, got an empty text"),
        ("torch.nn", {}, "MODEL must be package.module:name or file.py:name, got torch.nn"),
        (FILE, {}, f"got {FILE}; {FILE} has mlp, smooth, no_module, broken, Decoder"),
        ("no.such:model", {}, "no.such cannot be imported: ModuleNotFoundError: No module named"),
        ("nothing.py:model", {}, "MODEL: the file must exist, got nothing.py"),
        (f"{FILE}:mpl", {}, f"MODEL: {FILE} must have mpl, got a file with mlp"),
        (f"{FILE}:xyz", {}, "got a file with mlp, smooth, no_module, broken, Decoder"),
        (f"{FILE}:nothing", {}, "must be a model, or what makes one, got a int"),
        (f"{FILE}:no_module", {}, "must give an nn.Module, got a str"),
        (
            f"{FILE}:broken",
            {"width": 3},
            "broken(width=3) raised RuntimeError: no weights; --debug",
        ),
        (
            f"{FILE}:mlp",
            {"depth": 3},
            "mlp(depth=3) must have the arguments of (width=8, activation='relu')",
        ),
        (f"{FILE}:ready", {"width": 3}, "--set: "),
    ],
)
def test_what_is_no_model(text, settings, message):
    with pytest.raises(ValueError, match=r"^(MODEL|--set|--weights)") as raised:
        make_model(text, settings)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("def f(:", "SyntaxError: "),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_files_that_cannot_be_imported(tmp_path, code, message):
    (tmp_path / "bad-file.py").write_text(code)
    with pytest.raises(ValueError, match=r"bad-file\.py cannot be imported: ") as raised:
        named_object("--data", f"{tmp_path / 'bad-file.py'}:f")
    assert message in str(raised.value)
    assert "bad-file" not in sys.modules


def states(model):
    state = model.state_dict()
    return {
        "plain": state,
        "checkpoint": {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
        "ddp": {"model": {f"module.{name}": each for name, each in state.items()}},
        "compiled": {f"_orig_mod.module.{name}": each for name, each in state.items()},
        "lightning": {"state_dict": {f"model.{name}": each for name, each in state.items()}},
    }


@pytest.mark.parametrize("kind", ["plain", "checkpoint", "ddp", "compiled", "lightning"])
def test_weights(tmp_path, kind):
    theirs, mine = mlp(), mlp()
    torch.save(states(theirs)[kind], tmp_path / "weights.pt")
    load_weights(mine, tmp_path / "weights.pt")
    pairs = zip(mine.parameters(), theirs.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(3)


def test_safetensors_and_names_that_files_leave_out(tmp_path):
    safetensors = needs("safetensors.torch")
    theirs, mine = Tied(), Tied()
    state = theirs.state_dict()
    del state["head.weight"], state["norm.num_batches_tracked"]
    safetensors.save_file(state, tmp_path / "weights.safetensors")
    load_weights(mine, tmp_path / "weights.safetensors")
    assert torch.equal(mine.head.weight, theirs.embed.weight)
    (tmp_path / "bad.safetensors").write_bytes(b"hello")
    with pytest.raises(ValueError, match="must be a file of safetensors"):
        load_weights(mine, tmp_path / "bad.safetensors")


def test_weights_that_do_not_fit(tmp_path):
    path = tmp_path / "weights.pt"
    state = mlp(width=5).state_dict()
    state["2.scale"] = state.pop("2.bias")
    torch.save(state, path)
    model = mlp()
    before = [each.clone() for each in model.parameters()]
    with pytest.raises(ValueError, match=r"^(MODEL|--set|--weights)") as raised:
        load_weights(model, path)
    assert str(raised.value) == (
        f"--weights: {path} must fit the model, got 1 missing key (2.bias); 1 unexpected key "
        "(2.scale); 3 unlike shapes (0.weight: [5, 4] in the file, [8, 4] in the model, "
        "0.bias: [5] in the file, [8] in the model, 2.weight: [3, 5] in the file, [3, 8] in the "
        "model)"
    )
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


class Evil:
    def __reduce__(self):
        import os

        return os.mkdir, ("evil",)


def test_weights_are_never_unpickled_unsafely(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": mlp().state_dict(), "config": Evil()}, "weights.pt")
    torch.save(mlp(), "model.pt")
    for name in ("weights.pt", "model.pt"):
        with pytest.raises(ValueError, match=r"^(MODEL|--set|--weights)") as raised:
            load_weights(mlp(), tmp_path / name)
        assert "of tensors only, got something else" in str(raised.value)
        assert "weights_only" not in str(raised.value)
    assert not (tmp_path / "evil").exists()


def test_other_files_of_pytorch(tmp_path):
    """The checkpoint of PyTorch's tutorial, with a loss; a program; names that are none."""
    theirs, mine = mlp(), mlp()
    checkpoint = {"epoch": 3, "model_state_dict": theirs.state_dict(), "loss": torch.tensor(0.1)}
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    load_weights(mine, tmp_path / "checkpoint.pt")
    assert torch.equal(mine[0].weight, theirs[0].weight)
    torch.jit.save(torch.jit.trace(mine, torch.zeros(1, 4)), str(tmp_path / "program.pt"))
    torch.save({0: torch.zeros(3)}, tmp_path / "numbers.pt")
    for name in ("program.pt", "numbers.pt"):
        with pytest.raises(ValueError, match=r"^--weights: .* must ") as raised:
            load_weights(mine, tmp_path / name)
        assert "weights_only" not in str(raised.value)


def test_files_without_weights(tmp_path):
    model, path = mlp(), tmp_path / "weights.pt"
    with pytest.raises(
        ValueError, match=r"--weights must be a file of weights, got .*, which is none"
    ):
        load_weights(model, path)
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match="--weights: "):
        load_weights(model, path)
    for content, holds in (({"epoch": 3}, "a dict of epoch"), (torch.zeros(3), "a Tensor")):
        torch.save(content, path)
        with pytest.raises(ValueError, match=f"must hold a state dict, got {holds}"):
            load_weights(model, path)
