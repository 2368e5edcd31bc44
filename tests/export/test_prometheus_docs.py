"""The page about Prometheus has every family as it is served, and its questions can be asked."""

import json
import re
import shutil
import subprocess
from pathlib import Path

from guards.snippets import blocks_of
from missing import skip_or_fail
from project import ROOT
from querygauge.export.prometheus_families import BOUNDS, FAMILIES, PATTERN_BOUNDS, PERCENTILES

_PAGE = ROOT / "docs" / "prometheus.md"
_QUESTIONS = [block.text for block in blocks_of(_PAGE) if block.language == "promql"]


def test_every_family_is_on_the_page() -> None:
    """Name, type, labels and help, in the order in which they are served; and none that is not."""
    rows = re.findall(r"^\| `(querygauge_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", _PAGE.read_text(), re.MULTILINE)
    assert rows == [
        (each.name, each.kind, ", ".join(f"`{label}`" for label in each.labels) or "none", each.help)
        for each in FAMILIES
    ]


def test_questions_ask_for_what_there_is() -> None:
    """Every family, label value of a bound and percentile that a question names."""
    suffixes = {"gauge": [""], "counter": [""], "histogram": ["_bucket", "_count", "_sum"]}
    names = {f"{each.name}{suffix}" for each in FAMILIES for suffix in suffixes[each.kind]}
    text = "\n".join(_QUESTIONS)
    assert set(re.findall(r"querygauge_\w+", text)) <= names
    assert set(re.findall(r'\ble="([^"]+)"', text)) <= {repr(bound) for bound in (*BOUNDS, *PATTERN_BOUNDS)}
    assert set(re.findall(r'percentile="([^"]+)"', text)) <= set(PERCENTILES)


def test_questions_can_be_asked(tmp_path: Path) -> None:
    """Prometheus' own parser takes each."""
    promtool = shutil.which("promtool")
    if promtool is None:
        skip_or_fail("promtool is not installed: apt-get install prometheus")
    rules = [{"record": f"question:{number}", "expr": question} for number, question in enumerate(_QUESTIONS)]
    file = tmp_path / "rules.yml"
    # JSON is YAML.
    file.write_text(json.dumps({"groups": [{"name": "questions", "rules": rules}]}))
    checked = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert (checked.returncode, f"SUCCESS: {len(_QUESTIONS)} rules found" in checked.stdout) == (0, True), (
        checked.stderr
    )
