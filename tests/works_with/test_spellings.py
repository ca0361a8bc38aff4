"""Each spelling of a ReLU is counted, or named as not counted; see docs/compatibility.md."""

import pytest
import torch
from repository import ROOT
from spelling_cases import CASES, COUNTED, INPUT, NAMED, REFUSED, RUNS, Model, table
from torch.utils._python_dispatch import TorchDispatchMode

import relustat

# PyTorch warns of it in the midst of our code.
pytestmark = pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")


class Zeros(TorchDispatchMode):
    """The number of zeros that ATen's ReLUs give."""

    OPS = ("relu", "clamp_min", "clamp", "threshold", "hardtanh", "leaky_relu")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__.rstrip("_") in self.OPS:
            self.count += int((output == 0).sum())
        return output


def runnable(model, run, said):
    """The model as it runs, and what is watched."""
    if run == "compiled":
        torch._dynamo.reset()
        # The backend that is quick to compile calls ops one by one, so that some are still seen.
        is_hard = said != COUNTED and "RNN" not in str(model)
        return torch.compile(model, backend="inductor" if is_hard else "aot_eager"), model
    if run == "exported":
        model = torch.export.export(model, (INPUT,)).module()
    elif run == "TorchScript":
        model = torch.jit.trace(model, INPUT)
    return model, model


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_each_spelling(name, run):
    model = Model(name, run).eval()
    said = CASES[name][1][RUNS.index(run)]
    if said == REFUSED:
        with pytest.raises((RuntimeError, NotImplementedError)):
            model(INPUT)
        return
    called, watched = runnable(model, run, said)
    with relustat.watch(watched) as watch:
        called(INPUT)
    warnings = watch.report().warnings
    if said == COUNTED:
        with Zeros() as zeros:
            if "Transformer" in name:  # the layer's fast path hides its ReLU
                model.train()
                model.function.dropout.p = 0
            model(INPUT)
        assert sum(stats.zeros for stats in watch.stats.values()) == zeros.count > 0
    else:
        assert watch.stats == {}
        named = [each for each in warnings if "not counted" in each or "try activations" in each]
        assert (len(named) > 0) == (said == NAMED)


def test_the_page_shows_this_table():
    assert "\n".join(table()) in (ROOT / "docs/compatibility.md").read_text()
