"""The name of a remote store is shown without its secrets, however it is written."""

import pytest

from querygauge.remote import RemoteStore


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgres:dbname=x password=a&b?c' host=h", "postgres:dbname=x password=*** host=h"),
        (r"postgres:password=it\ is\'secret host=h", "postgres:password=*** host=h"),
        (r"postgres:password = 'it is \' secret' host=h", "postgres:password = '***' host=h"),
        ("postgres:host=h password='it is secret", "postgres:host=h password='***"),
        ("postgres:passwrod=secret sslpassword=other host=h", "postgres:passwrod=*** sslpassword=*** host=h"),
        ("postgres:postgresql://me:a&b/c@h/x", "postgres:postgresql://me:***@h/x"),
        ("postgres:postgres://h/x?password=a%26b&user=me", "postgres:postgres://h/x?password=***&user=me"),
        ("postgres:postgresql://me:one@two@h/x", "postgres:postgresql://me:***@h/x"),
        ("postgres:postgresql://me:one@two/three?four@h/x", "postgres:postgresql://me:***@h/x"),
        ("postgres:postgresql://me:one two@h/x?password=three", "postgres:postgresql://me:***@h/x?password=***"),
    ],
)
def test_a_catalog_is_shown_without_its_password(uri: str, shown: str) -> None:
    """Between pairs only a blank ends one, in a URL what ends a parameter does."""
    store, name = RemoteStore.of(f"ducklake:{uri}"), f"ducklake:{shown}"
    assert (store.shown, str(store), repr(store)) == (name, name, repr(name))


def test_motherduck_is_shown_without_its_token() -> None:
    """And with what else it is told."""
    assert RemoteStore.of("md:x?motherduck_token=abc.def&y=z").shown == "md:x?motherduck_token=***&y=z"


def test_a_part_of_a_password_is_hidden_too() -> None:
    """Whoever reads the URL takes what comes after the first @ for the host, and names it in its error."""
    store = RemoteStore.of("ducklake:postgres:postgresql://me:first@second@db/x")
    assert (
        store.without_secrets('could not translate host name "second@db"') == 'could not translate host name "***@db"'
    )
