"""Locks in a forked process."""

import threading

import pytest
from forking import exit_code_of_child

from relustat._locks import fork_safe_lock


@pytest.fixture
def held():
    """A lock that another thread holds."""
    lock = fork_safe_lock()
    is_held, end = threading.Event(), threading.Event()

    def hold():
        with lock:
            is_held.set()
            end.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    yield lock
    end.set()
    thread.join()


def test_a_lock_of_another_thread_is_free_in_a_child(held):
    def work():
        with held:
            pass

    assert exit_code_of_child(work) == 0
    assert not held.acquire(blocking=False)


def test_a_lock_of_the_forking_thread_is_still_held_in_a_child():
    lock = fork_safe_lock()

    def is_free():
        taken = []
        thread = threading.Thread(target=lambda: taken.append(lock.acquire(blocking=False)))
        thread.start()
        thread.join()
        return taken == [True]

    def work():
        assert not is_free()
        lock.release()
        assert is_free()

    with lock:
        assert exit_code_of_child(work) == 0
