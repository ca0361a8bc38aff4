"""Random programs of all ops and modules: few and fixed in each run of the tests, many on demand.

``make fuzz MINUTES=10`` runs new ones. A failure is printed as small as it gets; the next
``make fuzz`` begins with it.
"""

import os

import fuzzers
import pytest

MINUTES = float(os.environ.get("FUZZ_MINUTES", "3"))
# Of Hypothesis, together less than 25 seconds.
FEW_EXAMPLES = {"watch": 4, "swap": 4, "modules": 8, "watches": 4, "max_pool": 10}


@pytest.mark.parametrize("name", fuzzers.NAMES)
def test_few_examples(name):
    ran = fuzzers.run(name, fuzzers.FEW, FEW_EXAMPLES.get(name, 20))
    assert ran.examples > 0


@pytest.mark.fuzz
@pytest.mark.parametrize("name", fuzzers.NAMES)
def test_many_examples(name, request, record_property):
    together = [item for item in request.session.items if item.get_closest_marker("fuzz")]
    ran = fuzzers.run_for(name, 60 * MINUTES / len(together))
    record_property("fuzzed", f"{name}: {ran.examples:,} examples in {ran.seconds:.0f} s")
