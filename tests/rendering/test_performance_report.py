"""A performance report as text and as a page of HTML."""

from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querygauge.rendering.answers.performance_html import render_performance_html
from querygauge.rendering.answers.performance_report import render_performance_report
from querygauge.rendering.answers.report_sections import charts, commands, headline, notes, sections, summary
from querygauge.rendering.tables import text_width, visible
from report_cases import DAY, EMPTY_REPORT, REPORT, long_report

VOID = {"meta", "br"}
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=y> & \"quoted\" 'too'"


TEXT = """\
DAILY PERFORMANCE REPORT: WEDNESDAY 2026-03-04

100 queries; 95 % took up to 300 ms; 10.0 % failed. Patterns: 1 slower than the week before, 1 new,
1 slow, 1 repeated; 1 pool suffered; 3 alerts began.
All services, Wednesday 2026-03-04, UTC; compared with Wednesday 2026-02-25.
Transaction control, session settings and catalog reads are left out.

TOGETHER
                       Now  Week before    Change
  Queries              100          100    +0.0 %
  Database time     12.5 s       5.00 s  +150.0 %
  P50              20.0 ms      20.0 ms    +0.0 %
  P95               300 ms       150 ms  +100.0 %
  P99               900 ms         0 ms
  Slow executions        7            0
  Failed                10            0

  Queries per 1 h    ·▁▁▂▂▂▃▃▃▄▄▄▅▅▅▆▆▆▇▇▇███  0 to 230
  P95 per 1 h        ·▇▇▇▇▇▇▇████████████████  101 ms to 123 ms
  Failed per 1 h     ·▄█·▄█·▄█·▄█·▄█·▄█·▄█·▄█  0 to 2

SLOWER THAN THE WEEK BEFORE, BY MORE THAN CHANCE
                           Total   Share  Executions      P50     P95     P99  Before    Change
  00c0ffee SELECT orders  12.5 s  40.0 %         100  20.0 ms  300 ms  900 ms  150 ms  +100.0 %
     worse    p95, errors
     p95      ·▄█ 150 ms to 300 ms
     in       blog, shop
     from     shop/orders.py:31 in latest
     sql      SELECT id, total FROM orders WHERE customer_id = ? AND note <> ? & 1

NEW: NEVER EXECUTED BEFORE
                            Total   Share  Executions      P50     P95     P99  Before  Change
  5ca1ab1e SELECT coupons  12.5 s  40.0 %         100  20.0 ms  300 ms  900 ms             new
     p95      ·▄█ 150 ms to 300 ms
     in       blog, shop
     from     shop/orders.py:31 in latest
     sql      SELECT id, total FROM orders WHERE customer_id = ? AND note <> ? & 1

SLOW: 95TH PERCENTILE OVER 100 MS
                           Total   Share  Executions      P50     P95     P99  Before    Change
  00c0ffee SELECT orders  12.5 s  40.0 %         100  20.0 ms  300 ms  900 ms  150 ms  +100.0 %

MOST TIME
                            Total   Share  Executions      P50     P95     P99  Before    Change
  00c0ffee SELECT orders   12.5 s  40.0 %         100  20.0 ms  300 ms  900 ms  150 ms  +100.0 %
  5ca1ab1e SELECT coupons  12.5 s  40.0 %         100  20.0 ms  300 ms  900 ms               new

REPEATED: THE SAME QUERY FROM ONE LINE
                          Total  Executions        In  Most in one
  de69f705 SELECT users  150 ms         120  12 units           11
     within   GET /orders
     from     shop/users.py:28 in find
     fix      load them with their parents: selectinload(Order.user) (certain)

POOLS THAT SUFFERED
                   Requests  Timeouts  Errors  P95 wait   Before  Peak  Limit
  primary of shop     4,800         3       0    365 ms  10.0 ms    15     15
     besides  1 connection leaked; 2 connections lost as a statement was cancelled; used up, with up
              to 4 callers waiting

HOW QUERIES FAILED
                         Times   Code
  bc47d4e3 UPDATE stock     24  40P01
     error    DeadlockDetected: deadlock detected

ALERTS THAT BEGAN
                Times
  slow_pattern      2
  pool_timeout      1

LOOK FURTHER
  querygauge patterns show ID
  querygauge compare --after 2026-03-04T00:00/2026-03-05T00:00 --before 2026-02-25T00:00/2026-02-26T00:00
  querygauge errors --range 2026-03-04T00:00/2026-03-05T00:00
  querygauge alerts history --range 2026-03-04T00:00/2026-03-05T00:00"""


class Page(HTMLParser):
    """Reads a page, and notes whether every element is closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens an element."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Closes the last one."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keeps what is read."""
        self.words.append(data)


def test_the_text() -> None:
    """What changed first, numbers beside the week before, charts, lines, and how to look further."""
    assert render_performance_report(REPORT, width=100) == TEXT


def test_the_page_has_what_the_text_has() -> None:
    """Every name, number and detail."""
    words = " ".join(Page(render_performance_html(REPORT)).words)
    for section in sections(REPORT):
        assert section.title in words
        for entry in section.entries:
            assert all(cell in words for cell in (entry.name, *entry.cells))
            assert all(detail.text in words for detail in entry.details)
    assert all(told in words for told in (headline(REPORT), summary(REPORT), *notes(REPORT), *commands(REPORT)))
    assert all(chart.name in words for chart in charts(REPORT))


def test_mail_programs_show_the_page() -> None:
    """Tables, and styles at each element: no style sheet, script, picture or drawing, which some of them drop."""
    page = Page(render_performance_html(long_report(500, HOSTILE)))
    assert page.tags <= {
        "b", "body", "div", "h1", "h2", "head", "html", "meta", "p", "span", "table", "td", "title", "tr",
    }  # fmt: skip
    assert page.attributes <= {
        "align", "bgcolor", "cellpadding", "cellspacing", "charset", "colspan", "height", "lang", "role", "style",
        "valign", "width",
    }  # fmt: skip


def test_a_hostile_name_is_text() -> None:
    """Wherever it stands."""
    page = render_performance_html(long_report(500, HOSTILE))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("text", ["x" * 5_000, "&<>" * 2_000, "😀" * 3_000, "a b " * 2_000])
def test_a_page_is_never_cut(text: str) -> None:
    """Gmail cuts from 102 kB on; names of any length leave room."""
    assert len(render_performance_html(long_report(500, text)).encode()) < 102_000


def test_lines_are_as_wide_as_asked_for() -> None:
    """But for commands, which are there to be copied."""
    for width in (60, 80, 100, 140):
        text = render_performance_report(long_report(500, "SELECT a_rather_long_name"), width=width)
        lines = text.partition("LOOK FURTHER")[0].splitlines()
        assert max(map(text_width, lines)) <= width


def test_a_day_without_queries_says_so() -> None:
    """Rather than nothing: whoever gets no report does not know why."""
    for told in (render_performance_report(EMPTY_REPORT, width=100), render_performance_html(EMPTY_REPORT)):
        assert "No queries were executed." in told
        assert "P95" not in told
    assert charts(EMPTY_REPORT) == []
    assert sections(EMPTY_REPORT) == []


def test_the_first_report_says_what_it_does_not_know() -> None:
    """Where the store is younger than the day, or than the week before."""
    first = replace(REPORT, before=None, known_since=DAY.since + timedelta(hours=5))
    told = list(notes(first))
    assert "Nothing is known of the time before 2026-03-04 05:00 UTC." in told
    assert "There is nothing to compare with: no queries were executed in the week before." in told
    assert len(told) == len(list(notes(REPORT))) + 2


def test_each_text_of_a_pattern_stands_once() -> None:
    """Below its first mention."""
    text = render_performance_report(REPORT, width=100)
    assert text.count("shop/orders.py:31 in latest") == 2  # of two patterns
    assert text.count("00c0ffee SELECT orders") == 3


def test_headlines() -> None:
    """By the kind of span, and the service if it is about one."""
    assert headline(replace(REPORT, service="shop")) == "Daily performance report: Wednesday 2026-03-04 (shop)"
    week = replace(DAY, period="weekly", since=DAY.until - timedelta(days=7))
    assert headline(replace(REPORT, span=week)) == "Weekly performance report: 2026-02-26 to 2026-03-04"
    span = replace(DAY, period="span", since=DAY.since + timedelta(hours=3))
    assert headline(replace(REPORT, span=span)) == "Performance report: 2026-03-04 03:00 to 2026-03-05 00:00"


def test_commands_are_those_of_the_span() -> None:
    """As UTC, which is what they take, and quoted for a shell."""
    now = "2026-03-04T00:00/2026-03-05T00:00"
    assert commands(replace(REPORT, service="the shop")) == [
        "querygauge patterns show ID",
        f"querygauge compare --after {now} --before 2026-02-25T00:00/2026-02-26T00:00 --service 'the shop'",
        f"querygauge errors --range {now} --service 'the shop'",
        f"querygauge alerts history --range {now} --service 'the shop'",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=50, deadline=None)
def test_any_name_is_told(text: str) -> None:
    """Nothing in it breaks a line or the page."""
    report = long_report(12, text, 2)
    Page(render_performance_html(report))
    lines = render_performance_report(report, width=80).splitlines()
    assert [visible(line) for line in lines] == lines
