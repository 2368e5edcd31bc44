"""The runner of the documentation's snippets."""

import subprocess
import sys
from pathlib import Path

from guards import snippets

_TEXT = """
# Title

```python
total = 1
```

<!-- not run: needs a printer -->

```python
print_out(total)
```

```console
$ querygauge report --since 24h \\
    --limit 5
$ ls
QUERYGAUGE REPORT
$ QUERYGAUGE_STORE=x querygauge patterns
```

```python
import asyncio
await asyncio.sleep(0)
assert total == 2, total
```
"""


def test_blocks_are_read_with_their_line_and_exemption(tmp_path: Path) -> None:
    """A block knows its language, where it starts, and why it is not run."""
    path = tmp_path / "page.md"
    path.write_text(_TEXT, encoding="utf-8")
    found = [(block.language, block.line, block.exempt) for block in snippets.blocks_of(path)]
    assert found == [
        ("python", 5, None),
        ("python", 11, "needs a printer"),
        ("console", 15, None),
        ("python", 23, None),
    ]


def test_only_our_commands_are_run(tmp_path: Path) -> None:
    """Of a console block, the lines that call querygauge are commands, with their continuation and variables."""
    path = tmp_path / "page.md"
    path.write_text(_TEXT, encoding="utf-8")
    commands = [" ".join(command.split()) for block in snippets.blocks_of(path) for command in block.commands]
    assert commands == ["querygauge report --since 24h --limit 5", "QUERYGAUGE_STORE=x querygauge patterns"]


def test_a_failing_snippet_names_its_line(tmp_path: Path) -> None:
    """Blocks share their names, may await at the top level, and fail with the line of the Markdown file."""
    path = tmp_path / "page.md"
    path.write_text(_TEXT, encoding="utf-8")
    answer = subprocess.run([sys.executable, snippets.__file__, str(path)], capture_output=True, check=False, text=True)
    assert answer.returncode == 1
    assert 'File "page.md", line 25' in answer.stderr
    assert "AssertionError: 1" in answer.stderr
