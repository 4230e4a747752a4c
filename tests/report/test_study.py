"""What is measured, held to what it is by definition."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from skvae.report.entry import LEFT_OUT, NUMBER, Entry
from skvae.report.frames import constant, guesses, losses, relative, split
from skvae.report.likeness import associations, likeness_of
from skvae.report.onehot import OneHotPCA
from skvae.report.prediction import predict
from skvae.report.study import Wishes, study


def table(n=80, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n)
    return pd.DataFrame(
        {
            "x": 3 * z + rng.standard_normal(n),
            "w": rng.standard_normal(n),
            "c": pd.Series(np.where(z > 0, "a", "b"), dtype=object),
        }
    )


def test_pca_of_numbers_is_that_of_scikit_learn():
    frame = table()[["x", "w"]].assign(v=lambda f: f["x"] + f["w"] ** 2)
    standard = (frame - frame.mean()) / frame.std(ddof=0)
    pca = PCA(2).fit(standard)
    own = OneHotPCA(2).fit(frame)
    np.testing.assert_allclose(own.transform(frame), pca.transform(standard), atol=1e-10)
    back = pca.inverse_transform(pca.transform(standard)) * frame.std(ddof=0).to_numpy()
    np.testing.assert_allclose(own.reconstruct(frame), back + frame.mean().to_numpy())


def test_all_components_bring_a_table_back():
    frame = table()
    back = OneHotPCA(4).fit(frame).reconstruct(frame)
    np.testing.assert_allclose(back["x"], frame["x"])
    assert back["c"].tolist() == frame["c"].tolist()


def test_a_guess_has_the_error_of_a_guess():
    frame = table()
    lost = losses(frame, constant(guesses(frame), frame))
    assert lost["x"] == pytest.approx(frame["x"].var(ddof=0))
    assert lost["c"] == pytest.approx(1 - frame["c"].value_counts(normalize=True).max())
    assert (relative(lost, lost) == 1).all()
    assert (losses(frame, frame) == 0).all()


def test_columns_vary_among_the_rows_that_are_learnt_from():
    frame = table(200).assign(rare=[1.0] + [0.0] * 199, gaps=[np.nan] * 197 + [1.0, 2.0, 2.0])
    for seed in range(20):
        train, test = split(frame, 0.5, np.random.RandomState(seed))
        assert sorted([*train, *test]) == list(range(200))
        assert (frame.iloc[train].nunique() > 1).all()


def test_the_association_of_a_column_with_itself_is_1_and_of_others_0():
    frame = table(4000)
    found = associations(frame.assign(same=-(frame["x"] ** 3)))
    assert found[0, 3] == pytest.approx(1)
    assert found[0, 1] < 0.06
    assert found[2, 1] < 0.06
    np.testing.assert_allclose(found, found.T)
    assert likeness_of(frame, frame).distances.max() == 0


def test_a_target_is_predicted_where_it_can_be():
    frame = table(200)
    z = frame[["x"]].to_numpy()
    found = predict(frame["c"].rename("c"), {"x": z}, seed=0).scores
    assert found.loc["x", ("accuracy", "mean")] > 0.8
    assert found.loc["nothing: a guess", ("area under the ROC curve", "mean")] == 0.5
    line = predict(frame["x"], {"x": z}, seed=0).scores
    assert line.loc["x", ("R2", "mean")] > 0.99


def test_rows_without_a_target_do_not_take_part_in_prediction():
    frame = table(100)
    target = frame["c"].where(np.arange(100) >= 30, None)
    told = predict(target, {"x": frame[["x"]].to_numpy()}, seed=0).told
    assert "70 rows" in told
    assert "30 rows without a target take no part in this." in told


def test_rows_of_small_classes_are_told_by_themselves():
    target = pd.Series(["a", "b"] * 30 + ["rare"], name="y", dtype=object)
    told = predict(target, {"x": np.zeros((61, 1))}, seed=0).told
    assert told == (
        "2 classes in 60 rows. 1 row of classes with fewer than 5 rows take no part in this."
    )


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (pd.Series([f"t{k % 30}" for k in range(300)], name="y", dtype=object), "30 classes"),
        (pd.Series([f"t{k}" for k in range(90)], name="y", dtype=object), "all of its 90 classes"),
        (pd.Series(["a"] * 90 + ["b"] * 4, name="y", dtype=object), "all but one of its 2 classes"),
        (pd.Series(["a"] * 90, name="y", dtype=object), "the same in all rows"),
        (pd.Series([0.5] * 90, name="y"), "the same in all rows"),
        (pd.Series([0.5 * k for k in range(12)], name="y"), "12 rows have it, and 20 are needed"),
        (pd.Series([None] * 90 + ["a", "b"] * 5, name="y", dtype=object), "10 rows have it"),
    ],
)
def test_targets_that_cannot_be_predicted_say_why(target, reason):
    assert reason in predict(target, {"x": np.zeros((len(target), 1))}, seed=0).reason


def test_few_rows_are_refused_with_what_was_left_out(found):
    few = [replace(e, cells=e.cells.iloc[:20] if e.is_taken else None) for e in found.account]
    with pytest.raises(ValueError, match=r"20 rows of .* needs 30 rows.*Left out: "):
        study(few, Wishes())


def test_of_many_columns_left_out_some_are_told():
    out = [Entry(f"c{k}", LEFT_OUT, "no cell is filled") for k in range(40)]
    with pytest.raises(
        ValueError, match=r"^0 rows of 0 columns can .*c4: no cell .*; 35 more"
    ) as e:
        study(out, Wishes())
    assert len(str(e.value)) < 400


@pytest.mark.parametrize("columns", [["x", "w"], ["x", "w", "c"], ["x", "w", "double"]])
def test_more_codes_than_a_table_bears_are_refused_with_the_most(columns):
    frame = table().assign(double=lambda f: 2 * f["x"])[columns]
    account = [Entry(name, NUMBER, "", cells) for name, cells in frame.items()]
    most = 3 if "c" in columns else 2
    with pytest.raises(ValueError, match=f"--codes {most + 1} .* Use --codes {most} or fewer"):
        study(account, Wishes(n_codes=most + 1))


def test_cells_that_are_off_are_named_in_odd_rows(found):
    scores = [odd.score for odd in found.study.odd]
    assert scores == sorted(scores)
    every = found.study.vae.score_samples(found.study.frame)
    assert scores[0] == pytest.approx(every.min())
