"""
Everything an application may send with a value in it, and everything that may go wrong with that value.

Each statement holds the mark, a text or a number, where the database or the driver may put it into its message.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Engine,
    String,
    bindparam,
    insert,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

__all__ = ["FRAGMENTS", "MARK", "NUMBER", "do_marked_work"]

MARK = "mark-7f3a9c-ann@example.org"
NUMBER = 7391846250
# What must be found nowhere; a piece of the mark is as bad as all of it.
FRAGMENTS = ("7f3a9c", "ann@example", str(NUMBER), "7391846")


class Base(DeclarativeBase):
    """The application's tables."""


class Person(Base):
    """One who must not be known by name."""

    __tablename__ = "people"
    __table_args__ = (CheckConstraint("age < 200", name="age_is_human"), CheckConstraint("email <> name", name="named"))
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    email: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(10))
    age: Mapped[int]


def do_marked_work(engine: Engine) -> int:
    """Sends all of it; how many statements failed, of which there must be some."""
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Person), {"id": NUMBER, "email": MARK, "name": "ann", "age": 30})
    failed = 0
    for work in (*_texts(engine.dialect.name), *_raw(engine), *_core(engine.dialect.name)):
        with engine.connect() as connection:
            try:
                result = (
                    connection.exec_driver_sql(*work) if isinstance(work, tuple) else connection.execute(*_with(work))
                )
                if result.returns_rows:
                    result.all()
            except (SQLAlchemyError, TypeError):  # aiomysql raises a TypeError as it is
                failed += 1
    for person in _people():
        with Session(engine) as session:
            session.add_all(person)
            try:
                session.commit()
            except SQLAlchemyError:
                failed += 1
    with Session(engine) as session, contextlib.suppress(SQLAlchemyError):
        assert session.get(Person, NUMBER)
        assert session.scalars(select(Person).filter_by(email=MARK)).all()
        session.execute(text("UPDATE people SET name = :name WHERE id = :id"), {"name": "a", "id": NUMBER})
    return failed


def _with(work: Any) -> tuple[Any, ...]:
    return tuple(work) if isinstance(work, list) else (work,)


def _person(**changes: Any) -> dict[str, Any]:
    return {"id": NUMBER + 1, "email": "b", "name": "b", "age": 1, **changes}


def _people() -> Iterator[list[Person]]:
    """Objects that the unit of work cannot insert."""
    yield [Person(**_person(id=NUMBER))]
    yield [Person(**_person(email=MARK))]
    yield [Person(**_person(email=MARK, id=1)), Person(**_person(email=MARK, id=2))]
    yield [Person(**_person(name=MARK, email=MARK + "x"))]


def _texts(dialect: str) -> Iterator[Any]:
    """Statements as text, with literals or with parameters."""
    literals = [
        f"SELECT '{MARK}'",
        f"SELECT {NUMBER}, -{NUMBER}, {NUMBER}.5, {NUMBER}e3",
        f"SELECT * FROM people WHERE email = '{MARK}' AND id IN ({NUMBER}, {NUMBER}, 1)",
        f"SELECT * FROM people WHERE email LIKE '%{MARK}%' OR email IN ('{MARK}', 'it''s {MARK}')",
        f"SELECT 1 /* {MARK} */ -- {MARK} {NUMBER}",
        f"SELECT 1 AS one /* user='{MARK}' */",
        f"INSERT INTO people (id, email, name, age) VALUES ({NUMBER}, '{MARK}', '{MARK}', {NUMBER})",
        f"INSERT INTO people (id, email, name, age) VALUES (1, '{MARK}', 'b', 1)",
        f"INSERT INTO people (id, email, name, age) VALUES (1, '{MARK}', NULL, 1)",
        f"INSERT INTO people (id, email, name, age) VALUES (1, 'b{MARK}', 'b', 999)",
        f"INSERT INTO people (id, email, name, age) VALUES (1, 'b', 'b', {NUMBER})",
        f"INSERT INTO people (id, email, name, age) VALUES (1, 'b', 'b', '{MARK}')",
        f"SELECT CAST('{MARK}' AS INTEGER)",
        f"SELECT nothing FROM people WHERE email = '{MARK}'",
        f"SELECT * FROM nowhere WHERE email = '{MARK}' AND id = {NUMBER}",
        f"SELECT no_such_function('{MARK}', {NUMBER})",
        f"SELECT * FROM people WHERE email = '{MARK}' '{MARK}' oops {NUMBER} '{MARK}'",
        f"SELECT * FORM people WHERE email = '{MARK}'",
        f"SELECT * FROM people WHERE id = {NUMBER} {NUMBER}",
        f"SELECT '{MARK}",
        f"SELECT * FROM people WHERE email = '{MARK}' GROUP BY 99",
        f"SELECT id FROM people UNION SELECT '{MARK}'",
        f"SELECT X'{MARK.encode().hex()}', '{MARK}\\'', 1",
        f"UPDATE people SET name = '{MARK}', age = {NUMBER} WHERE email = '{MARK}'",
        f"DELETE FROM people WHERE email = '{MARK}' AND id = -{NUMBER}",
    ]
    own = {
        "sqlite": [
            f'SELECT "{MARK}"',
            f"SELECT abs(-9223372036854775808), '{MARK}'",
            "CREATE TABLE strictly (age INTEGER) STRICT",
            f"INSERT INTO strictly VALUES ('{MARK}')",
            f"CREATE TRIGGER refusing BEFORE DELETE ON people BEGIN SELECT RAISE(ABORT, '{MARK}'); END",
            "DELETE FROM people",
            f"SELECT json('{{{MARK}')",
            f"SELECT {MARK}",
            f"PRAGMA user_version = '{MARK}'",
            f"ATTACH '/nowhere/{MARK}/file' AS other",
            f"SELECT load_extension('{MARK}')",
        ],
        "postgresql": [
            f"SELECT E'{MARK}\\n', $${MARK}$$, $tag${MARK}$tag$, B'101', U&'{MARK}'",
            f"SELECT '{MARK}'\\:\\:integer",
            f"SELECT '{MARK}'\\:\\:date",
            f"SELECT '{MARK}'\\:\\:json",
            f"SELECT '{MARK}'\\:\\:uuid",
            f"SELECT '{MARK}'\\:\\:inet, '{{{MARK}'\\:\\:integer[]",
            f"SELECT {NUMBER}\\:\\:smallint, '{NUMBER}'\\:\\:integer",
            f"SELECT '{MARK}' ~ '[{MARK}'",
            f"SELECT to_date('{MARK}', 'YYYY'), to_number('{MARK}', '99')",
            f"SELECT 1/0, '{MARK}'",
            f"DO $$ BEGIN RAISE EXCEPTION '{MARK} %', {NUMBER} USING DETAIL = '{MARK}', HINT = '{MARK}'; END $$",
            f"SET application_name = '{MARK}'",
            f"SET statement_timeout = '{MARK}'",
            f"SET nothing.here = '{MARK}'",
            f"SELECT setval('{MARK}', {NUMBER}), currval('{MARK}')",
            f"NOTIFY channel, '{MARK}'",
            f"COMMENT ON TABLE people IS '{MARK}'",
            f"CREATE ROLE \"r\" PASSWORD '{MARK}' VALID UNTIL '{MARK}'",
            f"ALTER TABLE people ADD CONSTRAINT other CHECK (email <> '{MARK}')",
            f"CREATE UNIQUE INDEX again ON people ((email || '{MARK}'))",
            f"PREPARE p AS SELECT '{MARK}'",
            f"COPY people FROM '/nowhere/{MARK}'",
        ],
        "mysql": [
            f"SELECT \"{MARK}\", _utf8mb4'{MARK}', N'{MARK}', 0x{MARK.encode().hex()}",
            f"SELECT CAST('{MARK}' AS DATE), CAST('{MARK}' AS SIGNED)",
            f"INSERT INTO people VALUES ('{MARK}', 'b', 'b', 1)",
            f"INSERT INTO people VALUES (1, 'b', 'b', {NUMBER}000000000000)",
            f"UPDATE people SET age = 'a{MARK}'",
            f"UPDATE people SET age = CAST('{MARK}' AS SIGNED)",
            f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{MARK} {NUMBER}'",
            f"SET @email = '{MARK}'",
            f"SET SESSION sql_mode = '{MARK}'",
            f"SET innodb_lock_wait_timeout = '{MARK}'",
            f"SELECT * FROM people WHERE id = {MARK}",
            f"KILL {NUMBER}",
            f"SELECT EXTRACTVALUE('<a>{MARK}</a>', '/{MARK}[')",
            f"SELECT '{MARK}' REGEXP '[{MARK}'",
            f"LOAD DATA INFILE '/nowhere/{MARK}' INTO TABLE people",
            f"SELECT JSON_EXTRACT('{{{MARK}', '$.{MARK}')",
            f"CREATE USER 'u' IDENTIFIED BY PASSWORD '{MARK}'",
            f"ALTER TABLE people ADD CHECK (email <> '{MARK}')",
        ],
    }
    for statement in (*literals, *own[dialect]):
        yield text(statement.replace(":mark", "\\:mark"))
        yield (statement.replace("\\:", ":").replace("%", "%%"),)
    row = _person()
    columns = "INSERT INTO people (id, email, name, age) VALUES (:id, :email, :name, :age)"
    for changes in ({"email": MARK}, {"id": NUMBER}, {"name": MARK}, {"age": NUMBER}, {"age": MARK}, {"name": None}):
        yield [text(columns), {**row, "email": "c" + MARK, **changes}]
        yield [text(columns), [{**row, "id": 3}, {**row, "email": "d" + MARK, **changes}]]
    yield [text("SELECT :a, :b"), {"a": MARK, "b": NUMBER}]
    yield [text("SELECT * FROM people WHERE email = :a AND nothing = :b"), {"a": MARK, "b": NUMBER}]


def _raw(engine: Engine) -> Iterator[tuple[Any, ...]]:
    """The driver's own way to give parameters."""
    mark = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric_dollar": "$1"}[engine.dialect.paramstyle]
    yield (f"SELECT * FROM people WHERE email = {mark}", (MARK,))
    yield (f"SELECT * FROM people WHERE id = {mark}", (NUMBER,))
    yield (f"SELECT * FROM people WHERE age = {mark}", (MARK,))
    yield (f"SELECT * FROM people WHERE email = {mark}", (MARK, NUMBER))
    yield (f"INSERT INTO people (id, email, name, age) VALUES (1, {mark}, 'b', 1)", [(MARK,), (MARK,)])


def _core(dialect: str) -> Iterator[Any]:
    """Constructs of the expression language."""
    yield select(Person).where(Person.email == MARK, Person.id == NUMBER)
    yield select(Person).where(Person.email.in_([MARK, "b", MARK]), Person.id.in_([NUMBER, NUMBER + 1]))
    yield select(Person).where(Person.email.in_([]))
    yield select(Person).where(Person.email.contains(MARK), ~Person.email.startswith(MARK))
    yield select(literal(MARK), literal_column(f"'{MARK}'"), literal(NUMBER, literal_execute=True))
    yield select(Person.id).where(Person.email == bindparam("mark", MARK, literal_execute=True))
    yield select(Person.id).where(Person.age == literal_column(f"'{MARK}'"))
    yield select(Person.id).limit(NUMBER).offset(NUMBER)
    yield select(Person.id.label(MARK if dialect == "sqlite" else "mark")).prefix_with(f"/* {MARK} */")
    yield select(Person.id).suffix_with(f"/* {MARK} */").with_hint(Person, f"/* {MARK} */")
    yield insert(Person).values([_person(email=MARK), _person(email=MARK)])
    yield [insert(Person), [_person(id=5), _person(id=NUMBER, email=MARK)]]
    yield [insert(Person), [_person(id=6, name=MARK), _person(id=7, email=MARK)]]
    yield [insert(Person).returning(Person.id), [_person(id=8, email="x"), _person(id=9, email=MARK)]]
    yield [insert(Person).returning(Person.id), [_person(id=NUMBER, email="y"), _person(id=9, age=MARK)]]
