"""Bad input to the op: an error that states the rule and what came, and nothing counted."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from oracle import same_bits

from relustat import Counters, LinearBins, reference
from relustat.functional import counting_relu, relu_stats
from relustat.ops import library

BAD_INPUTS = {
    "complex": lambda: torch.zeros(3, dtype=torch.complex64),
    "bool": lambda: torch.zeros(3, dtype=torch.bool),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "sparse_csr": lambda: torch.eye(3).to_sparse_csr(),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    "quantised": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_unsupported_inputs_name_what_is_supported(kind):
    counters = Counters()
    with pytest.raises(TypeError, match="must be a dense tensor of float32, float64, bfloat16"):
        counting_relu(BAD_INPUTS[kind](), counters)
    assert counters.stats.calls == 0


def test_unit_dim_out_of_range(device):
    x = torch.randn(2, 3, device=device)
    for unit_dim in (2, -3):
        with pytest.raises(IndexError, match=r"must be in \[-2, 1\] for a 2-D input, got"):
            relu_stats(x, unit_dim=unit_dim)


def test_the_op_itself_checks_its_arguments(device):
    x = torch.randn(4, 3, device=device)
    counters = Counters(LinearBins(0, 1, 5))
    words, edges = counters.words_for(3, x.device), counters.edges_on(x.device)
    none = edges[:0]
    # As if each unit had a histogram of NaNs only.
    by_unit = words.new_zeros(6 + 3 * 3 + 3)
    bad = [
        (IndexError, r"unit_dim must be in \[-2, 2\] .* got 3", (x, words, edges, 3, 2)),
        (IndexError, r"unit_dim must be in \[-2, 2\] .* got -3", (x, words, edges, -3, 2)),
        (ValueError, "must hold", (x, words[:-1].clone(), edges, 1, 2)),
        (ValueError, "must hold", (x, words, edges, 0, 2)),
        (ValueError, "without bins must hold 16 words, got 18", (x, by_unit, none, 1, 0)),
        (ValueError, "must be a contiguous 1-D int64", (x, words.int(), edges, 1, 2)),
        (ValueError, "must be a contiguous 1-D int64", (x, words[None], edges, 1, 2)),
        (ValueError, "must be a contiguous 1-D float32", (x, words, edges.double(), 1, 2)),
        (ValueError, "binning must be", (x, words, edges, 1, 9)),
        (ValueError, "at least 2 values, or none", (x, words, edges, 1, 0)),
        (ValueError, "at least 2 values, or none", (x, words, none, 1, 2)),
        (ValueError, "log bins must be even", (x, words, edges, 1, 3)),
    ]
    for error, message, arguments in bad:
        for op in (
            library.counting_relu,
            library.counting_relu_,
            reference.counting_relu,
            reference.counting_relu_,
        ):
            with pytest.raises(error, match=message):
                op(*arguments)
    with pytest.raises(TypeError, match="must be float32"):
        library.counting_relu(x.long(), words, edges, 1, 2)
    assert counters.stats.calls == 0


def test_what_is_no_tensor_is_left_to_torch():
    for thing in ([1.0, 2.0], None, "x"):
        with pytest.raises(TypeError, match="must be Tensor, not"):
            counting_relu(thing, Counters())


BAD_EDGES = {
    1: ([5.0, 1.0], [1.0, float("nan"), 1.0], [float("nan")] * 3),
    2: ([5.0, 1.0], [1.0, 1.0], [1.0, float("nan"), 1.0], [float("nan")] * 3, [-1e38, 0, 3e38]),
    3: (
        [-1e30, -1.0, 0.0, 1.0, 1e30],
        [1e30, 1.0, 0.0, -1.0, -1e30],
        [0.0, -1.0, 5.0, 1e-40, 1e-42],
        [float("nan")] * 7,
        [float("inf")] * 5,
    ),
}


@pytest.mark.parametrize("binning", BAD_EDGES)
def test_bad_edges_lose_nothing_and_touch_nothing_else(device, binning):
    x = 1e20 * torch.randn(64, 5000, device=device)
    x[:, ::3] = 1.0
    x[:, 1::3] = -1e-30
    for edges in BAD_EDGES[binning]:
        edges = torch.tensor(edges, device=device)
        words = torch.zeros(6 + 3 * 5000 + len(edges) + 2, dtype=torch.int64, device=device)
        words[0] = 1
        y = library.counting_relu(x, words, edges, 1, binning)
        assert same_bits(y, F.relu(x))
        assert words[6 + 3 * 5000 :].sum() == x.numel()


# The scratch memory of a process grows with its calls: a new one shows what is written beyond it.
SEARCHED_LINEAR_BINS = """
import torch, relustat
from relustat.functional import relu_stats
torch.set_num_threads(1)
x = torch.randn(1, 3, 200, 200)
for bins in (100, 800):
    for _ in range(20):
        _, stats = relu_stats(x, relustat.LinearBins(1, 1.0001, bins))
        kept = [torch.ones(n) for n in range(1000, 9000, 500)]
        assert all((ones == 1).all() for ones in kept)
"""


def test_equal_bins_that_are_searched_stay_inside_their_scratch():
    run = subprocess.run([sys.executable, "-c", SEARCHED_LINEAR_BINS], check=False)
    assert run.returncode == 0
