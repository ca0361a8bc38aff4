"""The outputs of a model's layers, by name."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .layer_calls import LayerCalls


def layer_outputs(model: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The outputs of some layers, from one forward that ends at the last of these layers.

    Args:
        model: in evaluation mode.
        x: its input.
        layers: modules' paths ("" is the model) and functional ReLUs' names, as
            :func:`relustat.watch` gives them; ``_1`` is the second call of a module.

    Returns:
        The outputs by name. Later in-place layers do not change them. They have gradients, unless
        these are switched off.

    Raises:
        ValueError: if a module is in training mode, no layer is given, or one is unknown.
        TypeError: if ``model`` is not a module.

    Example:
        >>> import torch, relustat
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(inplace=True)).eval()
        >>> outputs = relustat.analysis.layer_outputs(model, torch.randn(2, 4), ["0", "1"])
        >>> torch.equal(outputs["0"].relu(), outputs["1"])
        True
    """
    return outputs_of("layer_outputs", model, x, layers)


def outputs_of(op: str, model: nn.Module, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """:func:`layer_outputs`; ``op`` is the name of the caller, for messages."""
    if isinstance(layers, str) or not layers:
        raise ValueError(f"{op}: layers must be a list of at least one name, got {layers!r}")
    return LayerCalls(op, model, layers).run(x)
