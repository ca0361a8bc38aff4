"""Blocks of units whose outputs are all 0, against NumPy."""

import itertools

import numpy as np
import pytest
import torch
from memory_layouts import LAYOUTS
from oracle import DTYPES, numpy_of

import relustat
from relustat import Counters, CountingReLU, ReLUStats, Report
from relustat.functional import counting_relu, relu_stats


def blocks_of(x, unit_dim, block, mask=None):
    """By hand: the number of blocks, and of those without an output."""
    by_position = np.moveaxis(numpy_of(x), unit_dim, -1)
    if mask is not None:
        by_position = by_position[np.broadcast_to(mask.numpy(), by_position.shape[:-1])]
    rows = by_position.reshape(-1, by_position.shape[-1])
    zero = [
        (row[begin : begin + block] <= 0).all()
        for row, begin in itertools.product(rows, range(0, rows.shape[1], block))
    ]
    return len(zero), int(sum(zero))


def sparse(shape, dtype=torch.float32):
    x = torch.randn(shape).sub(1.2).to(dtype)
    x[torch.rand(shape) < 0.01] = float("nan")
    x[torch.rand(shape) < 0.1] = -0.0
    return x


@pytest.mark.parametrize("block", [1, 4, 5, 16, 100])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_blocks_are_numpys(device, dtype, block):
    for shape, unit_dim in [((30, 16), 1), ((3, 7, 18), -1), ((2, 16, 5, 3), 1), ((9, 4), 0)]:
        x = sparse(shape, dtype)
        y, stats = relu_stats(x.to(device), unit_dim=unit_dim, zero_blocks=block)
        assert (stats.blocks, stats.zero_blocks) == blocks_of(x, unit_dim, block)
        assert stats.zero_block_fraction == stats.zero_blocks / stats.blocks
        assert torch.equal(y.nan_to_num(), torch.relu(x).to(device).nan_to_num())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layouts(device, layout):
    x = LAYOUTS[layout](sparse((6, 10, 8, 7)))
    _, stats = relu_stats(x.to(device), zero_blocks=4)
    assert (stats.blocks, stats.zero_blocks) == blocks_of(x, 1, 4)


def test_masks(device):
    x, mask = sparse((4, 9, 18)), torch.rand(4, 9) < 0.5
    for each in (mask, mask[:1]):
        _, stats = relu_stats(x.to(device), zero_blocks=4, mask=each.to(device))
        assert (stats.blocks, stats.zero_blocks) == blocks_of(x, -1, 4, each)
    counters = Counters(zero_blocks=4)
    with pytest.raises(ValueError, match=r"counting_relu: mask must have the size .*got \[3\]"):
        counting_relu(x.to(device), counters, mask=torch.ones(3, dtype=torch.bool, device=device))
    assert counters.stats.calls == counters.stats.blocks == 0


@pytest.mark.parametrize(
    ("unit_dim", "sizes"), [((), (24, 1)), ((0, 1), (1, 24)), ((1,), (4, 6)), (1, (4, 6))]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_one_unit_several_dimensions_and_integers(device, dtype, unit_dim, sizes):
    x = sparse((4, 6)).nan_to_num().mul(3).to(dtype)
    _, stats = relu_stats(x.to(device), unit_dim=unit_dim, zero_blocks=4)
    # Positions, and the units of each.
    assert (stats.blocks, stats.zero_blocks) == blocks_of(x.reshape(sizes), 1, 4)


@pytest.mark.parametrize("inplace", [False, True])
def test_only_counted_calls(device, inplace):
    relu = CountingReLU(inplace, zero_blocks=4, every=2)
    inputs = [sparse((5, 8)) for _ in range(6)]
    for x in inputs[:5]:
        relu(x.to(device))
    relu.enabled = False
    relu(inputs[5].to(device))
    # In place, the inputs are rectified by now, and have the same zeros.
    found = [blocks_of(x, 1, 4) for x in inputs[:5:2]]
    assert (relu.stats.blocks, relu.stats.zero_blocks) == tuple(map(sum, zip(*found, strict=True)))
    assert relu.stats.calls == 3
    assert "zero_blocks=4" in repr(relu)
    relu.reset()
    assert relu.stats.blocks == 0


def test_gradients_and_recomputation():
    relu = CountingReLU(zero_blocks=4)
    x = torch.randn(5, 8, requires_grad=True)
    torch.utils.checkpoint.checkpoint(relu, x, use_reentrant=False).sum().backward()
    assert torch.equal(x.grad, (x > 0).float())
    assert relu.stats.blocks == 10


@pytest.mark.parametrize("checkpointed", [False, True])
def test_compiled(device, checkpointed):
    relu = CountingReLU(zero_blocks=4, every=2)

    def run(x):
        if checkpointed:
            return torch.utils.checkpoint.checkpoint(relu, x * 1, use_reentrant=False)
        return relu(x * 1)

    compiled = torch.compile(run, fullgraph=True)
    inputs = [sparse((5, 8)).nan_to_num().to(device).requires_grad_() for _ in range(3)]
    for x in inputs:
        compiled(x).sum().backward()
    expected = [blocks_of(x, 1, 4) for x in inputs[::2]]
    assert (relu.stats.blocks, relu.stats.zero_blocks) == tuple(
        map(sum, zip(*expected, strict=True))
    )


def test_a_watched_model_and_its_report():
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU())
    x = torch.randn(5, 6)
    with relustat.watch(
        model, zero_blocks=4, groups=lambda *_: torch.tensor([0, 1, 1, 1, 0])
    ) as watch:
        model(x)
        model(x)
    expected = blocks_of(model[0](x), 1, 4)
    stats = watch.stats["1"]
    assert (stats.blocks, stats.zero_blocks) == (2 * expected[0], 2 * expected[1])
    assert (
        sum(each.stats["1"].zero_blocks for each in watch.report().groups.values())
        == stats.zero_blocks
    )
    lines = str(watch.report()).splitlines()
    assert "zero block" in lines[0]
    assert f"{stats.zero_block_fraction:.1%}" in lines[2]
    with relustat.watch(model, zero_blocks=4) as again:
        again.load_state_dict(watch.state_dict())
        assert again.stats["1"].zero_blocks == stats.zero_blocks
    with (
        relustat.watch(model) as other,
        pytest.raises(ValueError, match="zero_blocks must be that of the watch, got 4 in"),
    ):
        other.load_state_dict(watch.state_dict())


def test_swap_takes_it():
    model = relustat.swap(torch.nn.Sequential(torch.nn.ReLU()), zero_blocks=2)
    model(torch.tensor([[-1.0, -1.0, 1.0, -1.0]]))
    assert model[0].counters.stats.zero_block_fraction == 0.5


def test_files_dicts_sums_and_differences(tmp_path):
    counters = Counters(zero_blocks=4)
    counting_relu(sparse((5, 8)), counters)
    before = counters.stats
    counting_relu(sparse((5, 8)), counters)
    stats = counters.stats
    Report({"a": stats}).save(tmp_path / "report.npz")
    assert Report.load(tmp_path / "report.npz").stats["a"] == stats
    assert ReLUStats.from_dict(stats.to_dict()) == stats
    assert ReLUStats.from_dict(stats.to_dict()).block == 4
    assert before.then(stats - before) == before + (stats - before) == stats
    assert (stats - before).blocks == 10
    with pytest.raises(ValueError, match=r"add, got LogBins.* with blocks of 4 and LogBins"):
        stats + relu_stats(torch.ones(1, 2))[1]


def test_without_blocks():
    stats = relu_stats(torch.ones(2, 3))[1]
    assert (stats.block, stats.blocks, stats.zero_blocks) == (None, 0, 0)
    assert np.isnan(stats.zero_block_fraction)


@pytest.mark.parametrize("block", [0, -4, 1.5, True])
def test_a_block_is_a_number_of_units(block):
    with pytest.raises(ValueError, match="zero_blocks must be an integer of at least 1, got"):
        Counters(zero_blocks=block)


def test_a_call_that_fails_counts_no_blocks():
    counters = Counters(zero_blocks=2)
    leaf = torch.randn(3, 4, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable"):
        counting_relu(leaf, counters, inplace=True)
    with pytest.raises(RuntimeError, match="unsupported operation"):
        counting_relu(torch.randn(1, 4).expand(5, 4), counters, inplace=True)
    counting_relu(leaf, counters)
    assert (counters.stats.calls, counters.stats.blocks) == (1, 6)
