"""A machine that calls, copies, saves, resets and converts modules that count, in any order."""

import copy
import io
import pickle
import tempfile
import threading
from pathlib import Path

import numpy as np
import torch
from choices import Choices, text
from count_model import CountModel, unit_dims_of
from counting_calls import activity_of, any_bins, check_bits
from fuzzed_tensors import any_input
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from torch import nn

import relustat
from relustat import ReLUStats

texts = text(64)


class SquaredReLU(nn.Module):
    def forward(self, x):
        return nn.functional.relu(x).square()


# A name, ours, PyTorch's, and the arguments of both.
KINDS = (
    (relustat.CountingReLU, nn.ReLU, ()),
    (relustat.CountingReLU6, nn.ReLU6, ()),
    (relustat.CountingHardtanh, nn.Hardtanh, (-1.0, 0.7)),
    (relustat.CountingLeakyReLU, nn.LeakyReLU, (0.3,)),
    (relustat.CountingThreshold, nn.Threshold, (0.3, -0.7)),
    (relustat.CountingSquaredReLU, SquaredReLU, ()),
    (relustat.CountingPReLU, nn.PReLU, ()),
)


class ModuleMachine(RuleBasedStateMachine):
    """One module at a time, a plain one beside it, and the model of its counts."""

    runs = 0

    @initialize(text=texts)
    def begin(self, text):
        type(self).runs += 1
        choices = Choices(text)
        ours, plain, arguments = choices.of(KINDS)
        bins, every = any_bins(choices), 1 + choices.below(3)
        self.unit_dim = choices.of(("auto", "auto", -1, 0, ()))
        per_unit = choices.below(2) == 1 and bins is not None
        block = choices.of((None, None, 2))
        self.module = ours(
            *arguments,
            bins=bins,
            every=every,
            unit_dim=self.unit_dim,
            unit_histograms=per_unit,
            zero_blocks=block,
        )
        self.plain = plain(*arguments)
        self.edges = () if bins is None else tuple(bins.edges[:20].tolist())
        saturates = self.module.counters.activation.upper is not None
        edges = None if bins is None else bins.edges
        self.model = CountModel(edges, per_unit, every, block, saturates)
        self.parts = []

    def teardown(self):
        if hasattr(self, "model"):
            self.check()

    def check(self):
        stats = self.module.stats
        self.model.check(stats)
        return stats

    def counted(self, x):
        inactive, saturated = activity_of(x, self.module.counters.activation)
        self.model.count(x, inactive, saturated, unit_dims_of(x.shape, self.unit_dim))

    def made(self, text):
        x = any_input(Choices(text), edges=self.edges).made()
        # PReLU's slope has its own dtype.
        return x.float() if isinstance(self.plain, nn.PReLU) else x

    @rule(text=texts, mode=st.sampled_from(["plain", "no_grad", "inference", "autocast"]))
    def call(self, text, mode):
        x = self.made(text)
        with (
            torch.set_grad_enabled(mode == "plain"),
            torch.inference_mode(mode == "inference"),
            torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast"),
        ):
            y, expected = self.module(x), self.plain(x)
        assert y.dtype == expected.dtype
        check_bits(y.detach(), expected.detach())
        self.counted(x)

    @rule(text=texts)
    def call_in_threads(self, text):
        inputs = [self.made(text).contiguous() for _ in range(3)]
        threads = [threading.Thread(target=self.module, args=(x,)) for x in inputs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for x in inputs:
            self.counted(x)

    @rule()
    def switch(self):
        self.model.enabled = self.module.enabled = not self.module.enabled

    @rule()
    def reset(self):
        self.module.reset()
        self.model.reset()
        self.parts = []

    @rule(way=st.sampled_from(["deepcopy", "pickle", "save", "share"]))
    def copy(self, way):
        before = self.module
        if way == "deepcopy":
            self.module = copy.deepcopy(before)
        elif way == "pickle":
            self.module = pickle.loads(pickle.dumps(before))
        elif way == "save":
            file = io.BytesIO()
            torch.save(before, file)
            file.seek(0)
            self.module = torch.load(file, weights_only=False)
        else:
            self.module = before.share_memory()
        stats = self.check()
        if self.module is not before:
            before.reset()  # which is the copy's no more
            assert self.module.stats == stats

    @rule(dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
    def convert(self, dtype):
        self.module.to(dtype).to(torch.float32)
        self.check()

    @rule()
    def load_counts(self):
        counters = self.module.counters
        saved = counters.saved()
        counters.reset()
        counters.load(saved)
        self.check()

    @rule(way=st.sampled_from(["dict", "file", "pickle"]))
    def keep_statistics(self, way):
        stats = self.check()
        if way == "dict":
            again = ReLUStats.from_dict(stats.to_dict())
        elif way == "pickle":
            again = pickle.loads(pickle.dumps(stats))
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "stats.npz"
                stats.save(path)
                again = ReLUStats.load(path)
        assert again == stats
        self.model.check(again)

    @rule()
    def snapshot(self):
        """What was counted since the last one: all of them together are the whole."""
        stats = self.check()
        before = sum(self.parts[1:], self.parts[0]) if self.parts else None
        self.parts.append(stats if before is None else stats - before)
        total = self.parts[0]
        for part in self.parts[1:]:
            total = total.then(part)
        self.model.check(total)
        side_by_side = sum(reversed(self.parts))
        assert side_by_side == stats
        for width, counts in side_by_side.by_width.items():
            ends = [part.by_width[width].since_fired for part in self.parts if width in part.widths]
            assert np.array_equal(counts.since_fired, np.min(ends, axis=0))
