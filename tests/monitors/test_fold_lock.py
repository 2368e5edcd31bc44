"""The lock of counters: exclusive between threads, and no trap for the thread that has it."""

import threading

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
