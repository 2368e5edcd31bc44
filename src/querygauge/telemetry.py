"""
What a tick does about OpenTelemetry: it adds up what processes did, and has it sent.

What is to be sent is kept first, sent by a thread without the store, and noted when that is over; meanwhile the tick
goes on. Nothing here holds up a fold, and nothing needs the database. What could not be sent the next tick sends. What
was sent and could not be noted is sent again: totals do not mind, and deltas are those of before, with the same times.

Deliberately not here: what is added up, how it is told, and where it goes to. While it is off, this loads nothing.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from querygauge.errors import MissingExtraError, SettingsError, StoreError
from querygauge.logs import get_logger
from querygauge.storage.limits import Limits
from querygauge.storage.locking import FileLock
from querygauge.storage.paths import StorePaths

if TYPE_CHECKING:
    from querygauge.export.accumulation import Accumulation
    from querygauge.export.opentelemetry_exporter import Sender

__all__ = ["SUBSCRIBER", "begin_telemetry", "telemetry"]

log = get_logger(__name__)

SUBSCRIBER: Final = "opentelemetry"
"""The directory of what is to be sent, in that of the exports."""

_LONGEST_S: Final = 35.0  # a little more than sending takes
_LOCK_TIMEOUT_S: Final = 10.0
_US_PER_S: Final = 1e6


def begin_telemetry(paths: StorePaths, limits: Limits) -> None:
    """Sees to it that what is folded next is kept to be sent."""
    if limits.opentelemetry == "off":
        return
    from querygauge.storage.subscriptions import Subscription

    try:
        Subscription(paths, SUBSCRIBER).begin()
    except StoreError as error:
        log.warning("telemetry_not_begun", store=paths.name, error=str(error))


@contextmanager
def telemetry(paths: StorePaths, limits: Limits) -> Iterator[None]:
    """Sends while the block runs, if there is anything to send."""
    sending = None if limits.opentelemetry == "off" else _begun(paths, limits)
    try:
        yield
    finally:
        if sending is not None:
            sending.end()


def _begun(paths: StorePaths, limits: Limits) -> "_Sending | None":
    """Takes in what is new, and begins to send; None if there is nothing to send, or somebody sends."""
    # Only files of this machine are concerned, for which other machines have no turn.
    telemetry_of = _Telemetry(StorePaths(paths.root), limits)
    try:
        return telemetry_of.begin()
    except (MissingExtraError, SettingsError, StoreError) as error:
        telemetry_of.note_failure(str(error))
    except Exception:  # a mistake in this must keep nothing else from being done
        log.exception("telemetry_not_sent", store=paths.name)
    return None


class _Telemetry:
    """What is to be sent of one store."""

    def __init__(self, paths: StorePaths, limits: Limits) -> None:
        from querygauge.storage.subscribers import failing_path
        from querygauge.storage.subscriptions import Subscription

        self._paths = paths
        self._limits = limits
        self._subscription = Subscription(paths, SUBSCRIBER)
        folder = paths.exports / SUBSCRIBER
        self._lock = FileLock(folder / "sending.lock")
        self._failing = failing_path(folder)

    def begin(self) -> "_Sending | None":
        """
        As `_begun`.

        Raises:
            MissingExtraError: If a library is not installed.
            SettingsError: If a variable of OpenTelemetry's is wrong.
            StoreError: If the files cannot be read or written.
        """
        from querygauge.export.opentelemetry_exporter import Sender, exporter_of

        kind = self._limits.opentelemetry
        if kind == "off" or not self._subscription.is_begun:
            return None
        sender = Sender(exporter_of(kind))
        try:
            may_send = self._lock.acquire()
        except OSError as error:
            raise StoreError(f"{str(self._paths.exports)!r} could not be locked: {error.strerror or error}") from error
        batch = self._taken_in(is_delta=sender.is_delta, takes_out=may_send)
        if may_send and batch:
            return _Sending(self, sender, batch, is_explicit=self._limits.histograms == "explicit")
        self._lock.release()
        return None

    def _taken_in(self, *, is_delta: bool, takes_out: bool) -> "tuple[Accumulation, ...]":
        """Adds what is new to what is kept; what is to be sent now."""
        from querygauge.export.backlog import Backlog
        from querygauge.storage.election import elected

        with elected(self._paths, 0.0) as is_elected:
            if not is_elected:
                return ()
            unread = self._subscription.unread()
            try:
                backlog = Backlog.of(unread.state, is_delta=is_delta)
            except ValueError as error:
                raise StoreError(f"{error}; remove {str(self._paths.exports / SUBSCRIBER)!r} to begin anew") from error
            taken = set[str]()
            while True:
                backlog = backlog.with_snapshots(unread.snapshots.values(), self._limits.series)
                taken.update(unread.snapshots)
                if not unread.has_more:
                    break
                unread = self._subscription.unread(taken, unread.state)
            before, backlog = backlog.dropped, backlog.without_gone(round(time.time() * _US_PER_S))
            if backlog.dropped > before:
                log.warning("telemetry_dropped", store=self._paths.name, processes=backlog.dropped - before)
            backlog, batch = backlog.ready() if takes_out else (backlog, ())
            self._subscription.keep(backlog.kept(), taken)
        return batch

    def note_sent(self, sender: "Sender") -> None:
        """Writes down what was delivered, and lets others send."""
        from querygauge.export.backlog import Backlog
        from querygauge.storage.election import elected

        try:
            with elected(self._paths, _LOCK_TIMEOUT_S) as is_elected:
                if is_elected and sender.delivered:
                    state = self._subscription.unread().state
                    backlog = Backlog.of(state, is_delta=sender.is_delta).delivered(sender.delivered)
                    self._subscription.keep(backlog.kept(), ())
        except (StoreError, ValueError) as error:
            log.warning("telemetry_not_noted", store=self._paths.name, error=str(error), effect="it is sent again")
        finally:
            self.let_others_send()
        if sender.error is None:
            self._note_success()
        else:
            self.note_failure(sender.error)

    def let_others_send(self) -> None:
        """Ends the time in which nobody else does."""
        self._lock.release()

    def note_failure(self, error: str) -> None:
        """Says that it fails, once for each reason."""
        from querygauge.export.endpoint import shown_endpoint

        kind = self._limits.opentelemetry
        endpoint = "nowhere" if kind == "off" else shown_endpoint(kind)
        said = f"{endpoint}: {error}"
        with suppress(OSError, ValueError):
            if self._failing.read_text(encoding="utf-8") == said:
                return
        with suppress(OSError):
            self._failing.write_text(said, encoding="utf-8")
        log.warning("telemetry_not_sent", store=self._paths.name, endpoint=endpoint, error=error)

    def _note_success(self) -> None:
        try:
            self._failing.unlink()
        except OSError:
            return  # it did not fail before
        log.info("telemetry_sent_again", store=self._paths.name)


class _Sending:
    """What is on its way, in a thread that touches nothing but the network."""

    def __init__(
        self, telemetry_of: _Telemetry, sender: "Sender", batch: "tuple[Accumulation, ...]", *, is_explicit: bool
    ) -> None:
        self._telemetry = telemetry_of
        self._sender = sender
        self._batch = batch
        self._is_explicit = is_explicit
        self._is_over = self._is_given_up = False
        self._deciding = threading.Lock()
        self._thread = threading.Thread(target=self._send, name="querygauge-telemetry", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        self._sender.send(self._batch, is_explicit=self._is_explicit)
        with self._deciding:
            self._is_over = True
            if self._is_given_up:
                self._telemetry.let_others_send()

    def end(self) -> None:
        """Waits until it is over, but not for ever, and writes down what became of it."""
        self._thread.join(_LONGEST_S)
        with self._deciding:
            self._is_given_up = not self._is_over
        if self._is_given_up:
            # Nobody knows what will become of it; whoever sends next, when it is over, sends the same.
            self._telemetry.note_failure("gave no answer in time")
        else:
            self._telemetry.note_sent(self._sender)
