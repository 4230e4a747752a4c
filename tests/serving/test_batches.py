"""A saved model as a function: the same answers in kind, whichever engine calls it."""

import pickle

import numpy as np
import pandas as pd
import pytest

import skvae
from skvae import LoadError, VAETransformer
from tests.command.conftest import people
from tests.generated import as_array, to_polars

METHODS = ("transform", "score_samples")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "people.skvae"
    vae = VAETransformer(2, max_iter=0).fit(people())
    vae.save(path)
    return vae, path


@pytest.mark.parametrize("method", METHODS)
def test_answers_are_in_kind_with_as_many_rows_and_the_index(method, kept):
    pa = pytest.importorskip("pyarrow")
    vae, path = kept
    ask = pickle.loads(pickle.dumps(skvae.batch_function(path, method, keep=["id"])))
    frame = people(9).assign(id=range(9)).iloc[:, ::-1].set_axis([5] * 9)
    expected = getattr(vae, method)(people(9)).reshape(9, -1)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for batch in (frame, to_polars(frame), table, table.to_batches()[0]):
        found = ask(batch)
        assert type(found) is type(batch)
        shown = found if isinstance(found, pd.DataFrame) else found.to_pandas()
        assert shown["id"].tolist() == list(range(9))
        assert np.array_equal(as_array(shown.drop(columns="id")), expected)
        assert len(ask(batch[:0])) == 0
    assert ask(frame).index.tolist() == [5] * 9
    parts = list(ask(iter([frame[:4], frame[4:4], frame[4:]])))
    assert [len(part) for part in parts] == [4, 0, 5]


def test_a_file_is_loaded_once_and_again_when_it_is_another(kept, tmp_path, monkeypatch):
    path = kept[1]
    own, calls = tmp_path / "model.skvae", []
    own.write_bytes(path.read_bytes())
    load = VAETransformer.load
    monkeypatch.setattr(VAETransformer, "load", lambda path: calls.append(path) or load(path))
    for _ in range(3):
        skvae.batch_function(own)(people(3))
    assert len(calls) == 1
    VAETransformer(1, max_iter=0).fit(people()).save(own)
    assert skvae.batch_function(own)(people(3)).shape == (3, 1)


def test_dask_maps_partitions(kept):
    dd = pytest.importorskip("dask.dataframe")
    vae, path = kept
    ask = skvae.batch_function(path)
    frame = people(30)
    lazy = dd.from_pandas(frame, npartitions=3).map_partitions(ask, meta=ask(frame[:0]))
    found = lazy.compute(scheduler="synchronous")
    assert found.index.equals(frame.index)
    np.testing.assert_allclose(as_array(found), vae.transform(frame), rtol=0, atol=1e-12)


def test_polars_maps_batches(kept):
    vae, path = kept
    ask, frame = skvae.batch_function(path), to_polars(people(30))
    lazy = frame.lazy().map_batches(ask, schema=ask(frame[:0]).schema)
    assert np.array_equal(lazy.collect().to_numpy(), vae.transform(people(30)))


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda frame: frame.drop(columns="age"), ValueError, "column 'age' is missing"),
        (lambda frame: frame.assign(id=1), ValueError, "column 'id' is not known"),
        (lambda frame: 3, TypeError, "pass a DataFrame of pandas"),
    ],
)
def test_other_batches_are_refused(change, error, said, kept):
    with pytest.raises(error, match=said):
        skvae.batch_function(kept[1])(change(people(3)))


def test_other_calls_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must be one of"):
        skvae.batch_function("m", "fit")
    with pytest.raises(ValueError, match="must be a list"):
        skvae.batch_function("m", keep="id")
    (tmp_path / "m").write_text("no model, surely")
    with pytest.raises(LoadError):
        skvae.batch_function(tmp_path / "m")(people(3))
