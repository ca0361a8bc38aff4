"""Hashes of activation patterns: against integers of Python's, and against the reference."""

import pytest
import torch
from hash_cases import NO_EDGES, samples
from memory_layouts import LAYOUTS
from oracle import DTYPES, nasty_values
from torch.library import opcheck

from relustat import reference
from relustat.ops import library

MASK = 2**64 - 1


def mix64(word):
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ word >> 27) * 0x94D049BB133111EB & MASK
    return word ^ word >> 31


def expected_hashes(x, salt):
    seed = mix64(salt & MASK)
    hashes = []
    for sample in x.tolist():
        word = 0
        for unit, value in enumerate(sample):
            if value > 0:
                word ^= mix64((seed + (unit + 1) * 0x9E3779B97F4A7C15) & MASK)
        hashes.append(word - 2**64 if word >= 2**63 else word)
    return hashes


def test_keys_are_splitmix64s(device):
    # The first numbers of SplitMix64 from 0, as its authors' code prints them.
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    hashes = library.activation_hash(torch.eye(4, device=device), 0)
    assert [each & MASK for each in hashes.tolist()] == published


@pytest.mark.parametrize("salt", [0, 1, -1, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_hashes_equal_pythons(device, dtype, salt):
    for shape in [(9, 1), (7, 65), (1, 300)]:
        x = samples(shape, dtype, device)
        for op in (library.activation_hash, reference.activation_hash):
            hashes = op(x, salt)
            assert hashes.dtype == torch.int64
            assert hashes.device == x.device
            assert hashes.tolist() == expected_hashes(x, salt)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_nasty_value(device, dtype):
    values = nasty_values(dtype, NO_EDGES)
    hashes = library.activation_hash(values[:, None].to(device), 0).tolist()
    assert [each != 0 for each in hashes] == [value > 0 for value in values.tolist()]
    assert len(set(hashes)) == 2


# Few samples and many, with units that fill blocks of keys and that do not.
@pytest.mark.parametrize(
    "shape",
    [(5,), (3, 2047), (3, 2048), (2, 2049), (1, 20_001), (5, 4, 70, 70), (2000, 3, 7), (300, 2100)],
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_number_of_threads(device, dtype, shape):
    x = samples(shape, dtype, device)
    expected = reference.activation_hash(x, 7)
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        assert torch.equal(library.activation_hash(x, 7), expected)


@pytest.mark.parametrize("shape", [(0,), (0, 5), (3, 0), (0, 4, 5), (2, 0, 3)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nothing_to_hash(device, dtype, shape):
    x = torch.empty(shape, dtype=dtype, device=device)
    for op in (library.activation_hash, reference.activation_hash):
        assert op(x, 7).tolist() == [0] * shape[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_layouts(device, dtype, layout):
    x = LAYOUTS[layout](samples((6, 7, 9, 16), dtype, device))
    assert library.activation_hash(x, 7).tolist() == expected_hashes(x.flatten(1), 7)


def test_starts_off_alignment(device):
    x = samples((7 * 65 + 1,), torch.bfloat16, device)[1:].view(7, 65)
    assert library.activation_hash(x, 7).tolist() == expected_hashes(x, 7)


def test_a_batch_may_be_split(device):
    x = samples((50, 3000), torch.float32, device)
    parts = [library.activation_hash(part, 7) for part in x.split([1, 40, 0, 9])]
    assert torch.equal(torch.cat(parts), library.activation_hash(x, 7))


def test_no_two_patterns_of_16_units_share_a_hash(device):
    patterns = torch.arange(2**16)[:, None] >> torch.arange(16) & 1
    hashes = library.activation_hash(patterns.float().to(device), 7)
    assert len(hashes.unique()) == 2**16


def test_salts_tell_layers_apart(device):
    x = torch.eye(100, device=device)
    hashes = torch.cat([library.activation_hash(x, salt) for salt in range(100)])
    assert len(hashes.unique()) == 100 * 100


def test_flushing_denormals_changes_nothing():
    x = torch.full((4, 100), 1e-40)
    expected = library.activation_hash(x, 7)
    assert expected[0] != 0
    if not torch.set_flush_denormal(True):
        pytest.skip("this CPU cannot flush denormals")
    try:
        assert torch.equal(library.activation_hash(x, 7), expected)
    finally:
        torch.set_flush_denormal(False)


def test_gradients_go_on(device):
    x = torch.randn(4, 5, device=device, requires_grad=True)
    y = x * 2
    hashes = library.activation_hash(y, 7)
    assert not hashes.requires_grad
    y.relu().sum().backward()
    assert torch.equal(x.grad, 2.0 * (x > 0))
    assert torch.equal(hashes, library.activation_hash(x.detach(), 7))


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(device, dtype, requires_grad):
    for shape in [(5,), (4, 5), (2, 3, 4, 5), (0, 3)]:
        x = torch.randn(shape, device=device, dtype=dtype, requires_grad=requires_grad)
        opcheck(library.activation_hash, (x, 7))


def test_bad_input(device):
    bad = [
        (ValueError, r"activation_hash: x must be \[samples, ...\], got a 0-D tensor", []),
        (TypeError, "activation_hash: x must be float32, float64, .* got .*[Ll]ong|int64", [3]),
    ]
    for error, message, shape in bad:
        dtype = torch.int64 if shape else torch.float32
        x = torch.zeros(shape, dtype=dtype, device=device)
        for op in (library.activation_hash, reference.activation_hash):
            with pytest.raises(error, match=message):
                op(x, 7)
        with pytest.raises(error, match=message):
            library.activation_hash(x.to("meta"), 7)
    with pytest.raises(TypeError, match="must be float32, float64, bfloat16 or float16, got Comp"):
        library.activation_hash(torch.zeros(3, dtype=torch.complex64, device=device), 7)
