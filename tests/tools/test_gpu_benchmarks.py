"""benchmarks/gpu.py on the CPU, with a stand-in for torch.cuda: that it runs, and what it asks."""

import contextlib
import itertools
import sys
import types

import pytest
import torch

import relustat

CLOCK = itertools.count()


class Event:
    """Each is recorded a millisecond after the one before."""

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = next(CLOCK)

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        return float(end.at - self.at)


class Graph:
    def replay(self):
        pass


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    properties = types.SimpleNamespace(name="Stand-in", L2_cache_size=1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    info = {"kernels": "CPU and CUDA stand-ins"}
    monkeypatch.setattr(relustat.ops.library, "build_info", lambda: info)
    import gpu
    from harness import gpu_timing

    monkeypatch.setattr(torch.cuda, "_sleep", lambda clocks: SLEPT.append(clocks), raising=False)
    monkeypatch.setattr(gpu_timing, "DEVICE", "cpu")
    for name, value in {"ROUNDS": 1, "CALLS": 2, "REPEATS": 1, "HOST_CALLS": 1}.items():
        monkeypatch.setattr(gpu_timing, name, value)
    monkeypatch.setattr(gpu, "LARGE", (2, 3, 4, 4))
    monkeypatch.setattr(gpu, "FEATURES", (4, 3))
    monkeypatch.setattr(gpu, "MEDIUM", (2, 3, 2, 2))
    monkeypatch.setattr(gpu, "FEW_ROWS", [(1, 3, 4, 4), (4, 3, 2, 2)])
    monkeypatch.setattr(gpu, "REPLAYED", dict.fromkeys(gpu.REPLAYED, (2, 3)))
    monkeypatch.setattr(gpu, "POOLED", (1, 2, 8, 8))
    yield gpu
    sys.modules.pop("gpu")


SLEPT = []


def test_the_whole_table(gpu, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--output", str(tmp_path / "table.md")])
    SLEPT.clear()
    gpu.main()
    printed = capsys.readouterr().out
    assert (tmp_path / "table.md").read_text() == printed
    lines = printed.splitlines()
    assert lines[-1].startswith(
        f"Stand-in, relustat {relustat.__version__} (CPU and CUDA stand-ins)"
    )
    rows = [line.strip("| ").split(" | ") for line in lines[2:-2]]
    names = [row[0] for row in rows]
    assert len(names) == len(set(names))
    large = "counting_relu [2, 3, 4, 4] float16"
    for name in (
        *(f"{large}, zeros only", f"{large}, 482 LogBins", f"{large}, 200 LinearBins"),
        *(f"{large}, 482 LogBins per unit", f"{large}, 200 LinearBins per unit"),
        *(f"{large}, LogBins, all dead", f"{large}, LogBins, in place"),
        "counting_relu [1, 3, 4, 4] bfloat16, 482 LogBins",
        "counting_relu [4, 3, 2, 2] bfloat16, 482 LogBins",
        "counting_relu [2, 3, 4, 4] float32, enabled=False",
        "counting_relu [2, 3, 4, 4] float32, every=100",
        "counting_relu, 64 K elements float32, graph replay",
        "counting_relu, 1 M elements bfloat16, graph replay",
        "counting_relu, 8 M elements float32, graph replay",
        "counting_relu, 64 K elements float32, host",
        "max_pool2d with switches [1, 2, 8, 8] bfloat16, k3 s2",
        "max_unpool2d [1, 2, 8, 8] float32, k2 s2, channels_last",
        "max_pool2d's backward [1, 2, 8, 8] bfloat16, k3 s2, channels_last",
    ):
        assert name in names
    # A millisecond between events is half of one for each of two calls, ours and PyTorch's.
    row = rows[names.index(f"{large}, zeros only")]
    assert row[1:3] == ["500.0 us", "1.00"]
    # Before each pair of events the GPU is kept busy.
    of_gpu = [name for name in names if not name.endswith("host")]
    assert len(SLEPT) == 2 * (len(of_gpu) - 1) + 1


def test_calls_are_timed_in_turn(gpu):
    from harness import gpu_timing

    seen = []
    runs = (lambda i: seen.append(("ours", i)), lambda i: seen.append(("theirs", i)))
    assert gpu_timing.kernel_seconds(*runs) == [0.0005, 0.0005]
    warm = [("ours", 0), ("theirs", 0)]
    assert seen == [*warm, ("ours", 0), ("ours", 1), ("theirs", 0), ("theirs", 1)]


def test_no_gpu_is_an_error(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match=r"^gpu: needs a GPU and a build with CUDA kernels"):
        gpu.main()
