"""Subscribers of a store get every snapshot exactly once."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.errors import StoreError
from querygauge.storage import subscribers, subscriptions
from querygauge.storage.election import elected
from querygauge.storage.folding import fold
from querygauge.storage.paths import StorePaths
from querygauge.storage.spool import waiting_files
from querygauge.storage.spool_sink import SpoolSink
from querygauge.storage.subscriptions import Subscription, Unread
from storage.making import NOON, snapshot, total


def _begun(paths: StorePaths, name: str = "sums") -> Subscription:
    subscription = Subscription(paths, name)
    subscription.begin()
    return subscription


def _sum(subscription: Subscription) -> int:
    """What a subscriber that adds executions up knows."""
    return _added_up(subscription)[0]


def _added_up(subscription: Subscription) -> tuple[int, set[str]]:
    """The same, and the names of the files that are not in its state."""
    state, found, added = None, 0, set[str]()
    while True:
        unread = subscription.unread(added, state)
        if unread.state != state:
            state, found, added = unread.state, int(unread.state or 0), set()
        found += sum(total(list(each.queries)) for each in unread.snapshots.values())
        added.update(unread.snapshots)
        if not unread.has_more:
            return found, added


def _take_in(paths: StorePaths, subscription: Subscription) -> None:
    with elected(paths, 10.0) as is_elected:
        assert is_elected
        found, names = _added_up(subscription)
        subscription.keep(str(found).encode(), names)


def _write(paths: StorePaths, executions: int = 3, *, minutes: int = 0) -> None:
    SpoolSink(paths.root, 100).write(snapshot(executions, ended=NOON + timedelta(minutes=minutes)))


def test_what_waits_is_unread(paths: StorePaths) -> None:
    """Numbers are known as soon as they are flushed, oldest first."""
    subscription = _begun(paths)
    for minutes in (2, 1):
        _write(paths, minutes, minutes=minutes)
    unread = subscription.unread()
    assert (unread.state, [each.ended for each in unread.snapshots.values()]) == (
        None,
        [NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)],
    )


def test_what_was_folded_is_unread_still(paths: StorePaths) -> None:
    """Whoever folds hands over what it removes."""
    subscription = _begun(paths)
    _write(paths)
    fold(paths)
    assert not waiting_files(paths)
    assert _sum(subscription) == 3


def test_a_file_of_a_fold_that_was_killed_is_handed_over(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the database and was not removed; the next fold removes it, and it was handed over once."""
    subscription = _begun(paths)
    _write(paths)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", _does_nothing)
        fold(paths)
    _take_in(paths, subscription)
    assert len(waiting_files(paths)) == 1
    assert fold(paths).files == 0
    assert (waiting_files(paths), _sum(subscription)) == ([], 3)


def test_what_cannot_be_handed_over_stays(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes no more costs a subscriber nothing; the database counts it once."""
    subscription = _begun(paths)
    _write(paths)
    with monkeypatch.context() as patched:
        patched.setattr(subscribers, "_give", _fails)
        assert fold(paths).files == 1
        assert fold(paths).files == 0
    assert _sum(subscription) == 3


def test_a_file_system_without_links_has_copies(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed over is the same."""
    subscription = _begun(paths)
    _write(paths)
    monkeypatch.setattr(os, "link", _fails)
    fold(paths)
    assert (waiting_files(paths), _sum(subscription)) == ([], 3)


def test_what_was_taken_in_is_not_unread(paths: StorePaths) -> None:
    """Be it in the spool, in the subscriber's directory or gone."""
    subscription = _begun(paths)
    _write(paths)
    _take_in(paths, subscription)
    assert (_sum(subscription), subscription.unread().snapshots) == (3, {})
    fold(paths)
    assert (_sum(subscription), subscription.unread().snapshots) == (3, {})
    _write(paths)
    _take_in(paths, subscription)
    assert _sum(subscription) == 6


def test_nothing_is_left_of_what_was_taken_in(paths: StorePaths) -> None:
    """Neither the files nor their names grow in number."""
    subscription = _begun(paths)
    for _ in range(3):
        _write(paths)
        fold(paths)
        _take_in(paths, subscription)
    state = paths.exports / "sums" / "state"
    assert sorted(paths.exports.rglob("*")) == [state.parent, state]
    _take_in(paths, subscription)
    assert state.read_bytes() == b'{"format": 1, "taken": []}\n9'


def test_every_subscriber_has_everything(paths: StorePaths) -> None:
    """What one took in another has not."""
    first, second = _begun(paths, "first"), _begun(paths, "second")
    _write(paths)
    fold(paths)
    _take_in(paths, first)
    assert (_sum(first), _sum(second)) == (3, 3)


def test_a_state_that_could_not_be_written_is_the_last_one(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it should have had is unread."""
    subscription = _begun(paths)
    _write(paths)
    fold(paths)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", _fails)
        with pytest.raises(StoreError, match="could not be written: No space left on device"):
            _take_in(paths, subscription)
    assert _sum(subscription) == 3
    assert len(subscription.unread().snapshots) == 1


def test_too_many_files_are_dropped_and_counted(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber that nobody asks has bounds; the newest are left."""
    subscription = _begun(paths)
    _write(paths, minutes=0)
    monkeypatch.setattr(subscribers, "_MOST_BYTES", int(2.5 * waiting_files(paths)[0].stat().st_size))
    for minutes in range(1, 5):
        _write(paths, minutes=minutes)
        fold(paths)
    unread = subscription.unread()
    assert unread.dropped == 3
    assert [each.ended for each in unread.snapshots.values()] == [NOON + timedelta(minutes=m) for m in (3, 4)]


def test_what_is_much_comes_in_parts(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file once, oldest first, also where some are of no use; a new state has it begin again."""
    monkeypatch.setattr(subscriptions, "_MOST_AT_ONCE", 2)
    subscription = _begun(paths)
    for number in range(3):
        (paths.spool / f"{number}-broken.ndjson").write_bytes(b"{}\n")
    for minutes in range(5):
        _write(paths, minutes=minutes)
    parts: list[Unread] = []
    added = set[str]()
    while not parts or parts[-1].has_more:
        parts.append(subscription.unread(added, None))
        added.update(parts[-1].snapshots)
    found = [each.ended for part in parts for each in part.snapshots.values()]
    assert found == [NOON + timedelta(minutes=minutes) for minutes in range(5)]
    with elected(paths, 10.0):
        subscription.keep(b"3", sorted(added)[:1])
    assert len(subscription.unread(added, None).snapshots) == 2


def test_a_file_of_no_use_is_left_out(paths: StorePaths) -> None:
    """The fold sets it aside; the others are read."""
    subscription = _begun(paths)
    _write(paths)
    (paths.spool / "0-broken.ndjson").write_bytes(b"{}\n")
    assert _sum(subscription) == 3


def test_nobody_subscribes_by_reading(paths: StorePaths) -> None:
    """A store without subscribers is left as it is."""
    subscription = Subscription(paths, "sums")
    assert (subscription.is_begun, _sum(subscription)) == (False, 0)
    _write(paths)
    fold(paths)
    assert not paths.exports.exists()


def test_a_subscriber_may_leave(paths: StorePaths) -> None:
    """Nothing is kept for it any more, and it begins anew if it comes back."""
    subscription = _begun(paths)
    _write(paths)
    _take_in(paths, subscription)
    fold(paths)
    subscription.end()
    subscription.end()
    _write(paths)
    fold(paths)
    subscription.begin()
    assert (subscription.is_begun, _sum(subscription)) == (True, 0)


@pytest.mark.parametrize("content", [b"", b"nonsense", b'{"format": 1}\n', b'{"format": 2, "taken": []}\n'])
def test_what_is_no_state_is_an_error(paths: StorePaths, content: bytes) -> None:
    """It is named, with the remedy; nobody counts from zero in silence."""
    subscription = _begun(paths)
    (paths.exports / "sums" / "state").write_bytes(content)
    with pytest.raises(StoreError, match=r"exports/sums/state\S must"):
        subscription.unread()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["write", "fold", "take in", "take in, killed", "fold, killed"]), max_size=12))
def test_whatever_happens_each_file_counts_once(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """In any order of writing, folding, taking in and being killed the sum is that of what was written."""
    paths = StorePaths(tmp_path_factory.mktemp("store"))
    subscription, written = _begun(paths), 0
    for step in steps:
        with pytest.MonkeyPatch.context() as patched:
            if step == "write":
                _write(paths, 2)
                written += 2
            if step.endswith("killed"):
                patched.setattr(Path, "unlink", _does_nothing)
            if step.startswith("fold"):
                fold(paths)
            if step.startswith("take in"):
                _take_in(paths, subscription)
        assert _sum(subscription) == written
        assert _sum(Subscription(paths, "sums")) == written


def test_numbers_never_fall_while_others_write_fold_and_take_in(paths: StorePaths) -> None:
    """Two readers, a writer, and one that folds and takes in: everybody sees every number once, and none too late."""
    _begun(paths)
    context = multiprocessing.get_context("spawn")
    is_over = context.Event()
    work: list[Callable[..., None]] = [_folds_on, _reads_on, _reads_on]
    processes = [context.Process(target=each, args=(paths.root, is_over)) for each in work]
    for process in processes:
        process.start()
    for minutes in range(200):
        _write(paths, 1, minutes=minutes)
    is_over.set()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert _sum(Subscription(paths, "sums")) == 200


def _folds_on(root: Path, is_over: Event) -> None:
    paths = StorePaths(root)
    subscription = Subscription(paths, "sums")
    for _ in _until(is_over):
        fold(paths)
        _take_in(paths, subscription)


def _reads_on(root: Path, is_over: Event) -> None:
    subscription = Subscription(StorePaths(root), "sums")
    seen = 0
    for _ in _until(is_over):
        found = _sum(subscription)
        assert found >= seen
        seen = found
    assert seen == 200


def _until(is_over: Event) -> Iterator[None]:
    while not is_over.is_set():
        yield
    yield


def _fails(*_: object) -> None:
    raise OSError(28, "No space left on device")


def _does_nothing(*_: object, **__: object) -> None:
    pass
