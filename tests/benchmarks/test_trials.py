"""Trials: methods on data sets, held to PCA."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from benchmarks import datasets, runner
from benchmarks.datasets import Source
from benchmarks.metrics import METRICS, Evaluation
from benchmarks.suites import trials_table

COMMAND = ["--datasets", "iris", "--latent-dims", "2", "--seeds", "0", "--max-train-rows", "60"]


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name):
    assert callable(METRICS[name])
    assert METRICS[name].__doc__


def test_a_trial_is_held_to_pca(command):
    lines = command("trials", *COMMAND, "--methods", "pca", "skvae")
    found = {line["task"]["method"]: line["figures"] for line in lines}
    for figures in found.values():
        assert set(METRICS) <= set(figures)
        assert (figures["n_train"], figures["n_features"]) == (60, 4)
    assert found["pca"]["mse_ratio"] == pytest.approx(1)
    assert found["pca"]["log_likelihood_gain"] == pytest.approx(0, abs=1e-9)
    assert found["skvae"]["row_guarantee"] is True
    assert set(lines[1]["facts"]) == set(runner.FACTS)
    assert len(command("trials", *COMMAND, "--methods", "pca", "skvae")) == 2


@pytest.mark.parametrize(("n_restored", "expected"), [(None, 1.0), (10, 1.0), (0, None)])
def test_errors_are_of_the_rows_that_are_brought_back(n_restored, expected):
    split = datasets.split("iris", Source(), 0)
    pca = PCA(2).fit(split.X_train)
    restored = split.X_test[:n_restored]

    class Only(PCA):
        def transform(self, X):
            np.testing.assert_array_equal(X, restored)
            return super().transform(X)

    model = Only(2).fit(split.X_train)
    found = METRICS["mse_ratio"](Evaluation(split, model, pca, 1.0, n_restored))
    assert found == (expected if expected is None else pytest.approx(expected))


def frame(**columns):
    given = {
        "dataset": "a", "method": "skvae", "latent_dim": 2, "seed": [0, 1], "max_train_rows": None,
        "mse_ratio": [0.25, 1.0], "log_likelihood_gain": [1.0, 3.0], "fit_seconds": 1.0,
        "knn1": 0.5, "linear_probe": 0.5, "failure": None, "row_guarantee": [True, None],
        "n_train": 100, "n_features": 7, "scaling": "as given",
    }  # fmt: skip
    return pd.DataFrame(given | columns)


def test_the_table_of_methods():
    row = trials_table.methods_table(frame()).iloc[0]
    assert row["MSE / PCA's"] == "0.500"
    assert row["worst"] == "1.000"
    assert (row["trials"], row["seeds"]) == (2, 2)
    assert row["nats per row over PCA: median"] == "2.00"


def test_a_method_with_fewer_trials_stands_beside_ours_on_these():
    theirs = frame(method="umap", mse_ratio=2.0, knn1=0.75).iloc[:1]
    pca = frame(method="pca", mse_ratio=1.0)
    table = trials_table.methods_table(pd.concat([frame(), pca, theirs])).set_index("method")
    assert (table["VAETransformer's on these"] == ["0.500", "0.500", "0.250"]).all()
    assert table.loc["UMAP", "1-NN accuracy - PCA's"] == "0.250"


def test_the_table_of_data_sets_and_the_verdict():
    row = trials_table.datasets_table(frame(), "skvae").iloc[0]
    assert (row["training rows x columns"], row["2"], row["worst"]) == ("100 x 7", "0.500", "1.00")
    text = trials_table.verdict(frame(failure=[None, "ValueError: no"]))
    assert "2 trials on 1 data sets with 2 seeds; 1 failed" in text
    assert "worst 1.0000 (a, latent_dim 2, seed 1); 0 trials above 1.005" in text
    assert "held in 1 of 1 trials" in text
