"""In several processes all do the same: units that are dead in all of them are drawn alike."""

import json
import os
import subprocess
import sys

import pytest

WORKER = """
import json, sys, torch, relustat
import torch.distributed as dist
from torch import nn
from relustat.surgery import ReviveDead, prune_dead, reinitialise_dead

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 1))
with torch.no_grad():
    model[0].weight.zero_()
    model[0].bias.copy_(torch.tensor([-100.0, -1.0, 1.0, -100.0, 1.0]))
    model[0].weight[1, 0] = 2.0  # fires on the second rank alone
ddp = nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(ddp.parameters(), 0.0, momentum=0.9)
torch.manual_seed(rank)  # each draws other numbers
told = []
with relustat.watch(ddp) as watch:
    revive = ReviveDead(ddp, watch, optimizer, every=2, calls=2)
    for _ in range(4):
        optimizer.zero_grad()
        ddp(torch.full((3, 2), float(rank))).sum().backward()
        optimizer.step()
        done = revive.step()
        told.append(done and [list(change.units) for change in done.done])
if rank:
    with torch.no_grad():
        model[0].bias[2] = -200.0
with relustat.watch(ddp) as own:
    ddp(torch.zeros(3, 2))
if rank:
    with torch.no_grad():
        model[0].bias[2] = 1.0
try:
    reinitialise_dead(ddp, own, calls=1)
except ValueError as error:
    assert "all processes must have the same counts, got other dead units" in str(error)
else:
    raise AssertionError
try:
    prune_dead(ddp, watch, torch.zeros(3, 2))
except ValueError as error:
    assert "must be one process's, got a DistributedDataParallel" in str(error)
else:
    raise AssertionError
weights = [each.tolist() for each in model.parameters()]
with open(f"{sys.argv[1]}/{rank}.json", "w") as file:
    json.dump({"told": told[:2], "weights": weights}, file)
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    worker = folder / "worker.py"
    worker.write_text(WORKER)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    result = subprocess.run(
        [*launch, str(worker), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def test_units_that_are_dead_in_all_processes_are_drawn_alike(ranks):
    assert ranks[0] == ranks[1]
    assert ranks[0]["told"] == [None, [[0, 3]]]
    weight, bias, *_ = ranks[0]["weights"]
    assert weight[2] == [0.0, 0.0]
    assert all(abs(bias[unit]) < 1 and any(weight[unit]) for unit in (0, 3))
