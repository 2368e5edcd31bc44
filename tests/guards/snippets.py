"""
The runnable blocks of a Markdown file; as a program, runs the Python ones of the file it is given.

All Python blocks of a file are one program, in order, with one namespace and one event loop; `await` may stand at
the top level, as in `python -m asyncio`. A traceback names the line of the Markdown file.
A line `<!-- not run: reason -->` before a block exempts it.
"""

import ast
import asyncio
import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks_of"]

_FENCE = re.compile(
    r"(?:^<!-- not run:(?P<reason>[^\n]*?)-->\n+)?^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_COMMAND = re.compile(r"(?:\$ )?((?:\w+=\S* )*querygauge\b.*)")


@dataclass(frozen=True, slots=True)
class Block:
    """
    One fenced block.

    Attributes:
        language: The word after the fence.
        text: What stands between the fences.
        line: The number of its first line in the file.
        exempt: Why it is not run; None if it is.
    """

    language: str
    text: str
    line: int
    exempt: str | None

    @property
    def commands(self) -> list[str]:
        """The command lines of a shell block that call querygauge, continued lines joined."""
        if self.language not in {"console", "sh", "bash", "shell"}:
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [found[1] for line in lines if (found := _COMMAND.fullmatch(line))]


def blocks_of(path: Path) -> list[Block]:
    """The fenced blocks of a Markdown file that name a language, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            found["text"],
            text.count("\n", 0, found.start("text")) + 1,
            None if found["reason"] is None else found["reason"].strip(),
        )
        for found in _FENCE.finditer(text)
    ]


def _run(path: Path) -> None:
    namespace = {"__name__": "__main__"}
    with asyncio.Runner() as runner:
        for block in blocks_of(path):
            if block.language == "python" and block.exempt is None:
                # Blank lines bring the block to its line of the file.
                source = "\n" * (block.line - 1) + block.text
                code = compile(source, path.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                if code.co_flags & inspect.CO_COROUTINE:
                    runner.run(eval(code, namespace))
                else:
                    exec(code, namespace)


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
