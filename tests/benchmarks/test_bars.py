"""Bars and published figures: what is measured is held to what was promised."""

import warnings

import numpy as np
import pytest

from benchmarks.datasets import Source
from benchmarks.suites import bars, published
from benchmarks.suites.bars import BARS, Measured, Settings
from benchmarks.suites.published import PUBLISHED
from benchmarks.suites.speed_figures import SPEED
from tests.samples import curve

FOUND = [
    Measured("a", 1.0, "<=", 2.0, "s"),
    Measured("b", 1.0, ">=", 2.0),
    Measured("c", 1.0, "<=", None),
]


def test_bars_say_whether_they_are_met(command, monkeypatch, capsys):
    monkeypatch.setitem(BARS, "some", lambda settings: iter(FOUND))
    (line,) = command("bars", "--only", "some")
    assert bars.measured_in([line]) == FOUND
    assert [measured.met for measured in FOUND] == [True, False, True]
    shown = capsys.readouterr().out.splitlines()
    assert [text.split()[0] for text in shown] == ["met", "MISSED", "met"]


def test_the_table_of_bars():
    figures = {"measured": [vars(measured) for measured in FOUND]}
    line = {"suite": "bars", "task": {}, "figures": figures, "environment": 0}
    rows = bars.collect(("bars",))([line, line | {"suite": "speed_figures"}])
    assert bars.table(rows).splitlines()[2:] == [
        "| a | 1 s | <= 2 s | met |", "| b | 1 | >= 2 | **missed** |", "| c | 1 |  |  |",
    ]  # fmt: skip


def test_figures_of_another_skvae_stand_beside_ours():
    def line(value, label=None):
        figures = {"measured": [vars(Measured("a", value, "<=", None, "s"))]}
        return {"suite": "bars", "task": {"label": label}, "figures": figures, "environment": 0}

    rows = bars.collect(("bars",))([line(1.0), line(4.0, "before")])
    *_, row = bars.table(rows).splitlines()
    assert row == "| a | 1 s |  |  | 0.25 |"
    assert list(bars.ours(rows)["value"]) == [1.0]


@pytest.mark.parametrize(
    ("name", "table", "arguments", "asked"),
    [
        ("published", PUBLISHED, ["--passes", "7", "--seeds", "1", "2"], (7, (1, 2))),
        ("speed", SPEED, ["--folder", "there"], ("auto", (0,))),
    ],
)
def test_figures_know_what_was_asked(command, monkeypatch, name, table, arguments, asked):
    given = []
    monkeypatch.setitem(table, "some", lambda settings: given.append(settings) or iter(FOUND))
    (line,) = command(name, "--only", "some", *arguments)
    assert line["suite"] == {"speed": "speed_figures"}.get(name, name)
    assert (given[0].max_iter, given[0].seeds) == asked
    assert str(given[0].folder) == {"speed": "there"}.get(name, "None")


def test_the_start_is_pca_to_the_bar():
    for measured in BARS["start_is_pca"](Settings()):
        assert measured.met, measured


def test_rows_are_scored_in_chunks():
    class Model:
        def score_samples(self, X, n_draws):
            assert len(X) <= 4
            return X[:, 0] + n_draws

    X = np.arange(10.0)[:, None]
    assert published.log_likelihood(Model(), X, n_draws=5, rows_per_chunk=4) == 9.5


def test_binary_rows_are_always_the_same():
    X = np.full((200, 50), 0.3, dtype="float32")
    drawn = published.binarised(X)
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn.mean() == pytest.approx(0.3, abs=0.02)
    assert drawn.dtype == X.dtype
    np.testing.assert_array_equal(drawn, published.binarised(X))


def test_a_linear_vae_from_a_random_start_is_held_to_pca():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(published.linear(Settings(passes=1)))
    assert len(found) == 16
    assert all(measured.value >= 0 for measured in found)


def test_networks_are_compared_on_images(tmp_path):
    X = (40 * curve(60, 5) @ np.ones((5, 3072)) + 128).clip(0, 255)
    np.savez(tmp_path / "cifar10.npz", X=X.astype("uint8"), y=np.arange(60) % 2)
    settings = Settings(Source(str(tmp_path)), passes=1, seeds=(0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(published.compared("cifar10", 2, settings))
    assert [measured.bar.split(", ")[2] for measured in found[::2]] == [
        "PCA: MSE", "MLP: MSE", "Conv: MSE",
    ]  # fmt: skip
    assert found[2].limit == found[0].value
    assert found[5].limit == found[3].value
