"""Posteriors by the decoder: exact where they are normal, hardly for the worse elsewhere."""

import numpy as np
import torch

from skvae.model.mode import laplace, mended, toward_mode
from skvae.model.posterior import Posterior
from skvae.model.rows import CellRows
from tests.samples import curve, fitted, gaussian, noise_of


def joint(vae, rows, z):
    return vae.log_likelihood(rows, vae.decode(z)) + vae.log_prior(z)


@torch.no_grad()
def test_the_mode_of_a_normal_posterior_is_found_from_anywhere(start_and_rows):
    start, rows = start_and_rows
    vae = start.module()
    q = vae.encode(rows)
    for size in (0.0, 1e-6, 1.0, 1e3):
        astray = q._replace(mean=q.mean + size * noise_of(*q.mean.shape))
        found = toward_mode(vae, rows, astray)
        # A step of fewer nats is not taken.
        assert (joint(vae, rows, q.mean) - joint(vae, rows, found.mean) < 0.3 + 1e-6).all()
        torch.testing.assert_close(found.log_variance, q.log_variance)


@torch.no_grad()
def test_steps_that_are_too_long_or_short_are_mended(start_and_rows):
    """By variances that are wrong by a factor, which the slopes see."""
    start, rows = start_and_rows
    vae = start.module()
    q = vae.encode(rows)
    for factor in (0.8, 2.0, 50.0):
        astray = Posterior(q.mean + 100.0 * noise_of(*q.mean.shape), q.log_variance)
        scaled = astray._replace(log_variance=q.log_variance + np.log(factor))
        found = toward_mode(vae, rows, scaled)
        assert (joint(vae, rows, q.mean) - joint(vae, rows, found.mean) < 0.5).all()


@torch.no_grad()
def test_a_step_of_a_network_is_for_the_better(start_and_rows, perturbed):
    rows = start_and_rows[1]
    q = perturbed.encode(rows)
    found = toward_mode(perturbed, rows, q)
    gain = joint(perturbed, rows, found.mean) - joint(perturbed, rows, q.mean)
    assert (gain > -1e-9).all()
    assert gain.mean() > 1e-3
    assert not perturbed.scale.center.requires_grad


@torch.no_grad()
def test_every_row_takes_its_own_step(start_and_rows, perturbed):
    rows = start_and_rows[1]
    together = toward_mode(perturbed, rows, perturbed.encode(rows)).mean
    for i in range(3):
        alone = rows.take(torch.arange(i, i + 1))
        mean = toward_mode(perturbed, alone, perturbed.encode(alone)).mean
        torch.testing.assert_close(mean[0], together[i], rtol=1e-11, atol=1e-12)


@torch.no_grad()
def test_a_row_whose_density_is_no_number_stays(start_and_rows, perturbed):
    rows = start_and_rows[1]
    rows.scores[0] *= 1e200
    q = perturbed.encode(rows)
    mean = toward_mode(perturbed, rows, q).mean
    torch.testing.assert_close(mean[0], q.mean[0])
    assert (mean[1:] != q.mean[1:]).any(1).sum() > 10


@torch.no_grad()
def test_missing_cells_say_nothing_of_the_step():
    X = curve(200, 5)
    model = fitted(X, max_iter=20).of_cells()
    vae = model.module(torch.float64)
    X[:, 1] = np.nan
    rows = CellRows(torch.from_numpy(model.representation.units.cells(X)))
    q = vae.encode(rows)
    found = toward_mode(vae, rows, q)
    gain = joint(vae, rows, found.mean) - joint(vae, rows, q.mean)
    assert (gain > -0.01).all()  # a parabola is not quite what it stands for
    assert gain.mean() > 0.1


def test_steps_are_found_where_no_gradients_are_asked_for():
    """Questions come under all of torch's modes, and in any order."""
    X = gaussian(50, 4) ** 3
    model = fitted(X, max_iter=20)
    with torch.inference_mode():
        model.codes(X, False)
    assert np.isfinite(model.log_prob(X)).all()


# Covariances


@torch.no_grad()
def test_the_covariance_of_a_normal_posterior_is_found_from_any(start_and_rows):
    start, rows = start_and_rows
    vae = start.module()
    q = vae.encode(rows)
    for size in (1e-3, 1.0, 10.0):
        astray = q._replace(log_variance=q.log_variance + size * noise_of(*q.mean.shape))
        found = laplace(vae, astray)
        covariance = found.root @ found.root.mT
        torch.testing.assert_close(covariance, torch.diag_embed(q.variance))
        torch.testing.assert_close(found.root, found.root.triu())


@torch.no_grad()
def test_draws_at_the_mode_have_more_even_weights(start_and_rows, perturbed):
    rows = start_and_rows[1]
    q = perturbed.encode(rows)

    def unevenness(q):
        draws = (q.sample(noise) for noise in noise_of(64, 3))
        weights = [joint(perturbed, rows, z) - q.log_prob(z) for z in draws]
        return torch.stack(weights).var(0).mean()

    moved, both = toward_mode(perturbed, rows, q), mended(perturbed, rows, q)
    assert unevenness(both) < unevenness(moved) < unevenness(q)


@torch.no_grad()
def test_a_covariance_that_is_no_number_stays(start_and_rows, perturbed):
    rows = start_and_rows[1]
    q = perturbed.encode(rows)
    q.log_variance[0] = 1000.0
    found = laplace(perturbed, q)
    assert torch.equal(found.root[0], torch.diag_embed(q.deviation[0]))
    assert found.root[1:].isfinite().all()
