"""`querygauge store publish` and `querygauge weekly`: files for everybody, and the report of a week in one of them."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from querygauge.errors import StoreError
from querygauge.rendering.formats import counted, number
from querygauge.settings import load_settings
from querygauge.storage.paths import StorePaths
from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.options import Format, Store, store_paths
from querygauge.surfaces.progress import progress

if TYPE_CHECKING:
    from querygauge.storage.publishing.publish import Published

__all__ = ["publish_store", "weekly"]

# Between two parts, others may change the store.
_FILES_AT_ONCE: Final = 20
_LOCK_TIMEOUT_S: Final = 10.0


def publish_store(
    store: Store = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write now what anybody may read: days and weeks as Parquet files; the collector does it every five minutes."""
    from querygauge.storage.opening import open_store

    paths = open_store(store_paths(store)).paths
    written = _publish(paths)
    if as_json:
        typer.echo(json.dumps({"days": written.days, "weeks": written.weeks, "removed": written.removed}, indent=1))
    elif written.days or written.weeks or written.removed:
        removed = f", removed {number(written.removed)} that are too old" if written.removed else ""
        wrote = f"{counted(written.days, 'day')} and {counted(written.weeks, 'week')}"
        typer.echo(f"wrote {wrote}{removed}: {paths.published}")
    else:
        typer.echo(f"nothing has changed since: {paths.published}")


def weekly(
    week: Annotated[
        str | None,
        typer.Argument(
            help="Such as 202653, 2026-W53, or a day of it; by default the last one that is over, else this one.",
            show_default=False,
        ),
    ] = None,
    store: Store = None,
    limit: Annotated[int, typer.Option(help="Patterns of each list.", min=1)] = 20,
    form: AnswerFormat = Format.text,
) -> None:
    """Print the report of a week, beside the week before."""
    from querygauge.rendering.answers.weekly import WEEKLY_COLUMNS, render_weekly, weekly_rows
    from querygauge.storage.opening import open_store
    from querygauge.storage.publishing.reading import monday_named, weekly_report

    monday = None if week is None else monday_named(week)
    paths = open_store(store_paths(store)).paths
    try:
        _publish(paths)
    except StoreError as error:
        if not paths.published_weeks.is_dir():
            raise
        typer.echo(f"querygauge: {error}; what was published before is shown", err=True)
    answer = weekly_report(paths, monday, datetime.now(UTC))
    print_answer(
        answer,
        form,
        lambda width: render_weekly(answer, limit=limit, width=width),
        WEEKLY_COLUMNS,
        weekly_rows(answer),
    )


def _publish(paths: StorePaths) -> "Published":
    from querygauge.storage.publishing.publish import Published, publish
    from querygauge.ticks import limits_of

    limits = limits_of(load_settings({}))
    done = Published(waiting=1)
    with progress() as tell:

        def tell_file(title: str, before: int, files: int) -> None:
            tell(title, written + before, written + files)

        while done.waiting:
            written = done.days + done.weeks
            part = publish(
                paths,
                limits,
                datetime.now(UTC),
                most=_FILES_AT_ONCE,
                lock_timeout_s=_LOCK_TIMEOUT_S,
                on_file=tell_file,
            )
            if part.is_busy:
                raise StoreError(f"store {str(paths.root)!r} is being changed by somebody else; try again in a moment")
            done = Published(done.days + part.days, done.weeks + part.weeks, done.removed + part.removed, part.waiting)
    return done
