"""
The tests of SQLAlchemy and of asyncpg, run without us and with every engine, pool and connection instrumented.

`python -m hosts` runs them, compares them test by test, and fails for each difference that `differences.toml` does not
explain. What is next to it are the tests of the comparison itself.
"""
