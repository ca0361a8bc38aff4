"""Pairs each row with its rival, round by round, and ends with one compact table of ratios."""

import gc
import statistics
import time
from pathlib import Path

import pytest
import torch
from harness import machine, table

PARTS = (
    "relu",
    "activation",
    "pool",
    "grid",
    "network",
    "analysis",
    "scaling",
    "memory",
    "roofline",
)
_rows = []


def pytest_addoption(parser):
    group = parser.getgroup("relustat's benchmarks")
    group.addoption("--table", type=Path, help="write the table there, too, as Markdown")
    group.addoption(
        "--weights",
        type=Path,
        help="a state dict of VGG-16's convolutions; random ones if not given",
    )


@pytest.fixture(params=[torch.get_num_threads()], ids=lambda count: f"{count}t")
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def row(benchmark, request, threads):
    """Notes what a row says, for the table and for the JSON file."""
    (part,) = (mark.name for mark in request.node.iter_markers() if mark.name in PARTS)
    benchmark.group = part

    def note(**facts):
        facts = {"part": part, "threads": threads, "note": "", **facts}
        benchmark.extra_info.update(facts)
        _rows.append({"name": request.node.name.removeprefix("test_"), **facts})

    return note


@pytest.fixture
def paired(benchmark, row):
    """Times ``ours`` and ``theirs`` in turn and notes the ratio of each round."""

    def run(ours, theirs, *, rounds, calls=1, warmup_rounds=2, grad=False, **facts):
        rival_seconds = []

        def time_rival():
            start = time.perf_counter()
            for _ in range(calls):
                theirs()
            rival_seconds.append(time.perf_counter() - start)

        def repeat():
            for _ in range(calls):
                ours()

        gc.collect()
        with torch.set_grad_enabled(grad):
            benchmark.pedantic(repeat, setup=time_rival, rounds=rounds, warmup_rounds=warmup_rounds)
        if benchmark.disabled:
            return
        seconds = benchmark.stats.stats.data
        rival_seconds = rival_seconds[-rounds:]
        ratios = [o / r for o, r in zip(seconds, rival_seconds, strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
        row(
            seconds=statistics.median(seconds) / calls,
            rival_seconds=statistics.median(rival_seconds) / calls,
            ratio=ratio,
            low=low,
            high=high,
            **facts,
        )

    return run


def pytest_benchmark_update_machine_info(machine_info):
    machine_info["relustat"] = machine.describe()


def pytest_terminal_summary(terminalreporter, config):
    if not _rows:
        return
    text = table.as_markdown(machine.describe(), _rows)
    terminalreporter.write_line("")
    terminalreporter.write(text)
    if config.getoption("--table"):
        config.getoption("--table").write_text(text)
