"""Counts of several processes: each its own, and their sum, exactly.

The worker runs all cases, once for each number of processes.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
from distributed_models import BINS, STEPS
from distributed_worker import CASES, FIRES
from repository import ROOT

import relustat
from relustat import LogBins, distributed

WORKER = ROOT / "tests/helpers/distributed_worker.py"


@pytest.fixture(scope="module", params=[2, 3], ids=lambda ranks: f"{ranks} ranks")
def ranks(request, tmp_path_factory):
    """What each rank wrote."""
    folder = tmp_path_factory.mktemp("ranks")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    result = subprocess.run(
        [*launch, f"--nproc-per-node={request.param}", str(WORKER), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    told = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(request.param)]
    assert all(set(CASES) < set(each) for each in told)
    return told


def of(ranks, case, *path):
    """What the ranks told of a case."""
    found = [each[case] for each in ranks]
    for step in path:
        found = [each[step] for each in found]
    return found


def the_same(values):
    """What all ranks told alike, in the same order too."""
    assert len({json.dumps(value) for value in values}) == 1
    return values[0]


def counts_of(inputs, bins=BINS, unit_histograms=False):
    """By NumPy: what ReLUs count of these inputs, [batch, units, ...] each, by width."""
    by_width = {}
    for x in inputs:
        x = np.asarray(x, dtype=np.float32)
        units = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
        slots = np.array(
            [
                [
                    (values < bins.edges[0]).sum(),
                    *np.histogram(values, bins.edges)[0],
                    (values > bins.edges[-1]).sum(),
                    0,
                ]
                for values in (units if unit_histograms else [units])
            ]
        )
        zeros = (units <= 0).sum(axis=1)
        counts = [1, x.size, zeros, zeros == units.shape[1], slots]
        before = by_width.get(len(units), [0] * 5)
        by_width[len(units)] = [a + b for a, b in zip(before, counts, strict=True)]
    names = ["calls", "elements", "zeros", "dead_calls", "slots"]
    return {
        str(width): {name: np.asarray(n).tolist() for name, n in zip(names, counts, strict=True)}
        for width, counts in sorted(by_width.items())
    }


def randn(seed, shape=(4, 3)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_site(seen, sites):
    """What each of ``sites`` saw: ``{"act": ["act", "act_1"]}`` is one module's two calls."""
    return {
        name: counts_of([x for each in parts for x in seen[each]]) for name, parts in sites.items()
    }


def together(seen_by_rank):
    return {site: [x for seen in seen_by_rank for x in seen[site]] for site in seen_by_rank[0]}


WATCHED = {"act": ["act"], "act_1": ["act_1"], "relu": ["relu"]}
SWAPPED = {"act": ["act", "act_1"]}
TRAINED = {
    "ddp_swap": SWAPPED,
    "ddp_watch": WATCHED,
    "ddp_watch_wrapper": {f"module.{name}": parts for name, parts in WATCHED.items()},
    "fsdp_swap": SWAPPED,
    "fsdp_watch": WATCHED,
}


@pytest.fixture(params=TRAINED)
def case(request):
    return request.param


def test_each_rank_counts_its_own(ranks, case):
    for told in of(ranks, case):
        assert told["own"] == by_site(told["seen"], TRAINED[case])
        for name, parts in TRAINED[case].items():
            by_width = told["own"][name].values()
            assert sum(counts["calls"] for counts in by_width) == STEPS * len(parts)


def test_gradients_are_those_of_the_plain_model(ranks, case):
    assert of(ranks, case, "same_gradients") == [[True] * STEPS] * len(ranks)


def test_the_sum_is_exact(ranks, case):
    reduced = the_same(of(ranks, case, "reduced"))
    assert reduced == by_site(together(of(ranks, case, "seen")), TRAINED[case])
    assert list(reduced) == list(TRAINED[case])


def test_the_sum_of_the_sum_is_the_sum(ranks, case):
    assert of(ranks, case, "again") == of(ranks, case, "reduced")


def test_the_sum_after_another_step(ranks, case):
    later = the_same(of(ranks, case, "reduced_later"))
    assert later == by_site(together(of(ranks, case, "seen_later")), TRAINED[case])


def test_uneven_batches(ranks):
    for rank, told in enumerate(of(ranks, "uneven_batches")):
        assert told["own"] == by_site(told["seen"], WATCHED)
        assert told["own"]["relu"]["5"]["elements"] == 5 * (4 * rank + 1)
    reduced = the_same(of(ranks, "uneven_batches", "reduced"))
    assert reduced == by_site(together(of(ranks, "uneven_batches", "seen")), WATCHED)


def test_a_rank_without_data_gets_the_sum(ranks):
    *others, last = of(ranks, "a_rank_without_data", "own")
    assert last == {}
    assert len(others[0]) == 3
    reduced = the_same(of(ranks, "a_rank_without_data", "reduced"))
    for name, by_width in reduced.items():
        for width, counts in by_width.items():
            for key, value in counts.items():
                assert value == sum(np.array(own[name][width][key]) for own in others).tolist()
    assert the_same(of(ranks, "a_rank_without_data", "again")) == reduced
    assert of(ranks, "a_rank_without_data", "of_no_rank") == [{}] * len(ranks)


def test_one_relu(ranks):
    told = the_same(of(ranks, "one_relu"))
    expected = {"": counts_of([randn(rank) for rank in range(len(ranks) - 1)])}
    assert told["reduced"] == expected
    assert told["again"] == expected
    assert told["copies"] == [expected] * 3
    assert told["equals_own"]
    twice = 2 * len(ranks)
    assert told["twice"][""]["3"]["calls"] == twice * expected[""]["3"]["calls"]
    assert told["twice"][""]["3"]["zeros"] == [
        twice * zeros for zeros in expected[""]["3"]["zeros"]
    ]


def test_unlike_call_sites_are_refused_on_every_rank(ranks):
    others = ", ".join(f"rank {rank}" for rank in range(1, len(ranks)))
    assert the_same(of(ranks, "unlike_call_sites", "error")) == (
        "ValueError: all_reduce: all ranks that hold counts must have the same call sites, "
        f"got first, second (in rank 0, missing in {others}); "
        f"other (in {others}, missing in rank 0)"
    )
    error = the_same(of(ranks, "many_unlike_call_sites", "error"))
    assert (
        f"got site1, site2, site3, site4, site5, ... (8 in all) (in rank 0, missing in {others})"
        in error
    )
    assert the_same(of(ranks, "unlike_call_sites", "afterwards")) == {"shared": sum_of(ranks)}


def test_unlike_bins_are_refused_on_every_rank(ranks):
    others = ", ".join(f"rank {rank}" for rank in range(1, len(ranks)))
    for key, name in [("error", "unlike"), ("error_of_one", "the only ReLU")]:
        assert the_same(of(ranks, "unlike_bins", key)) == (
            "ValueError: all_reduce: a call site must have equal bins in all ranks, "
            f"got for {name}: {BINS} (in rank 0); {LogBins()} (in {others})"
        )
    (alike,) = the_same(of(ranks, "unlike_bins", "afterwards")).values()
    assert alike["3"]["zeros"] == sum_of(ranks)["3"]["zeros"]
    assert alike["3"]["slots"] == [[0]]


def test_what_is_no_statistics_is_refused_on_every_rank(ranks):
    assert the_same(of(ranks, "not_statistics", "error")) == (
        "TypeError: all_reduce: stats must be ReLUStats, alone or by the names of their call "
        "sites, got a NoneType on rank 0"
    )
    assert the_same(of(ranks, "not_statistics", "afterwards")) == {"a": sum_of(ranks)}


def test_results_do_not_add_to_own_counts(ranks):
    others = ", ".join(f"rank {rank}" for rank in range(1, len(ranks)))
    rule = (
        "ValueError: all_reduce: all ranks must pass their own counts, or all the result of one "
        "all_reduce, got for "
    )
    assert the_same(of(ranks, "some_reduced", "error")) == (
        f"{rule}b: a result (of rank 0); own counts (of {others})"
    )
    assert the_same(of(ranks, "some_reduced", "error_of_two")) == (
        f"{rule}the only ReLU: a result (of rank 0); a result (of {others})"
    )
    assert the_same(of(ranks, "some_reduced", "mixed")) == {"a": sum_of(ranks), "b": sum_of(ranks)}


def sum_of(ranks, **options):
    """The sum of what the worker's own() counts on each rank."""
    return counts_of([randn(rank) for rank in range(len(ranks))], **options)


def test_unlike_widths(ranks):
    inputs = [randn(rank, shape) for rank in range(len(ranks)) for shape in [(4, 3), (2, rank + 4)]]
    assert the_same(of(ranks, "unlike_widths")) == {"a": counts_of(inputs)}


def test_unit_histograms(ranks):
    assert the_same(of(ranks, "unit_histograms", "all")) == {
        "a": sum_of(ranks, unit_histograms=True)
    }
    assert the_same(of(ranks, "unit_histograms", "some")) == {"a": sum_of(ranks)}


def test_order_is_that_of_the_first_rank_with_data(ranks):
    assert the_same(of(ranks, "order_of_call_sites")) == ["b", "a", "c"]


def test_sums_beyond_what_floats_hold(ranks):
    n = len(ranks)
    told = the_same(of(ranks, "many_counts"))
    elements = {name: counts["1"]["elements"] for name, counts in told.items()}
    assert elements == {
        "int32": sum(2**30 + rank for rank in range(n)),
        "float32": n * (2**24 + 1),
        "float64": n * (2**60 + 1),
    }
    for name, counts in told.items():
        assert counts["1"]["zeros"] == [elements[name]]
        assert counts["1"]["calls"] == n * (2**24 + 1)


def test_sums_beyond_int64_are_refused_on_every_rank(ranks):
    n = len(ranks)
    assert the_same(of(ranks, "too_many_counts", "error")) == (
        "OverflowError: all_reduce: the sum of elements of many must stay below 2**63, "
        f"got {n * 2**62}"
    )
    afterwards = the_same(of(ranks, "too_many_counts", "afterwards"))
    assert afterwards["few"]["1"]["elements"] == n


def test_a_group_of_some_ranks(ranks):
    first, *others = of(ranks, "subgroup")
    assert (
        first == "ValueError: all_reduce: this rank must be in the group, got rank 0, which is not"
    )
    members = counts_of([randn(rank) for rank in range(1, len(ranks))])
    assert the_same(others) == {"a": members, "one": members}


def test_each_stage_of_a_pipeline_counts_its_own(ranks):
    for told in of(ranks, "pipeline"):
        assert len(told["seen"]) == STEPS
        assert told["own"] == {"1": counts_of(told["seen"])}


def test_watch_all_reduce(ranks):
    last = len(ranks) - 1

    def expected(*batches):
        return {"0": counts_of([randn(100 * rank + time) for rank, time in batches])}

    first = [(rank, 0) for rank in range(last)]
    everyone = range(len(ranks))
    told = of(ranks, "watch_all_reduce")
    for rank, each in enumerate(told):
        assert each["returned"] is None
        # One's own counts go on; those of the others stay as they were when they were added.
        assert each["between"] == expected(*first, (rank, 1))
        assert each["reset"] == {}
        assert each["own"] == expected((rank, 2))
    for key in ("first", "reported", "again"):
        assert the_same([each[key] for each in told]) == expected(*first)
    second = the_same([each["second"] for each in told])
    assert second == expected(*first, *((rank, 1) for rank in everyone))
    assert the_same([each["third"] for each in told]) == expected(*((rank, 2) for rank in everyone))


def test_a_unit_is_as_dead_as_on_the_rank_where_it_is_liveliest(ranks):
    told = of(ranks, "since_fired", "told")
    fires = FIRES if len(ranks) == 3 else {rank: FIRES[rank] for rank in range(2)}

    def since(rank, unit, last):
        n = 0
        for each in fires[rank][: last + 1]:
            n = 0 if each[unit] else n + 1
        return n

    for time in range(3):
        expected = [min(since(rank, unit, time) for rank in fires) for unit in range(3)]
        assert the_same([each[time] for each in told]) == expected
    if len(ranks) == 3:
        # Its own call comes after all that was added up.
        assert told[2][3] == [since + 1 for since in told[0][2]]
    dead = f"1 of 3 units gave only zeros in {3 * len(ranks)} calls"
    assert told[0][-1][0] == len(ranks)
    assert f"0: {dead}" in told[0][-1][1]
    epochs = of(ranks, "since_fired", "epochs")
    assert the_same([each[:3] for each in epochs]) == [
        [min(1 - fires[rank][time][unit] for rank in fires) for unit in range(3)]
        for time in range(3)
    ]


def test_groups_that_not_all_ranks_have(ranks):
    n = len(ranks)
    for rank, told in enumerate(of(ranks, "groups")):
        assert {name for name in told if name.startswith("of")} == {
            "of all",
            *(f"of {each}" for each in range(n)),
        }
        for each in range(n):
            assert told[f"of {each}"] == [1, 4, 2 if each else 3]
        # Two calls of each rank, and another one of this rank.
        assert told["of all"] == [2 * n + 1, 8 * n + 4, 2 * (2 * n + 1) + 4]
        labels = {int(name) for name in told if not name.startswith("of")}
        assert labels == set(range(n))
        assert told["0"][0] == 3 * n + 1
        assert told[str(n - 1)][0] == 3 + (1 if rank == n - 1 else 0)


def test_without_a_process_group(ranks):
    assert the_same(of(ranks, "without a group")) == (
        "RuntimeError: all_reduce: a process group must be initialised, got none; call "
        "torch.distributed.init_process_group() first, in a script that torchrun starts"
    )


@pytest.fixture
def alone():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_one_process_by_itself(alone):
    _, stats = relustat.functional.relu_stats(randn(0), BINS)
    assert distributed.all_reduce({"a": stats}) == {"a": stats}
    assert distributed.all_reduce(distributed.all_reduce(stats)) == stats


@pytest.mark.parametrize(
    ("backends", "device"),
    [("cpu:gloo,cuda:gloo", "cpu"), ("cpu:gloo,cuda:nccl", "cpu"), ("cuda:nccl", "cuda")],
)
def test_counts_travel_where_the_backend_takes_them(monkeypatch, backends, device):
    monkeypatch.setattr(dist, "get_backend_config", {None: backends}.get)
    assert distributed._device_of(None) == device


def test_units_that_are_split_over_ranks_lie_side_by_side(ranks):
    inputs = the_same(of(ranks, "split_units", "inputs"))
    assert sum(np.asarray(inputs)[:, 5] > 0) == 0
    for code in ("eager", "compiled"):
        found = of(ranks, "split_units", code)
        assert [each["shard"] for each in found] == [
            [rank, len(ranks)] for rank in range(len(ranks))
        ]
        assert [each["reread"] for each in found] == [each["shard"] for each in found]
        assert sum(units for each in found for units in each["units"]) == 8
        assert the_same([each["since fired"] for each in found]) == [
            int(is_dead) for is_dead in (np.asarray(inputs) <= 0).all(axis=0)
        ]
        assert the_same([each["sum"] for each in found]) == counts_of(
            [inputs], unit_histograms=True
        )
        dead = np.nonzero((np.asarray(inputs) <= 0).all(axis=0))[0]
        assert 5 in the_same([each["dead"] for each in found]) == dead.tolist()
    assert the_same(of(ranks, "split_units", "error")).startswith(
        "ValueError: all_reduce: the ranks must hold the same units of a call site, or all its "
        f"shards, got for the only ReLU: shard 0 of {len(ranks)} of the units (in rank 0); "
        f"shard 0 of {len(ranks) + 1} of the units (in rank 1"
    )
    for rank, error in enumerate(of(ranks, "split_units", "other")):
        assert error == (
            "ValueError: ReLUStats: only statistics of the same units add, got those of "
            f"shard {rank} of {len(ranks)} of the units and of shard 7 of 8 of the units"
        )
