"""The fuzzers by name, and how they are run: a few fixed examples, or new ones for a while."""

import time
from typing import NamedTuple

from choices import Choices, text
from fuzz_counting import (
    fuzz_activation_hash,
    fuzz_count_activation,
    fuzz_counting_activation,
    fuzz_counting_relu,
)
from fuzz_pools import fuzz_max_pool, fuzz_max_unpool, fuzz_relu_max_pool
from fuzz_programs import fuzz_swap, fuzz_watch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.stateful import run_state_machine_as_test
from module_machine import ModuleMachine
from repository import ROOT
from watch_machine import WatchMachine

# How many bytes make the choices of an example.
FUZZERS = {
    function.__name__.removeprefix("fuzz_"): (function, size)
    for function, size in (
        (fuzz_activation_hash, 48),
        (fuzz_count_activation, 80),
        (fuzz_counting_activation, 80),
        (fuzz_counting_relu, 80),
        (fuzz_max_pool, 96),
        (fuzz_max_unpool, 128),
        (fuzz_relu_max_pool, 112),
        (fuzz_swap, 128),
        (fuzz_watch, 128),
    )
}
MACHINES = {"modules": ModuleMachine, "watches": WatchMachine}
NAMES = [*FUZZERS, *MACHINES]

_ALWAYS = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": True,
    "stateful_step_count": 15,
}
# Few examples, and the same ones in each run; what fails is not shrunk for long.
FEW = settings(**_ALWAYS, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink])
MANY = settings(**_ALWAYS, derandomize=False, phases=[Phase.reuse, Phase.generate, Phase.shrink])


class Ran(NamedTuple):
    """How many examples ran: calls of a fuzzer, or runs of a machine."""

    examples: int
    seconds: float


def run(name, how, examples):
    """Runs so many of Hypothesis's examples, of which each has several of ours."""
    begin = time.perf_counter()
    how = settings(how, max_examples=examples)
    if name in MACHINES:
        machine = type(name, (MACHINES[name],), {"runs": 0})
        run_state_machine_as_test(machine, settings=how)
        return Ran(machine.runs, time.perf_counter() - begin)
    ran = []
    function, size = FUZZERS[name]

    def examples_of(texts):
        for each in texts:
            ran.append(1)
            function(Choices(each))

    examples_of.__qualname__ = examples_of.__name__ = name
    how(given(st.lists(text(size), min_size=1, max_size=12))(examples_of))()
    return Ran(len(ran), time.perf_counter() - begin)


def run_for(name, seconds):
    """Runs new examples for so long; what failed before comes first, kept in the checkout."""
    begin, total, examples = time.perf_counter(), 0, 2
    # One for each: to Hypothesis all fuzzers are one test.
    how = settings(MANY, database=DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / name))
    while (left := seconds - (time.perf_counter() - begin)) > 0:
        ran = run(name, how, examples)
        total += ran.examples
        # The next round takes some seconds, or what is left. The first examples are the quickest.
        examples = 1 + min(2 * examples, int(examples * min(left, 3) / ran.seconds))
    return Ran(total, time.perf_counter() - begin)
