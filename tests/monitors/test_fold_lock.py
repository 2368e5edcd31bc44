"""The lock of counters: exclusive between threads, and no trap for the thread that has it."""

import threading

from querygauge.monitors.fold_lock import FoldLock


def test_its_own_thread_does_not_wait() -> None:
    """Who has it and asks again is told so, and has it still."""
    lock = FoldLock()
    with lock.held() as is_free:
        assert is_free
        assert lock.is_interrupted
        assert not lock.acquire()
        with lock.held() as is_free_again:
            assert not is_free_again
        assert lock.is_interrupted
    assert not lock.is_interrupted
    assert lock.acquire()


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
