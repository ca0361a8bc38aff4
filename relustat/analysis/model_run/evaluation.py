"""Checks that all of a model is in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch.nn.functional as F
from torch import nn

from relustat.nn.module_paths import named_modules

# The default of their argument `training`.
_DROPOUTS = dict.fromkeys((F.dropout, F.dropout1d, F.dropout2d, F.dropout3d), True)
_DROPOUTS |= dict.fromkeys((F.alpha_dropout, F.feature_alpha_dropout), False)


def check_is_evaluated(op: str, model: nn.Module) -> None:
    """Raises an error if a module of the model is in training mode."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"{op}: model must be an nn.Module, got {type(model).__name__}")
    for module, path in named_modules(model):
        if getattr(module, "training", False):  # frozen TorchScript has none
            where = repr(path) if path else f"the {type(module).__name__}"
            raise ValueError(
                f"{op}: the model must be in evaluation mode, got {where} in training mode; "
                "call model.eval() first"
            )


def check_drops_nothing(
    op: str,
    path: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Raises an error if a torch call in the module at ``path`` is dropout as in training."""
    if function not in _DROPOUTS:
        return
    if args[2] if len(args) > 2 else kwargs.get("training", _DROPOUTS[function]):
        where = repr(path) if path else "the model"
        raise ValueError(
            f"{op}: the model must be in evaluation mode, got F.{function.__name__} with "
            f"training=True in {where}"
        )
