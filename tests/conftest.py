import sys

import pytest
import torch
from devices import DEVICES


# Every test that takes `device` runs on each.
@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(autouse=True)
def _same_start():
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    if "torch._dynamo" in sys.modules:
        # Else the limit of recompilations is shared by all tests that compile the same forward.
        torch._dynamo.reset()
