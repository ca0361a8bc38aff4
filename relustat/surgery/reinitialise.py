"""Dead units are drawn again (ReDo)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from relustat._checks import is_integer
from relustat.report.report import Report
from relustat.watching.handle import Watch

from .chain import module_at
from .dead_units import DeadUnits, find_dead_units, plain_model
from .operation import Operation
from .processes import check_the_same, group_of, take_from_first

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

# A tensor, an index for each of its first dimensions, and what is to stand there.
_Value = tuple[Tensor, tuple[Any, ...], Tensor]


def reinitialise_dead(
    model: nn.Module, watch: Watch | Report, optimizer: Optimizer | None = None, *, calls: int
) -> Operation:
    """Draws the weights of dead units again, so that they can learn.

    The incoming weights of a unit are drawn as its layer's ``reset_parameters`` draws them, those
    of a batch norm behind the layer are set to its first values, and the outgoing weights are set
    to 0. So the model gives the same outputs as before (ReDo: Sokar et al., "The dormant neuron
    phenomenon in deep reinforcement learning", 2023). What the optimiser keeps of these weights
    in tensors of their shape, such as momenta, is set to 0.

    Units are found for convolutions and linear layers, with batch norms, behind which is a ReLU
    that convolutions and linear layers read, with pools, dropout and flattening on the way. Inputs
    are taken to have a batch. Others are left as they are, and the result says why.

    All processes that train a ``DistributedDataParallel`` must call it with that model, and with
    the same counts: those of ``watch.all_reduce()``. All get the weights of the first.

    Args:
        model: the model, compiled and distributed or not.
        watch: the counts: a watch of it, or a report.
        optimizer: the one that trains it.
        calls: a unit is dead if it gave only zeros in the last ``calls`` calls.

    Returns:
        What was done, to be printed.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if ``calls`` is not an integer of at least 1, the watch is of another model, or
            processes have other dead units. Then nothing has changed.

    Example:
        >>> import torch, relustat
        >>> from relustat.surgery import reinitialise_dead
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)
        ... )
        >>> with torch.no_grad():
        ...     _ = model[0].bias[1].fill_(-100)
        >>> with relustat.watch(model) as watch:
        ...     _ = model(torch.rand(8, 2) + 1)
        >>> 1 in reinitialise_dead(model, watch, calls=1).done[0].units
        True
        >>> model[0].bias[1].item() > -1
        True
    """
    if not is_integer(calls) or calls < 1:
        raise ValueError(
            f"reinitialise_dead: calls must be an integer of at least 1, got {calls!r}"
        )
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"reinitialise_dead: optimizer must be an Optimizer, got {type(optimizer).__name__}"
        )
    found, skipped = find_dead_units(
        "reinitialise_dead", model, watch, lambda stats: stats.dead_for(calls).tolist()
    )
    group = group_of(model)
    if group is not None:
        check_the_same("reinitialise_dead", found, group)
    plain = plain_model(model)
    # All that can fail comes first.
    new = [value for each in found for value in _drawn_again(plain, each, group)]
    # A unit that is drawn again reads nothing of another one.
    new += [value for each in found for value in _read_as_zero(plain, each)]
    with torch.no_grad():
        for tensor, part, value in new:
            tensor[part] = value
            _clear(optimizer, tensor, part)
    return Operation("reinitialised", [each.change() for each in found], skipped)


def _drawn_again(model: nn.Module, dead: DeadUnits, group: ProcessGroup | None) -> Iterator[_Value]:
    for path in (dead.chain.layer, *dead.chain.norms):
        module = module_at(model, path)
        fresh = copy.deepcopy(module)
        fresh.reset_parameters()
        new = dict(dead.tensors_by_unit(fresh))
        for name, tensor in dead.tensors_by_unit(module):
            units, value = dead.units.to(tensor.device), new[name].detach()
            if group is not None:
                take_from_first(value, group)
            yield tensor, (units,), value[units]


def _read_as_zero(model: nn.Module, dead: DeadUnits) -> Iterator[_Value]:
    for reader in dead.chain.readers:
        weight = module_at(model, reader.path).weight
        positions = torch.arange(reader.positions)
        columns = (dead.units[:, None] * reader.positions + positions).flatten()
        yield weight, (slice(None), columns.to(weight.device)), weight.new_zeros(())


def _clear(optimizer: Optimizer | None, tensor: Tensor, part: tuple[Any, ...]) -> None:
    """Sets what an optimiser keeps of a part of a parameter to 0."""
    kept = optimizer.state.get(tensor, {}) if optimizer is not None else {}
    for name, each in kept.items():
        # Rprop's step sizes begin at the learning rate.
        if isinstance(each, Tensor) and each.shape == tensor.shape and name != "step_size":
            each[part] = 0
