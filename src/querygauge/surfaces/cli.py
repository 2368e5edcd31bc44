"""
The command line: reads a store or a log and prints, folds a store, runs an application or the demo.

Comes in: arguments; goes out: text, JSON or CSV on standard output, and an exit status: 0, or 2 with one line on
standard error. Deliberately not here: what a command shows, which is `rendering`, and how it is read, which is
`storage`. Heavy libraries are imported by the commands that need them, so that `--help` is quick.
"""

import json
import signal
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from querygauge import __version__
from querygauge.errors import QueryGaugeError
from querygauge.rendering.formats import counted, duration, number
from querygauge.rendering.ranking import ORDERS, ranked
from querygauge.rendering.tables import visible
from querygauge.settings import load_settings
from querygauge.surfaces import backup_command, mark_command
from querygauge.surfaces.alerts_command import alerts_app
from querygauge.surfaces.compare_command import compare
from querygauge.surfaces.console import log_to_stderr, page_width, show
from querygauge.surfaces.cost_command import cost
from querygauge.surfaces.doctor_command import doctor
from querygauge.surfaces.errors_command import errors
from querygauge.surfaces.metrics_command import metrics
from querygauge.surfaces.objectives_command import objectives
from querygauge.surfaces.options import Format, Scope, Service, Since, Store, store_paths
from querygauge.surfaces.quality_command import quality
from querygauge.surfaces.report_command import report
from querygauge.surfaces.similar_command import similar
from querygauge.surfaces.statement_log.choices import DIALECTS, INPUTS
from querygauge.surfaces.stats_command import stats
from querygauge.surfaces.status_command import status
from querygauge.surfaces.weekly_command import publish_store, weekly

if TYPE_CHECKING:
    from querygauge.collector import TickResult

__all__ = ["app", "main"]

_FAILED: Final = 2
_BY_SIGNAL: Final = 128  # a shell's exit status for a signal is this and its number
_ORDERS: Final = ", ".join(ORDERS)

app = typer.Typer(
    name="querygauge",
    help="Which SQL your application sends, how often, how slow and from where.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
patterns_app = typer.Typer(help="Single queries: their text, statistics and history.", no_args_is_help=True)
app.add_typer(patterns_app, name="patterns")
store_app = typer.Typer(help="The store itself: what it keeps.", no_args_is_help=True)
app.add_typer(store_app, name="store")
app.add_typer(alerts_app, name="alerts")
app.command()(compare)
app.command()(cost)
app.command()(errors)
app.command()(metrics)
app.command()(objectives)
app.command()(quality)
app.command()(report)
app.command()(similar)
app.command()(stats)
app.command()(status)
app.command()(weekly)
app.command()(doctor)


def main() -> None:
    """Runs the command line; an error of ours is one line and exit status 2."""
    log_to_stderr()
    try:
        app()
    except QueryGaugeError as error:
        typer.echo(f"querygauge: {visible(str(error))}", err=True)
        sys.exit(_FAILED)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"querygauge {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # its callback does the work
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def top(
    store: Store = None,
    interval: Annotated[float, typer.Option(help="Seconds between two pictures.", min=0.2)] = 2.0,
    window: Since = "5m",
    service: Service = None,
    order_by: Annotated[str, typer.Option(help=f"Order of the queries: {_ORDERS}.")] = "total_duration",
    limit: Annotated[int, typer.Option(help="Queries at most; a small terminal shows fewer.", min=1)] = 20,
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end; so does a pipe.")] = False,
) -> None:
    """Watch the queries of the last minutes, refreshed until Ctrl-C."""
    from rich.console import Console

    from querygauge.surfaces.top import View, watch

    view = View(store_paths(store), window, service, order_by, limit)
    with suppress(KeyboardInterrupt):
        watch(view, Console(), interval_s=interval, once=once)


@patterns_app.command("list")
def list_patterns(
    store: Store = None,
    since: Since = "24h",
    service: Service = None,
    scope: Scope = None,
    order_by: Annotated[str, typer.Option(help=f"Order of the queries: {_ORDERS}.")] = "total_duration",
    limit: Annotated[int, typer.Option(help="Queries at most.", min=1)] = 50,
) -> None:
    """List queries with their ids, transaction control and the like included."""
    from querygauge.rendering.pattern_page import render_patterns
    from querygauge.surfaces.stored import read_report

    data = read_report(store_paths(store), since, service, scope)
    show(render_patterns(ranked(data.stats, order_by), limit=limit, width=page_width()))


@patterns_app.command("show")
def show_pattern(
    pattern_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the query, or the beginning of it.")],
    store: Store = None,
    since: Since = "24h",
) -> None:
    """Show one query: its whole text, tables, statistics, hours and slow executions."""
    from querygauge.rendering.pattern_page import render_pattern
    from querygauge.surfaces.stored import read_pattern

    show(render_pattern(read_pattern(store_paths(store), pattern_id, since), width=page_width()))


patterns_app.command("mark")(mark_command.mark_pattern)
patterns_app.command("unmark")(mark_command.unmark_pattern)
patterns_app.command("marks")(mark_command.marked_patterns)


@app.command()
def normalize(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="SQL or logs, also gzipped; - or none is standard input.", show_default=False),
    ] = None,
    dialect: Annotated[
        str | None,
        typer.Option(
            help=f"{' | '.join(DIALECTS)}; by default what a log implies, unknown for SQL.",
            show_default=False,
        ),
    ] = None,
    input: Annotated[  # noqa: A002  # the option's name
        str, typer.Option(help=f"What the files are: {' | '.join(INPUTS)}.")
    ] = "auto",
    order_by: Annotated[
        str | None,
        typer.Option(help=f"Order: {_ORDERS}; by default by total time where it is known.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        # The name is short so that, on a page of 80 columns, the longest of the dialects fits into the column of help.
        typer.Option(help="Patterns at most; 20 of them as text.", min=1, metavar="<int>", show_default=False),
    ] = None,
    keep_numbered_names: Annotated[
        bool, typer.Option("--keep-numbered-names", help="Keep names apart that differ by a number: events_2024_01.")
    ] = False,
    format: Annotated[Format, typer.Option(help="How to write it; csv is one row per pattern.")] = Format.text,  # noqa: A002  # the option's name
) -> None:
    """Print the patterns of SQL files and server logs, with counts and times."""
    from querygauge.rendering.normalized import render_normalized
    from querygauge.rendering.normalized_data import normalized_to_csv, normalized_to_dict
    from querygauge.surfaces.normalize import read_statements

    ranked((), order_by or ORDERS[0])  # before hours are spent on reading
    data = read_statements(
        files or [], dialect=dialect, input_format=input, fold_numbered_names=not keep_numbered_names
    )
    if format is Format.json:
        typer.echo(json.dumps(normalized_to_dict(data, order_by=order_by, limit=limit), indent=2))
    elif format is Format.csv:
        typer.echo(normalized_to_csv(data.ranked(order_by, limit)), nl=False)
    else:
        show(render_normalized(data, order_by=order_by, limit=limit or 20, width=page_width()))


@app.command()
def collect(
    store: Store = None,
    once: Annotated[bool, typer.Option("--once", help="Fold what waits now, and end.")] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve /metrics to Prometheus at this port, such as 9464.", min=0, max=65_535),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address at which that is served.")] = "127.0.0.1",
) -> None:
    """Fold what applications flushed into the store, until SIGTERM or Ctrl-C."""
    from querygauge import collector
    from querygauge.surfaces.metrics_server import serving
    from querygauge.ticks import limits_of

    limits = limits_of(load_settings({}))
    stop = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stop.set())
    paths = store_paths(store)
    with serving(paths, metrics_host, None if once else metrics_port):
        if not once:
            typer.echo(f"folding what applications flush into {paths.name}; SIGTERM or Ctrl-C ends it")
        collector.run(
            paths.root, limits, remote=paths.remote, once=once, stop=stop, on_tick=_print_tick if once else _print_work
        )


@store_app.command()
def prune(
    store: Store = None,
    archive: Annotated[
        bool, typer.Option("--archive", help="Write statistics by hour to a Parquet file before they go.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Drop now what is older than the settings say; the collector does it once a day."""
    from querygauge.surfaces.prune_command import run_prune
    from querygauge.ticks import limits_of

    limits = limits_of(load_settings({"archive": True} if archive else {}))
    run_prune(store_paths(store), limits, as_json=as_json)


store_app.command("backup")(backup_command.backup)
store_app.command("verify")(backup_command.verify_backup)
store_app.command("restore")(backup_command.restore_backup)
store_app.command("publish")(publish_store)


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    program: Annotated[
        list[str],
        typer.Argument(
            metavar="PROGRAM [ARGUMENTS]...", help="A Python file, or a command on PATH that is one, such as gunicorn."
        ),
    ],
    module: Annotated[bool, typer.Option("--module", "-m", help="PROGRAM is a module, as in python -m.")] = False,
    store: Store = None,
    service: Annotated[
        str | None, typer.Option(help="Name of the application; by default the program's.", show_default=False)
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated.", show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not say at the end what was seen.")] = False,
) -> None:
    """Run an application as it is, with every engine, pool and connection it makes measured."""
    from querygauge.surfaces.run_command import run_program

    named = {"store": store, "service": service}
    assignments = [*(setting or []), *(f"{name}={value}" for name, value in named.items() if value is not None)]
    run_program(program, is_module=module, assignments=assignments, is_quiet=quiet)


@app.command()
def demo(
    database: Annotated[
        str | None,
        typer.Option(
            help="SQLAlchemy URL of a PostgreSQL or MySQL database; by default a temporary SQLite file.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="Trials of the study.", min=1)] = 40,
    store: Annotated[
        Path | None,
        typer.Option(help="Directory of the store; by default a new temporary one.", show_default=False),
    ] = None,
) -> None:
    """Run an Optuna study with its database watched, and print the report."""
    from querygauge.surfaces.demo_command import run_demo

    # So that a demo that is terminated, or whose terminal is closed, removes its tables too.
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda number, _: sys.exit(_BY_SIGNAL + number))
    run_demo(database=database, trials=trials, store=store)


def _print_tick(result: "TickResult") -> None:
    folded = result.folded
    if folded.is_busy:
        typer.echo("somebody else is folding; what waits is folded at the next tick")
    elif not folded.files and not folded.rejected:
        typer.echo("nothing waits")
    else:
        aside = f", {number(len(folded.rejected))} set aside" if folded.rejected else ""
        counts = f"{counted(folded.files, 'snapshot')}, {counted(folded.rows, 'row')}"
        typer.echo(f"{datetime.now(UTC):%H:%M:%S} UTC  folded {counts} in {duration(result.duration_ms)}{aside}")


def _print_work(result: "TickResult") -> None:
    """Prints a tick of the loop; those that found nothing to do are not worth a line."""
    if result.folded.files or result.folded.rejected:
        _print_tick(result)
