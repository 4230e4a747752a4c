"""Single figures of speed, on few rows."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.datasets import Source
from benchmarks.made import low_rank, write_rows
from benchmarks.suites import speed_figures
from benchmarks.suites.bars import Settings
from benchmarks.suites.speed_figures import SPEED, Shape
from tests.samples import curve


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
        ("step", {"shape": Shape(12, 2, 32, 128, 1), "times": 1}, 6),
        (
            "gpu",
            {"device": "cpu:0", "dataset": "wine", "shape": Shape(12, 2, 32, 128, 1), "times": 1},
            8,
        ),
        ("transform", {"columns": (6,), "n_rows": 200, "times": 1}, 6),
        ("growth_columns", {"sizes": (20, 30), "n_rows": 200}, 5),
        # These start processes.
        pytest.param(
            "grid_search", {"latent_dims": (2,), "n_folds": 2, "max_iter": 1}, 3,
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
