"""The dead units that a watch has counted, and the chain of each call site that has some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from relustat._messages import many, named, some
from relustat._printable import printable
from relustat.nn.module_paths import check_is_module, plain_path, uncompiled
from relustat.report.report import Report
from relustat.stats.relu_stats import ReLUStats
from relustat.watching.handle import Watch

from .chain import Chain, NoChainError, chain_of, module_at
from .operation import Change, Skipped


class DeadUnits(NamedTuple):
    """The dead units of a call site.

    Attributes:
        call_site: its name.
        units: their indices, int64 [dead], ascending.
        chain: where they are made and read.
    """

    call_site: str
    units: Tensor
    chain: Chain

    def change(self) -> Change:
        readers = tuple(reader.path for reader in self.chain.readers)
        return Change(self.call_site, self.chain.layer, tuple(self.units.tolist()), readers)

    @staticmethod
    def tensors_by_unit(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
        """The parameters and buffers that have an element, or a row, for each unit."""
        yield from list(module.named_parameters(recurse=False))
        yield from [each for each in module.named_buffers(recurse=False) if each[1].dim()]


def plain_model(model: nn.Module) -> nn.Module:
    """The model without what compiles it, or spreads it over processes."""
    model = uncompiled(model)
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return uncompiled(model.module)
    return model


def check_model(op: str, model: nn.Module, watch: Watch | Report) -> None:
    """Raises an error if a model is none, or a watch is of another one."""
    check_is_module(op, model)
    if isinstance(watch, Watch) and plain_model(watch.model) is not plain_model(model):
        raise ValueError(
            f"{op}: the watch must be of this model, got one of another "
            f"{type(plain_model(watch.model)).__name__}"
        )


def find_dead_units(
    op: str, model: nn.Module, watch: Watch | Report, dead: Callable[[ReLUStats], list[int]]
) -> tuple[list[DeadUnits], list[Skipped]]:
    """The dead units that can be operated on, and the call sites of others, with reasons.

    Args:
        op: who asks, for messages.
        model: what was watched, or what it was compiled from or wrapped in.
        watch: the counts.
        dead: gives the indices of dead units.

    Raises:
        TypeError: if ``model`` is no module, or ``watch`` gives no report.
        ValueError: if it is a watch of another model.
    """
    check_model(op, model, watch)
    if isinstance(watch, Watch):
        watch = watch.report()
    if not isinstance(watch, Report):
        raise TypeError(f"{op}: watch must be a Watch or a Report, got {type(watch).__name__}")
    model = plain_model(model)
    found: list[DeadUnits] = []
    skipped: list[Skipped] = []
    for name, stats in watch.stats.items():
        units = {width: dead(stats.of_width(width)) for width in stats.widths}
        count = sum(map(len, units.values()))
        if not count:
            continue
        try:
            chain = _chain(model, watch, name, stats)
            _check_can_change(model, chain)
            same = next((each for each in found if each.chain.layer == chain.layer), None)
            if same is not None:
                raise NoChainError(f"its units are those of {named(same.call_site)}")
        except NoChainError as reason:
            skipped.append(Skipped(name, count, str(reason)))
        else:
            (indices,) = units.values()
            found.append(DeadUnits(name, torch.tensor(indices), chain))
    return found, skipped


def _chain(model: nn.Module, report: Report, name: str, stats: ReLUStats) -> Chain:
    if not stats.activation.gives_zero:
        raise NoChainError(f"a {stats.activation.name} does not give 0")
    if stats.shard is not None:
        raise NoChainError("its layer is split over processes")
    made_by = report.call_sites[name].after
    if len(made_by) != 1:
        raise NoChainError(f"{len(made_by) or 'no'} layers are known to make its inputs")
    # A unit that is dead at one may fire at another.
    others = [n for n, site in report.call_sites.items() if n != name and made_by[0] in site.after]
    if others:
        raise NoChainError(f"{some(others)} gets them, too")
    (layer,) = made_by
    modules = dict(model.named_modules())
    if layer not in modules:
        layer = layer.removeprefix("module.")  # of DistributedDataParallel
    if layer not in modules:
        is_compiled = any(layer == plain_path(path) for path in modules)
        why = "is in a part that is compiled by itself" if is_compiled else "is not in the model"
        raise NoChainError(f"{printable(layer)} {why}")
    chain = chain_of(model, layer)
    made = len(module_at(model, chain.layer).weight)
    if stats.widths != (made,):
        raise NoChainError(
            f"{chain.layer} has {many(made, 'output')}, and it counted widths of "
            f"{', '.join(map(str, stats.widths))}"
        )
    return chain


def _check_can_change(model: nn.Module, chain: Chain) -> None:
    """Raises a NoChainError if a parameter of the chain must stay as it is."""
    names = dict(model.named_parameters(remove_duplicate=False))
    uses = Counter(map(id, names.values()))
    layer = module_at(model, chain.layer)
    if getattr(layer, "groups", 1) != 1:
        raise NoChainError(f"{chain.layer} is a grouped convolution")
    units, by_unit = len(layer.weight), DeadUnits.tensors_by_unit
    readers = {reader.path for reader in chain.readers}
    for path in chain.paths:
        module = module_at(model, path)
        if parametrize.is_parametrized(module):
            raise NoChainError(f"the parameters of {path} are computed of others")
        if path not in readers and any(len(x) != units for _, x in by_unit(module)):
            raise NoChainError(f"{path} has parameters that are not of its outputs")
        for name, parameter in module.named_parameters(path, recurse=False):
            if uses[id(parameter)] > 1:
                others = [n for n, each in names.items() if each is parameter and n != name]
                raise NoChainError(f"{name} is shared with {', '.join(others)}")
            if not parameter.requires_grad:
                raise NoChainError(f"{name} is frozen: it needs no gradient")
            if type(parameter.data) is not Tensor:
                raise NoChainError(f"{name} is a {type(parameter.data).__name__}")
