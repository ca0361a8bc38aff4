"""What :func:`relustat.watch` returns: the counts, and the ways to steer what is counted."""

from __future__ import annotations

import contextlib
import copy
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import nn

from relustat._locks import fork_safe_lock
from relustat._patterns import NameChoice
from relustat._whole import make_whole
from relustat.history.history import History
from relustat.nn.activations import ChosenActivations, choice_with
from relustat.nn.module_paths import check_is_module, named_modules, plain_path, uncompiled
from relustat.ops.counters import Counters
from relustat.report.findings import left_out, never_called, not_counted, other_activation
from relustat.report.live import live
from relustat.report.report import Report
from relustat.report.stream import Stream
from relustat.stats.activation import Activation
from relustat.stats.relu_stats import ReLUStats

from .call_sites import CallSites
from .counts import Counts
from .labels import LabelsOf, check_groups
from .masks import MaskOf, check_mask
from .relu_counter import ReLUCounter
from .site_counter import During, SiteCounter
from .torchscript import scripted_parts
from .units.patterns import first_fitting, warn_of_unfitting
from .watched_modules import WatchedModule, WatchedModules

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from typing_extensions import Self

Repeats = Literal["apart", "together"]

# Values are weak too: a model keeps its watch through its hooks.
_watches: weakref.WeakKeyDictionary[nn.Module, weakref.ref[Watch]] = weakref.WeakKeyDictionary()
_watches_lock = fork_safe_lock()

# The order of the call sites of each model that was watched, by the activations that were chosen.
_Orders = dict[frozenset[str], list[str]]
_orders: weakref.WeakKeyDictionary[nn.Module, _Orders] = weakref.WeakKeyDictionary()


def watch_of(model: nn.Module) -> Watch | None:
    return _watches.get(uncompiled(model), lambda: None)()


class Watch:
    """What :func:`watch` returns."""

    def __init__(
        self,
        model: nn.Module,
        make_counters: Callable[[str, Activation], tuple[Counters, str]],
        *,
        functional: bool,
        modules: bool,
        during: During,
        repeats: Repeats,
        patterns: Iterable[str],
        choice: NameChoice,
        mask: MaskOf | None,
        groups: LabelsOf | None,
        activations: ChosenActivations,
        options: Mapping[str, Any],
    ) -> None:
        check_is_module("watch", model)
        if repeats not in get_args(Repeats):
            raise ValueError(f"watch: repeats must be 'apart' or 'together', got {repeats!r}")
        paths = {plain_path(path) for path, _ in model.named_modules(remove_duplicate=False)}
        self._patterns = list(patterns)
        self._choice = choice
        warn_of_unfitting(self._patterns, paths)
        check_mask(mask)
        check_groups(groups)
        self._model = model
        self._streams: list[Stream] = []
        self._modules = modules
        order = _orders.setdefault(uncompiled(model), {}).setdefault(activations.names, [])
        self._sites = CallSites(
            paths, make_counters, order, choice=choice, are_apart=repeats == "apart"
        )
        self._counts = Counts(model, self._sites, options)
        its_modules = dict(named_modules(model))
        self._site_counter = SiteCounter(
            self._sites,
            functional=functional,
            modules=modules,
            during=during,
            mask=mask,
            groups=groups,
            chosen=activations,
        )
        self._counter = ReLUCounter(
            its_modules,
            self._sites,
            counts=self._site_counter,
            # A bound method: through it the model keeps its watch.
            on_last_left=self._take_hooks_off,
            adopt=self._adopt,
        )
        self._watched_modules = WatchedModules(model, its_modules, self._counter, activations)
        self._begin()

    def _begin(self) -> None:
        model = uncompiled(self._model)
        before = watch_of(model)
        if before is not None and before._counter.closed:
            before.close()  # an interrupt has kept it from its end
        with _watches_lock:
            if watch_of(model) is not None:
                raise ValueError(
                    "watch: a model can be watched once at a time, got a "
                    f"{type(self._model).__name__} that is watched already; close() that watch, or "
                    "unwatch(model), first"
                )
            _watches[model] = weakref.ref(self)
        try:
            self._watched_modules.install()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        if self._counter.closed:
            raise ValueError("watch: a closed watch cannot be entered again; call watch(model)")
        return self

    def __repr__(self) -> str:
        state = "closed" if self._counter.closed else "open"
        return f"<Watch of a {type(uncompiled(self._model)).__name__}, {state}>"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the hooks. The counts stay readable. Closing twice does nothing.

        If other threads are inside the model, its hooks are removed when the last one leaves.
        """
        self._counter.close()
        for stream in self._streams:
            stream.close()
        with _watches_lock:
            if watch_of(self._model) is self:
                del _watches[uncompiled(self._model)]

    def _take_hooks_off(self) -> None:
        self._watched_modules.remove()

    def _adopt(self, stranger: nn.Module) -> WatchedModule | None:
        return self._watched_modules.adopt(stranger)

    @property
    def is_open(self) -> bool:
        """Whether calls are counted, or will be when ``stop()`` or ``pause()`` has ended."""
        return not self._counter.closed

    @property
    def model(self) -> nn.Module:
        """What is watched."""
        return self._model

    @property
    def stats(self) -> dict[str, ReLUStats]:
        """Statistics by call-site name, in the order of execution; a snapshot on the host.

        A module's site is named by its path; a ReLU that several modules share, by that of its
        caller. ``F.relu(x)`` in module ``block`` is ``block.relu``, and ``self.act(x)`` with a
        function is ``block.act``. ``_1`` is the second such call in the code of the class, ``_2``
        the third, whichever of them ran. In a loop over a list of layers, the number goes on with
        the index of the layer that made the input; if another layer made it, its name follows:
        ``block.relu after stem``. Calls of the same layer in a loop are numbered as they come.
        """
        return self._counts.stats

    def report(self) -> Report:
        """What was counted, as a table, a page, a picture or a file: ``print(watch.report())``."""
        uncounted = self._site_counter.uncounted
        warnings = [not_counted(*each) for each in uncounted.reasons.items()]
        warnings += [not_counted(*method) for method in self._counter.methods.uncounted()]
        warnings += [not_counted(*part) for part in scripted_parts(self._model)]
        others = self._watched_modules.other_activations(uncounted.others)
        warnings += [other_activation(count, name, choice_with(name)) for name, count in others]
        called = self._sites.seen | self._sites.modules_called()
        called |= self._counts.sites_of_other_ranks
        never = self._watched_modules.never_called(called)
        if self._modules:
            warnings += [never_called(path) for path in never if self._choice.takes(path)]
        sites = self._sites.described
        if sites:
            warnings += [
                f"unit_dims: {pattern!r} fits no ReLU that was called"
                for pattern in self._patterns
                if not any(first_fitting([pattern], name) for name in sites)
            ]
            unfitting = self._choice.unfitting([*sites, *never])
            warnings += [f"{pattern} fits no ReLU that was called" for pattern in unfitting]
        if self._sites.left_out:
            warnings.append(left_out(self._sites.left_out))
        warnings += [f"{name}: {changed}" for name, changed in self._sites.changed()]
        history = copy.copy(self.history) if len(self.history) else None
        return Report(self.stats, warnings, sites, self._counts.groups, history)

    def live(self, every: float = 1.0) -> contextlib.AbstractContextManager[None]:
        """Shows the report in a terminal or a notebook while the model runs.

        A thread takes one snapshot for each refresh, and spends at most a tenth of the time on it.
        At the end the table stays. If the output is a file or a pipe, only this one is printed.

        Args:
            every: seconds from one refresh to the next, at least 0.1.

        Raises:
            ImportError: if rich is missing, in a terminal.
            ValueError: if ``every`` is less than 0.1, or the watch is closed.

        Example:
            >>> import torch, relustat
            >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU())
            >>> with relustat.watch(model) as watch, watch.live():  # doctest: +ELLIPSIS
            ...     for _ in range(1000):
            ...         _ = model(torch.randn(16, 4))
            call ...
            1         0   128,000 ...
        """
        self._check_open()
        return live(self.report, every)

    def stream(
        self, path: str | os.PathLike[str], *, every: int = 1, seconds: float = 10.0
    ) -> Stream:
        """Writes the numbers to a file while the model runs, for programs that read it meanwhile.

        A thread adds a record every so often: a row for each call site, with the columns of
        :class:`relustat.report.Row`, the ``time``, and the number of the ``record``. It spends at
        most a tenth of the time on it. The last record is written when the stream, the watch or the
        program ends, but not when it is killed, or when the model and the watch are lost without
        ``close()``. Another stream to the same path goes on with the next record.

        A process that is killed may leave the last line cut. ``read_records`` drops it, and the
        next stream cuts it off. If a record cannot be written, there is one warning, and the model
        runs on.

        Args:
            path: ``run.jsonl`` is a file of JSON Lines, for ``relustat show run.jsonl``,
                :func:`relustat.report.read_records`, and ``pandas.read_json("run.jsonl",
                lines=True, dtype={"call_site": str, "after": str})``.
                ``run.parquet`` is a folder with a Parquet file for each record, for
                ``pandas.read_parquet("run.parquet")``.
            every: new calls of any call site that a record needs, at least 1.
            seconds: from one record to the next, at least 0.1.

        Returns:
            A context manager, or to be closed with ``close()``.

        Raises:
            ImportError: if pyarrow is missing, which Parquet needs.
            OSError: if the file cannot be written.
            ValueError: if an argument is wrong, the watch is closed, the file is another one, or
                another stream writes to it: processes need a path each.

        Example:
            >>> import pathlib, tempfile, torch, relustat
            >>> model = torch.nn.Sequential(torch.nn.ReLU())
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = pathlib.Path(folder) / "run.jsonl"
            ...     with relustat.watch(model) as watch, watch.stream(path, seconds=0.1):
            ...         _ = model(torch.tensor([[-1.0, 2.0]]))
            ...     path.read_text()[:29]
            '{"record": 0, "call_sites": 1'
        """
        self._check_open()
        itself = weakref.ref(self)

        def take() -> Report | None:
            watch = itself()
            return None if watch is None else watch.report()

        stream = Stream(path, take, every=every, seconds=seconds)
        self._streams = [each for each in self._streams if each.is_open]
        self._streams.append(stream)
        return stream

    @property
    def history(self) -> History:
        """The epochs of :meth:`snapshot`. ``watch.history = History(limit=20)`` begins anew."""
        return self._counts.history

    @history.setter
    def history(self, history: History) -> None:
        self._counts.history = history

    def all_reduce(self, group: ProcessGroup | None = None) -> None:
        """Adds up the counts of all ranks. :attr:`stats` and :meth:`report` are then those of all.

        All ranks call it together. It can be called any number of times: this rank's counts go on,
        and those of the other ranks are from the last call. (Of a layer whose units are split over
        ranks, all counts are from the last call.) The sums are exact, and take one exchange. Do not
        sum them again. :func:`relustat.distributed.all_reduce` describes ``group`` and the errors.
        """
        self._counts.all_reduce(group)

    def snapshot(self, epoch: int) -> None:
        """Adds the counts since the last snapshot to :attr:`history`, as those of an epoch.

        If several ranks train, call :meth:`all_reduce` before each snapshot, or never.

        Raises:
            ValueError: if ``epoch`` is not an integer above that of the last snapshot.

        Example:
            >>> import torch, relustat
            >>> model = torch.nn.ReLU()
            >>> with relustat.watch(model) as watch:
            ...     for epoch, shift in enumerate([0.0, -5.0]):
            ...         _ = model(torch.ones(3, 2) + shift)
            ...         watch.snapshot(epoch)
            >>> watch.history.deaths("relu")
            {1: array([0, 1])}
        """
        self._counts.snapshot(epoch)

    def reset(self) -> None:
        """Sets all counts to 0. The history stays."""

        def change() -> None:
            self._counts.reset()
            self._counter.reset()

        make_whole(change)

    def group(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Counts also for a group, within ``with watch.group("cat"):``.

        ``report().groups`` has a report of each group, over all its blocks. They add up to the
        whole, if all is counted in groups. What other threads count meanwhile is of the group, too.

        Raises:
            TypeError: if ``name`` is no text.
            ValueError: if a group is open already.

        Example:
            >>> import torch, relustat
            >>> model = torch.nn.ReLU()
            >>> with relustat.watch(model) as watch:
            ...     for name, value in [("cat", -1.0), ("dog", 2.0), ("cat", 3.0)]:
            ...         with watch.group(name):
            ...             _ = model(torch.tensor([[value]]))
            >>> {name: report.stats["relu"].zeros for name, report in watch.report().groups.items()}
            {'cat': 1, 'dog': 0}
        """
        return self._counts.group(name)

    def state_dict(self) -> dict[str, Any]:
        """The counts and the history, for a checkpoint: tensors, numbers and texts.

        ``torch.load(path, weights_only=True)`` loads it. Each rank has a state of its own.

        Example:
            >>> import torch, relustat
            >>> model = torch.nn.ReLU()
            >>> with relustat.watch(model) as watch:
            ...     _ = model(torch.tensor([[-1.0, 2.0]]))
            ...     checkpoint = {"model": model.state_dict(), "watch": watch.state_dict()}
            >>> with relustat.watch(model) as watch:
            ...     watch.load_state_dict(checkpoint["watch"])
            ...     _ = model(torch.tensor([[-1.0, 2.0]]))
            >>> watch.stats["relu"].unit_zeros.tolist()
            [2, 0]
        """
        return self._counts.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces all counts and the history by those of :meth:`state_dict`.

        A run that is stopped and goes on so ends with the counts of one that was not stopped. The
        report names the call sites that are in the state alone, or in the model alone.

        Raises:
            ValueError: if it is no such state, or one of another model or with other bins. Then
                nothing has changed.
        """
        self._counts.load_state_dict(state)

    def _check_open(self) -> None:
        if self._counter.closed:
            raise ValueError("watch: a closed watch counts nothing; call watch(model) again")

    def stop(self) -> None:
        """Counts nothing until :meth:`start`. Compiled code does not change."""
        self._sites.counting = False

    def start(self) -> None:
        """Counts again after :meth:`stop`."""
        self._sites.counting = True

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Sees this thread's calls outside of ``model(x)``, too, within ``with watch.counting():``.

        These are calls of other methods (``model.decode(z)``, ``model.forward(x)``) and ReLUs that
        are written in the block. They have the names of their positions in the code. Repeated calls
        of one position are one call site, whatever ``repeats`` is. Each call of a module begins a
        new forward, as it does elsewhere.

        Raises:
            ValueError: if the watch is closed.

        Example:
            >>> import torch, relustat
            >>> model = torch.nn.Linear(4, 8)
            >>> with relustat.watch(model) as watch, watch.counting():
            ...     _ = model(torch.randn(16, 4)).relu()
            >>> {name: stats.widths for name, stats in watch.stats.items()}
            {'relu': (8,)}
        """
        self._check_open()
        root = self._watched_modules.root()
        try:
            try:
                self._counter.enter_block(root)
                yield
            finally:
                self._counter.leave(root)
        finally:
            # Again: an interrupt may have come during the first time.
            self._counter.leave(root)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Nothing is counted within ``with watch.pause():``."""
        before = self._sites.counting
        try:
            try:
                self.stop()
                yield
            finally:
                self._sites.counting = before
        finally:
            # Again: an interrupt may have come during the first time.
            if self._sites.counting is not before:
                self._sites.counting = before
