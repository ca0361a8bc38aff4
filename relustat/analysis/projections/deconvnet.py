"""Projecting activations of a layer back to pixels: DeconvNet, guided backpropagation, gradient."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from relustat.analysis.model_run.autograd_path import PathToInput
from relustat.analysis.model_run.selection import Position, check_samples, check_unit, positions_in

from .backward_rules import Rule, RuledCalls

Overlap = Literal["last", "sum", "max"]
Signal = Literal["one", "activation"]


def deconvnet(
    model: nn.Module,
    x: Tensor,
    layer: str,
    unit: int | None = None,
    position: Position | None = None,
    rule: Rule = "deconvnet",
    overlap: Overlap = "last",
    *,
    signal: Signal = "one",
) -> Tensor:
    """The part of the input that excites an activation: its projection back to pixels.

    A signal starts at the chosen activations of ``layer`` and goes back to the input. It goes
    through affine layers (convolutions, linear layers, batch norm and others) by their transpose,
    through max-pools by their switches, and through ReLUs by ``rule``. ReLUs may be functional,
    in-place, or one module that is called many times. The model runs once, up to ``layer``. It is
    left as it was: no gradient of its parameters is computed.

    Args:
        model: in evaluation mode.
        x: input, floating point [N, C, ...].
        layer: a module's path, or a functional ReLU's name as :func:`relustat.watch` gives it. Its
            output is [N, units] or [N, units, ...].
        unit: one unit; None: all units.
        position: in the unit's map: an index for each axis; an integer tensor of indices,
            [N, axes]; "max": the strongest activation of each sample; "center"; None: the whole
            map.
        rule: at a ReLU, "deconvnet" lets the signal's positive part pass, "guided" its positive
            part where the ReLU's input was positive, "gradient" all of it there.
        overlap: how pools with overlapping windows are undone, as in
            :func:`relustat.functional.max_unpool2d`: "last" as by Zeiler and Fergus's switches,
            "sum" as by the pool's gradient.
        signal: the signal at the chosen activations. "one": then "gradient" gives the gradient of
            their sum, and a unit that is not active has a projection, too. "activation": their
            values, as in the paper.

    Returns:
        A tensor of x's shape and dtype. The signals of several activations of one sample add up.
        With ``rule="gradient", overlap="sum"`` it is autograd's gradient.

    Raises:
        ValueError: if a module is in training mode; if ``layer``, ``unit`` or ``position`` is
            unknown; or if a layer on the way has no rule (the message names it). Layers without a
            rule are not affine, or affine only for a mask or an index that depends on the input.
        TypeError: if ``model`` is not a module, or ``x`` is not a floating-point tensor.

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014;
    "guided": Springenberg et al., Striving for Simplicity, ICLR 2015 workshop.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2)
        ... )
        >>> x = torch.randn(2, 3, 16, 16)
        >>> relustat.analysis.deconvnet(model.eval(), x, "2", unit=5, position="max").shape
        torch.Size([2, 3, 16, 16])
    """
    if signal not in get_args(Signal):
        raise ValueError(f"deconvnet: signal must be 'one' or 'activation', got {signal!r}")
    check_input("deconvnet", x)
    with torch.inference_mode(False), torch.enable_grad():
        calls = RuledCalls("deconvnet", model, [layer], rule, overlap)
        start, output = calls.run_with_gradient(x)
        check_samples("deconvnet", layer, output, len(x))
        check_unit("deconvnet", layer, output, unit)
        chosen = _choose(output, layer, unit, position)
        calls.check_rules(PathToInput("deconvnet", layer, output, start), layer)
        begin = chosen * output.detach() if signal == "activation" else chosen
        (projection,) = torch.autograd.grad(output, start, begin)
    return projection


def check_input(op: str, x: Any) -> None:
    """Raises an error unless ``x`` is a batch of floating-point samples."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{op}: x must be a tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise TypeError(f"{op}: x must be of a floating-point dtype, got {x.dtype}")
    if x.ndim < 2 or x.size(0) == 0:
        raise ValueError(f"{op}: x must be a batch of samples [N, ...], got {list(x.shape)}")


def _choose(output: Tensor, layer: str, unit: int | None, position: Any) -> Tensor:
    """1 at the chosen activations, 0 elsewhere."""
    chosen = torch.zeros_like(output)
    units = slice(None) if unit is None else slice(unit, unit + 1)
    if position is None:
        chosen[:, units] = 1
        return chosen
    positions = positions_in("deconvnet", layer, output, unit, position)
    samples = torch.arange(output.size(0), device=output.device)
    cells: tuple[Any, ...] = samples, units, *positions.unbind(1)
    chosen[cells] = 1
    return chosen
