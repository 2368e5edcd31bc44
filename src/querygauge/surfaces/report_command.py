"""`querygauge report`: what queries cost, for whoever asks now, or as it is sent by the day or week."""

import json
from enum import StrEnum
from typing import Annotated, Final

import typer

from querygauge.errors import SettingsError
from querygauge.rendering.ranking import ORDERS, ranked
from querygauge.rendering.report import render_report, report_to_csv, report_to_dict
from querygauge.surfaces.console import page_width, show
from querygauge.surfaces.options import Scope, Service, Since, Store, store_paths
from querygauge.surfaces.program import command_line

__all__ = ["report"]

_ORDERS: Final = ", ".join(ORDERS)
_LIMIT: Final = 5
_FAILED: Final = 2


class _Form(StrEnum):
    """How a report is written."""

    text = "text"
    json = "json"
    csv = "csv"
    html = "html"


def report(
    store: Store = None,
    since: Since = "24h",
    service: Service = None,
    scope: Scope = None,
    order_by: Annotated[
        str | None,
        typer.Option(help=f"One ranking in this order instead of three: {_ORDERS}.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="Entries of each list; by default 5, in what is sent 10.", min=1, show_default=False),
    ] = None,
    daily: Annotated[bool, typer.Option("--daily", help="As it is sent: yesterday beside the week before.")] = False,
    weekly: Annotated[bool, typer.Option("--weekly", help="The same of the last seven days that are over.")] = False,
    send: Annotated[
        str | None,
        typer.Option(help="Send it to a channel of the settings, by its name.", metavar="CHANNEL", show_default=False),
    ] = None,
    form: Annotated[
        _Form, typer.Option("--format", help="How to write it; csv is one row per query, html as it is sent.")
    ] = _Form.text,
) -> None:
    """Print which queries cost most, which repeat, and what to change."""
    if daily or weekly or send is not None or form is _Form.html:
        if scope is not None or order_by is not None or (daily and weekly) or form is _Form.csv:
            raise SettingsError(
                "a report as it is sent is of one span and everything in it; leave out --scope, --order-by, "
                "--format csv, and one of --daily and --weekly"
            )
        _as_sent(store, None if daily or weekly else since, service, limit, form, send, is_weekly=weekly)
        return
    _now(store, since, service, scope, order_by, limit or _LIMIT, form)


def _now(
    store: str | None,
    since: str,
    service: str | None,
    scope: str | None,
    order_by: str | None,
    limit: int,
    form: _Form,
) -> None:
    from querygauge.surfaces.stored import read_report

    data = read_report(store_paths(store), since, service, scope)
    if form is _Form.json:
        typer.echo(json.dumps(report_to_dict(data, order_by=order_by or "total_duration"), indent=2))
    elif form is _Form.csv:
        typer.echo(report_to_csv(ranked(data.stats, order_by or "total_duration")), nl=False)
    else:
        show_command = command_line("patterns show ID", store)
        show(render_report(data, limit=limit, order_by=order_by, width=page_width(), show_command=show_command))


def _as_sent(
    store: str | None,
    since: str | None,
    service: str | None,
    limit: int | None,
    form: _Form,
    send: str | None,
    *,
    is_weekly: bool,
) -> None:
    from datetime import UTC, datetime
    from pathlib import Path

    from querygauge.alerts.configuration import load_alert_settings
    from querygauge.alerts.schedule import span_back
    from querygauge.rendering.answers.performance_html import render_performance_html
    from querygauge.rendering.answers.performance_report import render_performance_report
    from querygauge.reporting import limits_in, send_reports, span_until
    from querygauge.storage.opening import open_store
    from querygauge.storage.ranges import parse_range

    settings, now = load_alert_settings(Path.cwd()), datetime.now(UTC)
    if since is not None:
        span = span_until(now, parse_range(since))
    else:
        span = span_back(settings.schedule, "weekly" if is_weekly else "daily", now)
    routes = {route.name: route for route in settings.routes}
    if send is not None and send not in routes:
        raise SettingsError(f"there is no channel {send!r}; the settings here have {', '.join(routes)}")
    opened, limits = open_store(store_paths(store)), limits_in(settings, limit)
    opened.check(service)
    if send is not None:
        outcomes = send_reports(opened.paths, routes[send], span, service, limits, now)
        for told, fault in outcomes:
            typer.echo(f"{send}: {told}: {fault or 'arrived'}")
        if any(fault for _, fault in outcomes):
            raise typer.Exit(_FAILED)
        return
    made = opened.performance_report(span, service=service, limits=limits)
    if form is _Form.json:
        typer.echo(json.dumps(made.to_dict(), indent=2))
    elif form is _Form.html:
        typer.echo(render_performance_html(made), nl=False)
    else:
        show(render_performance_report(made, width=page_width()))
