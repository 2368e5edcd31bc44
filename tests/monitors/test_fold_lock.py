"""The lock of counters: exclusive between threads, and no trap for the thread that has it."""

import sys
import threading
from types import FrameType
from typing import Any

import pytest

from querygauge.monitors import fold_lock
from querygauge.monitors.fold_lock import FoldLock


def test_its_own_thread_does_not_wait() -> None:
    """Who has it and asks again is told so, and has it still."""
    lock = FoldLock()
    assert lock.acquire()
    assert lock.is_interrupted
    with lock.held() as is_free:
        assert (is_free, lock.acquire(), lock.is_interrupted) == (False, False, True)
    lock.release()
    assert (lock.is_interrupted, lock.acquire()) == (False, True)


def test_another_thread_does() -> None:
    """Another thread gets it once it is given back, and not before."""
    lock, asks, has = FoldLock(), threading.Event(), threading.Event()
    refused: list[bool] = []

    def other() -> None:
        refused.append(lock.acquire(timeout_s=0))
        asks.set()
        with lock.held() as is_free:
            refused.append(is_free)
            has.set()

    thread = threading.Thread(target=other)
    with lock.held():
        thread.start()
        asks.wait(10)
        assert not has.is_set()
    thread.join(10)
    assert refused == [False, True]


class _TimeIsUpError(Exception):
    """What a signal handler raises."""


def _raise_once_taken(frame: FrameType, event: str, argument: Any) -> None:
    if event == "c_return" and argument.__name__ == "acquire" and frame.f_code.co_filename == fold_lock.__file__:
        raise _TimeIsUpError


def _raise_in_a_function_of_ours(frame: FrameType, event: str, _: Any) -> None:
    if event == "call" and frame.f_code.co_filename == fold_lock.__file__:
        raise _TimeIsUpError


def _is_free(lock: FoldLock) -> bool:
    """Whether another thread gets it."""
    got: list[bool] = []
    thread = threading.Thread(target=lambda: got.append(lock.acquire(timeout_s=0)))
    thread.start()
    thread.join(10)
    return got == [True]


def test_a_signal_handler_that_raises_leaves_it_free() -> None:
    """Raised right after it was taken, an exception arrives, and the next thread does not wait for ever."""
    lock = FoldLock()
    sys.setprofile(_raise_once_taken)
    try:
        with pytest.raises(_TimeIsUpError):
            lock.acquire()
    finally:
        sys.setprofile(None)
    assert _is_free(lock)


def test_nothing_can_be_raised_before_it_is_given_back() -> None:
    """Giving it back calls no function in which a signal handler could come first."""
    lock = FoldLock()
    assert lock.acquire()
    sys.setprofile(_raise_in_a_function_of_ours)
    try:
        lock.release()
    finally:
        sys.setprofile(None)
    assert _is_free(lock)
