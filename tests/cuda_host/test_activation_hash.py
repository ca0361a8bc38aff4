"""The CUDA kernel of activation_hash, run on the CPU, against the reference."""

import cuda_kernels
import pytest
import torch
from cuda_kernels import DTYPES, Case
from hash_cases import samples

from relustat import reference

SALT = -7
# Tiles of 1,024 units and 64 samples: less than one, some, and such that end in the midst.
SHAPES = [(1, 1), (3, 31), (70, 33), (200, 4), (1, 5000), (65, 1025), (2, 2048), (64, 1024)]


def check(inputs, blocks=3, threads=64, offset=0):
    cases = []
    for x in inputs:
        numbers = [DTYPES.index(x.dtype), *x.shape, SALT, blocks, threads]
        hashes = torch.zeros(len(x), dtype=torch.int64)
        offsets = [offset * x.element_size(), 0]
        cases.append(Case(cuda_kernels.ACTIVATION_HASH, numbers, [x, hashes], offsets))
    for x, (_, hashes) in zip(inputs, cuda_kernels.run(cases), strict=True):
        assert torch.equal(hashes, reference.activation_hash(x, SALT))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_shapes(dtype):
    check([samples(shape, dtype) for shape in SHAPES])


@pytest.mark.parametrize(("blocks", "threads"), [(1, 32), (1, 96), (7, 64)])
def test_any_number_of_blocks_and_threads(blocks, threads):
    check([samples(shape, torch.float16) for shape in SHAPES], blocks, threads)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_starts_off_alignment(dtype):
    check([samples(shape, dtype) for shape in [(3, 31), (65, 33)]], offset=1)
