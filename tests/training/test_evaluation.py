"""The judge keeps what is better, refuses what is worse, and goes part of the way between."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skvae.fitting.fit import start_vae, training_rows
from skvae.limits import Limits
from skvae.model.bounds import mixture
from skvae.model.priors import ExPost
from skvae.model.score_observation import NOISE_FLOOR
from skvae.start.ppca import fit_linear
from skvae.start.tables import Matrix
from skvae.training.config import Budget
from skvae.training.controller import Controller
from skvae.training.evaluation import Acceptance, DivergenceError, Evaluator
from skvae.training.loop import train
from skvae.training.objective import Autoencoder
from skvae.training.state import TrainingState
from skvae.training.step import choose_step
from tests.samples import RECIPE, curve, gaussian, options, started


def generator():
    return torch.Generator().manual_seed(0)


def set_up(X, n_held_out=100, weight=None, **changes):
    """Linear start, the model at the start, all rows, the judge on the first of them."""
    chosen = options(**changes)
    start = fit_linear(X, chosen.latent_dim)
    rows = training_rows(start, Matrix(X), weight, chosen)
    linear = start_vae(start, chosen)
    held_out = rows.take(torch.arange(n_held_out))
    evaluator = Evaluator.of(held_out, rows, linear, generator(), chosen.config)
    return start, started(start, chosen, X), rows, evaluator


@pytest.fixture(scope="module")
def trained():
    """What set_up gives, and a model that has learnt a curve; with the state it came from."""
    _, vae, rows, evaluator = set_up(curve(500, 5))
    origin = {name: value.clone() for name, value in vae.state_dict().items()}
    training = torch.arange(100, 500)
    budget = Budget(32, False, 60, early_stopping=True)
    controller = Controller(budget, RECIPE, len(training), rows.n_inputs)
    state = TrainingState.of(vae, RECIPE, generator(), lambda n_rows: torch.float32, controller)
    state.take = choose_step(state, rows)
    state.begin(evaluator)
    train(state, rows, training, evaluator)
    return vae, origin, evaluator


@pytest.fixture
def better(trained):
    """A model to change: the trained one, as it was left."""
    vae = trained[0]
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    yield trained
    vae.load_state_dict(before)


def beyond(vae, origin, factor):
    """Move the weights past the trained ones, seen from the origin."""
    vae.load_state_dict({k: origin[k].lerp(w, factor) for k, w in vae.state_dict().items()})


def error_of_codes(vae, evaluator):
    error = vae.observation.squared_error(evaluator.rows, vae.decode(vae.codes(evaluator.rows)))
    return evaluator.rows.mean(error).item()


def test_the_starts_own_figures():
    start, vae, _, evaluator = set_up(gaussian(200, 6), latent_dim=2)
    x, residual = evaluator.rows.scores, evaluator.rows.residual
    log_prob = start.log_density(x.double().numpy(), residual.double().numpy())
    torch.testing.assert_close(evaluator.start_log_prob, torch.tensor(log_prob).float())
    torch.testing.assert_close(evaluator.start_error.mean().item(), error_of_codes(vae, evaluator))
    assert evaluator.start_bound == pytest.approx(log_prob.mean(), rel=1e-6)


def test_a_look_at_the_start_gives_the_starts_bound():
    start, vae, _, evaluator = set_up(gaussian(4000, 6), n_held_out=2000, latent_dim=2)
    bound = evaluator.calibrate_and_evaluate(vae).bound
    assert bound == pytest.approx(evaluator.start_bound, abs=0.05)
    assert vae.observation.shared_noise.item() == pytest.approx(start.noise_variance, rel=0.1)


@torch.no_grad()
def test_look_calibrates_the_noise(better):
    """No other noise gives the mixture a greater bound on these rows."""
    vae, _, evaluator = better
    vae.observation.shared_noise.mul_(10)
    bound = evaluator.calibrate_and_evaluate(vae).bound
    calibrated = vae.observation.shared_noise.clone()
    q = vae.encode(evaluator.rows)
    decoded = vae.decode(q.sample(evaluator.noise))

    def best_bound(noise):
        vae.observation.shared_noise.copy_(noise)
        ours = vae.log_likelihood(evaluator.rows, decoded) - q.kl().sum(-1)
        weights = torch.linspace(0.01, 0.99, 99)
        return max(mixture(ours, evaluator.start_log_prob, w).mean().item() for w in weights)

    assert bound == pytest.approx(best_bound(calibrated), abs=0.01)
    for factor in (0.5, 0.8, 1.25, 2.0):
        assert best_bound(calibrated) > best_bound(factor * calibrated)


def test_look_moves_noise_and_code_scale_only(better):
    vae, _, evaluator = better
    parameters = [p.clone() for p in vae.parameters()]
    evaluator.calibrate_and_evaluate(vae)
    assert all(map(torch.equal, vae.parameters(), parameters))


@torch.no_grad()
def test_look_gives_codes_over_the_training_the_moments_of_the_prior(better):
    vae, _, evaluator = better
    vae.scale.center.fill_(3.0)
    vae.scale.spread.fill_(0.1)
    evaluator.calibrate_and_evaluate(vae)
    q = vae.encode(evaluator.seen)
    torch.testing.assert_close(q.mean.mean(0), torch.zeros(1), rtol=0, atol=1e-4)
    variance = q.mean.var(0, correction=0) + q.variance.mean(0)
    torch.testing.assert_close(variance, torch.ones(1), rtol=1e-4, atol=0)


def test_look_undoes_the_shrinkage_of_codes():
    """Those of the linear start are the scores of PCA."""
    _, vae, _, evaluator = set_up(gaussian(4000, 6), n_held_out=2000, latent_dim=2)
    vae.scale.code_scale.fill_(1.0)
    shrunk = vae.codes(evaluator.rows)
    evaluator.calibrate_and_evaluate(vae)
    expected = evaluator.start.codes(evaluator.rows)
    assert not torch.allclose(shrunk, expected, rtol=1e-3)
    torch.testing.assert_close(vae.codes(evaluator.rows), expected, rtol=1e-3, atol=1e-3)


def test_look_has_a_floor_for_the_noise():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 5))
    X[:, 4] += 1e-6 * rng.standard_normal(200)
    _, vae, _, evaluator = set_up(X, latent_dim=2, precision="float64")
    assert np.isfinite(evaluator.calibrate_and_evaluate(vae).bound)
    assert vae.observation.shared_noise.item() >= NOISE_FLOOR


def test_look_raises_when_the_bound_is_not_finite(better):
    vae, _, evaluator = better
    with torch.no_grad():
        vae.observation.decoder_path.fill_(torch.nan)
    with pytest.raises(DivergenceError, match="bound became nan"):
        evaluator.calibrate_and_evaluate(vae)


def test_keep_accepts_a_better_model(better):
    vae, origin, evaluator = better
    kept = evaluator.select(vae, origin)
    assert kept.share == 1.0
    assert 0.0099 < kept.start_weight < 0.5
    assert error_of_codes(vae, evaluator) < 0.2 * evaluator.start_error.mean().item()


def test_keep_refuses_a_worse_model(better):
    vae, _, evaluator = better
    with torch.no_grad():
        vae.decoder[0].weight.add_(
            5 * torch.randn(vae.decoder[0].weight.shape, generator=generator())
        )
        vae.decoder[-1].weight.mul_(-20)
    assert evaluator.select(vae, None) == Acceptance(0.0, 1.0)


def test_keep_refuses_what_is_only_as_good():
    _, vae, _, evaluator = set_up(gaussian(300, 6), latent_dim=2)
    origin = {name: value.clone() for name, value in vae.state_dict().items()}
    assert evaluator.select(vae, origin) == Acceptance(0.0, 1.0)


def test_keep_goes_back_part_of_the_way(better):
    vae, origin, evaluator = better
    good = error_of_codes(vae, evaluator)
    beyond(vae, origin, 4.0)
    assert error_of_codes(vae, evaluator) > evaluator.start_error.mean().item()
    kept = evaluator.select(vae, origin)
    assert 0 < kept.share < 1
    assert error_of_codes(vae, evaluator) < evaluator.start_error.mean().item()
    assert good < evaluator.start_error.mean().item()


def test_where_nothing_is_kept_the_model_stays_as_it_was(better):
    vae, origin, evaluator = better
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    evaluator = replace(evaluator, limits=Limits(n_standard_errors=float("inf")))
    assert evaluator.select(vae, origin) == Acceptance(0.0, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())


def test_keep_without_an_origin_is_all_or_nothing(better):
    vae, origin, evaluator = better
    assert evaluator.select(vae, None).share == 1.0
    beyond(vae, origin, 4.0)
    assert evaluator.select(vae, None) == Acceptance(0.0, 1.0)


def test_keep_leaves_the_origin_as_it_is(better):
    vae, origin, evaluator = better
    before = {name: value.clone() for name, value in origin.items()}
    beyond(vae, origin, 4.0)
    evaluator.select(vae, origin)
    with torch.no_grad():
        vae.observation.decoder_path.zero_()
    assert all(torch.equal(origin[name], before[name]) for name in origin)


@pytest.mark.parametrize(("mean", "scale"), [(-3.0, 1.0), (-0.3, 2.0), (0.5, 2.0), (3.0, 1.0)])
def test_start_weight_against_a_grid(mean, scale):
    evaluator = set_up(gaussian(300, 6), n_held_out=300, latent_dim=2)[3]
    noise = torch.randn(300, generator=generator())
    log_prob = evaluator.start_log_prob + mean + scale * noise
    found = evaluator.start_weight(log_prob)

    def bound(weight):
        return mixture(log_prob, evaluator.start_log_prob, torch.as_tensor(weight)).mean().item()

    assert bound(found) >= max(map(bound, torch.linspace(0.01, 0.99, 197))) - 2e-3


def test_start_weight_stays_inside_its_bounds():
    evaluator = set_up(gaussian(300, 6), latent_dim=2)[3]
    for difference in (1e6, -1e6):
        weight = evaluator.start_weight(evaluator.start_log_prob + difference).item()
        assert weight == pytest.approx(0.01 if difference > 0 else 0.99)


def test_exceeds_asks_for_standard_errors():
    evaluator = set_up(gaussian(300, 6), latent_dim=2)[3]
    noise = torch.randn(100, generator=generator())
    noise = (noise - noise.mean()) / noise.std()  # the mean's standard error is 0.1
    asked = 0.1 * Limits().n_standard_errors
    assert asked > 0
    assert evaluator.exceeds(noise + asked + 0.01)
    assert not evaluator.exceeds(noise + asked - 0.01)
    assert not evaluator.exceeds(torch.zeros(100))


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.5])
def test_standard_errors_are_those_of_weighted_means(sigma):
    """By 3000 samples of rows whose weights are their own: few heavy rows say little."""
    evaluator = set_up(gaussian(300, 6), latent_dim=2)[3]
    noise = torch.randn(3000, 100, generator=generator())
    weight = (sigma * torch.randn(100, generator=generator())).exp()
    spread = (noise @ (weight / weight.sum())).std().item()
    weighed = replace(evaluator, rows=replace(evaluator.rows, weight=weight))
    errors = [weighed._standard_error(values).item() ** 2 for values in noise]
    assert np.mean(errors) ** 0.5 == pytest.approx(spread, rel=0.15)
    scaled = replace(evaluator, rows=replace(evaluator.rows, weight=1e-3 * weight))
    assert scaled._standard_error(noise[0]).item() ** 2 == pytest.approx(errors[0], rel=1e-5)


def test_equal_weights_have_the_standard_error_of_none():
    evaluator = set_up(gaussian(300, 6), latent_dim=2)[3]
    values = torch.randn(100, generator=generator())
    weighed = replace(evaluator, rows=replace(evaluator.rows, weight=torch.full((100,), 3.0)))
    torch.testing.assert_close(weighed._standard_error(values), evaluator._standard_error(values))
    assert evaluator._standard_error(values) == pytest.approx(values.std().item() / 10)


def test_weights_are_repetitions_of_rows():
    X = curve(120, 5)
    times = np.arange(60) % 3 + 1
    start, vae = set_up(X)[:2]
    vae.double()
    exact = options(precision="float64")
    weighted = training_rows(start, Matrix(X[:60]), times.astype(float), exact)
    repeated = training_rows(start, Matrix(X[:60].repeat(times, 0)), None, exact)
    linear = start_vae(start, exact)
    judges = [
        Evaluator.of(rows, rows, linear, generator(), RECIPE) for rows in (weighted, repeated)
    ]
    noise, elbo = judges[0].noise, judges[0].start_elbo
    repeats = torch.from_numpy(times)
    judges[1].noise.copy_(noise.repeat_interleave(repeats, 0))
    judges[1].start_elbo.copy_(elbo.repeat_interleave(repeats, 0))
    with torch.no_grad():
        vae.encoder[-1].weight.normal_(0, 0.1, generator=generator())
    bounds, scales = zip(
        *(
            (evaluator.calibrate_and_evaluate(vae).bound, vae.scale.code_scale.clone())
            for evaluator in judges
        ),
        strict=True,
    )
    assert bounds[0] == pytest.approx(bounds[1])
    torch.testing.assert_close(*scales)


@pytest.mark.parametrize("factor", [10, 100, 1e4])
def test_far_rows_do_not_decide(better, factor):
    """A row far out, which the start explains as badly, leaves the calibration to the others."""
    vae, _, evaluator = better
    calibrated = vae.observation.shared_noise.item()
    far = evaluator.rows.scores.clone()
    far[0] *= factor
    rows = replace(evaluator.rows, scores=far)
    outlying = Evaluator.of(rows, evaluator.seen, evaluator.start, generator(), RECIPE)
    outlying.calibrate_and_evaluate(vae)
    assert vae.observation.shared_noise.item() == pytest.approx(calibrated, rel=0.5)


def test_the_start_as_a_model_is_kept_for_nothing():
    start, _, _, evaluator = set_up(curve(500, 5))
    assert evaluator.select(start.module().float(), None) == Acceptance(0.0, 1.0)


# What a look tells.


@torch.no_grad()
def test_a_look_tells_the_parts_of_the_bound(better):
    vae, _, evaluator = better
    look = evaluator.calibrate_and_evaluate(vae)
    q = vae.encode(evaluator.rows)
    likelihood = vae.log_likelihood(evaluator.rows, vae.decode(q.sample(evaluator.noise)))
    assert look.kl == pytest.approx(q.kl().sum(-1).mean().item(), rel=1e-5)
    assert look.reconstruction == pytest.approx(likelihood.mean().item(), rel=1e-4)
    assert look.noise == vae.observation.shared_noise.item()
    assert look.bound >= look.reconstruction - look.kl - 0.02


def test_the_first_look_is_at_the_start():
    start, _, _, evaluator = set_up(gaussian(200, 6), latent_dim=2)
    look = evaluator.first_evaluation
    assert look.bound == evaluator.start_bound
    assert look.reconstruction - look.kl == pytest.approx(look.bound, rel=1e-6)
    assert look.noise == pytest.approx(start.noise_variance, rel=1e-6)
    kl = evaluator.start.encode(evaluator.rows).kl().sum(-1).mean().item()
    assert look.kl == pytest.approx(kl, rel=1e-5)


# An autoencoder.


def test_an_autoencoder_is_judged_by_its_codes():
    """No draw and no KL: the start is PCA, and its bound the likelihood of what PCA restores."""
    _, vae, _, evaluator = set_up(gaussian(400, 6), latent_dim=2, objective=Autoencoder())
    codes = evaluator.start.codes(evaluator.rows)
    likelihood = evaluator.start.log_likelihood(evaluator.rows, evaluator.start.decode(codes))
    assert evaluator.first_evaluation.kl == 0.0
    assert evaluator.start_bound == pytest.approx(likelihood.mean().item(), rel=1e-6)
    torch.testing.assert_close(vae.codes(evaluator.rows), codes)
    assert (vae.scale.code_scale == 1).all()
    look = evaluator.calibrate_and_evaluate(vae)
    assert look.kl == 0.0
    assert look.bound >= evaluator.start_bound - 1e-3
    torch.testing.assert_close(vae.scale.code_scale, torch.ones(2))


@pytest.mark.parametrize("corrupted", [(1.5, -1.0), (0.0, 0.0), (-2.0, 0.5)], ids=str)
def test_fit_width_finds_the_exact_posterior(corrupted):
    """Of the linear model, whose posterior variance is known."""
    X = gaussian(3000, 6)
    vae, evaluator = set_up(X, 2000, latent_dim=2, precision="float64")[1::2]
    exact = vae.encode(evaluator.rows).variance[0].detach()
    vae.scale.width.copy_(torch.tensor(corrupted))
    before = [p.clone() for p in vae.parameters()]
    evaluator.fit_width(vae)
    found = vae.encode(evaluator.rows).variance[0].detach()
    torch.testing.assert_close(found, exact, rtol=0.1, atol=0)
    assert all(map(torch.equal, vae.parameters(), before))
    assert not vae.scale.width.requires_grad


def test_fit_width_gives_an_autoencoder_a_bound():
    _, vae, _, evaluator = set_up(gaussian(1000, 6), 500, latent_dim=2, objective=Autoencoder())

    @torch.no_grad()
    def bound():
        q = vae.encode(evaluator.rows)
        likelihood = vae.log_likelihood(evaluator.rows, vae.decode(q.sample(evaluator.noise)))
        return (likelihood - q.kl().sum(-1)).mean().item()

    vae.scale.width.fill_(3.0)
    before = bound()
    evaluator.fit_width(vae)
    assert bound() > before + 1


# Another prior.


def clustered(n_rows=600, seed=0):
    """Rows in three clusters of a plane, with noise in five columns."""
    rng = np.random.RandomState(seed)
    centers = np.array([[4.0, 0.0], [-3.0, 3.0], [-3.0, -3.0]])
    points = centers[rng.randint(3, size=n_rows)] + 0.3 * rng.standard_normal((n_rows, 2))
    turn = np.linalg.qr(np.random.RandomState(1).standard_normal((5, 2)))[0]
    return points @ turn.T + 0.2 * rng.standard_normal((n_rows, 5))


def mixture_of_codes(vae, rows, n_components=3):
    """A mixture fitted to draws from the aggregate posterior."""
    with torch.no_grad():
        q = vae.encode(rows)
        draws = q.sample(rows.draw_noise(vae.latent_dim, generator()))
    return ExPost(n_components=n_components).fit(draws.double().numpy(), 0).to(draws)


def test_a_mixture_is_preferred_where_codes_have_clusters():
    _, vae, rows, evaluator = set_up(clustered(), 200, latent_dim=2)
    prior = mixture_of_codes(vae, rows)
    weight = evaluator.prefer(vae, prior)
    assert vae.prior is prior
    assert 0.0099 < weight.item() < 0.2
    q = vae.encode(evaluator.rows)
    kl = vae.kl(q, q.sample(evaluator.noise), evaluator.noise).mean()
    assert kl < q.kl().sum(-1).mean() - 0.5


@pytest.mark.parametrize("away", [1.0, 30.0])
def test_a_prior_that_does_not_help_is_not_taken(away):
    _, vae, rows, evaluator = set_up(gaussian(600, 6), 200, latent_dim=2)
    prior = mixture_of_codes(vae, rows, n_components=1)
    with torch.no_grad():
        prior.means.add_(away)
    assert evaluator.prefer(vae, prior) is None
    assert vae.prior.is_standard
    # One that is as good as the normal gains nothing that chance would not.
    same_again = mixture_of_codes(vae, rows, n_components=1)
    with torch.no_grad():
        for parameter in (same_again.means, same_again.factors):
            parameter.zero_()
    assert evaluator.prefer(vae, same_again) is None
