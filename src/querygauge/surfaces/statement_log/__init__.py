"""Statements out of what people have at hand: SQL files and the logs of servers."""
