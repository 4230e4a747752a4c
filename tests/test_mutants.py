"""Changes that tests must notice fit the modules that they change."""

import re
from pathlib import Path

import pytest

from tests.mutants import ROOT, Mutant, modules, read, stale


@pytest.mark.parametrize("module", modules())
def test_every_text_is_found_once_in_its_module(module):
    mutants = read(module)
    assert not stale(mutants)
    assert len({mutant.name for mutant in mutants}) == len(mutants)
    text = (ROOT / "tests" / "mutations" / f"{module}.txt").read_text()
    assert all("\n+ " in entry for entry in re.split(r"^# ", text, flags=re.MULTILINE)[1:])
    for name in {name for mutant in mutants for name in mutant.tests if name.startswith("tests/")}:
        assert Path(name).suffix == ".py"
        assert (ROOT / name).exists()


def test_modules_of_packages_are_found_by_their_paths():
    assert {"fitting/fit", "model/vae", "start/ppca"} <= set(modules())
    assert read("model/vae")[0].tests == ("tests/model/test_vae.py",)
    assert read("model/vae")[0].words() >= {"update_units"}


def test_a_text_that_is_gone_is_told():
    gone = Mutant("training/schedules", "a change", "this is in no module", "nor this", ())
    assert "training/schedules: a change: its text is there 0 times" in stale([gone])
