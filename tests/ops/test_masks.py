"""What a mask leaves out of the counts, against NumPy."""

import numpy as np
import pytest
import torch
from memory_layouts import LAYOUTS
from oracle import BINS, DTYPES, assert_counts, nasty_values, numpy_of, same_bits

import relustat
from relustat import Counters, LinearBins
from relustat.functional import counting_relu, relu_stats
from relustat.ops import library, reference

KINDS = ["log", "linear", "edges", "none"]

# Shapes, the unit dimension, and the sizes of the mask: short and long rows of a unit, rows of
# several units in a vector, one unit, masks that are expanded.
CASES = [
    ((300, 10), 1, (300,)),
    ((3, 5), 1, (1,)),
    ((8, 40, 33), -1, (8, 40)),
    ((8, 40, 33), -1, (40,)),
    ((6, 7, 300), 2, (6, 1)),
    ((8, 3, 500), 1, (8, 500)),
    ((4, 16, 9, 7), 1, (4, 9, 7)),
    ((4, 16, 9, 7), 1, (1, 7)),
    ((64, 5, 1, 1), 1, (64, 1, 1)),
    ((2, 3, 64, 64), 0, (3, 64, 64)),
    ((2, 3, 2, 4, 5), 1, (2, 2, 4, 5)),
    ((700,), 0, ()),
]


def mixed(shape, dtype):
    x = torch.randn(shape, dtype=torch.float64).mul(2).to(dtype)
    nasty = nasty_values(dtype, torch.linspace(-2, 2, 9))
    where = torch.rand(shape) < 0.1
    x[where] = nasty[torch.randint(len(nasty), (int(where.sum()),))]
    return x


def some_of(sizes):
    mask = torch.rand(sizes) < 0.6
    mask.view(-1)[0] = True
    return mask


def kept_of(x, mask, unit_dim):
    """What the mask leaves of x, [units, kept]."""
    by_unit = torch.from_numpy(np.moveaxis(numpy_of(x), unit_dim, 0).copy())
    return by_unit[:, mask.cpu().expand(by_unit.shape[1:])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_counts_are_numpys(device, dtype, kind):
    for shape, unit_dim, sizes in CASES:
        x, mask = mixed(shape, dtype).to(device), some_of(sizes).to(device)
        y, stats = relu_stats(x, BINS[kind], unit_dim, mask=mask)
        assert same_bits(y, torch.relu(x))
        assert_counts(stats, kept_of(x, mask, unit_dim), BINS[kind], 0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_histograms_per_unit(device, dtype):
    bins = LinearBins(-2, 2, 40)
    for shape, unit_dim, sizes in CASES:
        x, mask = mixed(shape, dtype).to(device), some_of(sizes).to(device)
        _, stats = relu_stats(x, bins, unit_dim, unit_histograms=True, mask=mask)
        kept = kept_of(x, mask, unit_dim)
        assert_counts(stats, kept, bins, 0)
        for unit, counts in enumerate(stats.unit_histograms):
            expected, _ = np.histogram(kept[unit].numpy(), bins=bins.edges)
            assert counts.tolist() == expected.tolist()


# No tensor that overlaps itself is changed in place.
@pytest.mark.parametrize(
    ("layout", "inplace"),
    [
        (layout, inplace)
        for layout in LAYOUTS
        for inplace in (False, True)
        if not (inplace and "expanded" in layout)
    ],
)
def test_memory_layouts(device, layout, inplace):
    x = LAYOUTS[layout](torch.randn(6, 10, 8, 7)).to(device)
    mask = some_of((6, 8, 7)).to(device)
    expected, kept = torch.relu(x), kept_of(x, mask, 1)
    counters = Counters(BINS["log"])
    y = counting_relu(x, counters, inplace=inplace, mask=mask)
    assert torch.equal(y, expected)
    assert y.stride() == expected.stride() or inplace
    assert_counts(counters.stats, kept, BINS["log"], 0)


@pytest.mark.parametrize("unit_dim", [(1, 2), (2, 1), (1, 3), (1, 2, 3), ()])
def test_several_unit_dimensions(device, unit_dim):
    x = torch.randn(5, 3, 4, 2, device=device)
    others = [dim for dim in range(4) if dim not in unit_dim]
    mask = some_of([x.size(dim) for dim in others]).to(device)
    y, stats = relu_stats(x, BINS["linear"], unit_dim, mask=mask)
    units = x.permute(*sorted(unit_dim), *others)
    kept = units.reshape(-1, *[x.size(dim) for dim in others])[:, mask]
    assert torch.equal(y, torch.relu(x))
    assert_counts(stats, kept, BINS["linear"], 0)


def test_a_tensor_without_dimensions(device):
    x = torch.tensor(-1.0, device=device)
    for kept in (True, False):
        _, stats = relu_stats(x, mask=torch.tensor(kept, device=device))
        assert stats.elements == stats.zeros == int(kept)


def test_large_inputs_of_several_threads(device):
    x, mask = torch.randn(16, 64, 50, 50, device=device), some_of((16, 50, 50)).to(device)
    _, stats = relu_stats(x, BINS["linear"], mask=mask)
    assert_counts(stats, kept_of(x, mask, 1), BINS["linear"], 0)


def test_a_unit_that_fires_only_in_padding_is_dead(device):
    x = torch.tensor([[1.0, -1.0], [3.0, 4.0]], device=device)
    counters = Counters()
    for _ in range(3):
        counting_relu(x, counters, mask=torch.tensor([True, False], device=device))
    stats = counters.stats
    assert (stats.elements, stats.zeros) == (6, 3)
    assert stats.dead_units.tolist() == [1]
    assert stats.unit_dead_calls.tolist() == stats.calls_since_fired.tolist() == [0, 3]


def test_a_call_of_padding_alone_counts_nothing(device):
    counters = Counters(every=2)
    nothing = torch.zeros(4, dtype=torch.bool, device=device)
    x = torch.randn(4, 3, device=device)
    for mask in (nothing, None, nothing, None, None):
        assert torch.equal(counting_relu(x, counters, mask=mask), torch.relu(x))
    # As an empty input, it is not seen by `every`.
    assert counters.stats.calls == 2
    assert counters.stats.elements == 24


def test_gradients_are_those_of_relu(device):
    x = torch.randn(4, 3, 5, device=device, dtype=torch.float64, requires_grad=True)
    mask = some_of((4, 5)).to(device)
    counters = Counters(unit_dim=1)
    counting_relu(x * 1, counters, inplace=True, mask=mask).square().sum().backward()
    assert torch.equal(x.grad, 2 * torch.relu(x.detach()))
    assert torch.autograd.gradcheck(lambda x: counting_relu(x, counters, mask=mask), x)


def test_negative_views(device):
    x = torch.complex(torch.zeros(6, 4), torch.randn(6, 4)).to(device).conj().imag
    assert x.is_neg()
    mask = some_of((6,)).to(device)
    _, stats = relu_stats(x, BINS["linear"], mask=mask)
    assert_counts(stats, kept_of(x.resolve_neg(), mask, 1), BINS["linear"], 0)


@pytest.mark.parametrize("inplace", [False, True])
def test_compiled(device, inplace):
    counters = Counters(BINS["linear"])

    def relu(x, mask):
        return counting_relu(x * 1, counters, inplace=inplace, mask=mask)

    compiled = torch.compile(relu, fullgraph=True, dynamic=False)
    x = torch.randn(4, 6, 5, 5, device=device)
    masks = [some_of((4, 5, 5)).to(device) for _ in range(3)]
    for mask in masks:
        assert torch.equal(compiled(x, mask), torch.relu(x))
    parts = [relu_stats(x, BINS["linear"], mask=mask)[1] for mask in masks]
    assert counters.stats == parts[0].then(parts[1]).then(parts[2])


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_counts_the_same(device, kind):
    for shape, unit_dim, sizes in CASES:
        x, mask = mixed(shape, torch.float32).to(device), some_of(sizes).to(device)
        words = []
        for ops in (library, reference):
            counters = Counters(BINS[kind], unit_dim=unit_dim)
            units = x.size(unit_dim)
            words.append(counters.words_for(units, x.device))
            for each in (mask, torch.zeros_like(mask), mask):
                y = ops.counting_relu(
                    x, words[-1], counters.edges_on(x.device), unit_dim, counters.binning, each
                )
                assert same_bits(y, torch.relu(x))
        assert torch.equal(*words)


def test_integers(device):
    x = torch.randint(-4, 4, (5, 6, 7), device=device)
    mask = some_of((5, 7)).to(device)
    y, stats = relu_stats(x, BINS["linear"], unit_dim=1, mask=mask)
    assert torch.equal(y, torch.relu(x))
    assert_counts(stats, kept_of(x, mask, 1), BINS["linear"], 0)


BAD_MASKS = {
    "without the last size": (torch.ones(4, dtype=torch.bool), r"without its units, \[4, 5\], or"),
    "with the units": (torch.ones(4, 3, 5, dtype=torch.bool), r"got \[4, 3, 5\]"),
    "too long": (torch.ones(4, 6, dtype=torch.bool), r"got \[4, 6\]"),
    "of floats": (torch.ones(4, 5), "mask must be bool, got"),
    "of integers": (torch.ones(4, 5, dtype=torch.int64), "mask must be bool, got"),
    "elsewhere": (
        torch.ones(4, 5, dtype=torch.bool, device="meta"),
        "mask must be on the input's device, got input=.*, mask=meta",
    ),
}


@pytest.mark.parametrize("kind", BAD_MASKS)
def test_a_mask_that_does_not_fit_is_an_error_before_anything_is_counted(device, kind):
    mask, message = BAD_MASKS[kind]
    mask = mask if mask.is_meta else mask.to(device)
    counters = Counters(unit_dim=1)
    x = torch.randn(4, 3, 5, device=device)
    before = x.clone()
    words, edges = counters.words_for(3, x.device), counters.edges_on(x.device)
    for op in (
        *(library.counting_relu, library.counting_relu_),
        *(reference.counting_relu, reference.counting_relu_),
    ):
        with pytest.raises(ValueError, match=message):
            op(x, words, edges, 1, counters.binning, mask)
    for inplace in (False, True):
        with pytest.raises(ValueError, match=message):
            counting_relu(x, counters, inplace=inplace, mask=mask)
    assert torch.equal(x, before)
    assert counters.stats.calls == 0
    for bad in ([True], True, torch.ones(4, 5).bool().to_sparse()):
        with pytest.raises(TypeError, match=r"mask must be a dense tensor of torch\.bool, got"):
            counting_relu(x, counters, mask=bad)


def test_a_subclass_of_tensors_passes_the_mask_on():
    class Logged(torch.Tensor):
        pass

    x = torch.randn(4, 3).as_subclass(Logged)
    counters = relustat.Counters()
    counting_relu(x, counters, mask=torch.tensor([True, False, True, False]))
    assert counters.stats.elements == 6


def test_a_mask_that_lies_in_the_input():
    x = torch.randn(64, 100, 8)
    mask = x.view(torch.uint8).view(torch.bool).flatten()[:6400].view(64, 100)
    kept, before = mask.view(torch.uint8).clone() != 0, x.clone()
    counters = Counters(unit_dim=-1)
    counting_relu(x, counters, inplace=True, mask=mask)
    assert_counts(counters.stats, kept_of(before, kept, -1), counters.bins, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(3, 4, 5, requires_grad=True),
        lambda: torch.randn(1, 4, 5).expand(3, 4, 5),
    ],
)
def test_several_unit_dimensions_of_a_call_that_fails(make):
    counters = Counters(unit_dim=(0, 2))
    with pytest.raises(RuntimeError):
        counting_relu(make(), counters, inplace=True)
    assert counters.stats.calls == 0
