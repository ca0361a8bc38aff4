"""Numbers that are read while a model runs."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from forking import exit_code_of_child
from optional import needs
from torch import nn

import relustat
from relustat.report import read_records
from relustat.report.columns import COLUMNS
from relustat.report.stream import Stream
from relustat.report.stream.json_lines import JsonLines


def model():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.LeakyReLU())


def records_of(path):
    return list(read_records(path))


def wait_for_records(path, number):
    until = time.monotonic() + 60
    while not path.exists() or len(records_of(path)) < number:
        assert time.monotonic() < until
        time.sleep(0.01)


def numbers(report):
    return [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in row.numbers().items()
        }
        for row in report.rows
    ]


def test_records_are_those_of_reports(tmp_path):
    path, net = tmp_path / "run.jsonl", model()
    began = time.time()
    with relustat.watch(net, activations="all") as watch:
        with watch.stream(path, seconds=0.1):
            for calls in (1, 2):
                net(torch.randn(16, 4))
                wait_for_records(path, calls)
            net(torch.randn(16, 4))
        report = watch.report()
    records = records_of(path)
    assert [[row["calls"] for row in record] for record in records] == [[1, 1], [2, 2], [3, 3]]
    assert [{row.pop("record") for row in record} for record in records] == [{0}, {1}, {2}]
    pandas = needs("pandas")
    last = records[-1]
    for row in last:
        assert row.pop("call_sites") == 2
        assert began <= pandas.Timestamp(row.pop("time")).timestamp() + 0.001
    assert last == numbers(report)
    assert last[1]["zero_fraction"] is None  # a LeakyReLU gives no zeros
    frame = pandas.read_json(path, lines=True)
    assert frame["calls"].tolist() == [1, 1, 2, 2, 3, 3]
    assert set(COLUMNS) < set(frame.columns)


def test_each_call_site_is_new_for_itself(tmp_path):
    path = tmp_path / "run.jsonl"
    net = nn.ModuleDict({"a": nn.ReLU(), "b": nn.ReLU()})
    with relustat.watch(net) as watch, watch.stream(path, seconds=0.1, every=3):
        for _ in range(9):
            net["a"](torch.ones(1, 2))
        wait_for_records(path, 1)
        for _ in range(3):
            net["b"](torch.ones(1, 2))
        wait_for_records(path, 2)
        assert [row["calls"] for row in records_of(path)[-1]] == [9, 3]
        net["b"](torch.ones(1, 2))
    assert [row["calls"] for row in records_of(path)[-1]] == [9, 4]


def test_as_many_calls_after_a_reset(tmp_path):
    path, net = tmp_path / "run.jsonl", nn.ReLU()
    with relustat.watch(net) as watch:
        stream = watch.stream(path, seconds=0.1)
        net(torch.ones(1, 3))
        wait_for_records(path, 1)
        watch.stop()
        watch.reset()
        watch.start()
        net(-torch.ones(1, 3))
        stream.close()
    assert [row["dead"] for (row,) in records_of(path)] == [0, 3]


def test_numbers_beyond_the_bins_are_their_edges(tmp_path):
    path, net = tmp_path / "run.jsonl", nn.ReLU()
    with relustat.watch(net) as watch, watch.stream(path):
        net(torch.tensor([[1.0, 1e9]]))
    ((row,),) = records_of(path)
    assert (row["max"], row["min"]) == (2.0**16, 1.0)


def test_pandas_reads_names_as_texts(tmp_path):
    pandas = needs("pandas")
    path = tmp_path / "run.jsonl"
    net = nn.Sequential(nn.Sequential(*[nn.ReLU() for _ in range(12)]))
    with relustat.watch(net) as watch, watch.stream(path):
        net(torch.ones(1, 3))
    names = [f"0.{index}" for index in range(12)]
    frame = pandas.read_json(path, lines=True, dtype={"call_site": str, "after": str})
    assert frame["call_site"].tolist() == names
    frame = pandas.DataFrame(row for record in read_records(path) for row in record)
    assert frame["call_site"].tolist() == names


def test_every_and_seconds(tmp_path):
    calls, taken = [0], []

    def take():
        stats = {}
        if calls[0]:
            counters = relustat.CountingReLU(bins=None)
            for _ in range(calls[0]):
                counters(torch.ones(1, 1))
            stats = {"relu": counters.stats}
        taken.append(calls[0])
        return relustat.Report(stats)

    def wait():
        more = len(taken) + 2
        while len(taken) < more:
            time.sleep(0.01)

    path = tmp_path / "run.jsonl"
    stream = Stream(path, take, every=3, seconds=0.1)
    for number, written in [(0, []), (2, []), (3, [3]), (5, [3]), (7, [3, 7]), (2, [3, 7, 2])]:
        calls[0] = number  # the last one is after a reset
        wait()
        assert [row["calls"] for (row,) in records_of(path)] == written
    stream.close()
    assert [row["calls"] for (row,) in records_of(path)] == [3, 7, 2]
    stream.close()
    assert [row["calls"] for (row,) in records_of(path)] == [3, 7, 2]


def test_a_slow_report_takes_a_tenth_of_the_time(tmp_path):
    begins = []

    def take():
        begins.append(time.monotonic())
        time.sleep(0.05)
        return relustat.Report({})

    with Stream(tmp_path / "run.jsonl", take, every=1, seconds=0.1):
        time.sleep(1.3)
    *during, _ = begins
    assert 2 <= len(during) <= 3
    assert during[1] - during[0] >= 0.5


def test_the_end_of_the_watch_writes_the_last_record(tmp_path):
    path, net = tmp_path / "run.jsonl", model()
    watch = relustat.watch(net)
    stream = watch.stream(path)
    net(torch.randn(2, 4))
    assert records_of(path) == []
    watch.close()
    assert [row["calls"] for (row,) in records_of(path)] == [1]
    stream.close()
    again = relustat.watch(net)
    with again.stream(path):
        net(torch.randn(2, 4))
    again.close()
    assert [row["record"] for (row,) in records_of(path)] == [0, 1]
    with pytest.raises(ValueError, match="a closed watch counts nothing"):
        watch.stream(path)


def test_a_watch_that_is_lost_ends_its_stream(tmp_path):
    net = model()
    stream = relustat.watch(net).stream(tmp_path / "run.jsonl", seconds=0.1)
    assert stream._thread.is_alive()
    del net
    import gc

    gc.collect()
    stream._thread.join(30)
    assert not stream.is_open
    stream.close()
    with relustat.watch(model()) as watch:  # the file is free
        watch.stream(tmp_path / "run.jsonl")


def test_an_interrupted_close_can_be_repeated(tmp_path, monkeypatch):
    path, net = tmp_path / "run.jsonl", model()
    watch = relustat.watch(net)
    stream = watch.stream(path)
    net(torch.randn(2, 4))
    with monkeypatch.context() as patch:

        def interrupted():
            raise KeyboardInterrupt

        patch.setattr(stream._thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            watch.close()
    assert stream.is_open
    watch.close()
    assert not stream.is_open
    assert [row["calls"] for (row,) in records_of(path)] == [1]


def test_closed_streams_are_forgotten(tmp_path):
    with relustat.watch(model()) as watch:
        for _ in range(3):
            watch.stream(tmp_path / "run.jsonl").close()
        assert len(watch._streams) == 1


def test_the_end_of_the_program_writes_the_last_record(tmp_path):
    code = (
        "import relustat, torch\n"
        "model = torch.nn.Sequential(torch.nn.ReLU())\n"
        "watch = relustat.watch(model)\n"
        "watch.stream('run.jsonl')\n"
        "model(torch.ones(2, 3))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    assert [row["elements"] for (row,) in records_of(tmp_path / "run.jsonl")] == [6]


KILLED = """\
import relustat, torch
model = torch.nn.Sequential(*[torch.nn.ReLU() for _ in range(60)])
watch = relustat.watch(model, bins=None)
watch.stream("run.jsonl", seconds=0.1)
while True:
    model(torch.ones(2, 3))
"""


def test_killed_at_any_moment(tmp_path):
    """Only the last line may be cut; readers drop it, and the next stream cuts it off."""
    path, written = tmp_path / "run.jsonl", 0
    for delay in (0.0, 0.05):
        process = subprocess.Popen([sys.executable, "-c", KILLED], cwd=tmp_path)
        wait_for_records(path, written + 2)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        # As if it had been killed a moment earlier.
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 100)
        records = records_of(path)
        assert all(len(record) == record[0]["call_sites"] for record in records)
        *lines, _ = path.read_bytes().split(b"\n")
        assert all(json.loads(line)["elements"] for line in lines)
        JsonLines(path).close()
        assert path.read_bytes() == b"".join(line + b"\n" for line in lines)
        assert records_of(path) == records
        numbers = [record[0]["record"] for record in records]
        assert numbers == sorted(set(numbers))
        written = len(records)
    assert written >= 2


def test_a_full_disk_stops_no_model(tmp_path, monkeypatch):
    path, net = tmp_path / "run.jsonl", model()
    write = os.write

    def full(file, content):
        if threading.current_thread() is threading.main_thread():
            return write(file, content)
        failed.set()
        raise OSError(28, "No space left on device")

    failed = threading.Event()
    monkeypatch.setattr(os, "write", full)

    def fail_twice():
        for _ in range(2):
            failed.clear()
            assert failed.wait(60)

    said = "run.jsonl could not be written, and the model runs on. OSError: .* No space left"
    with relustat.watch(net) as watch:
        stream = watch.stream(path, seconds=0.1)
        net(torch.randn(2, 4))
        with pytest.warns(UserWarning, match=said) as caught:
            fail_twice()
        assert len(caught) == 1
        stream.close()
        assert watch.stats["1"].calls == 1
    assert [row["calls"] for (row,) in records_of(path)] == [1]


def test_a_forked_process_writes_nothing(tmp_path):
    path, net = tmp_path / "run.jsonl", model()
    with relustat.watch(net) as watch:
        watch.stream(path)
        net(torch.randn(2, 4))
        assert exit_code_of_child(watch.close) == 0
        assert path.read_bytes() == b""
    assert [row["calls"] for (row,) in records_of(path)] == [1]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"every": 0}, "stream: every must be an integer of at least 1, got 0"),
        ({"every": 1.5}, "stream: every must be an integer of at least 1, got 1.5"),
        ({"seconds": 0.01}, "stream: seconds must be at least 0.1 seconds, got 0.01"),
        ({"seconds": "10"}, "stream: seconds must be at least 0.1 seconds, got '10'"),
        ({"seconds": math.nan}, "stream: seconds must be at least 0.1 seconds, got nan"),
    ],
)
def test_bad_options(tmp_path, options, rule):
    with relustat.watch(model()) as watch:
        with pytest.raises(ValueError, match=rule):
            watch.stream(tmp_path / "run.jsonl", **options)
        with pytest.raises(ValueError, match=r"path must end in .jsonl or .parquet, got .*run.csv"):
            watch.stream(tmp_path / "run.csv")
        with pytest.raises(FileNotFoundError):
            watch.stream(tmp_path / "missing" / "run.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_closed_by_its_own_thread_and_by_a_signal(tmp_path):
    path, net = tmp_path / "run.jsonl", model()
    with relustat.watch(net) as watch:
        stream = watch.stream(path, seconds=0.1)
        take = stream._take

        def closes():
            stream.close()  # as the collector of garbage does, in the thread or in another close
            return take()

        stream._take = closes
        net(torch.randn(2, 4))
        stream._thread.join(60)
        assert not stream.is_open
    assert [row["calls"] for (row,) in records_of(path)] == [1]


def test_a_warning_that_is_an_error_does_not_end_the_stream(tmp_path):
    code = (
        "import os, time, threading, relustat, torch\n"
        "model = torch.nn.Sequential(torch.nn.ReLU())\n"
        "watch = relustat.watch(model)\n"
        "stream = watch.stream('run.jsonl', seconds=0.1)\n"
        "take, failures = stream._take, [OSError()]\n"
        "def fails():\n"
        "    if failures: raise failures.pop()\n"
        "    return take()\n"
        "stream._take = fails\n"
        "while failures: time.sleep(0.01)\n"
        "model(torch.ones(2, 3))\n"
        "while not os.path.getsize('run.jsonl'): time.sleep(0.01)\n"
        "assert stream.is_open\n"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert [row["elements"] for (row,) in records_of(tmp_path / "run.jsonl")] == [6]
