"""What fit leaves behind: a density that is one, samples that follow it, and the guarantee."""

import dataclasses
import math
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA

from skvae.fitting.fit import fit_model
from skvae.limits import Limits
from skvae.model.networks import MLP
from skvae.model.priors import Mixture
from skvae.start.tables import Matrix
from tests.samples import SMALL, curve, fitted, gaussian, options, projected

MODELS = {
    "linear start": {"max_iter": 0},
    "trained": {"max_iter": 40},
    "trained, wide": {"max_iter": 40},
    "random start": {"init": "random", "max_iter": 80},
    "above the rank": {"latent_dim": 7},
}


def rows_of(name):
    if name == "trained, wide":
        return curve(150, 200, noise=0.02)
    if name == "above the rank":
        return gaussian(200, 4) @ np.random.RandomState(0).standard_normal((4, 7))
    return curve(400, 5)


@pytest.fixture(scope="module", params=MODELS)
def name(request):
    return request.param


@pytest.fixture(scope="module", name="X")
def rows_of_model(name):
    return rows_of(name)


@pytest.fixture(scope="module")
def model(name, X):
    return fitted(X, **MODELS[name])


@pytest.fixture(scope="module")
def clipped():
    """Rows on a plane and a model of them with one code: the density can be integrated."""
    X = curve(600, 2, noise=0.25)
    model = fitted(X, max_iter=40)
    assert model.kept > 0
    return X, model


def test_the_trained_models_are_trained():
    for name in ("trained", "trained, wide"):
        assert fitted(rows_of(name), **MODELS[name]).kept > 0


# The density.


def exact_log_prob(model, X):
    """The mixture's log-density with the integral over its one latent unit done on a grid."""
    scores, residual = model.start.project(X)
    vae = model.module(torch.float64)
    z = torch.linspace(-7, 7, 1401, dtype=torch.float64)[:, None]
    likelihood = vae.log_likelihood(projected(model.start, X), vae.decode(z)[:, None])
    joint = likelihood - 0.5 * (z.square() + math.log(2 * math.pi))
    ours = (torch.logsumexp(joint, 0) + math.log(14 / 1400)).numpy()
    weight = model.start_weight
    theirs = model.start.log_density(scores, residual)
    mixed = np.logaddexp(ours + np.log1p(-weight), theirs + np.log(weight))
    return mixed + model.start.log_jacobian


@pytest.fixture(scope="module")
def plane(clipped):
    """Cells that cover the rows, and the area of one."""
    X, _ = clipped
    axes = [np.linspace(a - 3, b + 3, 80) for a, b in zip(X.min(0), X.max(0), strict=True)]
    area = np.prod([axis[1] - axis[0] for axis in axes])
    return np.stack(np.meshgrid(*axes), -1).reshape(-1, 2), area


def test_the_reported_density_integrates_to_one(clipped, plane):
    cells, area = plane
    assert_allclose(np.exp(clipped[1].log_prob(cells, 500)).sum() * area, 1.0, atol=0.03)


def test_score_is_near_the_exact_log_density_and_not_above(clipped):
    X, model = clipped
    exact = exact_log_prob(model, X).mean()
    assert exact - 0.05 < model.log_prob(X).mean() < exact + 0.01


def test_samples_follow_the_density(clipped, plane):
    cells, area = plane
    probability = np.exp(exact_log_prob(clipped[1], cells)) * area
    drawn = clipped[1].sample(200_000, np.random.RandomState(0), np.dtype(np.float64))
    mean = probability @ cells
    covariance = (cells - mean).T * probability @ (cells - mean)
    assert_allclose(probability.sum(), 1.0, atol=1e-3)
    assert_allclose(drawn.mean(0), mean, atol=0.02)
    assert_allclose(np.cov(drawn.T), covariance, atol=0.02 * np.trace(covariance))
    # Not only the moments: the share of draws in two quarters of the plane, and in its middle.
    for inside in (
        lambda x: (x > mean).all(1),
        lambda x: (x < mean).all(1),
        lambda x: np.square(x - mean).sum(1) < 1,
    ):
        assert_allclose(inside(drawn).mean(), probability[inside(cells)].sum(), atol=0.03)


def test_the_density_is_that_of_the_rows(clipped):
    """Samples are like fresh rows: as far from these as these are from one another."""
    X, model = clipped
    fresh = curve(600, 2, noise=0.25, seed=1)
    drawn = model.sample(600, np.random.RandomState(0), np.dtype(np.float64))
    normal = fitted(X, max_iter=0).sample(600, np.random.RandomState(0), np.dtype(np.float64))

    def distance(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=-1).mean()

    def energy(a, b):
        return 2 * distance(a, b) - distance(a, a) - distance(b, b)

    assert energy(fresh, drawn) < 0.02
    assert energy(fresh, drawn) < 0.5 * energy(fresh, normal)


def test_samples_of_the_start_have_its_covariance():
    X = gaussian(300, 4)
    model = fitted(X, latent_dim=2, max_iter=0)
    drawn = model.sample(200_000, np.random.RandomState(0), np.dtype(np.float64))
    covariance = PCA(2, svd_solver="full").fit(X).get_covariance()
    assert_allclose(drawn.mean(0), X.mean(0), atol=0.05)
    assert_allclose(np.cov(drawn.T), covariance, atol=0.02 * np.trace(covariance))


def test_draws_from_the_start_alone_are_those_of_the_linear_model(clipped):
    X, model = clipped
    ours, theirs = (
        dataclasses.replace(each, start_weight=1.0).sample(
            50, np.random.RandomState(0), np.dtype(np.float64)
        )
        for each in (model, fitted(X, max_iter=0))
    )
    assert_allclose(ours, theirs, atol=1e-6)


def test_draws_come_from_the_prior_that_is_told(clipped):
    """A mixture of one narrow normal, far from the origin."""
    _, model = clipped
    weights = {
        "prior.logits": np.zeros(1),
        "prior.means": np.full((1, 1), 4.0),
        "prior.factors": np.full((1, 1, 1), np.log(100.0)),
    }
    learned = dataclasses.replace(
        model, prior=Mixture(n_components=1), weights=model.weights | weights, start_weight=0.0
    )
    codes = learned.prior_codes(400, np.random.RandomState(0), True)
    unit = learned.prior_codes(400, np.random.RandomState(0), False) / codes
    assert_allclose(unit, unit[0, 0])
    z = codes * learned.use.deviation
    assert z.mean() == pytest.approx(4.0, abs=0.005)
    assert z.std() == pytest.approx(0.01, rel=0.2)
    drawn = learned.sample(2000, np.random.RandomState(0), np.dtype(np.float64))
    middle = learned.decode(np.full((1, 1), 4.0))[0]
    assert_allclose(drawn.mean(0), middle, atol=0.1)


def test_noise_is_told_in_the_units_of_the_rows():
    X = 100 * gaussian(300, 4)
    model = fitted(X, latent_dim=2, max_iter=0)
    assert model.noise_variances == pytest.approx(PCA(2).fit(X).noise_variance_)


def test_samples_have_the_variance_of_the_rows(model, X):
    drawn = model.sample(20_000, np.random.RandomState(0), np.dtype(np.float64))
    assert drawn.shape == (20_000, X.shape[1])
    assert_allclose(drawn.var(0).sum(), X.var(0).sum(), rtol=0.15)
    assert_array_equal(drawn[:5], model.sample(20_000, np.random.RandomState(0), drawn.dtype)[:5])


def test_sample_takes_the_dtype_asked_for(model):
    assert model.sample(3, np.random.RandomState(0), np.dtype(np.float32)).dtype == np.float32


# The guarantee.


def far_rows(X):
    """Fresh rows and rows at up to 1e6 standard deviations, along axes and across."""
    rng = np.random.RandomState(0)
    directions = np.vstack([np.eye(X.shape[1]), rng.standard_normal((30, X.shape[1]))])
    distances = [0.1, 1, 3, 10, 100, 1e4, 1e6]
    far = [X.mean(0) + sign * r * X.std() * directions for r in distances for sign in (-1, 1)]
    return np.vstack([X, *far])


def test_no_row_loses_more_than_the_weight_of_the_start(model, X):
    rows = far_rows(X)
    start = model.start.log_density(*model.start.project(rows)) + model.start.log_jacobian
    bound = start + np.log(model.start_weight)
    rounding = 1e-6 + 4 * np.finfo(float).eps * np.abs(bound)
    found = model.log_prob(rows)
    assert np.isfinite(found).all()
    assert (found >= bound - rounding).all()


def test_no_row_loses_more_against_pca(model, X):
    """The start is scikit-learn's PCA where there are more rows than columns."""
    if len(X) <= X.shape[1] or model.start.latent_dim < model.latent_dim:
        pytest.skip("scikit-learn's noise is another one")
    rows = far_rows(X)
    pca = PCA(model.latent_dim, svd_solver="full").fit(X).score_samples(rows)
    rounding = 1e-6 + 1e-9 * np.abs(pca)
    assert (model.log_prob(rows) >= pca + np.log(model.start_weight) - rounding).all()


def test_the_weight_of_the_start_has_a_floor(model):
    assert 0.0099 <= model.start_weight <= 1.0


# Rows and units.


def test_few_draws_say_nearly_what_many_do(clipped):
    X, model = clipped
    usual, many = (model.log_prob(X, n) for n in (model.representation.n_draws, 500))
    assert_array_equal(usual, model.log_prob(X))
    assert abs(usual.mean() - many.mean()) < 0.03
    assert not np.array_equal(usual, many)


def test_rows_of_single_precision_are_scored_in_double_where_noise_is_small(clipped):
    X, model = clipped[0].astype(np.float32), clipped[1]
    for noise, is_double in ((1e-5, True), (1e-2, False)):
        small = {"observation.shared_noise": np.array(noise)}
        own = dataclasses.replace(model, weights=model.weights | small)
        double = own.log_prob(X.astype(np.float64))
        assert np.array_equal(own.log_prob(X), double.astype(np.float32)) == is_double
        assert_allclose(own.log_prob(X), double, rtol=1e-4, atol=1e-3)


def test_no_row_of_single_precision_loses_more(clipped):
    """Up to where squares are no numbers in single precision, and past it."""
    model = clipped[1]
    directions = np.array([[1.0, 0.3], [-0.2, 1.0], [1.0, 1.0]])
    rows = np.vstack([r * directions for r in (1e3, 1e6, 1e12, 1e18)]).astype(np.float32)
    start = model.start.log_density(*model.start.project(rows)) + model.start.log_jacobian
    bound = start + np.log(model.start_weight)
    assert (model.log_prob(rows) >= bound - 1e-6 * np.abs(bound)).all()


def test_every_row_on_its_own(model, X):
    some = [3, 17, 5]
    assert_allclose(model.codes(X[some], False), model.codes(X, False)[some], rtol=1e-9, atol=1e-9)
    assert_allclose(model.log_prob(X[some]), model.log_prob(X)[some], rtol=1e-9)
    assert_allclose(model.posterior(X[some])[1], model.posterior(X)[1][some], rtol=1e-9)


def test_batches_change_nothing(model, X):
    codes, log_prob = model.codes(X, False), model.log_prob(X)
    rows = model.decode(codes)
    model = dataclasses.replace(model, batch_cells=7 * model.representation.row_cost)
    assert_allclose(model.codes(X, False), codes, rtol=1e-9, atol=1e-9)
    assert_allclose(model.log_prob(X), log_prob, rtol=1e-9)
    assert_allclose(model.decode(codes), rows, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("whiten", [False, True])
def test_reconstruct_decodes_what_codes_returns(model, X, whiten):
    """The same rows whether codes are whitened or not."""
    expected = model.reconstruct(model.codes(X, False), False)
    rows = model.reconstruct(model.codes(X, whiten), whiten)
    assert_allclose(rows, expected, atol=1e-8 * np.abs(X).max())
    assert rows.shape == X.shape


def test_codes_are_ordered_by_what_they_explain(model):
    ratio = model.use.explained_variance_ratio
    assert ratio[0] == max(ratio)
    assert ratio.sum() <= 1 + 1e-9


def test_codes_come_in_the_order_that_is_told():
    X = gaussian(60, 5)
    model = fitted(X, latent_dim=3, max_iter=0)
    use = model.use
    use = use._replace(order=use.order[::-1].copy(), deviation=use.deviation[::-1].copy())
    flipped, codes = dataclasses.replace(model, use=use), model.codes(X, True)
    assert_allclose(flipped.codes(X, True), codes[:, ::-1])
    assert_allclose(flipped.reconstruct(codes[:, ::-1], True), model.reconstruct(codes, True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_returned_has_the_dtype_of_the_rows(model, X, dtype):
    X = X.astype(dtype)
    codes = model.codes(X, False)
    returned = [codes, model.reconstruct(codes, False), model.decode(codes), model.log_prob(X)]
    assert {a.dtype for a in (*returned, *model.posterior(X))} == {np.dtype(dtype)}


def test_float32_agrees_with_float64(model, X):
    X = X.astype(np.float32)
    exact = X.astype(np.float64)
    scale = np.abs(model.codes(exact, False)).max()
    assert_allclose(model.codes(X, False), model.codes(exact, False), atol=1e-4 * scale)
    assert_allclose(model.log_prob(X), model.log_prob(exact), rtol=1e-4, atol=1e-3)


def test_units_past_the_rank_are_inactive():
    X = rows_of("above the rank")
    model = fitted(X, latent_dim=7)
    assert model.start.latent_dim == 4
    assert not model.codes(X, False)[:, 4:].any()
    mean, std = model.posterior(X)
    assert not mean[:, 4:].any()
    assert (std[:, 4:] == 1).all()
    assert_allclose(model.reconstruct(model.codes(X, False), False), X, atol=1e-9)


def test_posterior_and_decode_share_the_order_of_the_codes(model, X):
    """Undoing the shrinkage of the posterior mean by hand gives the same rows."""
    mean, std = model.posterior(X)
    assert (std > 0).all()
    n_units = model.start.latent_dim
    scale = model.weights["scale.code_scale"][model.order]
    mean[:, :n_units] *= scale
    assert_allclose(
        model.decode(mean),
        model.reconstruct(model.codes(X, False), False),
        atol=1e-5 * np.abs(X).max(),
    )


def test_units_of_the_data_change_only_the_units():
    X = curve(300, 5)
    model, scaled = fitted(X), fitted(1024 * X)
    assert_allclose(
        scaled.codes(1024 * X, False), 1024 * model.codes(X, False), rtol=1e-6, atol=1e-4
    )
    shift = 5 * np.log(1024)
    assert_allclose(scaled.log_prob(1024 * X), model.log_prob(X) - shift, rtol=1e-5, atol=1e-5)


def test_the_module_is_rebuilt_without_touching_the_model(clipped):
    _, model = clipped
    before = {name: array.copy() for name, array in model.weights.items()}
    vae = model.new_module(torch.float64)
    assert not any(p.requires_grad for p in vae.parameters())
    for tensor in vae.state_dict().values():
        tensor.zero_()
    assert all(np.array_equal(model.weights[name], before[name]) for name in before)
    assert model.architecture == SMALL or model.architecture is SMALL


def test_the_module_of_questions_is_built_once_for_a_dtype(clipped):
    X, model = clipped
    model = dataclasses.replace(model)
    single, double = (model.module(dtype) for dtype in (torch.float32, torch.float64))
    model.codes(X, False)
    model.codes(X.astype(np.float32), False)
    model.log_prob(X)
    assert model.module(torch.float32) is single
    assert model.module(torch.float64) is double
    assert {p.dtype for p in single.parameters()} == {torch.float32}
    assert {p.dtype for p in double.parameters()} == {torch.float64}
    for vae in (single, double, model.of_cells().module(torch.float64)):
        assert not any(part.training for part in vae.modules())
        assert not any(p.requires_grad for p in vae.parameters())


def test_a_pickle_holds_no_module(clipped):
    X, model = clipped
    model.codes(X, False)
    model.log_prob(X)
    again = pickle.loads(pickle.dumps(model))
    assert b"skvae.model.vae" not in pickle.dumps(model)
    assert again.module(torch.float64) is not model.module(torch.float64)
    assert_array_equal(again.codes(X, False), model.codes(X, False))
    assert_array_equal(again.log_prob(X), model.log_prob(X))


def test_a_model_with_something_replaced_has_a_module_of_its_own(clipped):
    X, model = clipped
    before = model.codes(X, False)
    code_scale = {"scale.code_scale": 2 * model.weights["scale.code_scale"]}
    doubled = dataclasses.replace(model, weights=model.weights | code_scale)
    assert doubled.module(torch.float64) is not model.module(torch.float64)
    assert_allclose(doubled.codes(X, False), 2 * before)
    assert_array_equal(model.codes(X, False), before)


def test_training_that_goes_on_leaves_the_module_of_questions_alone():
    """Warm start after questions: the model that answered them stays what it was."""
    X = curve(300, 5)
    model = fitted(X, max_iter=10)
    assert model.kept > 0
    before = {
        dtype: {name: value.clone() for name, value in model.module(dtype).state_dict().items()}
        for dtype in (torch.float32, torch.float64)
    }
    answers = model.codes(X, False), model.log_prob(X)
    after = fitted(X, previous=model, max_iter=10)
    assert not np.array_equal(after.codes(X, False), answers[0])
    for dtype, state in before.items():
        vae = model.module(dtype)
        assert not any(p.requires_grad for p in vae.parameters())
        assert all(torch.equal(value, state[name]) for name, value in vae.state_dict().items())
    assert_array_equal(model.codes(X, False), answers[0])
    assert_array_equal(model.log_prob(X), answers[1])


# What the codes do.


def test_loadings_of_the_start_are_the_axes_of_pca():
    X = gaussian(200, 6)
    model = fitted(X, latent_dim=2, max_iter=0)
    levels = np.zeros(6, int)
    pca = PCA(2, svd_solver="full").fit(X)
    axes = model.loadings(model.codes(X, False), False, levels)
    signs = np.sign((axes * pca.components_).sum(1))[:, None]
    assert_allclose(axes, signs * pca.components_, atol=1e-6)
    whitened = model.loadings(model.codes(X, True), True, levels)
    deviation = np.sqrt(pca.explained_variance_)[:, None]
    assert_allclose(whitened, signs * deviation * pca.components_, atol=1e-6)


def test_loadings_of_units_past_the_rank_are_zero():
    X = rows_of("above the rank")
    model = fitted(X, latent_dim=7, max_iter=0)
    loadings = model.loadings(model.codes(X, False), False, np.zeros(7, int))
    assert loadings.shape == (7, 7)
    assert not loadings[4:].any()
    assert loadings[:4].any(1).all()


def test_loadings_are_the_mean_change_of_rows(clipped):
    X, model = clipped
    codes = model.codes(X, False)
    step = 1e-3
    change = model.reconstruct(codes + step, False) - model.reconstruct(codes - step, False)
    found = model.loadings(codes, False, np.zeros(2, int))
    assert_allclose(found[0], change.mean(0) / (2 * step), rtol=1e-2, atol=1e-4)


def test_diagnoses_are_in_the_users_units(clipped):
    X, model = clipped
    found = model.diagnose(X, 64)
    assert found.bound < found.log_likelihood < model.log_prob(X, 500).mean() + 0.02
    assert found.kl.shape == found.is_active.shape == (1,)
    assert 0 < found.mutual_information <= math.log(len(X))
    linear = fitted(X, max_iter=0)
    exact = linear.log_prob(X).mean()
    assert linear.diagnose(X).bound == pytest.approx(exact)
    in_other_units = fitted(3.0 * X, max_iter=0).diagnose(3.0 * X).bound
    assert in_other_units == pytest.approx(exact - 2 * math.log(3.0))


def test_codes_that_say_nothing_are_told(clipped):
    X, model = clipped
    assert model.collapsed.tolist() == []
    assert fitted(X, max_iter=0).collapsed.tolist() == []
    silent = dataclasses.replace(model, use=model.use._replace(kl=np.zeros(1)))
    assert silent.collapsed.tolist() == [0]
    assert model.n_used_by_start == 1
    one_too_many = dataclasses.replace(model, use=model.use._replace(kl=np.array([1.0, 0.0])))
    assert one_too_many.collapsed.tolist() == []


def test_a_mapped_file_is_fitted_as_its_rows_are(tmp_path):
    X = curve(600, 6).astype(np.float32)
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    recipe = {"latent_dim": 2, "architecture": MLP(), "batch_size": None}
    held = fit_model(Matrix(X), None, options(**recipe, max_iter=30))[0]
    few = Limits(pass_rows=256, held_bytes=0)
    streamed = fit_model(Matrix(mapped), None, options(**recipe, max_iter=90, limits=few))[0]
    assert held.kept > 0
    assert streamed.kept > 0
    start = PCA(2).fit(X).score(X)
    ours, theirs = (model.log_prob(X).mean() for model in (streamed, held))
    assert ours > start + 0.5 * (theirs - start)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kept", [True, False])
def test_draws_take_little_more_memory_than_they_are(kept, dtype):
    model = fitted(curve(300, 40), max_iter=20 if kept else 0)
    assert (model.architecture is not None) == kept
    tracemalloc.start()
    drawn = model.sample(100_000, np.random.RandomState(0), np.dtype(dtype))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drawn.dtype == dtype
    assert peak < 1.5 * drawn.nbytes


def test_draws_do_not_depend_on_what_is_held_at_once(model):
    at_once = model.sample(50, np.random.RandomState(0), np.dtype(np.float64))
    few = dataclasses.replace(model, batch_cells=20_000)
    in_batches = few.sample(50, np.random.RandomState(0), np.dtype(np.float64))
    assert_allclose(in_batches, at_once, rtol=1e-9, atol=1e-9)
