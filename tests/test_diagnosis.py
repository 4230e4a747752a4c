"""What a fit leaves for a person to read: history, restarts, warnings, diagnostics, loadings."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from skvae import MLP, AdamW, CollapseWarning, Langevin, Metropolis, VAETransformer
from skvae.fitting import fit as fitting
from skvae.model.diagnostics import linear_r2
from tests.samples import factors, fit_quietly, keep_everything

SHORT = {"batch_size": 8, "max_iter": 5, "random_state": 0}
COLUMNS = (
    "step", "n_pass", "bound", "reconstruction", "kl", "gradient_norm", "learning_rate",
    "weight_decay", "noise",
    "temperature", "proposals", "accepted", "seconds",
)  # fmt: skip


def short(latent_dim=2, **params):
    return VAETransformer(latent_dim, **SHORT | params)


# History.


def test_history_has_a_row_for_every_look(curve, trained):
    history = pd.DataFrame(trained.history_)
    assert tuple(history) == COLUMNS
    assert len(history) == len(trained.validation_scores_)
    assert history["bound"].tolist() == trained.validation_scores_
    assert (history["step"].diff()[1:] > 0).all()
    assert history["n_pass"].iloc[-1] == trained.n_iter_ == len(trained.loss_curve_)
    assert (history["seconds"].diff()[1:] > 0).all()
    trainings = history.iloc[1:]
    assert np.isfinite(trainings[["gradient_norm", "learning_rate", "noise"]]).to_numpy().all()
    assert trainings["learning_rate"].iloc[-1] < trainings["learning_rate"].max()
    assert history[["temperature", "proposals", "accepted"]].isna().to_numpy().all()


def test_history_begins_at_the_linear_start(curve, trained):
    first = pd.DataFrame(trained.history_).iloc[0]
    assert first[["step", "n_pass"]].tolist() == [0, 0]
    assert first[["gradient_norm", "learning_rate"]].isna().all()
    assert first["bound"] == pytest.approx(first["reconstruction"] - first["kl"], rel=1e-6)
    assert first["kl"] == pytest.approx(0.5 * np.log(spectrum(curve, 2)).sum(), rel=0.1)
    assert first["noise"] == pytest.approx(PCA(2).fit(curve).noise_variance_, rel=1e-5)


def test_history_is_in_units_of_the_data(curve, trained):
    vae = fit_quietly(short(), 10.0 * curve)
    ours, theirs = (pd.DataFrame(model.history_) for model in (vae, trained))
    shift = curve.shape[1] * np.log(10.0)
    for name in ("bound", "reconstruction"):
        np.testing.assert_allclose(ours[name] + shift, theirs[name], atol=0.05)
    np.testing.assert_allclose(ours["kl"], theirs["kl"], atol=0.05)
    np.testing.assert_allclose(ours["noise"], 100.0 * theirs["noise"], rtol=0.05)


def test_history_without_training_is_empty(linear):
    assert pd.DataFrame(linear.history_).shape == (0, len(COLUMNS))
    assert linear.validation_scores_ == []
    assert len(linear.restarts_["bound"]) == 0


def test_a_warm_start_adds_to_the_history(curve):
    vae = fit_quietly(short(warm_start=True), curve)
    before = pd.DataFrame(vae.history_)
    after = pd.DataFrame(fit_quietly(vae, curve).history_)
    pd.testing.assert_frame_equal(after[: len(before)], before)
    assert len(after) > len(before)
    assert after["bound"].tolist() == vae.validation_scores_


def test_batches_add_to_the_history(curve):
    vae = short()
    for _ in range(3):
        vae.partial_fit(curve)
    assert tuple(vae.history_) == COLUMNS
    assert len(vae.history_["bound"]) == len(vae.validation_scores_) == len(vae.loss_curve_) == 3


def test_history_of_an_annealing_tells_temperature_and_acceptance(curve):
    vae = fit_quietly(short(annealing=Metropolis(n_proposals=4, n_steps=5)), curve)
    proposals = pd.DataFrame(vae.history_).dropna(subset="accepted")
    assert len(proposals) == 4
    assert (proposals["proposals"] == 1).all()
    assert proposals["accepted"].isin([0.0, 1.0]).all()
    np.testing.assert_allclose(proposals["temperature"].pct_change()[1:], -0.3)
    cooling = fit_quietly(short(annealing=Langevin()), curve).history_["temperature"][1:]
    assert 0 <= cooling[-1] < cooling[0] <= 1
    assert (np.diff(cooling) < 0).all()


def test_a_table_has_no_noise_that_columns_share(curve):
    frame = pd.DataFrame({"a": curve[:, 0], "b": curve[:, 1], "c": curve[:, 2] > 0})
    history = fit_quietly(short(1), frame).history_
    assert np.isnan(history["noise"]).all()
    assert np.isfinite(history["bound"]).all()


# Restarts.


def test_restarts_agree_where_there_is_one_optimum():
    X = factors(400, 6, 2)
    vae = fit_quietly(short(init="random", n_init=3, max_iter=10, architecture="linear"), X)
    bounds, agreement = vae.restarts_["bound"], vae.restarts_["agreement"]
    assert (agreement > 0.95).all()
    found = vae.diagnostics(X)
    assert found["restart_spread"] == pytest.approx(bounds.std())
    assert found["restart_agreement"] == pytest.approx(agreement.min())


def test_one_training_agrees_with_itself(curve, trained):
    assert trained.restarts_["bound"].tolist() == [max(trained.validation_scores_[1:])]
    np.testing.assert_allclose(trained.restarts_["agreement"], 1.0, rtol=1e-6)
    assert trained.diagnostics(curve)["restart_spread"] == 0.0


# Warnings.


def caught(vae, X, category):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        vae.fit(X)
    return [str(w.message) for w in found if issubclass(w.category, category)]


@pytest.fixture
def bowl():
    """Rows along a parabola, of which PCA has a use for two codes."""
    rng = np.random.default_rng(0)
    t = rng.uniform(-1.7, 1.7, 300)
    return np.stack([t, t, t, t**2, t**2, t**2], 1) + 0.3 * rng.normal(size=(300, 6))


@pytest.fixture
def lenient(monkeypatch):
    """A judge that keeps whatever training made: the true one keeps PCA instead."""
    keep_everything(monkeypatch)


COLLAPSING = {
    "init": "random",
    "beta": 20.0,
    "max_iter": 20,
    "optimizer": AdamW(learning_rate=0.02),
    "architecture": MLP(hidden_layer_sizes=(16,)),
}


@pytest.mark.usefixtures("lenient")
def test_collapse_warns_by_code_and_with_remedies(bowl):
    vae = short(**COLLAPSING)
    (message,) = caught(vae, bowl, CollapseWarning)
    assert (vae.kl_per_dim_ < 0.01).all()
    assert vae.n_active_ == 0
    assert vae.diagnostics(bowl)["active"].tolist() == [False, False]
    assert message.startswith("codes [0, 1] carry almost no information (KL below 0.01 nats)")
    assert "the linear start used 2 codes" in message
    for remedy in ("init='pca'", "lower beta", "kl_schedule='linear'", "latent_dim=1."):
        assert remedy in message


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("latent_dim", [2, 3])
def test_collapse_names_the_codes_that_fell_silent(bowl, monkeypatch, latent_dim):
    kl = np.array([1.5, 0.2, 0.001])[-latent_dim:]
    use_of = fitting.use_of
    monkeypatch.setattr(fitting, "use_of", lambda *given: use_of(*given)._replace(kl=kl))
    found = caught(short(latent_dim, max_iter=2), bowl, CollapseWarning)
    if latent_dim == 2:
        (message,) = found
        assert message.startswith("codes [1] carry almost no information")
        assert message.endswith("or use latent_dim=1.")
    else:
        assert found == []  # PCA has no use for the third one either


def test_no_collapse_where_pca_is_kept(bowl):
    """What the judge drops is no model that a person has to be warned of."""
    vae = short(**COLLAPSING)
    assert caught(vae, bowl, CollapseWarning) == []
    assert vae.kept_ == 0
    assert (vae.kl_per_dim_ > 0.1).all()


def test_the_default_does_not_collapse(curve, bowl):
    for X in (curve, bowl):
        assert caught(short(), X, CollapseWarning) == []


def test_a_fit_that_still_rises_warns(curve):
    (message,) = caught(short(), curve, ConvergenceWarning)
    assert "used its whole budget, 5 passes, before the held-out bound had settled" in message
    assert "raise max_iter" in message


def test_a_fit_that_settled_does_not_warn():
    vae = VAETransformer(1, architecture=MLP(hidden_layer_sizes=(8,)), random_state=0)
    assert caught(vae.set_params(batch_size=32, max_iter=400), factors(200, 4, 1), Warning) == []
    assert vae.converged_


# Diagnostics: closed forms of the linear-Gaussian model.


def spectrum(X, q):
    """Variance of each of the first directions over that of the noise."""
    pca = PCA(q).fit(X)
    return pca.explained_variance_ / pca.noise_variance_


@pytest.fixture(scope="module")
def gauss():
    return factors(1000, 6, 2, noise=0.5)


@pytest.fixture(scope="module")
def start(gauss):
    return VAETransformer(2, max_iter=0).fit(gauss)


def test_diagnostics_of_the_linear_start_are_the_closed_forms(gauss, start):
    found = start.diagnostics(gauss, n_draws=64)
    kl = 0.5 * np.log(spectrum(gauss, 2))
    np.testing.assert_allclose(found["kl_per_dim"], kl, rtol=5e-3)
    np.testing.assert_allclose(found["kl_per_dim"], start.kl_per_dim_, rtol=5e-3)
    assert found["active"].tolist() == [True, True]
    # The posterior is exact: every draw has the same weight, that of the density.
    assert found["gap"] == pytest.approx(0.0, abs=1e-8)
    assert found["log_likelihood"] == pytest.approx(PCA(2).fit(gauss).score(gauss), rel=1e-6)
    # What rows say of the codes is the KL, less that of the aggregate from the prior, which is 0.
    assert found["mutual_information"] == pytest.approx(kl.sum(), rel=0.05)


@pytest.mark.parametrize("n_rows", [2, 5, 20])
def test_rows_cannot_say_more_than_which_one_it_is(gauss, start, n_rows):
    found = start.diagnostics(gauss[:n_rows])
    assert 0 < found["mutual_information"] <= np.log(n_rows) + 1e-9


def test_diagnostics_are_in_units_of_the_data(gauss, start):
    found = VAETransformer(2, max_iter=0).fit(10 * gauss).diagnostics(10 * gauss)
    expected = start.diagnostics(gauss)
    shift = gauss.shape[1] * np.log(10)
    for name in ("bound", "log_likelihood"):
        assert found[name] + shift == pytest.approx(expected[name], rel=1e-6)
    for name in ("mutual_information", "kl_per_dim"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)


def test_diagnostics_of_a_trained_model(curve, trained):
    found = trained.diagnostics(curve)
    assert trained.diagnostics(curve, n_draws=1)["gap"] == pytest.approx(0.0, abs=1e-9)
    assert found["gap"] > 0
    assert found["gap"] == found["log_likelihood"] - found["bound"]
    assert found["active"].sum() == trained.n_active_
    assert 0 < found["mutual_information"] < min(np.log(len(curve)), found["kl_per_dim"].sum())
    again = trained.diagnostics(curve)
    for name, value in found.items():
        np.testing.assert_array_equal(again[name], value)


def test_diagnostics_use_the_first_1000_rows(gauss, start):
    more = np.concatenate([gauss, 5 * gauss])
    expected = start.diagnostics(gauss)
    for name, value in start.diagnostics(more).items():
        np.testing.assert_array_equal(value, expected[name])


def test_diagnostics_take_missing_cells(curve, trained):
    X = curve.copy()
    X[::3, 0] = np.nan
    found = trained.diagnostics(X)
    assert all(np.isfinite(value).all() for value in found.values())


def test_codes_past_the_rank_say_nothing():
    X = factors(200, 5, 2, noise=0.0)
    with pytest.warns(UserWarning, match="rank"):
        vae = VAETransformer(3, max_iter=0).fit(X)
    found = vae.diagnostics(X)
    assert found["active"].tolist() == [True, True, False]
    assert found["kl_per_dim"][2] == 0.0


@pytest.mark.parametrize("n_draws", [0, 2.5, "many"])
def test_diagnostics_want_a_whole_number_of_draws(curve, linear, n_draws):
    with pytest.raises(ValueError, match=f"n_draws={n_draws!r}"):
        linear.diagnostics(curve, n_draws=n_draws)


# Loadings.


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("with_rows", [False, True])
def test_loadings_of_the_linear_start_are_those_of_pca(curve, whiten, with_rows):
    vae = VAETransformer(2, max_iter=0, whiten=whiten).fit(curve)
    pca = PCA(2, whiten=whiten).fit(curve)
    scale = np.sqrt(pca.explained_variance_)[:, None] if whiten else 1.0
    loadings = vae.loadings(curve if with_rows else None)
    np.testing.assert_allclose(loadings, scale * pca.components_, atol=1e-6)
    assert loadings.index.tolist() == vae.get_feature_names_out().tolist()
    assert loadings.columns.tolist() == list(range(6))


@pytest.mark.parametrize("whiten", [False, True])
def test_loadings_are_mean_derivatives_of_the_reconstruction(curve, whiten):
    vae = fit_quietly(short(whiten=whiten), curve)
    assert vae.kept_ > 0
    codes = vae.transform(curve)
    loadings = vae.loadings(curve).to_numpy()
    for k, loading in enumerate(loadings):
        step = 1e-4 * codes[:, k].std() * np.eye(2)[k]
        rise = vae.inverse_transform(codes + step) - vae.inverse_transform(codes - step)
        expected = rise.mean(0) / (2 * step[k])
        np.testing.assert_allclose(loading, expected, rtol=1e-4, atol=1e-5)


def test_loadings_at_draws_from_the_prior_are_repeatable(curve, trained):
    pd.testing.assert_frame_equal(trained.loadings(), trained.loadings())
    assert not np.allclose(trained.loadings(), trained.loadings(curve))


def test_loadings_have_the_names_of_the_columns(curve):
    frame = pd.DataFrame(curve, columns=list("abcdef"))
    vae = VAETransformer(2, max_iter=0).set_output(transform="pandas").fit(frame)
    loadings = vae.loadings(frame)
    assert loadings.columns.tolist() == list("abcdef")
    assert loadings.index.tolist() == vae.transform(frame).columns.tolist()


def test_loadings_follow_the_scale_of_a_column(curve):
    X = StandardScaler().fit_transform(curve)
    loadings = VAETransformer(2, max_iter=0).fit(X).loadings(X)
    np.testing.assert_allclose(np.square(loadings.to_numpy()).sum(1), 1.0, rtol=1e-6)


def people(curve):
    level = np.array(["low", "middle", "high"])
    frame = pd.DataFrame({"age": curve[:, 0], "size": curve[:, 1]})
    frame["colour"] = np.where(curve[:, 2] > 1, "red", np.where(curve[:, 2] < -1, "blue", "green"))
    rank = level[np.digitize(curve[:, 3], [0.5, 1.5])]
    frame["rank"] = pd.Categorical(rank, list(level), ordered=True)
    frame["tall"] = curve[:, 4] > 1.5
    return frame


@pytest.mark.parametrize("max_iter", [0, 5])
def test_loadings_of_a_table_name_the_levels(curve, max_iter):
    frame = people(curve)
    vae = fit_quietly(short(max_iter=max_iter), frame)
    for loadings in (vae.loadings(), vae.loadings(frame)):
        assert loadings.index.tolist() == vae.get_feature_names_out().tolist()
        assert np.isfinite(loadings.to_numpy()).all()
        assert {"age", "size"} <= set(loadings)
        for column, levels in (
            ("colour", {"red", "green", "blue"}),
            ("rank", {"low", "middle", "high"}),
        ):
            cells = [name for name in loadings if name.startswith(f"{column}=")]
            assert {name.split("=")[1] for name in cells} == levels
            # Probabilities go on summing to one.
            np.testing.assert_allclose(loadings[cells].sum(axis=1), 0.0, atol=1e-8)
            assert loadings[cells].abs().to_numpy().max() > 1e-3


def test_codes_that_share_nothing_do_not_agree():
    torch.manual_seed(0)
    shares = [linear_r2(*torch.randn(2, 20, 10), torch.ones(10)) for _ in range(200)]
    assert np.mean(shares) == pytest.approx(0.0, abs=0.05)
    assert np.isnan(linear_r2(*torch.randn(2, 11, 10), torch.ones(10)))


def test_one_row_diagnoses_nothing(linear, curve):
    with pytest.raises(ValueError, match="X has 1 row"):
        linear.diagnostics(curve[:1])


@pytest.mark.filterwarnings("ignore:latent_dim=2, but no column of X varies")
def test_loadings_of_rows_that_are_all_alike():
    vae = VAETransformer(2, max_iter=0).fit(np.ones((50, 4)))
    assert not vae.loadings().to_numpy().any()
