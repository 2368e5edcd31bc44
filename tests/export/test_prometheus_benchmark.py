"""The benchmark of scrapes: it runs, and a scrape is as small as it must be, however fast the machine is."""

import json
import subprocess
import sys

from project import ROOT


def test_a_scrape_of_a_hundred_patterns_is_small() -> None:
    """150 KB at most, with eight processes; what is over its limit is named and ends with status 1."""
    command = [sys.executable, str(ROOT / "benchmarks" / "scrapes.py"), "--rounds", "4", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(ended.stdout)
    figures, limits = told["figures"], told["limits"]
    assert 100_000 < figures["bytes"] <= limits["bytes"] == 150_000
    assert told["over"] == [name for name, limit in limits.items() if figures[name] > limit]
    assert ended.returncode == bool(told["over"]), ended.stderr
