"""The demo: its reader, and a tour of a table."""

import sys

import numpy as np
import pandas as pd
import pytest

import skvae
from benchmarks import demo
from tests.samples import gaussian


@pytest.fixture
def csv(tmp_path):
    X = gaussian(80, 5)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(
        city=["x", "y"] * 40, kind=np.arange(80) % 3, empty=[1.0] * 10 + [np.nan] * 70
    )
    frame.loc[3, "b"] = np.nan
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def test_the_reader_leaves_out_what_is_not_numeric(csv, capsys):
    data = demo.read_table(csv, target=None)
    message = capsys.readouterr().out
    assert "columns left out, not numeric: city" in message
    assert "columns left out, mostly missing: empty" in message
    assert "rows left out, missing cells: 1 of 80" in message
    assert data.X_train.shape[1] == 6
    assert len(data.X_train) + len(data.X_test) == 79
    assert data.y_train is None
    np.testing.assert_allclose(data.X_train.std(0), 1)


def test_the_reader_takes_classes(csv):
    data = demo.read_table(csv, target="kind")
    assert set(data.y_train) <= {"0", "1", "2"}
    assert data.X_train.shape[1] == 5


def test_the_reader_names_the_columns_there_are(csv):
    with pytest.raises(SystemExit, match="no column 'price'; there are: a, b, c"):
        demo.read_table(csv, target="price")


def test_the_reader_wants_enough_rows_and_columns(tmp_path):
    pd.DataFrame(gaussian(10, 2), columns=["a", "b"]).to_csv(tmp_path / "small.csv")
    with pytest.raises(SystemExit, match="at least 20 rows of 4 columns"):
        demo.read_table(tmp_path / "small.csv", target=None)


def test_the_demo_runs_on_a_table(csv, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "LATENT_DIMS", (2, 4))
    quick = lambda latent_dim: skvae.VAETransformer(latent_dim, max_iter=0)  # noqa: E731
    monkeypatch.setitem(demo.REDUCERS, "VAETransformer", (quick, "latent_dim"))
    picture = tmp_path / "demo.png"
    arguments = ["demo", "--data", str(csv), "--target", "kind", "--output", str(picture)]
    monkeypatch.setattr(sys, "argv", arguments)
    demo.main()
    shown = capsys.readouterr().out
    for part in ("latent_dim", "Pipeline, latent_dim 4", "GridSearchCV, 3 folds", "picture:"):
        assert part in shown
    assert picture.stat().st_size > 1000
