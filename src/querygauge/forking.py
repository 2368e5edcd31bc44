"""
What must be made anew in a child process, after `os.fork`.

A forked child has copies of every counter and none of the threads, and a lock that another thread held stays held
for ever. So whoever counts, locks or runs a thread registers here once, and empties itself in the child.
Nothing is locked before the fork: the child throws away what it inherited instead of trusting it.
"""

import _thread
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

__all__ = ["SurvivesFork", "call_soon", "survive_forks"]


class SurvivesFork(Protocol):
    """Something with a state of its own process."""

    def after_fork_in_child(self) -> None:
        """Replaces locks, forgets the parent's counts, and starts its own thread if it had one; must not raise."""


_members: WeakSet[SurvivesFork] = WeakSet()
_drivers: WeakSet[SurvivesFork] = WeakSet()


def survive_forks(member: SurvivesFork, *, is_driver: bool = False) -> None:
    """
    Calls `member.after_fork_in_child()` in every forked child for as long as `member` lives.

    Args:
        member: Whoever has something to make anew.
        is_driver: Whether it starts a thread that calls other members, which must all be ready by then.
    """
    (_drivers if is_driver else _members).add(member)


def call_soon(start: Callable[[], None]) -> None:
    """
    Calls `start`, which starts a thread, from another thread; for `after_fork_in_child()`, which must not wait.

    `Thread.start()` waits until the new thread runs. Under gevent that lets the parent's greenlets run in the child,
    on the parent's connections, even between the fork and the exec of a `subprocess.Popen`.
    """
    with suppress(RuntimeError):  # no more threads, or the interpreter is ending
        _thread.start_new_thread(start, ())


def _after_fork_in_child() -> None:
    for member in (*_members, *_drivers):
        member.after_fork_in_child()


# It cannot be undone, so it is done once; where there is no fork there is nothing to do.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
