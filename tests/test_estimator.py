"""What fit, transform and the rest promise: numbers, dtypes, determinism, fitted state, pickles.

Numbers after "checklist" count the lines of the project's checklist of the contract.
"""

import copy
import dataclasses
import itertools
import os
import pickle
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted
from torch import nn

import skvae
from skvae import MLP, VAETransformer
from skvae.components import component
from skvae.data.batches import BATCH_CELLS
from skvae.model.priors import PRIORS
from tests.samples import OneSplit

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COLUMNS = list("abcdef")


SHORT = {"batch_size": 8, "max_iter": 3, "random_state": 0}


def quick(latent_dim=2, **params):
    return OneSplit(latent_dim, **SHORT | params)


def usual(**params):
    """One that several splits judge, as they do for whoever has few rows."""
    return VAETransformer(**SHORT | params)


def frame(X):
    return pd.DataFrame(X, columns=COLUMNS)


@pytest.fixture(scope="module")
def _briefly(curve):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quick(warm_start=True).fit(curve)


@pytest.fixture
def briefly(_briefly):
    """A copy of one short fit, that a test may do with what it likes."""
    return copy.deepcopy(_briefly)


@pytest.fixture(scope="module")
def _of_a_frame(curve):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quick().fit(frame(curve))


@pytest.fixture
def of_a_frame(_of_a_frame):
    """The same of a model of a frame."""
    return copy.deepcopy(_of_a_frame)


def answers(vae, X):
    """Everything that a fitted model can be asked."""
    codes = vae.transform(X)
    return {
        "transform": codes,
        "inverse_transform": vae.inverse_transform(codes),
        "encode mean": vae.encode(X)[0],
        "encode std": vae.encode(X)[1],
        "decode": vae.decode(codes),
        "score_samples": vae.score_samples(X),
        "score": vae.score(X),
        "sample": vae.sample(5, random_state=0),
    }


def assert_same_answers(vae, other, X):
    expected = answers(vae, X)
    for name, answer in answers(other, X).items():
        np.testing.assert_array_equal(answer, expected[name], err_msg=name)


# What the model is: PCA at the start, never far below it


def test_no_passes_give_pca(curve, linear):
    pca = PCA(2).fit(curve)
    np.testing.assert_allclose(linear.transform(curve), pca.transform(curve), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        linear.inverse_transform(linear.transform(curve)),
        pca.inverse_transform(pca.transform(curve)),
        rtol=1e-6,
        atol=1e-9,
    )
    np.testing.assert_allclose(linear.score_samples(curve), pca.score_samples(curve), rtol=1e-6)
    np.testing.assert_allclose(
        linear.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-6
    )
    np.testing.assert_allclose(linear.mean_, pca.mean_)
    assert linear.noise_variance_ == pytest.approx(pca.noise_variance_, rel=1e-6)
    assert linear.pca_score_ == pytest.approx(pca.score(curve), rel=1e-6)
    assert (linear.kept_, linear.start_weight_, linear.converged_) == (0.0, 1.0, True)


def test_training_beats_pca(curve, trained, linear):
    def error(vae):
        return np.square(curve - vae.inverse_transform(vae.transform(curve))).mean()

    assert trained.score(curve) > linear.score(curve)
    assert error(trained) < error(linear)
    assert 0.01 <= trained.start_weight_ < 1.0


@pytest.mark.parametrize("distance", [1.0, 1e2, 1e6])
def test_no_row_costs_more_than_the_mixture_allows(curve, trained, linear, distance):
    rows = curve.mean(0) + distance * np.random.default_rng(0).normal(size=(50, 6)) * curve.std(0)
    floor = linear.score_samples(rows) + np.log(trained.start_weight_)
    assert (trained.score_samples(rows) >= floor - 1e-9 * np.abs(floor)).all()


def test_whiten_changes_the_scale_of_codes_alone(curve, trained):
    white = usual(max_iter=5, whiten=True).fit(curve)
    ratio = trained.transform(curve) / white.transform(curve)
    np.testing.assert_allclose(ratio, ratio[:1].repeat(len(curve), 0), rtol=1e-6)
    np.testing.assert_allclose(
        white.inverse_transform(white.transform(curve)),
        trained.inverse_transform(trained.transform(curve)),
        rtol=1e-6,
        atol=1e-9,
    )
    np.testing.assert_allclose(white.transform(curve).std(0), 1.0, atol=0.5)


def test_whitened_start_is_whitened_pca(curve):
    pca, vae = PCA(2, whiten=True).fit(curve), VAETransformer(2, max_iter=0, whiten=True).fit(curve)
    codes = pca.transform(curve)
    np.testing.assert_allclose(vae.transform(curve), codes, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        vae.inverse_transform(codes), pca.inverse_transform(codes), rtol=1e-6, atol=1e-9
    )


def test_codes_of_an_autoencoder_have_a_prior_that_is_fitted_to_them(curve):
    vae = quick(objective="autoencoder").fit(curve)
    assert vae.kept_ > 0
    assert isinstance(vae.prior_, PRIORS["ex_post"])


def test_latent_dim_auto_counts_the_directions():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(200, 8))
    vae = VAETransformer("auto", max_iter=0).fit(X)
    assert vae.latent_dim_ == 3
    assert vae.transform(X).shape == (200, 3)


def test_encode_and_decode_use_the_coordinates_of_the_prior(curve, linear, trained):
    mean, std = linear.encode(curve)
    np.testing.assert_allclose(mean.var(0, ddof=1) + np.square(std).mean(0), 1.0, rtol=1e-6)
    mean, std = trained.encode(curve)
    assert ((std > 0) & (std < 1)).all()
    assert np.square(trained.decode(mean) - curve).mean() < 0.5 * curve.var(0).mean()


def test_progress_is_shown_only_when_asked(curve, capsys):
    quick().fit(curve)
    assert capsys.readouterr() == ("", "")
    quick(verbose=1).fit(curve)
    shown = capsys.readouterr().err
    assert "pass" in shown
    assert "over PCA" in shown


# Input kept as it is, output in its dtype


# checklist 21
@pytest.mark.parametrize("as_frame", [False, True])
def test_rows_are_not_written_to(curve, as_frame):
    X = frame(curve.copy()) if as_frame else curve.copy()
    vae = quick().set_output(transform="pandas").fit(X, sample_weight=np.ones(len(curve)))
    vae.partial_fit(X)
    codes = vae.transform(X)
    before = codes.copy()
    vae.inverse_transform(codes)
    vae.score(X)
    np.testing.assert_array_equal(X, curve)
    pd.testing.assert_frame_equal(codes, before)


# checklist 22, 23
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("max_iter", [0, 3])
def test_dtype_out_is_dtype_in(curve, dtype, max_iter):
    X = curve.astype(dtype)
    vae = quick(max_iter=max_iter)
    assert vae.fit_transform(X).dtype == dtype
    for name, answer in answers(vae, X).items():
        if name != "score":
            assert answer.dtype == dtype, name


# checklist 23
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_of_rows_not_of_fit_decides(curve, trained, dtype):
    X = curve.astype(dtype)
    assert trained.transform(X).dtype == dtype
    assert trained.score_samples(X).dtype == dtype
    assert trained.inverse_transform(trained.transform(X)).dtype == dtype
    assert trained.sample(2).dtype == np.float64


# checklist 22
def test_integers_become_float64(curve):
    assert quick().fit_transform((10 * curve).astype(np.int32)).dtype == np.float64


# Row by row, seed by seed


# checklist 24: default layer sizes, a model that left PCA
def test_rows_do_not_see_each_other(curve, trained):
    order = np.random.default_rng(0).permutation(len(curve))
    for method in (trained.transform, trained.score_samples, lambda X: trained.encode(X)[1]):
        whole = method(curve)
        np.testing.assert_allclose(method(curve[order]), whole[order], rtol=1e-7, atol=1e-9)
        alone = np.concatenate([method(curve[[row]]) for row in range(len(curve))])
        np.testing.assert_allclose(alone, whole, rtol=1e-7, atol=1e-7)


# checklist 25
@pytest.mark.parametrize("cells", [1, 20_000])
def test_batches_change_nothing(curve, trained, cells):
    expected, few = answers(trained, curve), copy.copy(trained)
    few._model = dataclasses.replace(trained._model, batch_cells=cells)
    for name, answer in answers(few, curve).items():
        np.testing.assert_allclose(answer, expected[name], rtol=1e-12, atol=1e-12, err_msg=name)


# checklist 26
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"init": "random"},
        {"precision": "float64"},
        {"precision": "bfloat16"},
        {"architecture": MLP(hidden_layer_sizes=(8,))},
    ],
    ids=str,
)
def test_same_seed_same_bits(curve, params):
    first, second = (quick(**params).fit(curve) for _ in range(2))
    assert first.loss_curve_ == second.loss_curve_
    assert_same_answers(first, second, curve)


# checklist 26
def test_refit_forgets(curve):
    vae = quick().fit(curve[:, :4] ** 2).fit(curve)
    assert_same_answers(vae, quick().fit(curve), curve)


# checklist 29
def test_random_state_decides(curve):
    state = np.random.RandomState(0)
    first, second = (quick(random_state=state).fit(curve).loss_curve_ for _ in range(2))
    assert first != second
    curves = []
    before = np.random.get_state()  # noqa: NPY002
    for _ in range(2):
        np.random.seed(7)  # noqa: NPY002
        curves.append(quick(random_state=None).fit(curve).loss_curve_)
    np.random.set_state(before)  # noqa: NPY002
    assert curves[0] == curves[1]
    with pytest.raises(ValueError, match="random_state"):
        quick(random_state=np.random.default_rng(0)).fit(curve)


class Normed(nn.Module):
    """A body of a user's own, with a layer inside that the user chooses."""

    inner = staticmethod(lambda: nn.LayerNorm(64))

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_in, 64), nn.SiLU(), self.inner(), nn.Linear(64, n_out)
        )

    def forward(self, x):
        return self.layers(x)


class Broken(nn.Module):
    """A body whose output is not finite as soon as a step has changed it."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    def forward(self, x):
        out = self.layer(x)
        return out / 0.0 if self.layer.weight.any() else out


def generators():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return [kind, keys.tolist(), rest, torch.get_rng_state().tolist(), random.getstate()]


# checklist 27
@pytest.mark.parametrize(
    "params", [{}, {"init": "random", "max_iter": 20}, {"architecture": Normed}], ids=str
)
def test_global_generators_are_left_alone(curve, params):
    before = generators()
    vae = quick(**{"max_iter": 5, "warm_start": True, **params}).fit(curve)
    assert vae.kept_ > 0
    vae.fit(curve)
    vae.partial_fit(curve)
    answers(vae, curve)
    assert generators() == before


# checklist 24, 27
@pytest.mark.parametrize("layer", [lambda: nn.Dropout(0.2), lambda: nn.AlphaDropout(0.2)])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("init", ["pca", "random"])
def test_modules_that_draw_for_themselves_are_refused(curve, monkeypatch, layer, method, init):
    monkeypatch.setattr(Normed, "inner", staticmethod(layer))
    before = generators()
    vae = quick(architecture=Normed, init=init)
    with pytest.raises(ValueError, match=rf"holds {type(layer()).__name__}.*remove it"):
        getattr(vae, method)(curve)
    assert generators() == before
    with pytest.raises(NotFittedError):
        check_is_fitted(vae)


# checklist 24, 27
@pytest.mark.parametrize(
    "architecture",
    [MLP(dropout=0.2), MLP(normalization="batch"), Normed],
    ids=["dropout", "batch normalization", "a module with batch normalization"],
)
def test_modules_that_draw_or_mix_rows_in_training_answer_row_by_row(
    curve, monkeypatch, architecture
):
    """Running statistics stand for the rows of a batch, and nothing is dropped."""
    monkeypatch.setattr(Normed, "inner", staticmethod(lambda: nn.BatchNorm1d(64)))
    before = generators()
    vae = quick(architecture=architecture, max_iter=10).fit(curve)
    assert vae.kept_ > 0
    codes = vae.transform(curve)
    np.testing.assert_allclose(vae.transform(curve[:3]), codes[:3], rtol=1e-5, atol=1e-5)
    again = quick(architecture=architecture, max_iter=10).fit_transform(curve)
    np.testing.assert_array_equal(again, codes)
    assert generators() == before


# checklist 27
def test_global_generators_are_left_alone_when_fit_raises(curve):
    def failing(n_in, n_out):
        torch.rand(3)
        raise RuntimeError("no module")

    before = generators()
    for architecture in (failing, Broken):
        with pytest.raises((RuntimeError, skvae.DivergenceError)):
            quick(architecture=architecture).fit(curve)
    assert generators() == before


def settings():
    return (
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


# checklist 28
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_settings_of_torch_are_left_alone(curve, precision):
    before = settings()
    answers(quick(precision=precision).fit(curve), curve)
    assert settings() == before
    with pytest.raises(skvae.DivergenceError):
        quick(precision=precision, architecture=Broken).fit(curve)
    assert settings() == before


class Moody(nn.Module):
    """A body that can be told to fail."""

    fails = False

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 64), nn.SiLU(), nn.Linear(64, n_out))

    def forward(self, x):
        if self.fails:
            raise RuntimeError("not today")
        return self.layers(x)


def settings_while_handling_the_failure_of(call, X):
    """As a person's own code finds them, who still holds the traceback."""
    try:
        call(X)
    except RuntimeError:
        return settings()
    return "nothing was raised"


# checklist 28
@pytest.mark.parametrize("method", ["transform", "encode", "score", "partial_fit", "fit"])
def test_settings_of_torch_survive_a_failure(curve, monkeypatch, method):
    vae = quick(architecture=Moody, max_iter=5).fit(curve)
    assert vae.kept_ > 0
    before = settings()
    monkeypatch.setattr(Moody, "fails", True)
    assert settings_while_handling_the_failure_of(getattr(vae, method), curve) == before


# checklist 28
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_grad_mode_of_the_caller_changes_nothing(curve, mode):
    expected = quick().fit(curve)
    with mode():
        inside = settings()
        vae = quick().fit(curve)
        assert settings() == inside
        vae.transform(curve)
    assert_same_answers(vae, expected, curve)


# checklist 28
def test_default_dtype_of_the_caller_is_respected(curve):
    torch.set_default_dtype(torch.float64)
    try:
        vae = quick(max_iter=60, batch_size=32).fit(curve)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert vae.score(curve) == pytest.approx(
        quick(max_iter=60, batch_size=32).fit(curve).score(curve), abs=0.1
    )


# checklist 30
def test_float32_and_float64_agree(curve, trained):
    vae = clone(trained).fit(curve.astype(np.float32))
    assert vae.score(curve.astype(np.float32)) == pytest.approx(trained.score(curve), abs=1e-3)


# Names and frames


# checklist 11
def test_array_to_a_model_of_a_frame_warns_once(curve):
    vae = quick().fit(frame(curve))  # nor does fit itself warn of names: warnings are errors
    expected = vae.transform(frame(curve))
    with pytest.warns(UserWarning, match="valid feature names") as caught:
        codes = vae.transform(curve)
    assert len(caught) == 1
    np.testing.assert_array_equal(codes, expected)


# checklist 9, 10
@pytest.mark.parametrize("method", ["transform", "encode", "score", "score_samples", "partial_fit"])
def test_other_names_are_refused(curve, of_a_frame, method):
    call = getattr(of_a_frame, method)
    with pytest.raises(ValueError, match="must be in the same order"):
        call(frame(curve)[COLUMNS[::-1]])
    with pytest.raises(ValueError, match=r"(?s)unseen at fit time:\n- z.*now missing:\n- a"):
        call(frame(curve).rename(columns={"a": "z"}))
    with pytest.raises(ValueError, match=r"(?s)yet now missing:\n- f"):
        call(frame(curve)[COLUMNS[:5]])


# checklist 12
@pytest.mark.parametrize("method", ["transform", "encode", "score", "score_samples", "partial_fit"])
def test_other_widths_are_refused(curve, briefly, method):
    with pytest.raises(ValueError, match="X has 1 features, but OneSplit is expecting 6"):
        getattr(briefly, method)(curve[:, :1])


# checklist 31
def test_pandas_output(curve, trained):
    vae = copy.deepcopy(trained).set_output(transform="pandas")
    codes = vae.transform(curve)
    assert list(codes) == ["vaetransformer0", "vaetransformer1"]
    assert isinstance(codes.index, pd.RangeIndex)
    np.testing.assert_array_equal(codes, trained.transform(curve))
    restored = vae.inverse_transform(codes)
    assert list(restored) == [f"x{column}" for column in range(6)]
    np.testing.assert_array_equal(restored, trained.inverse_transform(codes))
    assert isinstance(trained.inverse_transform(codes), np.ndarray)
    shuffled = frame(curve).set_index(np.arange(len(curve))[::-1] // 2)
    codes = quick().set_output(transform="pandas").fit_transform(shuffled)
    pd.testing.assert_index_equal(codes.index, shuffled.index)


# checklist 31
def test_polars_in_and_out(curve, trained):
    table = pl.DataFrame(curve, schema=COLUMNS)
    vae = clone(trained).set_output(transform="polars")
    codes = vae.fit_transform(table)
    assert isinstance(codes, pl.DataFrame)
    assert codes.columns == ["vaetransformer0", "vaetransformer1"]
    assert list(vae.feature_names_in_) == COLUMNS
    np.testing.assert_allclose(codes.to_numpy(), trained.transform(curve), rtol=1e-7)


def test_frame_and_array_give_the_same_fit(curve, trained):
    vae = clone(trained).fit(frame(curve))
    np.testing.assert_allclose(vae.transform(frame(curve)), trained.transform(curve), rtol=1e-7)
    assert vae.score(frame(curve)) == pytest.approx(trained.score(curve), rel=1e-9)


# checklist 32
def test_feature_names_out(curve):
    with pytest.raises(NotFittedError):
        VAETransformer().get_feature_names_out()
    vae = VAETransformer(3, max_iter=0).fit(frame(curve))
    expected = [f"vaetransformer{code}" for code in range(3)]
    assert vae.get_feature_names_out().dtype == object
    assert vae.set_params(latent_dim=5).get_feature_names_out(COLUMNS).tolist() == expected
    for names in (COLUMNS[:2], COLUMNS[::-1]):
        with pytest.raises(ValueError, match="input_features"):
            vae.get_feature_names_out(names)


# checklist 32
def test_a_subclass_names_columns_after_itself(curve):
    class Curves(VAETransformer):
        pass

    assert Curves(max_iter=0).fit(curve).get_feature_names_out().tolist() == ["curves0", "curves1"]


# checklist 35
@pytest.mark.parametrize("method", ["inverse_transform", "decode"])
def test_codes_of_another_width_are_refused(trained, method):
    with pytest.raises(ValueError, match=r"X has 3 codes .* latent_dim=2"):
        getattr(trained, method)(np.zeros((4, 3)))


# checklist 36
@pytest.mark.parametrize("params", [{}, {"whiten": True}, {"max_iter": 0}], ids=str)
def test_fit_transform_is_fit_then_transform(curve, params):
    expected = quick(**params).fit(curve).transform(curve)
    np.testing.assert_allclose(quick(**params).fit_transform(curve), expected, rtol=1e-7)


# Draws


# checklist 37
def test_sample_is_repeatable(trained):
    first, second = (trained.sample(7, random_state=0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (7, 6)
    assert trained.sample().shape == (1, 6)
    assert not np.array_equal(first, trained.sample(7, random_state=1))
    assert trained.sample(np.int64(2)).shape == (2, 6)


# checklist 37
@pytest.mark.parametrize("n_samples", [0, -1, 1.5, "3", None])
def test_sample_wants_a_whole_number(trained, n_samples):
    with pytest.raises(ValueError, match="n_samples"):
        trained.sample(n_samples)


def test_sample_of_the_start_has_the_moments_of_ppca(curve, linear):
    X = linear.sample(50_000, random_state=0)
    np.testing.assert_allclose(X.mean(0), curve.mean(0), atol=0.05)
    covariance = PCA(2).fit(curve).get_covariance()
    np.testing.assert_allclose(np.cov(X.T), covariance, atol=0.04 * np.trace(covariance) / 6 + 0.02)


def test_sample_of_a_trained_model_looks_like_the_data(curve, trained):
    X = trained.sample(2000, random_state=0)
    np.testing.assert_allclose(X.mean(0), curve.mean(0), atol=0.3 * curve.std())
    assert X.var(0).sum() == pytest.approx(curve.var(0).sum(), rel=0.4)
    assert trained.score(X) > trained.score(curve) - 2.0


# Fitted state

ASKING = [
    ("transform", np.ones((2, 6))),
    ("inverse_transform", np.ones((2, 2))),
    ("encode", np.ones((2, 6))),
    ("decode", np.ones((2, 2))),
    ("score", np.ones((2, 6))),
    ("score_samples", np.ones((2, 6))),
    ("sample", 1),
    ("get_feature_names_out", None),
]


# checklist 38
@pytest.mark.parametrize(("method", "argument"), ASKING)
def test_nothing_is_answered_before_fit(method, argument):
    with pytest.raises(NotFittedError, match="VAETransformer"):
        getattr(VAETransformer(), method)(argument)


# checklist 39
def test_a_failed_fit_leaves_nothing(curve):
    vae = quick(architecture=Broken)
    with pytest.raises(skvae.DivergenceError):
        vae.fit(curve)
    with pytest.raises(NotFittedError):
        check_is_fitted(vae)
    with pytest.raises(NotFittedError):
        vae.transform(curve)


def with_infinity(X):
    damaged = X.copy()
    damaged[3, 1] = np.inf
    return damaged


# checklist 39
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(
    ("params", "damage"),
    [({"batch_size": 0}, np.copy), ({}, with_infinity), ({"device": "cuda:99"}, np.copy)],
    ids=["parameter", "infinity", "device"],
)
def test_a_failed_refit_mixes_no_models(curve, briefly, params, damage, warm_start, method):
    vae = briefly.set_params(warm_start=warm_start)
    old = copy.deepcopy(vae)
    with pytest.raises(ValueError, match=r"batch_size|infinity|device"):
        getattr(vae.set_params(**params), method)(damage(curve))
    assert_same_answers(vae, old, curve)
    assert vars(vae).keys() == vars(old).keys()


# checklist 39
def test_a_failed_first_fit_leaves_nothing(curve):
    vae = quick(objective="autoencoder", beta=2.0)
    before = vars(vae).copy()
    with pytest.raises(ValueError, match="beta"):
        vae.fit(curve)
    assert vars(vae) == before


# checklist 39
def test_a_diverged_refit_mixes_no_models(curve):
    vae = quick().fit(curve)
    old = copy.deepcopy(vae)
    with pytest.raises(skvae.DivergenceError):
        vae.set_params(architecture=Broken).fit(curve[:, :4])
    assert_same_answers(vae, old, curve)


# checklist 40
def test_asking_changes_no_attribute(curve):
    vae = quick().fit(curve)
    before = {name: (id(value), joblib.hash(value)) for name, value in vars(vae).items()}
    answers(vae, curve)
    vae.get_feature_names_out()
    vae._repr_html_()
    assert before == {name: (id(value), joblib.hash(value)) for name, value in vars(vae).items()}


# checklist 41
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_fit_adds_only_fitted_attributes(curve, method):
    vae = quick()
    params = set(vars(vae))
    getattr(vae, method)(frame(curve))
    assert all(name[0] == "_" or name[-1] == "_" for name in set(vars(vae)) - params)


# checklist 43
@pytest.mark.parametrize("params", [{}, {"max_iter": 0}, {"early_stopping": False}], ids=str)
def test_loss_curve_is_plain(curve, params):
    vae = quick(**params).fit(curve)
    assert isinstance(vae.loss_curve_, list)
    assert len(vae.loss_curve_) == vae.n_iter_ <= 3
    assert isinstance(vae.n_iter_, int)
    assert {type(value) for value in vae.loss_curve_ + vae.validation_scores_} <= {float}
    assert np.isfinite(vae.loss_curve_ + vae.validation_scores_).all()


# checklist 43
def test_fitted_numbers_are_in_range(curve, trained):
    assert trained.n_samples_ == len(curve)
    assert trained.n_features_in_ == 6
    assert trained.latent_dim_ == 2
    assert trained.n_active_ == 2
    assert trained.device_ == "cpu" or torch.cuda.is_available()
    assert 0.0 < trained.explained_variance_ratio_.sum() <= 1.0
    assert trained.explained_variance_ratio_.shape == trained.kl_per_dim_.shape == (2,)
    assert (trained.kl_per_dim_ > 0).all()
    assert 0.0 < trained.noise_variance_ < curve.var()
    assert isinstance(trained.converged_, bool)


# checklist 43: the bounds are in nats of the user's units
def test_curves_are_comparable_with_scores(curve):
    vae = VAETransformer(2, max_iter=0).fit(curve)
    first = quick().fit(curve).validation_scores_[0]
    assert first == pytest.approx(vae.score(curve), abs=1.0)
    scaled = quick().fit(1024.0 * curve)
    assert scaled.validation_scores_[0] == pytest.approx(first - 6 * np.log(1024.0), rel=1e-6)
    assert scaled.loss_curve_[0] == pytest.approx(
        quick().fit(curve).loss_curve_[0] + 6 * np.log(1024.0), rel=1e-6
    )


# checklist 52
def test_score_is_the_mean_of_score_samples(curve, trained):
    score = trained.score(curve)
    assert type(score) is float
    assert score == pytest.approx(trained.score_samples(curve).mean(), rel=1e-12)
    assert trained.score(curve, y=np.zeros(len(curve))) == score
    assert trained.score(curve + 100.0) < score


# checklist 52
@pytest.mark.parametrize(("c", "tolerance"), [(1024.0, 1e-9), (2.0**-20, 1e-9), (1000.0, 1e-2)])
def test_units_change_scores_by_their_logarithm(curve, trained, c, tolerance):
    vae = clone(trained).fit(c * curve)
    expected = trained.score_samples(curve) - 6 * np.log(c)
    np.testing.assert_allclose(vae.score_samples(c * curve), expected, atol=10 * tolerance)
    codes = trained.transform(curve)
    np.testing.assert_allclose(
        vae.transform(c * curve), c * codes, atol=tolerance * c * codes.max()
    )
    assert vae.scale_ == pytest.approx(c * trained.scale_, rel=1e-9)
    assert vae.noise_variance_ == pytest.approx(c**2 * trained.noise_variance_, rel=tolerance)


# Persistence


# checklist 7
def test_clone_of_a_fitted_model(trained):
    import sklearn

    vae = copy.deepcopy(trained).set_output(transform="pandas")
    with sklearn.config_context(enable_metadata_routing=True):
        vae.set_fit_request(sample_weight=True)
        other = clone(vae)
        assert other.get_metadata_routing().fit.requests == {"sample_weight": True}
    assert other._sklearn_output_config == {"transform": "pandas"}
    with pytest.raises(NotFittedError):
        check_is_fitted(other)


# checklist 8
def test_copies_leave_the_original_alone(curve, trained):
    before = answers(trained, curve)
    other = copy.deepcopy(trained)
    assert_same_answers(trained, other, curve)
    other.fit(curve[:50])
    clone(trained).fit(curve[:50])
    for name, answer in answers(trained, curve).items():
        np.testing.assert_array_equal(answer, before[name])


# checklist 44
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_pickles_go_on(curve, method):
    vae = getattr(quick(), method)(curve)
    other = pickle.loads(pickle.dumps(vae))
    assert_same_answers(vae, other, curve)
    vae.partial_fit(curve[:50])
    other.partial_fit(curve[:50])
    assert_same_answers(vae, other, curve)


# checklist 44: the arrays of a memory map are read-only
def test_memory_maps_go_on(curve, tmp_path):
    vae = quick().partial_fit(curve)
    joblib.dump(vae, tmp_path / "vae.joblib")
    other = joblib.load(tmp_path / "vae.joblib", mmap_mode="r")
    assert_same_answers(vae, other, curve)
    vae.set_params(warm_start=True).fit(curve)
    other.set_params(warm_start=True).fit(curve)
    assert_same_answers(vae, other, curve)
    del other


def n_parameter_bytes(vae):
    return sum(array.nbytes for array in vae._model.weights.values())


# checklist 46
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pickles_are_small(curve, dtype):
    wide = MLP(hidden_layer_sizes=(256, 256))
    for store_rows in (False, True):
        vae = quick(architecture=wide, store_rows=store_rows)
        models = [clone(vae).fit(curve[:n].astype(dtype)) for n in (100, 200)]
        assert all(vae.kept_ > 0 for vae in models)
        sizes = [len(pickle.dumps(vae)) for vae in models]
        assert (
            sizes[0] < 1.2 * n_parameter_bytes(models[0]) + 64_000 + store_rows * curve[:100].nbytes
        )
        assert abs(sizes[1] - sizes[0] - store_rows * curve[100:200].nbytes) < 600


# checklist 46
def test_a_linear_pickle_is_smaller_still(linear):
    assert len(pickle.dumps(linear)) - linear._model.stored.values.nbytes < 16_000


# checklist 47, 48
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_pickles_hold_no_torch(curve, method):
    vae = getattr(quick(), method)(curve)
    assert b"torch" not in pickle.dumps(vae)
    assert b"_parent_callback_ctx" not in pickle.dumps(vae)


# checklist 47
def test_a_pickle_of_another_version_warns(linear, monkeypatch):
    monkeypatch.setattr(skvae.pickles, "VERSION", "0.0.1")
    blob = pickle.dumps(linear)
    monkeypatch.undo()
    with pytest.warns(UserWarning, match=r"0\.0\.1"):
        pickle.loads(blob)


# checklist 45
@pytest.mark.gpu
def test_a_pickle_of_a_gpu_model_loads_without_one(curve, tmp_path):
    vae = quick(device="cuda").fit(curve)
    assert b"torch.cuda" not in pickle.dumps(vae)
    joblib.dump((vae, curve), tmp_path / "vae.joblib")
    program = (
        "import sys, warnings, joblib, numpy as np\n"
        "warnings.simplefilter('ignore')\n"
        "vae, X = joblib.load(sys.argv[1])\n"
        "np.save(sys.argv[2], vae.transform(X))\n"
    )
    paths = [str(tmp_path / "vae.joblib"), str(tmp_path / "codes.npy")]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", program, *paths], env=environment, check=True)
    codes = vae.transform(curve)
    np.testing.assert_allclose(np.load(paths[1]), codes, atol=1e-5 * np.abs(codes).max())


# checklist 27, 50
@pytest.mark.gpu
def test_a_gpu_fit_is_left_to_itself(curve):
    before = torch.cuda.get_rng_state().tolist()
    vae = quick(device="cuda").fit(curve)
    assert vae.device_.startswith("cuda")
    assert torch.cuda.get_rng_state().tolist() == before
    assert vae.score(curve) == pytest.approx(quick(device="cpu").fit(curve).score(curve), abs=0.5)
    rows = np.concatenate([vae.transform(curve[[row]]) for row in range(20)])
    np.testing.assert_allclose(rows, vae.transform(curve[:20]), rtol=1e-7, atol=1e-7)


# Weights


# checklist 54
def test_rows_of_weight_0_are_left_out(curve):
    rubbish = np.concatenate([curve[:150], 1e6 + curve[:50]])
    weight = np.repeat([1.0, 0.0], [150, 50])
    assert_same_answers(quick().fit(rubbish, sample_weight=weight), quick().fit(curve[:150]), curve)


# checklist 54
def test_weights_count(curve):
    weight = np.where(curve[:, 0] > 0, 10.0, 0.1)
    heavy = weight > 1
    plain, weighted = quick().fit(curve), quick().fit(curve, sample_weight=weight)
    gain = weighted.score_samples(curve) - plain.score_samples(curve)
    assert gain[heavy].mean() > 0 > gain[~heavy].mean()
    np.testing.assert_allclose(weighted.mean_, np.average(curve, axis=0, weights=weight))


# checklist 54
def test_equal_weights_are_no_weights(curve, trained):
    vae = clone(trained).fit(curve, sample_weight=np.full(len(curve), 4.0))
    np.testing.assert_allclose(vae.score(curve), trained.score(curve), rtol=1e-3)


# partial_fit and warm_start


# checklist 56
def test_partial_fit_learns(curve):
    vae = quick().partial_fit(curve)
    first = vae.score(curve)
    for _ in range(4):
        vae.partial_fit(curve)
    assert vae.score(curve) > first
    assert vae.kept_ == 1.0
    assert vae.n_samples_ == 5 * len(curve)
    assert len(vae.loss_curve_) == vae.n_iter_ == 5
    assert vae.loss_curve_[-1] < vae.loss_curve_[0]


# checklist 56
def test_batches_without_passes_give_pca(curve, linear):
    vae = quick(max_iter=0).partial_fit(curve[:7]).partial_fit(curve[7:])
    np.testing.assert_allclose(vae.transform(curve), linear.transform(curve), rtol=1e-6, atol=1e-9)


# checklist 56
def test_fit_forgets_partial_fit(curve):
    vae = quick().partial_fit(frame(curve)).partial_fit(frame(curve)).fit(curve[:, :4])
    assert vae.n_samples_ == len(curve)
    assert vae.n_features_in_ == 4
    assert not hasattr(vae, "feature_names_in_")
    assert_same_answers(vae, quick().fit(curve[:, :4]), curve[:, :4])


# checklist 56
def test_partial_fit_takes_one_row_after_the_first_batch(curve):
    """And is no worse for it: one row judges nothing."""
    vae = quick()
    for _ in range(3):
        vae.partial_fit(curve)
    kept, score, spread = vae.kept_, vae.score(curve), vae.explained_variance_ratio_
    vae.partial_fit(curve[:1])
    assert np.isfinite(vae.transform(curve)).all()
    assert vae.n_samples_ == 3 * len(curve) + 1
    assert vae.kept_ == kept
    assert vae.score(curve) > score - 0.1
    np.testing.assert_allclose(vae.explained_variance_ratio_, spread)


# checklist 57
def test_warm_start_goes_on(curve):
    vae = usual(max_iter=5, warm_start=True).fit(curve)
    first, score = vae.loss_curve_.copy(), vae.score(curve)
    vae.fit(curve)
    assert vae.loss_curve_[: len(first)] == first
    assert vae.n_iter_ == len(vae.loss_curve_) > len(first)
    assert abs(vae.loss_curve_[len(first)] - first[-1]) < first[0] - first[-1]
    assert vae.score(curve) > score
    assert vae.set_params(warm_start=False).fit(curve).n_iter_ <= 5


# checklist 57
def test_warm_start_loses_nothing_when_no_pass_helps(curve):
    vae = quick(max_iter=5, warm_start=True).fit(curve)
    score = vae.score(curve)
    for _ in range(3):
        vae.set_params(max_iter=1).fit(curve)
    assert vae.kept_ > 0
    assert vae.score(curve) > score - 0.1


PRIORS_BEFORE_AND_AFTER = [
    *itertools.permutations(["normal", "mixture", "vamp", "ex_post"], 2),
    (skvae.Mixture(n_components=3), skvae.Mixture(n_components=5)),
    ("ex_post", skvae.Mixture(n_components=3)),
]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("before", "after"), PRIORS_BEFORE_AND_AFTER)
def test_a_training_that_goes_on_takes_another_prior(curve, before, after, method):
    if method == "partial_fit" and "ex_post" in (before, after):
        pytest.skip("partial_fit knows no end after which a prior could be fitted")
    body = MLP(hidden_layer_sizes=(16,))
    vae = OneSplit(1, architecture=body, warm_start=True, max_iter=4, random_state=0)
    vae.set_params(batch_size=32, prior=before)
    getattr(getattr(vae, method)(curve), method)(curve)
    getattr(vae.set_params(prior=after), method)(curve)
    assert np.isfinite(vae.score(curve))
    assert vae.prior_.get_params() == component(after, PRIORS).get_params() or (
        isinstance(vae.prior_, PRIORS["normal"]) and after == "ex_post"
    )
    again = pickle.loads(pickle.dumps(vae))
    np.testing.assert_array_equal(again.sample(5, 0), vae.sample(5, 0))


def test_warm_start_goes_on_from_what_was_not_kept():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-2, 2, size=(2, 300))
    X = np.column_stack([a, b, a**2, b**2, np.sin(2 * a), np.sin(2 * b), a * b])
    X += 0.3 * rng.standard_normal(X.shape)
    vae = VAETransformer(2, warm_start=True, max_iter=5, random_state=0).fit(X)
    assert vae.kept_ == 0
    for _ in range(8):
        vae.fit(X)
    assert vae.kept_ > 0


def test_warm_start_as_an_autoencoder_keeps_the_codes(curve):
    vae = quick(1, warm_start=True, max_iter=40, refinement=0).fit(curve)
    before = vae.inverse_transform(vae.transform(curve))
    vae.set_params(objective="autoencoder", optimizer=skvae.AdamW(learning_rate=1e-12), max_iter=1)
    vae.fit(curve)
    assert vae.kept_ > 0
    np.testing.assert_allclose(vae.inverse_transform(vae.transform(curve)), before, atol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"max_iter": 0}], ids=["few rows", "no pass"])
def test_warm_start_keeps_the_model_where_nothing_can_be_judged(curve, changes):
    vae = quick(warm_start=True, max_iter=40).fit(curve)
    assert vae.kept_ > 0
    old = copy.deepcopy(vae)
    vae.set_params(**changes).fit(curve if changes else curve[:20])
    assert_same_answers(vae, old, curve)


def test_a_training_that_goes_on_counts_on(curve):
    vae = quick(warm_start=True).fit(curve).fit(curve).partial_fit(curve).partial_fit(curve)
    passes = vae.history_["n_pass"]
    assert (np.diff(passes) >= 0).all()
    assert passes[-1] == vae.n_iter_ - 1  # partial_fit looks before its pass
    assert (np.diff(vae.history_["seconds"]) >= 0).all()


def test_the_score_of_pca_is_that_of_the_last_rows(curve):
    vae = quick(2, warm_start=True, max_iter=1).fit(curve)
    other = 3 * curve[:150] + 1
    vae.fit(other)
    linear = quick(2, max_iter=0).fit(curve)
    assert vae.pca_score_ == pytest.approx(linear.score(other))


def test_after_batches_everything_is_of_all_rows(curve):
    vae = quick(2, max_iter=0)
    for part in np.array_split(3 * curve, 4):
        vae.partial_fit(part)
    whole = quick(2, max_iter=0).fit(3 * curve)
    assert vae.n_samples_ == len(curve)
    for name in ("mean_", "scale_", "pca_score_", "noise_variance_", "explained_variance_ratio_"):
        np.testing.assert_allclose(getattr(vae, name), getattr(whole, name), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(vae.transform(curve), whole.transform(curve), atol=1e-9)


def test_weights_of_batches_are_compared(curve):
    weight = np.repeat([1.0, 7.0], [150, 50])
    vae = quick(2, max_iter=0)
    vae.partial_fit(curve[:150], sample_weight=weight[:150])
    vae.partial_fit(curve[150:], sample_weight=weight[150:])
    whole = quick(2, max_iter=0).fit(curve, sample_weight=weight)
    np.testing.assert_allclose(vae.transform(curve), whole.transform(curve), atol=1e-9)
    zero = quick(2, max_iter=0).partial_fit(curve, sample_weight=np.r_[np.zeros(50), np.ones(150)])
    np.testing.assert_allclose(
        zero.transform(curve), quick(2, max_iter=0).fit(curve[50:]).transform(curve), atol=1e-9
    )
    assert zero.n_samples_ == 150


def test_a_batch_that_fails_leaves_the_estimator_as_it_was(curve):
    vae = quick().partial_fit(curve)
    before = pickle.dumps(vars(vae))
    for wrong in (curve[:, :3], np.full((5, 6), np.inf), np.full((5, 6), np.nan)):
        with pytest.raises(ValueError, match=r"X|missing"):
            vae.partial_fit(wrong)
    assert pickle.dumps(vars(vae)) == before


def test_every_partial_fit_has_an_order_and_noise_of_its_own(curve, monkeypatch):
    seen, draw = [], skvae.model.rows.ScoreRows.draw_noise

    def noted(rows, *args):
        noise = draw(rows, *args)
        seen.append((rows.scores, noise))
        return noise

    monkeypatch.setattr(skvae.model.rows.ScoreRows, "draw_noise", noted)
    vae = quick()
    for _ in range(3):
        vae.partial_fit(curve)
    n_draws = len(seen) // 3  # of a call; the last is that of its last step
    for (rows, noise), (others, other) in itertools.combinations(seen[n_draws - 1 :: n_draws], 2):
        assert not torch.equal(rows, others)
        assert not torch.equal(noise, other)


def test_one_row_is_learnt_from_with_batch_normalisation(curve):
    vae = quick(architecture=MLP(hidden_layer_sizes=(8,), normalization="batch"))
    vae.partial_fit(curve).partial_fit(curve[:1])
    assert np.isfinite(vae.transform(curve)).all()


def test_warm_start_keeps_out_the_same_rows(curve, monkeypatch):
    """What judged the first fit was not learnt from in the second, whatever random_state."""
    found = []
    split = skvae.fitting.fit.split

    def noted(*args):
        found.append(split(*args))
        return found[-1]

    monkeypatch.setattr(skvae.fitting.fit, "split", noted)
    vae = quick(warm_start=True, random_state=None).fit(curve).fit(curve)
    assert torch.equal(found[0][0], found[1][0])
    vae.set_params(warm_start=False).fit(curve)
    assert not torch.equal(found[0][0], found[2][0])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_other_codes_than_before_are_refused(curve, briefly, method):
    vae = briefly.set_params(latent_dim=3)
    with pytest.raises(
        ValueError, match=r"latent_dim=3, but training continues with a model of latent_dim=2\."
    ):
        getattr(vae, method)(curve)


@pytest.fixture(scope="module")
def kept(curve):
    """A model that can be trained further, and copied for it; not to be fitted again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vae = quick(warm_start=True, max_iter=10).fit(curve)
    assert vae.kept_ > 0
    return vae


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("likelihood", "student_t"),
        ("likelihood", {0: "student_t"}),
        ("architecture", MLP(hidden_layer_sizes=(8,))),
        ("architecture", "linear"),
        ("latent_dim", 0.9),
    ],
    ids=str,
)
def test_what_a_training_cannot_change_is_refused(curve, kept, method, name, value):
    vae = copy.deepcopy(kept)
    codes = vae.transform(curve)
    vae.set_params(**{name: value})
    with pytest.raises(
        ValueError, match=rf"(?s)^{name}=.*continues with a model of {name}=.*new fit"
    ):
        getattr(vae, method)(curve)
    np.testing.assert_array_equal(vae.transform(curve), codes)  # nothing is lost


def test_the_same_in_other_words_goes_on(curve):
    vae = quick(warm_start=True, likelihood="student_t", max_iter=2).fit(curve)
    n_iter = vae.n_iter_
    for same in (
        {"likelihood": skvae.StudentT(), "architecture": MLP()},
        {"latent_dim": "auto"},
        {"latent_dim": np.int64(2)},
    ):
        n_iter += vae.set_params(**same, max_iter=1).fit(curve).n_iter_ > n_iter
        assert vae.n_iter_ == n_iter


def test_partial_fit_goes_on_from_the_last_fit(curve):
    vae = quick(warm_start=True, max_iter=40).partial_fit(curve)
    first = vae.partial_fit(curve).score(curve)
    gain = vae.fit(curve).score(curve) - first
    assert gain > 0.5
    assert vae.partial_fit(curve).score(curve) > first + 0.5 * gain


def test_partial_fit_takes_another_prior_and_optimizer(curve):
    vae = quick().partial_fit(curve).partial_fit(curve)
    for changed in ({"optimizer": "sgd"}, {"optimizer": "rmsprop"}, {"prior": "mixture"}):
        vae.set_params(**changed).partial_fit(curve)
        assert np.isfinite(vae.transform(curve)).all()
    vae.set_params(prior=skvae.Mixture(n_components=3)).partial_fit(curve)
    assert vae.prior_.n_components == 3


@pytest.mark.parametrize(
    ("component", "changed"),
    [
        (
            {"architecture": MLP(hidden_layer_sizes=(9,))},
            {"architecture__hidden_layer_sizes": (5,)},
        ),
        ({"architecture": MLP()}, {"architecture__activation": "tanh"}),
        ({"prior": skvae.Mixture(n_components=2)}, {"prior__n_components": 3}),
    ],
    ids=["sizes", "activation", "prior"],
)
def test_a_fitted_model_does_not_follow_its_parameters(curve, component, changed):
    vae = clone(quick(max_iter=15, **component)).fit(curve)
    assert vae.kept_ > 0
    codes, score = vae.transform(curve), vae.score(curve)
    vae.set_params(**changed)
    np.testing.assert_array_equal(vae.transform(curve), codes)
    assert vae.score(curve) == score


# checklist 57
def test_warm_start_wants_the_same_columns(curve):
    vae = quick(warm_start=True).fit(curve)
    with pytest.raises(ValueError, match="expecting 6 features"):
        vae.fit(curve[:, :4])
    vae.set_params(warm_start=False).fit(curve[:, :4])
    assert vae.n_features_in_ == 4


# Threads and processes


# checklist 60
def test_threads_get_the_same_bits(curve, trained):
    expected = answers(trained, curve)

    def ask(_):
        return answers(trained, curve)

    with ThreadPoolExecutor(32) as pool:
        for answer in pool.map(ask, range(32)):
            for name, value in answer.items():
                np.testing.assert_array_equal(value, expected[name], err_msg=name)


# checklist 27, 60
def test_threads_can_fit_at_once(curve):
    before = generators()
    expected = quick(batch_size=32).fit(curve)
    with ThreadPoolExecutor(4) as pool:
        fitted = list(pool.map(lambda _: quick(batch_size=32).fit(curve), range(4)))
    assert generators() == before
    for vae in fitted:
        assert_same_answers(vae, expected, curve)


FORK = """
import os, signal, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from skvae import VAETransformer
X = np.random.default_rng(0).normal(size=(300, 20))
vae = VAETransformer(max_iter=2).fit(X)
expected = vae.transform(X)
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(0 if np.array_equal(vae.transform(X), expected) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


# checklist 60: with more threads than one, OpenMP itself does not survive a fork
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_can_transform():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", FORK], env=environment, timeout=120, check=True)


# Sparse rows


# checklist 15, 16
@pytest.mark.parametrize("max_iter", [0, 3])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia", "dok", "lil"])
def test_sparse_rows_are_like_dense_ones(curve, kind, max_iter):
    dense = np.where(np.abs(curve) < 0.5, 0.0, curve)
    with warnings.catch_warnings(action="ignore", category=sparse.SparseEfficiencyWarning):
        X = sparse.csr_array(dense).asformat(kind)
    vae = quick(max_iter=max_iter).fit(dense)
    expected = answers(vae, dense)
    for name, answer in answers(vae, X).items():
        np.testing.assert_allclose(answer, expected[name], rtol=1e-12, atol=1e-12, err_msg=name)
    fitted = quick(max_iter=max_iter).fit(X)
    np.testing.assert_allclose(fitted.score(X), vae.score(dense), rtol=1e-6)
    np.testing.assert_allclose(fitted.transform(X), expected["transform"], atol=1e-4)


# checklist 15, 16
@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
def test_sparse_indices_of_64_bits(curve, trained, container):
    X = container(curve)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    np.testing.assert_allclose(trained.transform(X), trained.transform(curve), rtol=1e-12)
    assert np.isfinite(quick().fit(X).transform(X)).all()


# checklist 16
def test_sparse_rows_are_never_dense_beyond_a_batch(monkeypatch):
    X = sparse.csr_array(sparse.random(700, 8000, density=0.01, random_state=0))
    assert X.shape[0] * X.shape[1] > BATCH_CELLS
    sizes = []
    for kind in (sparse.csr_array, sparse.csc_array, sparse.csr_matrix, sparse.csc_matrix):

        def toarray(self, *args, original=kind.toarray, **kwargs):
            sizes.append(self.shape[0] * self.shape[1])
            return original(self, *args, **kwargs)

        monkeypatch.setattr(kind, "toarray", toarray)
    vae = quick(batch_size="auto", max_iter=1).fit(X)
    vae.transform(X)
    vae.score(X)
    assert sizes
    assert max(sizes) <= BATCH_CELLS


# Array API


# checklist 59
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_dispatch_tensors_give_arrays(curve, trained, dtype):
    codes = clone(trained).fit_transform(torch.tensor(curve, dtype=dtype))
    assert isinstance(codes, np.ndarray)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-2
    np.testing.assert_allclose(codes, trained.transform(curve), atol=tolerance)


# Warnings


@pytest.mark.parametrize("max_iter", [1, 5])
def test_a_short_budget_warns(curve, max_iter):
    vae = quick(max_iter=max_iter)
    with pytest.warns(ConvergenceWarning, match="whole budget, .*raise max_iter") as caught:
        vae.fit(curve)
    # The fall of the learning rate ends in the budget, and may end before it.
    assert f"budget, {vae.n_iter_} passes" in str(caught[0].message)
    assert 1 <= vae.n_iter_ <= max_iter
    assert not vae.converged_


@pytest.mark.filterwarnings("error::sklearn.exceptions.ConvergenceWarning")
def test_the_linear_start_does_not_warn(curve):
    for rows, max_iter in ((curve, 0), (curve[:10], 5)):
        assert quick(max_iter=max_iter).fit(rows).converged_


def test_codes_past_the_rank_warn_and_are_0(curve):
    X = curve[:, [0, 1, 0]]
    vae = VAETransformer(3, max_iter=0)
    with pytest.warns(UserWarning, match="latent_dim=3 is above the rank of the data, 2"):
        vae.fit(X)
    codes = vae.transform(X)
    assert codes.shape == (200, 3)
    assert not codes[:, 2].any()
    np.testing.assert_allclose(vae.inverse_transform(codes), X, atol=1e-6)
    assert vae.kl_per_dim_.shape == vae.explained_variance_ratio_.shape == (3,)
    assert vae.encode(X)[1].shape == (200, 3)
    assert vae.sample(4).shape == (4, 3)


# Numbers far from one


@pytest.fixture(scope="module")
def codes_of_the_curve(curve):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quick(1, max_iter=20).fit_transform(curve)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-44, 1e39, 1e100])
def test_codes_are_in_the_units_of_the_data(curve, codes_of_the_curve, scale):
    scaled = quick(1, max_iter=20).fit_transform(curve * scale)
    np.testing.assert_allclose(scaled / scale, codes_of_the_curve, rtol=1e-4)


def test_rows_too_far_for_their_square_are_the_least_likely(curve):
    for max_iter in (0, 20):
        vae = quick(1, max_iter=max_iter).fit(curve)
        with np.errstate(over="ignore", invalid="ignore"):
            assert (vae.score_samples(curve[:3] * 1e160) == -np.inf).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_only_the_proportions_of_weights_count(curve, dtype):
    weight, X = np.random.default_rng(0).uniform(0.5, 2, len(curve)), curve.astype(dtype)
    expected = quick().fit(X, sample_weight=weight)
    for factor in (1e-50, 1e307):
        vae = quick().fit(X, sample_weight=factor * weight)
        np.testing.assert_allclose(vae.mean_, expected.mean_, rtol=1e-6)
        assert vae.score(X) == pytest.approx(expected.score(X), rel=1e-3)


# Images


@pytest.mark.parametrize("latent_dim", [2, 40])
def test_convolutions_know_the_image_from_the_columns(latent_dim, monkeypatch):
    built, build = [], skvae.fitting.beginning.build
    monkeypatch.setattr(
        skvae.fitting.beginning,
        "build",
        lambda body, *args: built.append(body) or build(body, *args),
    )
    X = np.random.default_rng(0).uniform(size=(80, 64))
    X[np.arange(36), np.arange(36) + 10] = np.nan  # 36 flags beside 64 pixels are a square too
    vae = quick(latent_dim, architecture=skvae.Conv(channels=(2,)), max_iter=1).fit(X)
    assert built[0].image_shape == (1, 8, 8)
    for rows in (X, np.nan_to_num(X)):
        assert np.isfinite(vae.transform(rows)).all()


@pytest.mark.parametrize(("shape", "width"), [((2, 2), 64), ((8, 9), 64), ("auto", 65)])
def test_another_image_than_the_rows_is_refused(shape, width):
    X = np.random.default_rng(0).uniform(size=(50, width))
    with pytest.raises(ValueError, match=f"image_shape=.* does not match rows of {width} columns"):
        quick(4, architecture=skvae.Conv(image_shape=shape)).fit(X)


def test_stochastic_bernoulli_reconstructs_probabilities():
    X = np.random.default_rng(0).uniform(size=(200, 1)) ** np.arange(1, 6)
    vae = quick(1, likelihood=skvae.Bernoulli(stochastic=True), max_iter=10).fit(X)
    again = vae.inverse_transform(vae.transform(X))
    assert ((again > 0) & (again < 1)).all()
    assert np.square(again - X).mean() < np.square(X.mean(0) - X).mean()
    assert set(np.unique(vae.sample(50, 0))) == {0.0, 1.0}


# Parameters that numpy made, and those of PCA.


@pytest.mark.parametrize(
    "params",
    [
        {"latent_dim": np.uint8(2), "n_init": np.int64(1), "random_state": np.uint8(3)},
        {"batch_size": np.uint8(200), "max_iter": np.uint8(3)},
        {"batch_size": np.int64(64), "early_stopping": np.bool_(False)},
        {"beta": np.float64(0.5), "validation_fraction": np.float64(0.25)},
        {"whiten": np.bool_(True), "verbose": np.bool_(False), "init": np.str_("random")},
        {"device": np.str_("cpu"), "precision": np.str_("float64"), "objective": np.str_("iwae")},
    ],
    ids=str,
)
def test_parameters_of_numpy_are_taken_as_pythons_own(curve, params):
    plain = {name: value.item() for name, value in params.items()}
    ours, theirs = (quick(**{"max_iter": 2, **each}).fit(curve) for each in (plain, params))
    assert ours.loss_curve_ == theirs.loss_curve_
    np.testing.assert_array_equal(ours.transform(curve), theirs.transform(curve))


def test_pcas_name_of_the_number_of_codes_is_told():
    with pytest.raises(TypeError, match=r"'n_components'. Use lat.*=8"):
        VAETransformer(n_components=8)
    assert "n_components" not in VAETransformer().get_params()


# Pickles of other versions, and what is none


def test_a_state_that_lacks_anything_is_refused_when_it_is_loaded(linear):
    state = linear.__getstate__()
    for name in state.keys() - {"_skvae_version", "feature_names_in_"}:
        less = {key: value for key, value in state.items() if key != name} | {"_skvae_version": "0"}
        fresh = VAETransformer.__new__(VAETransformer)
        if name == "_model":  # then it is one that was never fitted, or not to the end
            continue
        with pytest.raises(ValueError, match=f"by skvae 0 and has no {name}, .* fit it again"):
            fresh.__setstate__(less)
        assert not vars(fresh)


def test_a_model_inside_that_lacks_a_field_is_refused(linear):
    state = linear.__getstate__()
    model = copy.copy(state["_model"])
    object.__delattr__(model, "use")
    with pytest.raises(ValueError, match=r"has no FittedModel\.use"):
        VAETransformer().__setstate__(state | {"_model": model})


def test_a_component_that_lacks_an_option_is_refused():
    body = MLP()
    del body.dropout
    state = VAETransformer(architecture=body).__dict__
    with pytest.raises(ValueError, match=r"has no MLP\.dropout"):
        VAETransformer().__setstate__(state)


@pytest.mark.parametrize("state", [None, 3, "state", [1], {}, {"latent_dim": 2}], ids=str)
def test_nonsense_is_no_state(state):
    with pytest.raises(ValueError, match="VAETransformer"):
        VAETransformer().__setstate__(state)


def test_loading_leaves_the_state_given_as_it_was(linear, curve):
    state = linear.__getstate__()
    before = dict(state)
    loaded = VAETransformer()
    loaded.__setstate__(state)
    assert state == before
    np.testing.assert_array_equal(loaded.transform(curve), linear.transform(curve))
