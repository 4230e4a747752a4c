"""Imputers fill what is missing and nothing else."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.imputers import IMPUTERS, N_LEVELS, Coded, MissForest
from benchmarks.suites.measures import imputation_errors
from tests.benchmarks.rows import mixed, with_holes


def test_codes_of_a_frame_lead_back_to_it():
    holes, hidden = with_holes(mixed(60))
    coded = Coded(holes)
    np.testing.assert_array_equal(coded.missing, hidden)
    np.testing.assert_allclose(np.nanmean(coded.matrix[:, :2], axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(coded.matrix[:, :2], axis=0), 1)
    filled = coded.filled(coded.start())
    assert filled["a"][hidden[:, 0]].to_numpy() == pytest.approx(holes["a"].mean())
    assert set(filled["kind"][hidden[:, 2]]) == {holes["kind"].mode()[0]}


@pytest.mark.parametrize("drop_first", [False, True])
def test_levels_lead_back_from_zeros_and_ones(drop_first):
    complete = mixed(60)[["kind", "size", "positive"]]
    coded = Coded(complete)
    X = coded.one_hot(drop_first)
    assert X.shape == (60, 5 if drop_first else 8)
    # As if every cell had been missing, and a model had filled in what was there.
    coded.missing = np.ones(complete.shape, dtype=bool)
    pd.testing.assert_frame_equal(coded.filled_from_one_hot(X, drop_first), complete)


def test_rare_levels_share_a_code():
    names = [f"level {n}" for n in range(N_LEVELS + 10)]
    column = [name for n, name in enumerate(names) for _ in range(len(names) - n)] + [None]
    coded = Coded(pd.DataFrame({"a": column}))
    assert coded.one_hot().shape[1] == N_LEVELS + 1
    assert coded.matrix[-2, 0] == N_LEVELS  # the rarest of all
    filled = coded.filled(np.full_like(coded.matrix, N_LEVELS))
    assert filled["a"].iloc[-1] == names[N_LEVELS]
    assert list(filled["a"].iloc[:-1]) == column[:-1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", IMPUTERS)
def test_imputers_fill_missing_cells_and_no_others(name):
    complete = mixed(120)
    holes, hidden = with_holes(complete)
    filled = IMPUTERS[name](holes, 0)
    assert filled.notna().all(axis=None)
    assert list(filled.dtypes) == list(holes.dtypes)
    for n, column in enumerate(complete):
        observed = ~hidden[:, n]
        assert (filled[column][observed] == complete[column][observed]).all()
    errors = imputation_errors(complete, filled, hidden)
    if name == "mean_mode":
        assert errors["nrmse"] == pytest.approx(1, abs=0.15)
    else:
        assert errors["nrmse"] < 0.75
        assert errors["error_rate"] < 0.35


def test_missforest_stops_where_the_changes_grow(monkeypatch):
    holes, hidden = with_holes(mixed(30)[["a", "b"]])
    coded, steps = Coded(holes), iter([1.0, 1.1, 3.0, 9.0])

    def jump(self, X, coded):
        return np.where(hidden, next(steps), X)

    monkeypatch.setattr(MissForest, "_round", jump)
    # From 1 to 1.1 is less than from 0 to 1; from 1.1 to 3 is more, and 1.1 is kept.
    filled = MissForest(0).fill(coded)
    assert set(filled[hidden]) == {1.1}
    assert next(steps) == 9.0
