"""Which SQL an application sends, how often, how slow and from where."""

__version__ = "0.1.0"
