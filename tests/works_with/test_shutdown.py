"""A process that ends with a watch open ends as it would without."""

import os
import subprocess
import sys

import pytest

BEGIN = """
import sys, threading, torch, relustat
torch.set_num_threads(1)
model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.ReLU6())
x = torch.randn(2, 4)
watch = relustat.watch(model)
model(x)
"""

ENDS = {
    "all that can be open": """
relustat.swap(model)
for block in (watch.counting(), watch.group("a"), watch.pause()):
    block.__enter__()
model(x)
cycle = [watch, model]
cycle.append(cycle)
del watch, model
""",
    "in a forward": "model[0].register_forward_hook(lambda *_: sys.exit(0)); model(x)",
}


@pytest.fixture(scope="module")
def processes():
    """All at once: most of their time is that of the import of torch."""
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", BEGIN + end],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for name, end in ENDS.items()
    }
    yield started
    for process in started.values():
        process.kill()


@pytest.mark.parametrize("name", ENDS)
def test_nothing_is_said_at_the_end(processes, name):
    output, errors = processes[name].communicate(timeout=120)
    assert (processes[name].returncode, output, errors) == (0, b"", b"")
