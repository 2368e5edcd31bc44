"""`querygauge run`: the application notices nothing, and the line at the end says what was seen."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL

from processes.programs import environment, executions
from querygauge.storage.opening import open_store

Ended = subprocess.CompletedProcess[str]
Runs = Callable[..., Ended]

_SENDS = """
from sqlalchemy import create_engine, text
engine = create_engine("sqlite:///shop.db")
with engine.connect() as connection:
    for _ in range(7):
        connection.execute(text("SELECT 1 AS mark"))
"""


@pytest.fixture
def plain(tmp_path: Path) -> Runs:
    """`plain("app.py", "argument")` is what becomes of it under Python alone."""
    return lambda *command, **options: _ended(tmp_path, [sys.executable, *command], **options)


@pytest.fixture
def measured(tmp_path: Path) -> Runs:
    """The same under `querygauge run`."""
    ours = [sys.executable, "-m", "querygauge", "run"]
    return lambda *command, **options: _ended(tmp_path, [*ours, *command], **options)


def _ended(folder: Path, command: list[str], *, stdin: str = "", **variables: str) -> Ended:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(**{"PYTHONPATH": "", "PYTHONWARNINGS": "error", **variables}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def write(folder: Path, name: str, text: str) -> str:
    """The name of a file with that text."""
    (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return name


def said(ended: Ended) -> str:
    """The line of ours, which is the last one."""
    last = ended.stderr.splitlines()[-1] if ended.stderr else ""
    assert last.startswith("querygauge: "), ended.stderr
    return last.removeprefix("querygauge: ")


def told(ended: Ended) -> tuple[int, str, list[str]]:
    """What a user gets of a process: its status, its output and its errors, without the line of ours."""
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("querygauge: ")]
    return ended.returncode, ended.stdout, lines


_LOOKS = """
import json, os, signal, sys
print(json.dumps([
    sys.argv, sys.orig_argv[1:], __name__, __file__, __spec__ and __spec__.name, sys.path,
    list(sys.flags), sys.executable, os.getcwd(), "sitecustomize" in sys.modules, sys.stdin.read(),
    [str(signal.getsignal(number)) for number in (2, 13, 15)], sys.warnoptions, os.getsid(0) == os.getsid(os.getppid()),
    [path for path in sys.path_importer_cache if "run_path" in path],
], default=list, indent=1))
"""


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        (["app.py", "--store", "a b", "-x"], ["app.py", "--store", "a b", "-x"]),
        (["./app.py"], ["./app.py"]),
        (["-m", "app", "--module"], ["--module", "app", "--module"]),
        (["-m", "package.app"], ["-m", "package.app"]),
        (["folder"], [sys.executable, "folder"]),
    ],
    ids=["file", "path", "module", "module of a package", "python and a folder"],
)
def test_the_application_finds_what_it_would_find(
    command: list[str], ours: list[str], tmp_path: Path, plain: Runs, measured: Runs
) -> None:
    """Arguments, path, name, flags, standard input, signals: all the same."""
    write(tmp_path, "app.py", _LOOKS)
    for folder, name in (("package", "app.py"), ("folder", "__main__.py")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, name, _LOOKS)
    bare = plain(*command, stdin="some input")
    assert bare.returncode == 0, bare.stderr
    assert told(measured(*ours, stdin="some input")) == told(bare)


@pytest.mark.parametrize(
    "end",
    [
        "sys.exit(3)",
        "atexit.register(print, 'last words')\nthreading.Thread(target=print, args=['late']).start()\nsys.exit('text')",
        "def deep(n):\n    deep(n - 1) if n else 1 / 0\ndeep(5)",
        "os._exit(4)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGINT)",
        "signal.signal(15, lambda *_: sys.exit(5)); os.kill(os.getpid(), 15)",
        "this is no Python",
    ],
)
def test_it_ends_as_it_would_end(end: str, tmp_path: Path, plain: Runs, measured: Runs) -> None:
    """Status, output, tracebacks and the signal it dies of are the same."""
    write(tmp_path, "app.py", f"import atexit, os, signal, sys, threading\n{_SENDS}\n{end}")
    assert told(measured("app.py")) == told(plain("app.py"))


def test_it_loads_nothing_before_the_application_does(tmp_path: Path, plain: Runs, measured: Runs) -> None:
    """Of an application without a database, not even the standard library's modules: gevent patches first of all."""
    write(tmp_path, "app.py", "import sys; print(*sorted(sys.modules), sep='\\n')")
    more = set(measured("app.py").stdout.split()) - set(plain("app.py").stdout.split())
    assert more == {"__future__", "_querygauge_run", "atexit"}


@pytest.mark.parametrize(
    "text",
    ["import sys; sys.mark = 'its own'; value = 1", "raise LookupError('its own')", "import nowhere_to_be_found"],
    ids=["one that works", "one that fails", "one that misses a module"],
)
def test_the_sitecustomize_of_the_user_runs(text: str, tmp_path: Path, plain: Runs, measured: Runs) -> None:
    """It is `sitecustomize`, and what it does or says of itself is the same."""
    (folder := tmp_path / "site").mkdir()
    write(folder, "sitecustomize.py", text)
    show = (
        "import sys; print(getattr(sys, 'mark', None), sys.path, getattr(sys.modules.get('sitecustomize'), 'value', 0))"
    )
    write(tmp_path, "app.py", show)
    status, output, errors = told(measured("app.py", PYTHONPATH=str(folder)))
    # The Python that starts the application says it of itself, too.
    assert (status, output, sorted({*errors})) == told(plain("app.py", PYTHONPATH=str(folder)))


def test_the_end_says_what_was_seen(tmp_path: Path, measured: Runs) -> None:
    """Counts, the databases, and the command that shows more; that store has the numbers, and nothing else is left."""
    write(tmp_path, "app.py", _SENDS)
    (temporary := tmp_path / "temporary").mkdir()
    ended = measured("app.py", TMPDIR=str(temporary))
    assert said(ended).startswith("7 statements, 1 pattern, 1 target (shop.db), 1 process; to see more: ")
    command = said(ended).partition("to see more: ")[2]
    assert command.endswith(f"querygauge report --store {tmp_path}/.querygauge")
    shown = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, env=environment(), check=True)
    assert "Total Queries     7" in shown.stdout
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pass", "no process imported SQLAlchemy or asyncpg, or none could say so before it was killed"),
        ("import sqlalchemy", "SQLAlchemy or asyncpg was imported, but no engine, pool or connection was made"),
        ("import asyncpg", "SQLAlchemy or asyncpg was imported, but no engine, pool or connection was made"),
        (
            "import sqlalchemy\nengines = [sqlalchemy.create_engine('sqlite://') for _ in range(2)]",
            "2 engines, pools or connections made, and nothing was sent",
        ),
    ],
    ids=["neither", "SQLAlchemy", "asyncpg", "engines"],
)
def test_the_end_says_that_nothing_was_seen(text: str, reason: str, tmp_path: Path, measured: Runs) -> None:
    """With the likely reason."""
    write(tmp_path, "app.py", text)
    assert said(measured("app.py")) == f"no statement was seen: {reason}"


def test_it_says_so_where_nothing_is_kept(tmp_path: Path, measured: Runs) -> None:
    """Without a store the line is all there is."""
    write(tmp_path, "app.py", _SENDS)
    assert said(measured("--set", "store=none", "app.py")).endswith("; nothing of it is kept: store is none")
    assert not (tmp_path / ".querygauge").exists()


def test_it_can_be_quiet(tmp_path: Path, measured: Runs) -> None:
    """`--quiet` measures without a word."""
    write(tmp_path, "app.py", _SENDS)
    assert told(measured("--quiet", "app.py")) == (0, "", [])
    assert executions(tmp_path / ".querygauge") == {"mark": 7}


def test_switched_off_it_is_python_alone(tmp_path: Path, plain: Runs, measured: Runs) -> None:
    """The environment, too; a line at the beginning says so."""
    show = "import os, sys; print(sys.path, len(sys.meta_path), *sorted(os.environ.items()), sep='\\n')"
    write(tmp_path, "app.py", show)
    off = measured("app.py", QUERYGAUGE_ENABLED="0")
    assert told(off) == told(plain("app.py", QUERYGAUGE_ENABLED="0"))
    assert said(off) == "nothing is measured: enabled is false in the settings"


def test_settings_come_from_options_and_the_environment(tmp_path: Path, measured: Runs) -> None:
    """Options win; a relative store is where the command was typed, wherever the application goes."""
    write(tmp_path, "app.py", f"import os\nos.chdir('/')\n{_SENDS.replace('sqlite:///shop.db', 'sqlite://')}")
    ended = measured(
        "--service", "shop", "--store", "kept", "--set", "slow_query_threshold_ms=0", "app.py",
        QUERYGAUGE_SERVICE="other", QUERYGAUGE_MAX_PATTERNS="50",
    )  # fmt: skip
    assert ended.returncode == 0
    store = open_store(tmp_path / "kept")
    assert store.services() == ["shop"]
    assert [process.slow_threshold_ms for process in store.processes()] == [0.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "nonsense=1", "app.py"], "unknown setting 'nonsense'; known are enabled, "),
        (["--set", "nonsense", "app.py"], "--set must be NAME=VALUE; got 'nonsense'"),
        (["--set", "max_patterns=none", "app.py"], "QUERYGAUGE_MAX_PATTERNS must be a whole number; got 'none'"),
        (
            ["nowhere"],
            "what is run must be a Python file, a command on PATH that is one, or with --module a module; got",
        ),
        (
            ["/bin/ls"],
            "what is run must be a Python file, a command on PATH that is one, or with --module a module; got",
        ),
    ],
)
def test_what_cannot_be_run_is_not_begun(options: list[str], message: str, tmp_path: Path, measured: Runs) -> None:
    """One line, status 2, and the application has not started."""
    write(tmp_path, "app.py", "print('started')")
    ended = measured(*options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said(ended).startswith(message)


def test_a_file_that_is_not_there_is_pythons_to_tell(tmp_path: Path, plain: Runs, measured: Runs) -> None:
    """In its own words."""
    assert told(measured("nowhere.py")) == told(plain("nowhere.py"))


@pytest.mark.parametrize(
    ("instruments", "has_own_store"),
    [
        ("instrument(engine, store='own', service='own')", True),
        ("instrument_all(store='own', service='own')", True),
        ("instrument(engine, name='own')", False),
    ],
)
def test_an_application_that_instruments_itself(
    instruments: str, has_own_store: bool, tmp_path: Path, measured: Runs
) -> None:
    """Its own settings are in force, every statement counts once, and the line counts it as well."""
    function = instruments.partition("(")[0]
    made = 'engine = create_engine("sqlite:///shop.db")\n'
    program = f"from querygauge import {function}\n{_SENDS.replace(made, f'{made}{instruments}{chr(10)}')}"
    write(tmp_path, "app.py", program.replace(made, made.strip() + "\n"))
    ended = measured("app.py")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert said(ended).startswith("7 statements, 1 pattern, 1 target (")
    assert executions(tmp_path / ("own" if has_own_store else ".querygauge")) == {"mark": 7}


def test_an_asynchronous_application_on_postgresql(tmp_path: Path, measured: Runs, postgres_url: URL) -> None:
    """SQLAlchemy's asynchronous engine, a pool of asyncpg's and a connection of its own, imported as people do."""
    program = """
    import asyncio, os, sys
    from asyncpg import connect, create_pool
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

    url = sys.argv[1]
    engine = create_async_engine(url.replace("postgresql", "postgresql+asyncpg", 1))
    sessions = async_sessionmaker(engine)

    async def handle(pool):
        async with sessions() as session:
            await session.execute(text("SELECT 1 AS over_sqlalchemy"))
        async with pool.acquire() as connection:
            await connection.fetch("SELECT 1 AS over_a_pool")

    async def main():
        async with create_pool(url, min_size=1, max_size=3) as pool:
            await asyncio.gather(*(handle(pool) for _ in range(20)))
        connection = await connect(url)
        await connection.execute("SELECT 1 AS alone")
        await connection.close()
        await engine.dispose()

    asyncio.run(main())
    """
    write(tmp_path, "app.py", program)
    ended = measured("app.py", postgres_url.render_as_string(hide_password=False))
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    counts = executions(tmp_path / ".querygauge")
    assert {mark: counts[mark] for mark in ("over_sqlalchemy", "over_a_pool", "alone")} == {
        "over_sqlalchemy": 20,
        "over_a_pool": 20,
        "alone": 1,
    }
    assert f"1 target (localhost:5432/{postgres_url.database})" in said(ended) or "1 target" in said(ended)


def test_standard_error_may_be_closed(tmp_path: Path, plain: Runs, measured: Runs) -> None:
    """The line is lost, and nothing else."""
    write(tmp_path, "app.py", f"{_SENDS}\nimport sys\nsys.stderr.close()\nprint('out')")
    ended = measured("app.py")
    assert (ended.returncode, ended.stdout) == (0, "out\n")


def test_a_process_that_outlives_the_one_that_was_started(tmp_path: Path, measured: Runs) -> None:
    """It finds the folder for its tally gone, and its numbers still reach the store."""
    program = f"""
import os, sys
reading, writing = os.pipe()
if os.fork():
    sys.exit()
os.close(writing)
os.read(reading, 1)  # until the parent has ended
{_SENDS}
print("ended")
"""
    write(tmp_path, "app.py", program)
    ended = measured("app.py")
    assert (ended.returncode, ended.stdout) == (0, "ended\n")
    assert "Traceback" not in ended.stderr
    assert executions(tmp_path / ".querygauge") == {"mark": 7}


def test_gevent_patches_first(tmp_path: Path, measured: Runs) -> None:
    """Its warnings about modules that were used too early are errors here."""
    write(tmp_path, "app.py", f"from gevent import monkey\nmonkey.patch_all()\n{_SENDS}")
    ended = measured("app.py")
    assert ended.returncode == 0, ended.stderr
    assert said(ended).startswith("7 statements, 1 pattern")
