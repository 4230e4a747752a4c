"""Changes that tests must notice fit the modules that they change."""

from pathlib import Path

import pytest

from tests.mutants import Mutant, read, stale

MODULES = sorted(path.stem for path in (Path(__file__).parent / "mutations").glob("*.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_every_text_is_found_once_in_its_module(module):
    mutants = read(module)
    assert not stale(mutants)
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    assert all(Path(name).suffix == ".py" for m in mutants for name in m.tests[:1])


def test_a_text_that_is_gone_is_told():
    gone = Mutant("schedules", "a change", "this is in no module", "nor this", ())
    assert "schedules: a change: its text is there 0 times" in stale([gone])
