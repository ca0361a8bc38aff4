"""Dead units are taken out, and layers become smaller."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from relustat._torch_internals import pytree
from relustat.nn.module_paths import named_modules
from relustat.report.report import Report
from relustat.watching.handle import Watch, watch_of

from .chain import module_at
from .dead_units import DeadUnits, find_dead_units, plain_model
from .operation import Operation, Skipped
from .processes import group_of


def prune_dead(model: nn.Module, watch: Watch | Report, inputs: Any) -> Operation:
    """Takes the units out that gave only zeros in all that was counted.

    Their layers, batch norms and the layers that read them become smaller, in place. The model is
    called with ``inputs`` before and after, in evaluation mode and uncounted, and must give the
    same within rounding. One unit of a layer is kept, dead or not.

    Units are found as by :func:`reinitialise_dead`. Parameters are new ones: make a new optimiser
    for them, and compile the model again. An open watch counts the smaller layers as another
    width.

    Args:
        model: the model, compiled or not. Of a distributed one give its module, and the counts of
            all processes (``watch.all_reduce()``).
        watch: the counts: a watch of it, or a report. Units that fire for other inputs than those
            counted are lost, so count all that you have.
        inputs: what the model is called with: one argument, a tuple of several, or a dict by name.

    Returns:
        What was done, to be printed.

    Raises:
        TypeError: if an argument is of another type.
        ValueError: if the watch is of another model, the model is distributed, or the outputs
            would not be the same. Then nothing has changed.

    Example:
        >>> import torch, relustat
        >>> from relustat.surgery import prune_dead
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)
        ... )
        >>> with torch.no_grad():
        ...     _ = model[0].bias.copy_(torch.tensor([9.0, -9.0, 9.0, -9.0]))
        >>> x = torch.rand(8, 2)
        >>> with relustat.watch(model) as watch:
        ...     _ = model(x)
        >>> print(prune_dead(model, watch, x))
        1  2 units of 0 pruned: 1, 3; read by 2
        >>> model[0].weight.shape, model[2].weight.shape
        (torch.Size([2, 2]), torch.Size([1, 2]))
    """
    _check_can_be_pruned(model)
    found, skipped = find_dead_units(
        "prune_dead", model, watch, lambda stats: stats.dead_units.tolist()
    )
    counting = watch if isinstance(watch, Watch) else watch_of(model)
    model = plain_model(model)
    cut: list[DeadUnits] = []
    for dead in found:
        units = _without_the_last(model, dead)
        if len(units):
            cut.append(dead._replace(units=units))
        else:
            skipped.append(Skipped(dead.call_site, 1, f"it is the last of {dead.chain.layer}"))
    if not cut:
        return Operation("pruned", [], skipped)
    with counting.pause() if counting else contextlib.nullcontext():
        before = _outputs(model, inputs)
        with _undone_on_error(model):
            for dead in cut:
                _cut(model, dead)
            _check_outputs(model, inputs, before)
    return Operation("pruned", [dead.change() for dead in cut], skipped)


def _check_can_be_pruned(model: nn.Module) -> None:
    if isinstance(model, nn.Module) and group_of(model) is not None:
        raise ValueError(
            "prune_dead: the model must be one process's, got a DistributedDataParallel; prune its "
            "module with the counts of all processes, and wrap it again"
        )


def _without_the_last(model: nn.Module, dead: DeadUnits) -> Tensor:
    """All units but one, if all are dead: there are no layers without units."""
    made = len(module_at(model, dead.chain.layer).weight)
    return dead.units[len(dead.units) == made :]


def _check_outputs(model: nn.Module, inputs: Any, before: list[Tensor]) -> None:
    rule = "prune_dead: the outputs for `inputs` must stay the same, got"
    try:
        after = _outputs(model, inputs)
    except Exception as error:
        raise ValueError(f"{rule} an error of the smaller model: {error}") from error
    try:
        torch.testing.assert_close(after, before, equal_nan=True)
    except AssertionError as error:
        first = str(error).partition("\n")[0]
        raise ValueError(f"{rule} units that fire for them ({first})") from None


def _outputs(model: nn.Module, inputs: Any) -> list[Tensor]:
    modes = [(module, module.training) for module, _ in named_modules(model)]
    try:
        model.eval()
        with torch.no_grad():
            if isinstance(inputs, Mapping):
                outputs = model(**inputs)
            else:
                outputs = model(*inputs) if isinstance(inputs, (tuple, list)) else model(inputs)
    finally:
        for module, mode in modes:
            module.training = mode
    found = [each.clone() for each in pytree.tree_leaves(outputs) if isinstance(each, Tensor)]
    if not found:
        raise ValueError(
            "prune_dead: the model must give tensors, alone or in tuples, lists and dicts, got "
            f"{type(outputs).__name__}"
        )
    return found


@contextlib.contextmanager
def _undone_on_error(model: nn.Module) -> Iterator[None]:
    """After an error all modules have the tensors and numbers that they had before."""
    kept = [
        (module, dict(vars(module)), dict(module._parameters), dict(module._buffers))
        for module, _ in named_modules(model)
    ]
    try:
        yield
    except BaseException:
        for module, attributes, parameters, buffers in kept:
            vars(module).update(attributes)
            module._parameters.update(parameters)
            module._buffers.update(buffers)
        raise


def _cut(model: nn.Module, dead: DeadUnits) -> None:
    layer = module_at(model, dead.chain.layer)
    is_kept = torch.ones(len(layer.weight), dtype=torch.bool)
    is_kept[dead.units] = False
    units = int(is_kept.sum())
    for path in (dead.chain.layer, *dead.chain.norms):
        module = module_at(model, path)
        for name, tensor in dead.tensors_by_unit(module):
            _set(module, name, tensor[is_kept.to(tensor.device)])
        _resize(module, ("out_features", "out_channels", "num_features"), units)
    for reader in dead.chain.readers:
        module = module_at(model, reader.path)
        columns = is_kept.repeat_interleave(reader.positions).to(module.weight.device)
        _set(module, "weight", module.weight[:, columns])
        _resize(module, ("in_features", "in_channels"), units * reader.positions)


def _set(module: nn.Module, name: str, value: Tensor) -> None:
    value = value.detach().clone()
    setattr(module, name, nn.Parameter(value) if name in module._parameters else value)


def _resize(module: nn.Module, names: tuple[str, ...], size: int) -> None:
    for name in names:
        if hasattr(module, name):
            setattr(module, name, size)
