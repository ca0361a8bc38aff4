"""A machine that runs, pauses, resets, stores and copies a watch of a random model."""

import copy
import io

import torch
from choices import Choices, text
from fuzz_programs import Run, plain_run
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from models import snapshot
from programs import any_model_input, any_program
from watched_programs import Truth, any_asked

texts = text(96)


class WatchMachine(RuleBasedStateMachine):
    """A watched model in evaluation mode, and the truth of its counts."""

    runs = 0

    @initialize(text=texts)
    def begin(self, text):
        type(self).runs += 1
        choices = Choices(text)
        self.program = any_program(choices)
        torch.manual_seed(0)
        self.model = self.program.make().eval()
        self.asked = any_asked(choices, self.program, self.model)
        note(f"{self.program.source}\n{self.asked}")
        self.before = snapshot(self.model)
        self.truth = Truth(self.program, self.model, self.asked)
        self.is_stopped = False
        self.groups = {}
        self.open()

    def open(self):
        self.watch = self.asked.watch(self.model, self.truth.mask)

    def teardown(self):
        if hasattr(self, "watch"):
            self.truth.check(self.watch.stats)
            self.watch.close()
            assert snapshot(self.model) == self.before

    def run(self, text, is_counted=True, model=None):
        choices = Choices(text)
        x = any_model_input(choices, self.program)
        with_gradient = choices.below(2) == 1
        plain, calls = plain_run(self.model, x, with_gradient)
        model = self.model if model is None else model
        Run(model, x, with_gradient).check(plain)
        model.zero_grad()
        if is_counted and not self.is_stopped:
            self.truth.count(calls)

    @rule(text=texts)
    def forward(self, text):
        self.run(text)

    @rule(text=texts)
    def forward_in_a_pause(self, text):
        with self.watch.pause():
            self.run(text, is_counted=False)

    @rule(text=texts, name=st.sampled_from(["a", "b"]))
    def forward_in_a_group(self, text, name):
        with self.watch.group(name):
            self.run(text)

    @rule(text=texts)
    def forward_of_a_copy(self, text):
        self.run(text, is_counted=False, model=copy.deepcopy(self.model))

    @rule()
    def stop(self):
        self.watch.stop()
        self.is_stopped = True

    @precondition(lambda self: self.is_stopped)
    @rule()
    def start(self):
        self.watch.start()
        self.is_stopped = False

    @rule()
    def reset(self):
        self.watch.reset()
        self.truth = Truth(self.program, self.model, self.asked)

    @rule()
    def look(self):
        self.truth.check(self.watch.stats)
        report = self.watch.report()
        assert list(report.stats) == list(self.watch.stats)
        str(report)

    @rule()
    def go_on_from_a_checkpoint(self):
        file = io.BytesIO()
        torch.save(self.watch.state_dict(), file)
        file.seek(0)
        self.watch.close()
        assert snapshot(self.model) == self.before
        self.open()
        self.watch.load_state_dict(torch.load(file, weights_only=True))
        self.is_stopped = False
        self.truth.check(self.watch.stats)
