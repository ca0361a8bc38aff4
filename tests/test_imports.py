"""What ``import relustat`` imports."""

import subprocess
import sys

import pytest

HEAVY = ("torch._dynamo", "torch._inductor", "torch.onnx", "sympy", "matplotlib", "pandas")

COUNTING = """
model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
with relustat.watch(model) as watch:
    model(torch.randn(2, 3, 8, 8)).sum().backward()
str(watch.report())
relustat.unswap(relustat.swap(model, pools=True))
"""


@pytest.mark.parametrize("then", ["", COUNTING], ids=["import", "counting"])
def test_nothing_heavy_is_imported(then):
    program = "\n".join(
        [
            "import sys, torch",
            "before = set(sys.modules)",
            "import relustat",
            then,
            "print(*(set(sys.modules) - before), sep='\\n')",
        ]
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    imported = done.stdout.splitlines()
    assert "relustat" in imported
    assert [name for name in imported if name.startswith(HEAVY)] == []


def test_analysis_is_imported_when_it_is_named():
    program = """
import sys, relustat
assert "analysis" in dir(relustat) and "relustat.analysis" not in sys.modules
assert relustat.analysis is sys.modules["relustat.analysis"]
assert callable(relustat.analysis.receptive_field)
try:
    relustat.nothing
except AttributeError as error:
    assert "'relustat' has no attribute 'nothing'" in str(error)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_watch_may_begin_before_the_compiler_is_imported():
    """The compiler makes a list of functions that modes see, once."""
    program = """
import sys, torch, relustat

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x):
        return torch.clamp_(torch.threshold_(torch.relu_(self.linear(x)) - 1, 0, 0) - 1, min=0)

model, x = Model(), torch.randn(3, 4)
with relustat.watch(model) as eager, torch.no_grad():
    model(x)
with relustat.watch(model) as compiled, torch.no_grad():
    assert "torch._dynamo" not in sys.modules
    torch.compile(model, backend="eager", fullgraph=True)(x)
assert list(eager.stats) == ["relu", "threshold", "clamp"]
assert compiled.stats == eager.stats
"""
    subprocess.run([sys.executable, "-c", program], check=True)
