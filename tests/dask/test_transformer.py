"""The estimator over a cluster: what it is fitted to, and that its answers are those of one."""

import pickle
import warnings
from dataclasses import replace
from itertools import pairwise

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import torch.distributed as dist
from dask import delayed
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skvae import VAETransformer
from skvae.dask import DaskVAETransformer
from tests.distributed.together import SMALL, curve, sha, table, weights, zeros

N = 400
CUTS = (0, 150, 150, 400)  # of partitions, of which one is empty


def quiet(work):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return work()


def as_frame(frame, cuts=CUTS):
    """A dataframe of Dask whose partitions end where they are told to."""
    parts = [frame.iloc[first:end] for first, end in pairwise(cuts)]
    return dd.from_map(lambda part: part, parts, meta=frame.iloc[:0])


def as_array(X, cuts=CUTS):
    """An array of Dask, of rows that may be sparse."""
    parts = [
        da.from_delayed(delayed(X[first:end]), (end - first, X.shape[1]), dtype=X.dtype, meta=X[:0])
        for first, end in pairwise(cuts)
    ]
    return da.concatenate(parts)


def unknown(X):
    """The same without sizes of chunks."""
    return as_frame(pd.DataFrame(X)).to_dask_array()


MATRIX = curve(N, 6)
CASES = {
    "array": (MATRIX, as_array),
    "unknown sizes": (MATRIX, unknown),
    "columns in chunks": (MATRIX, lambda X: da.from_array(X, chunks=(100, 2))),
    "single": (MATRIX.astype(np.float32), as_array),
    "sparse": (zeros(), as_array),
    "frame": (table(), as_frame),
    "categories": (table().astype({"level": "category"}), as_frame),
}


def alone(X, weight=None, **parameters):
    """A fit of one process with sums in the order of any number: what torchrun gives."""

    def fit():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        try:
            vae = VAETransformer(2, distributed="auto", deterministic=True, **SMALL | parameters)
            return quiet(lambda: vae.fit(X, sample_weight=weight))
        finally:
            dist.destroy_process_group()

    return fit


@pytest.fixture(
    scope="module", params=["threads", pytest.param("processes", marks=pytest.mark.slow)]
)
def client(request):
    """The client of two workers: in this process, and in processes of their own."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def fitted(client):
    """Fits that several tests ask, by case."""
    made = {}

    def fit(case):
        if case not in made:
            X, lazy = CASES[case]
            vae = DaskVAETransformer(2, deterministic=True, client=client, **SMALL)
            made[case] = quiet(lambda: vae.fit(lazy(X)))
        return made[case]

    return fit


@pytest.mark.parametrize("case", CASES)
def test_a_fit_is_that_of_processes_by_any_starter(client, fitted, case):
    expected = client.submit(alone(CASES[case][0]), pure=False).result()
    vae = fitted(case)
    assert sha(vae.to_local()) == sha(expected)
    assert vae.n_samples_ == N
    assert vae.n_iter_ > 1
    assert vae.n_restarts_ == 0


def test_weights_of_rows_and_the_number_of_workers(client):
    expected = client.submit(alone(MATRIX, weights()), pure=False).result()
    X, vae = as_array(MATRIX), DaskVAETransformer(2, deterministic=True, **SMALL)
    first = next(iter(client.scheduler_info()["workers"]))
    on_one = client.persist(X, workers=[first])
    for rows in (X, on_one):
        quiet(lambda rows=rows: vae.fit(rows, sample_weight=weights()))
        assert sha(vae.to_local()) == sha(expected)
    weight = as_frame(pd.DataFrame({"weight": weights()}))["weight"]
    quiet(lambda: vae.fit(unknown(MATRIX), sample_weight=weight))
    assert sha(vae.to_local()) == sha(expected)


def test_without_one_order_workers_take_their_rows_as_they_are(client):
    X = as_array(MATRIX)
    vae = quiet(lambda: DaskVAETransformer(2, **SMALL).fit(X))
    assert vae.score(X) > vae.pca_score_
    first = next(iter(client.scheduler_info()["workers"]))
    on_one = client.persist(X, workers=[first])
    one = quiet(lambda: DaskVAETransformer(2, **SMALL).fit(on_one))
    expected = client.submit(_plain, pure=False).result()
    assert sha(one.to_local()) == sha(expected)


def _plain():
    return quiet(lambda: VAETransformer(2, **SMALL).fit(MATRIX))


def check_lazy(lazy, expected, index=None):
    """What Dask promises of a collection is what it computes, and what the local one answers."""
    found = lazy.compute()
    if isinstance(found, (pd.DataFrame, pd.Series)):
        found_index = found.index
        if isinstance(found, pd.DataFrame):
            assert list(lazy.columns) == list(found.columns)
            pd.testing.assert_series_equal(lazy.dtypes, found.dtypes)
        else:
            assert lazy.name == found.name
        if index is not None:
            pd.testing.assert_index_equal(found_index, index)
    else:
        assert lazy.dtype == found.dtype
        assert lazy.ndim == found.ndim
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, check_names=False, check_dtype=False)
    else:  # products of fewer rows are rounded otherwise
        assert np.allclose(np.asarray(found), np.asarray(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_answers_are_lazy_and_those_of_the_estimator(fitted, case):
    X, lazy = CASES[case]
    vae, rows = fitted(case), lazy(X)
    local = vae.to_local()
    index = X.index if isinstance(X, pd.DataFrame) else None
    codes = vae.transform(rows)
    check_lazy(codes, local.transform(X), index)
    check_lazy(vae.score_samples(rows), local.score_samples(X), index)
    for lazily, own in zip(vae.encode(rows), local.encode(X), strict=True):
        check_lazy(lazily, own, index)
    back = local.inverse_transform(local.transform(X))
    check_lazy(vae.inverse_transform(codes), back, index)
    assert vae.score(rows) == pytest.approx(local.score(X), rel=1e-6)


def test_frames_keep_index_divisions_and_names(fitted):
    frame = table().set_index(pd.Index(range(0, 2 * N, 2), name="id"))
    rows = dd.from_pandas(frame, npartitions=3)
    vae = fitted("frame")
    local = vae.to_local()
    codes = vae.transform(rows)
    assert codes.divisions == rows.divisions
    assert list(codes.columns) == list(vae.get_feature_names_out())
    check_lazy(codes, local.transform(frame), frame.index)
    check_lazy(vae.score_samples(rows), local.score_samples(frame), frame.index)
    back = vae.inverse_transform(codes)
    assert back.divisions == rows.divisions
    assert back.compute().index.equals(frame.index)


def test_missing_cells_are_filled(fitted):
    frame = table()
    vae, rows = fitted("frame"), as_frame(frame)
    local = vae.to_local()
    filled = vae.impute(rows).compute()
    assert not filled.isna().any().any()
    frame = rows.compute()  # whose texts are Dask's
    pd.testing.assert_frame_equal(filled, local.impute(frame), check_names=False)
    one, other = (lazy.compute() for lazy in vae.impute(rows, n_draws=2, random_state=0))
    assert one.dtypes.equals(frame.dtypes)
    assert not one.equals(other)
    again = vae.impute(rows, n_draws=2, random_state=0)[0].compute()
    pd.testing.assert_frame_equal(one, again)
    with pytest.raises(ValueError, match="refine"):
        vae.impute(rows, refine="nonsense")


def test_arrays_can_be_answered_by_frames(fitted):
    vae = pickle.loads(pickle.dumps(fitted("array"))).set_output(transform="pandas")
    for rows in (as_array(MATRIX), da.from_array(MATRIX, chunks=(150, 6))):
        codes = vae.transform(rows)
        check_lazy(codes, vae.to_local().transform(MATRIX), pd.RangeIndex(N))
        check_lazy(vae.inverse_transform(codes), vae.to_local().inverse_transform(codes.compute()))
        assert list(codes.columns) == list(vae.get_feature_names_out())
    assert codes.divisions == (0, 150, 300, 399)
    with pytest.raises(ValueError, match="polars"):
        vae.set_output(transform="polars")


@pytest.mark.parametrize("case", ["array", "frame"])
def test_samples_are_those_of_a_seed(fitted, case):
    vae = fitted(case)
    lazy = vae.sample(70_000, random_state=3)
    rows = lazy.compute()
    assert len(rows) == 70_000
    assert lazy.npartitions == 2 if case == "frame" else lazy.numblocks[0] == 2
    again = vae.sample(70_000, random_state=3)
    if case == "frame":
        last = again.partitions[1].compute(scheduler="synchronous")
        pd.testing.assert_frame_equal(rows[-len(last) :], last)
        pd.testing.assert_index_equal(rows.index, pd.RangeIndex(70_000), exact=False)
        assert rows.dtypes.equals(as_frame(table()).compute().dtypes)
        given = vae.sample(5, 0, given={"level": "high"}).compute()
        assert set(given["level"]) == {"high"}
    else:
        assert np.array_equal(rows, again.compute(scheduler="synchronous"))
    assert len(vae.sample().compute()) == 1


def test_rows_at_hand_are_answered_at_once(fitted):
    vae = fitted("array")
    local = vae.to_local()
    assert np.array_equal(vae.transform(MATRIX), local.transform(MATRIX))
    assert np.array_equal(vae.impute(MATRIX), MATRIX)
    assert vae.score(MATRIX) == local.score(MATRIX)
    assert isinstance(vae.encode(MATRIX)[0], np.ndarray)


def test_parameters_are_those_of_the_estimator(client):
    theirs = set(VAETransformer().get_params()) - {"distributed"}
    vae = DaskVAETransformer(3, beta=2.0, client=client, max_restarts=1)
    assert set(vae.get_params()) == theirs | {"client", "max_restarts"}
    twin = clone(vae)
    assert twin.get_params() == vae.get_params()
    assert twin.client is client
    assert vae.set_params(beta=0.5).beta == 0.5
    assert pickle.loads(pickle.dumps(vae)).client is None
    with pytest.raises(TypeError, match="latent_dim"):
        DaskVAETransformer(n_components=2)
    with pytest.raises(TypeError, match="'distributed'"):
        DaskVAETransformer(distributed="auto")
    with pytest.raises(NotFittedError):
        vae.transform(as_array(MATRIX))


def test_there_and_back(client, tmp_path):
    local = quiet(lambda: VAETransformer(2, **SMALL).fit(MATRIX))
    vae = DaskVAETransformer.from_local(local)
    rows = as_array(MATRIX)
    check_lazy(vae.transform(rows), local.transform(MATRIX))
    assert vae.kept_ == local.kept_
    assert vae.to_local().get_params() == local.get_params()
    vae.to_local().save(tmp_path / "model.skvae")
    loaded = VAETransformer.load(tmp_path / "model.skvae")
    assert np.array_equal(loaded.transform(MATRIX), local.transform(MATRIX))
    assert not hasattr(DaskVAETransformer.from_local(VAETransformer()), "kept_")


def test_a_fit_can_go_on(client):
    rows = as_array(MATRIX)
    vae = DaskVAETransformer(2, warm_start=True, **SMALL)
    first = len(quiet(lambda: vae.fit(rows)).loss_curve_)
    assert len(quiet(lambda: vae.fit(rows)).loss_curve_) > first


def test_warnings_of_the_fit_come_to_who_asked(client):
    vae = DaskVAETransformer(2, **SMALL | {"max_iter": 1})
    with pytest.warns(ConvergenceWarning):
        vae.fit(as_array(MATRIX))


REFUSED = {
    "at hand": (lambda: MATRIX, TypeError, r"ndarray; fit a VAETransformer.*from_array"),
    "one column": (lambda: as_frame(table())["x1"], TypeError, r"one column of Dask.*to_frame"),
    "three axes": (lambda: da.zeros((4, 3, 2)), ValueError, "shape"),
    "no rows": (lambda: as_array(MATRIX[:0], (0, 0, 0)), ValueError, "0 sample"),
    "other columns": (
        lambda: da.concatenate(
            [
                da.from_delayed(delayed(MATRIX[:50]), (50, 6), dtype=float),
                da.from_delayed(delayed(MATRIX[:50, :4]), (50, 6), dtype=float),
            ]
        ),
        ValueError,
        "the number of columns is",
    ),
    "other names": (
        lambda: dd.from_map(
            lambda name: pd.DataFrame(MATRIX, columns=[*list("abcde"), name]),
            ["f", "g", "f", "f"],
            meta=pd.DataFrame(MATRIX[:0], columns=list("abcdef")),
        ),
        ValueError,
        "the names of the columns",
    ),
    "infinite": (
        lambda: as_array(np.where(MATRIX.max() == MATRIX, np.inf, MATRIX)),
        ValueError,
        "infinity",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_fitted_is_refused_with_its_reason(client, reason):
    make, kind, message = REFUSED[reason]
    with pytest.raises(kind, match=message):
        DaskVAETransformer(2, **SMALL).fit(make())


def test_bad_parameters_and_weights_are_refused(client):
    rows = as_array(MATRIX)
    with pytest.raises(ValueError, match="max_restarts=-1"):
        DaskVAETransformer(2, max_restarts=-1).fit(rows)
    with pytest.raises(ValueError, match="beta"):
        DaskVAETransformer(2, beta=-1.0).fit(rows)
    with pytest.raises(ValueError, match="sample weights"):
        DaskVAETransformer(2).fit(rows, sample_weight=np.ones(3))
    with pytest.raises(TypeError, match="sample_weight is in memory"):
        DaskVAETransformer(2).fit(unknown(MATRIX), sample_weight=np.ones(N))


def test_questions_about_other_columns_are_refused_at_once(fitted):
    with pytest.raises(ValueError, match="features"):
        fitted("array").transform(as_array(MATRIX[:, :3]))
    with pytest.raises(ValueError, match="feature names"):
        fitted("frame").transform(as_frame(table().rename(columns={"x1": "y"})))
    with pytest.raises(ValueError, match="codes"):
        fitted("array").inverse_transform(as_array(MATRIX[:, :3]))


@pytest.mark.parametrize("make", [as_array, unknown], ids=["array", "unknown"])
def test_the_plain_estimator_says_where_to_go(make):
    for X in (make(MATRIX), dd.from_pandas(table(), npartitions=2)):
        with pytest.raises(ValueError, match=r"skvae\.dask\.DaskVAETransformer"):
            VAETransformer(2).fit(X)


def test_budgets_go_to_the_workers(client):
    vae = DaskVAETransformer(2, deterministic=True, **SMALL)
    vae.limits = replace(VAETransformer.limits, known_cells=250 * 6)
    rows = curve(4000, 6)
    quiet(lambda: vae.fit(da.from_array(rows, chunks=(900, 6))))
    assert vae.n_samples_ == 4000
    exact = VAETransformer(2, max_iter=0).fit(rows)
    assert vae.to_local()._model.start.code_unit == pytest.approx(
        exact._model.start.code_unit, rel=1e-10
    )
