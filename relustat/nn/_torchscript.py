"""The error that ``torch.jit.script`` gets."""

from torch import nn


def not_scriptable(module: nn.Module) -> TypeError:
    """The error of a module that TorchScript cannot compile."""
    return TypeError(
        f"{type(module).__name__}: cannot be scripted; relustat.unswap(model) puts back "
        "the modules that swap() took, and torch.export and torch.jit.trace take the model as it is"
    )
