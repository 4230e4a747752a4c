"""The judge keeps what is better, refuses what is worse, and goes part of the way between."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skvae.fitting.rows import start_vae, training_rows
from skvae.model.bounds import mixture
from skvae.model.priors import ExPost
from skvae.model.score_observation import NOISE_FLOOR
from skvae.start.tables import Matrix
from skvae.training.evaluation import DivergenceError, Evaluator
from skvae.training.objective import Autoencoder
from tests.samples import RECIPE, curve, gaussian, options
from tests.training.judged import error_of_codes, generator, set_up


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


@pytest.mark.parametrize("is_weighted", [False, True])
def test_some_of_the_rows_judge_as_they_do_among_all(better, is_weighted):
    vae, _, evaluator = better
    if is_weighted:
        weight = torch.linspace(0.5, 1.5, evaluator.rows.n_rows)
        evaluator = replace(evaluator, rows=replace(evaluator.rows, weight=weight))
    some = torch.arange(evaluator.rows.n_rows // 2, evaluator.rows.n_rows)
    whole, part = evaluator.verdict(vae), evaluator.of_some(some).verdict(vae)
    torch.testing.assert_close(part.judged.values, whole.judged.values[some])
    if is_weighted:
        torch.testing.assert_close(part.judged.weight, whole.judged.weight[some])
    first = evaluator.of_some(some[:30]).calibrate_and_evaluate(vae)
    assert np.isfinite(first.bound)


def test_a_verdict_is_no_worse_than_itself_and_worse_where_either_gain_is(better):
    vae, _, evaluator = better
    before = evaluator.verdict(vae)
    assert before.is_no_worse(before, 0.0)
    for name in ("judged", "likelier"):
        own = getattr(before, name)
        lower = before._replace(**{name: own._replace(values=own.values - 0.1)})
        assert not lower.is_no_worse(before, 2.0)
        assert before.is_no_worse(lower, 2.0)


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
