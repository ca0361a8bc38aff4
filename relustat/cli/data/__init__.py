"""The batches of the data that ``relustat analyze`` is given."""

from .sources import add_to, batches_of

__all__ = ["add_to", "batches_of"]
