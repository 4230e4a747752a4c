"""Single figures of speed, on few rows."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold

from benchmarks import costs
from benchmarks.datasets import Source
from benchmarks.made import curved, low_rank, write_rows
from benchmarks.suites import speed_figures, speed_fits
from benchmarks.suites.bars import Settings
from benchmarks.suites.speed_figures import SPEED, Shape, Step
from benchmarks.suites.speed_fits import HalvedSearch
from skvae import VAETransformer
from tests.samples import curve

SHAPE = Shape(12, 2, (32, 32), 32, 128, 1)


def test_growth_is_a_power():
    assert speed_figures.slope({10: 3.0, 100: 30.0, 1000: 300.0}) == pytest.approx(1)


def test_rows_are_written_in_chunks(tmp_path):
    rng = np.random.default_rng(0)
    make = partial(low_rank, n_columns=3, rng=rng)
    write_rows(tmp_path / "rows.npy", 10, 3, make, rows_per_chunk=4)
    rows = np.load(tmp_path / "rows.npy")
    assert rows.shape == (10, 3)
    assert (np.abs(rows).sum(1) > 0).all()
    assert not np.array_equal(rows[:4], rows[4:8])


@pytest.mark.parametrize(
    ("name", "arguments", "n_lines"),
    [
        ("step", {"steps": {"few": Step(SHAPE, "float32", 4)}, "times": 1}, 3),
        ("gpu", {"device": "cpu:0", "dataset": "wine", "shape": SHAPE, "times": 1}, 8),
        ("transform", {"columns": (6,), "n_rows": 200, "times": 1}, 6),
        ("growth_columns", {"sizes": (20, 30), "n_rows": 200}, 5),
        # These start processes.
        pytest.param(
            "grid_search", {"latent_dims": (2, 4), "n_folds": 2, "max_iter": 1}, 8,
            marks=pytest.mark.slow,
        ),
        pytest.param("import", {"times": 1}, 2, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_single_figures(name, arguments, n_lines):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(SPEED[name](Settings(), **arguments))
    assert len(found) == n_lines
    assert len({measured.bar for measured in found}) == n_lines
    assert all(np.isfinite(measured.value) for measured in found)


def test_products_of_a_step_are_those_of_its_layers():
    inner = [(12, 7, True), (7, 5, False), (5, 4, False), (2, 7, False), (7, 5, False)]
    found = [*speed_figures._layers(Shape(12, 2, (7, 5)))]
    assert found == [*inner, (5, 12, False), (12, 2, True), (2, 12, False)]


def test_bfloat16_is_left_out_where_the_processor_has_none_of_it(monkeypatch, command, capsys):
    monkeypatch.setattr(costs, "capabilities", dict)
    assert command("speed", "--only", "step_bfloat16") == []
    assert "left out: a step in bfloat16" in capsys.readouterr().out


@pytest.mark.usefixtures("one_split")
def test_frames_are_fitted_by_their_types(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {m.bar: m for m in SPEED["frame_fit"](Settings(Source(folder)), max_rows=120)}
    assert [m.unit for m in found.values()] == ["s", "nats", "s", "nats", "s", ""]
    assert {name.split(",")[0] for name in found} == {"adult", "loans", "hivae_wine"}
    assert found["hivae_wine, 30 % missing, 10 codes: error"].value > 0


@pytest.mark.usefixtures("one_split")
def test_searches_by_halving_are_held_to_full_ones(monkeypatch):
    monkeypatch.setattr(speed_fits, "PASSES_OF_FEW_ROWS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = list(SPEED["halving"](Settings(), names=["wine", "not there"], max_iter=1))
    correlation, lost, ratio = (measured.value for measured in found)
    assert correlation == 1  # of closed forms: so few passes leave the start as it is
    assert lost == 0
    assert ratio > 0


@pytest.mark.usefixtures("one_split")
def test_a_search_by_halving_ends_in_a_full_fit_of_its_choice(monkeypatch):
    monkeypatch.setattr(speed_fits, "FEW_ROWS", 200)
    X = curve(200, 6)
    model = VAETransformer(max_iter=20, random_state=0)
    search = HalvedSearch(model, {"latent_dim": [1, 2, 4]}, KFold(2, shuffle=True, random_state=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X)
        expected = clone(model).set_params(**search.best_params_).fit(X)
    assert search.search.n_resources_ == [15]
    assert search.search.n_candidates_ == [3]
    assert search.best_estimator_.get_params()["max_iter"] == 20
    np.testing.assert_array_equal(search.best_estimator_.transform(X), expected.transform(X))


@pytest.mark.usefixtures("one_split")
def test_a_search_by_halving_ranks_as_full_fits_do(monkeypatch):
    monkeypatch.setattr(speed_fits, "PASSES_OF_FEW_ROWS", 15)
    X = curved(300, 10)
    model = VAETransformer(max_iter=90, random_state=0)
    grid, folds = {"latent_dim": [1, 2, 4]}, KFold(2, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        full = GridSearchCV(model, grid, cv=folds, refit=False).fit(X)
        halved = HalvedSearch(model, grid, folds).fit(X)
    first, scores = (found.cv_results_["mean_test_score"][:3] for found in (halved.search, full))
    np.testing.assert_array_equal(np.argsort(first), np.argsort(scores))
    assert halved.best_params_ == full.best_params_


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_there_is_no_figure_of_it():
    assert list(SPEED["gpu"](Settings())) == []


def test_rows_may_grow(tmp_path):
    np.savez(tmp_path / "donors.npz", X=curve(600, 10), y=np.zeros(600))
    figure = SPEED["growth_rows"](Settings(Source(str(tmp_path))), sizes=(200, 400))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [measured.bar for measured in figure]
    assert names == ["two passes, n = 200", "two passes, n = 400", "two passes: power of n"]


@pytest.mark.slow
def test_memory_of_a_mapped_file(tmp_path):
    (measured,) = SPEED["mapped_memory"](Settings(folder=tmp_path), n_rows=2000, n_columns=50)
    assert 0 <= measured.value < 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_time_of_a_mapped_file(tmp_path):
    np.savez(tmp_path / "donors.npz", X=curve(600, 10), y=np.zeros(600))
    settings = Settings(Source(str(tmp_path)), folder=tmp_path)
    figure = SPEED["mapped_time"](settings, shapes=[(2000, 1), (1000, 3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {measured.bar: measured.value for measured in figure}
    assert list(found)[::2] == ["fit of a file, 2000 x 10", "fit of a file, 1000 x 30"]
    assert min(found.values()) >= 0
    assert not [*tmp_path.glob("tmp*")]
