"""The name of a remote store is shown without its secrets, however it is written."""

import pytest

from querygauge.remote import RemoteStore


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgres:dbname=x password=a&b?c' host=h", "postgres:dbname=x password=*** host=h"),
        (r"postgres:password=it\ is\'secret host=h", "postgres:password=*** host=h"),
        (r"postgres:password = 'it is \' secret' host=h", "postgres:password = '***' host=h"),
        ("postgres:postgresql://me:a&b/c@h/x", "postgres:postgresql://me:***@h/x"),
        ("postgres:postgres://h/x?password=a%26b&user=me", "postgres:postgres://h/x?password=***&user=me"),
    ],
)
def test_a_catalog_is_shown_without_its_password(uri: str, shown: str) -> None:
    """Between pairs only a blank ends one, in a URL what ends a parameter does."""
    store, name = RemoteStore.of(f"ducklake:{uri}"), f"ducklake:{shown}"
    assert (store.shown, str(store), repr(store)) == (name, name, repr(name))


def test_motherduck_is_shown_without_its_token() -> None:
    """And with what else it is told."""
    assert RemoteStore.of("md:x?motherduck_token=abc.def&y=z").shown == "md:x?motherduck_token=***&y=z"
