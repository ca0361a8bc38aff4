"""What to do with dead units: initialise them again, or take them out."""

from .operation import Change, Operation, Skipped
from .prune import prune_dead
from .reinitialise import reinitialise_dead
from .revive_dead import ReviveDead

__all__ = ["Change", "Operation", "ReviveDead", "Skipped", "prune_dead", "reinitialise_dead"]


def __dir__() -> list[str]:
    return sorted(__all__)
