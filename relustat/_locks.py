"""Locks that a forked process finds free, whatever other threads of its parent held."""

from __future__ import annotations

import os
import threading
import weakref

_locks: weakref.WeakSet[threading.RLock] = weakref.WeakSet()


def fork_safe_lock() -> threading.RLock:
    """A reentrant lock. In a forked process it is free, unless the forking thread holds it.

    The threads that held it are not there to release it. What they left is what an interrupt
    leaves, so everything under such a lock bears an end at any point.
    """
    lock = threading.RLock()
    _locks.add(lock)
    return lock


def _free() -> None:
    for lock in list(_locks):
        if lock.acquire(blocking=False):
            lock.release()
        else:
            lock._at_fork_reinit()  # type: ignore[attr-defined]


os.register_at_fork(after_in_child=_free)
