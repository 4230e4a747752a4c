"""Pickles of other versions give one clear error."""

import pickle
from pathlib import Path

import pytest

import skvae

MOVED = {
    "annealing": "Langevin", "columns": "Columns", "networks": "MLP", "objective": "Elbo",
    "optimizers": "AdamW", "priors": "Mixture", "schedules": "Cyclical",
}  # fmt: skip


@pytest.mark.parametrize("module", MOVED)
def test_what_skvae_01_pickled_says_what_to_do(module):
    """A pickle of a fitted estimator asks for one of these before anything else that was moved."""
    pickled = f"cskvae.{module}\n{MOVED[module]}\n.".encode()
    with pytest.raises(ValueError, match=rf"skvae 0\.1.*{MOVED[module]}.*fit the estimator again"):
        pickle.loads(pickled)


@pytest.mark.parametrize("module", MOVED)
def test_nothing_else_is_in_the_place_of_what_was_moved(module):
    text = Path(skvae.__file__).with_name(f"{module}.py").read_text()
    assert len(text.splitlines()) < 10
