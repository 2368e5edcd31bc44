"""
Names as they can be exported: in goes any text, out comes some that is UTF-8.

Databases, files and hosts may be called by bytes that are none. Deliberately not here: what is exported.
"""

__all__ = ["readable"]


def readable(name: str) -> str:
    """The name with `?` for what is not UTF-8 in it: for that no exporter could send it, nor what it is sent with."""
    return name if name.isascii() else name.encode(errors="replace").decode()
