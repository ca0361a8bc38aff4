"""Several processes that train one model: all must do the same to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch.distributed as dist
from torch import Tensor, nn

from relustat.nn.module_paths import uncompiled

from .dead_units import DeadUnits

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


def group_of(model: nn.Module) -> ProcessGroup | None:
    """The processes that train a model together; None: this one alone."""
    model = uncompiled(model)
    if isinstance(model, nn.parallel.DistributedDataParallel):
        group: ProcessGroup = model.process_group
        return group
    return None


def check_the_same(op: str, found: Sequence[DeadUnits], group: ProcessGroup) -> None:
    """Raises a ValueError in all processes if they have not found the same units."""
    mine = [(each.chain.layer, each.units.tolist()) for each in found]
    others: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(others, mine, group=group)
    if any(each != mine for each in others):
        raise ValueError(
            f"{op}: all processes must have the same counts, got other dead units in another one; "
            "watch.all_reduce() gives them"
        )


def take_from_first(tensor: Tensor, group: ProcessGroup) -> None:
    """Replaces the numbers of a tensor by those that the first process has."""
    dist.broadcast(tensor, dist.get_global_rank(group, 0), group=group)
