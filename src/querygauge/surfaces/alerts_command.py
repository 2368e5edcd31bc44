"""`querygauge alerts`: what is wrong and what was, and what nobody wants to be told."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from querygauge.errors import SettingsError
from querygauge.surfaces.answered import AnswerFormat, print_answer
from querygauge.surfaces.moments import moment_of
from querygauge.surfaces.options import Format, Service, Store, store_paths

if TYPE_CHECKING:
    from querygauge.alerts.overrides import Override
    from querygauge.alerts.routes import Route
    from querygauge.values.objectives import Objective

__all__ = ["alerts_app"]

_FAILED: Final = 2

alerts_app = typer.Typer(help="What is wrong, what was, and who is told.", no_args_is_help=True)

_Limit = Annotated[int, typer.Option(help="Alerts at most.", min=1)]


@alerts_app.command("list")
def list_alerts(
    store: Store = None, service: Service = None, limit: _Limit = 20, form: AnswerFormat = Format.text
) -> None:
    """List what is wrong now."""
    _show(store, None, service, limit, form, "nothing is wrong; querygauge alerts history tells what was")


@alerts_app.command()
def history(
    store: Store = None,
    span: Annotated[
        str, typer.Option("--range", help="As 24h, 7d or 30d, or two moments: 2026-01-05/2026-01-12.")
    ] = "7d",
    service: Service = None,
    limit: _Limit = 20,
    form: AnswerFormat = Format.text,
) -> None:
    """List what was wrong, and what still is."""
    _show(store, span, service, limit, form, f"nothing was wrong in {span}")


@alerts_app.command()
def silence(
    until: Annotated[str, typer.Option(help="A day, a moment, or a length from now: 2026-12-31, 2h.")],
    rule: Annotated[
        str | None, typer.Option(help="Name of a rule, * standing for any part of it.", show_default=False)
    ] = None,
    service: Annotated[str | None, typer.Option(help="Name of a service, likewise.", show_default=False)] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Id of a pattern, name of a pool or objective, likewise.", show_default=False),
    ] = None,
    note: Annotated[str | None, typer.Option(help="Why, for those who look for it.", show_default=False)] = None,
    store: Store = None,
) -> None:
    """Have nobody told for a while; what lasts longer is told then. Without a choice it is everything."""
    from querygauge.alerts.rules import check_is_rule
    from querygauge.storage.opening import open_store

    if rule is not None:
        check_is_rule("rule", rule)
    moment = moment_of(until, datetime.now(UTC))
    made = open_store(store_paths(store)).silence(moment, rule=rule, service=service, subject=subject, note=note)
    typer.echo(f"silenced until {made.until:%Y-%m-%d %H:%M} UTC; querygauge alerts unsilence {made.id} takes it back")


@alerts_app.command()
def unsilence(
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the silence.")], store: Store = None
) -> None:
    """End a silence."""
    from querygauge.storage.opening import open_store

    open_store(store_paths(store)).unsilence(silence_id)


@alerts_app.command()
def silences(store: Store = None, form: AnswerFormat = Format.text) -> None:
    """List the silences that are in force."""
    from querygauge.alerts.listing import SILENCE_COLUMNS, render_silences, silence_rows
    from querygauge.storage.opening import open_store

    answer = open_store(store_paths(store)).alerts()
    print_answer(
        answer, form, lambda width: render_silences(answer, width=width), SILENCE_COLUMNS, silence_rows(answer)
    )


@alerts_app.command()
def check() -> None:
    """Say which settings of alerts are in force here, and which line of them is wrong."""
    from querygauge.alerts.configuration import checked_channel, load_alert_settings
    from querygauge.alerts.thresholds import NUMBERS, Thresholds

    settings = load_alert_settings(Path.cwd())
    usual = Thresholds()
    typer.echo(f"read from {settings.path}" if settings.path else "nothing is set here; all is as by default")
    if not settings.enabled:
        typer.echo("alerts are switched off")
    typer.echo(f"repeated after {settings.repeat_hours:g} hours")
    if any(route.reports for route in settings.routes):
        typer.echo(f"reports come {settings.schedule}")
    for route in settings.routes:
        checked_channel(settings, route)
        typer.echo(f"channel {route.name}: {route.kind}, {route.severity} and worse, {_told(route)}")
    for name in NUMBERS:
        value, default = getattr(settings.thresholds, name), getattr(usual, name)
        typer.echo(f"{name:<26}{value:>10g}" + (f"  by default {default:g}" if value != default else ""))
    for override in settings.thresholds.overrides:
        typer.echo(_overriding(override))
    for objective in settings.objectives:
        typer.echo(f"objective {objective.name}: {_attaining(objective)}")


@alerts_app.command("test")
def send_test(
    channel: Annotated[
        str | None, typer.Option(help="Only this one, by its name; by default all of them.", show_default=False)
    ] = None,
) -> None:
    """Send a message that is marked as a test; the exit status is 2 if one did not arrive."""
    from querygauge.alerts.configuration import load_alert_settings
    from querygauge.alerts.delivery import send_all
    from querygauge.values.alerts import AlertMessage

    routes = {route.name: route for route in load_alert_settings(Path.cwd()).routes}
    if channel is not None and channel not in routes:
        raise SettingsError(f"there is no channel {channel!r}; the settings here have {', '.join(routes)}")
    names = list(routes) if channel is None else [channel]
    message = AlertMessage(os.urandom(8).hex(), datetime.now(UTC), is_test=True)
    outcomes = send_all([(name, message) for name in names], routes)
    for name, outcome in zip(names, outcomes, strict=True):
        typer.echo(f"{name}: {outcome.error or 'arrived'}")
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(_FAILED)


def _told(route: "Route") -> str:
    """What of all alerts goes there."""
    rules = "all rules" if route.rules == ("*",) else f"rules {', '.join(route.rules) or 'none'}"
    services = "all services" if route.services == ("*",) else f"services {', '.join(route.services)}"
    tags = "" if route.tags == ("*",) else f", tags {', '.join(route.tags)}"
    reports = f", and {' and '.join(route.reports)} reports" if route.reports else ""
    return f"{rules}, {services}{tags}, at most {route.max_messages} messages in ten minutes{reports}"


def _overriding(override: "Override") -> str:
    """What it is about, and what is in force there."""
    chosen = {"pattern": f"{override.pattern}…" if override.pattern else "", "service": override.service}
    chosen |= {"target": override.target, "scope": override.scope or ""}
    about = ", ".join(f"{name} {value}" for name, value in chosen.items() if value not in {"", "*"})
    numbers = {"slow_query_ms": override.slow_query_ms, "p95_ms": override.p95_ms}
    told = ", ".join(f"{name} {value:g}" for name, value in numbers.items() if value is not None)
    return f"override for {about or 'everything'}: {told}"


def _attaining(objective: "Objective") -> str:
    """What it is about, and what is to be attained."""
    pattern = f"pattern {objective.pattern}…" if objective.pattern else ""
    about = [objective.service, f"scope {objective.scope}" if objective.scope else "", pattern]
    aim = f"p95_ms {objective.p95_ms:g}" if objective.p95_ms else f"success_percent {objective.success_percent:.12g}"
    return f"{', '.join(filter(None, about))}: {aim}"


def _show(store: str | None, span: str | None, service: str | None, limit: int, form: Format, nothing: str) -> None:
    from querygauge.alerts.listing import ALERT_COLUMNS, alert_rows, render_alerts
    from querygauge.alerts.trends import STEP, with_trends
    from querygauge.storage.opening import open_store
    from querygauge.storage.series import read_series

    now = datetime.now(UTC)
    opened = open_store(store_paths(store))
    answer = opened.alerts(span, service=service)
    if span is None:
        answer = replace(answer, alerts=with_trends(answer.alerts, now, partial(read_series, opened.paths, STEP)))
    print_answer(
        answer,
        form,
        lambda width: render_alerts(answer, now=now, limit=limit, width=width, nothing=nothing),
        ALERT_COLUMNS,
        alert_rows(answer, now),
    )
