"""A file, or a folder, that one stream of one process writes to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref

_owned: weakref.WeakSet[OwnFile] = weakref.WeakSet()


class OwnFile:
    """An open file that no other stream may open.

    A forked process has a copy of it, which is closed: only the parent writes.

    Args:
        name: for messages.
        file: the descriptor, which is closed if this raises an error.

    Raises:
        ValueError: if another stream has it open.
    """

    def __init__(self, name: str, file: int) -> None:
        self.file = file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise ValueError(
                f"stream: {name} must be a file of its own, got one that another stream writes to"
            ) from None
        except OSError:
            pass  # some network file systems have no locks
        _owned.add(self)

    def close(self) -> None:
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)


def _leave_to_parent() -> None:
    for each in list(_owned):
        with contextlib.suppress(OSError):
            each.close()


os.register_at_fork(after_in_child=_leave_to_parent)
