"""What the codes hold: known in closed form at the linear start."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA
from torch import nn

from skvae.model.diagnostics import code_use, diagnose, linear_r2
from skvae.model.first_weights import build
from skvae.model.inference import CLIP_AT, ScoreInference
from skvae.model.latent_scale import LatentScale
from skvae.model.posterior import Posterior
from skvae.model.rows import ScoreRows
from skvae.model.score_observation import ScoreObservation
from skvae.model.vae import VAE, Networks
from skvae.start.ppca import fit_linear
from tests.samples import SMALL, gaussian, projected, with_networks

N_ROWS = 500


@pytest.fixture(name="X")
def normal_rows():
    return gaussian(N_ROWS, 8)


@pytest.fixture
def start(X):
    return fit_linear(X, 3)


@pytest.fixture
def nonlinear(start):
    return with_networks(start, *build(SMALL, start.network_sizes(SMALL), seed=0)).double()


def test_at_the_start_it_is_what_pca_says(start, X):
    use = code_use(start.module(), projected(start, X))
    assert use.order.tolist() == [0, 1, 2]
    assert_allclose(use.spread, start.weights, rtol=1e-6)
    ratio = PCA(3, svd_solver="full").fit(X).explained_variance_ratio_
    assert_allclose(use.explained_variance_ratio, ratio)
    expected = 0.5 * np.log(start.variances[:3] / start.noise_variance)
    assert_allclose(use.kl, expected, rtol=5 / N_ROWS)
    assert use.is_active.all()


def test_every_unit_is_measured_wherever_it_stands(start, X):
    """Units in another order: the same figures, and the order that puts them back."""
    vae, turned = start.module(), start.module()
    swap = [2, 0, 1]
    with torch.no_grad():
        turned.inference.encoder_path.copy_(vae.inference.encoder_path[swap])
        turned.observation.decoder_path.copy_(vae.observation.decoder_path[:, swap])
        turned.inference.log_variance.copy_(vae.inference.log_variance[swap])
        turned.scale.code_scale.copy_(vae.scale.code_scale[swap])
    expected, use = code_use(vae, projected(start, X)), code_use(turned, projected(start, X))
    assert use.order.tolist() == [1, 2, 0]
    for name in ("spread", "explained_variance_ratio", "kl", "is_active"):
        assert_allclose(getattr(use, name), getattr(expected, name))


def test_ratios_sum_to_what_is_explained(start, X, nonlinear):
    rows = projected(start, X)
    use = code_use(nonlinear, rows)
    decoded = nonlinear.decode(nonlinear.codes(rows))
    error = nonlinear.observation.squared_error(rows, decoded).sum().item()
    total = (rows.scores.square().sum() + rows.residual.sum()).item()
    assert_allclose(use.explained_variance_ratio.sum(), 1 - error / total)
    assert sorted(use.order) == [0, 1, 2]


def test_spread_is_the_derivative(start, X, nonlinear):
    rows = projected(start, X)
    use = code_use(nonlinear, rows)
    z = nonlinear.codes(rows).detach()
    decode = torch.func.jacrev(lambda point: nonlinear.decode(point[None])[0])
    jacobian = torch.func.vmap(decode)(z)
    expected = jacobian.square().sum(1).mean(0).sqrt().numpy(force=True)
    assert_allclose(use.spread, expected[use.order], rtol=1e-5)


def test_a_collapsed_unit_comes_last(start, X):
    vae = start.module()
    with torch.no_grad():
        vae.inference.encoder_path[0] = 0
        vae.observation.decoder_path[:, 0] = 0
        vae.inference.log_variance[0] = 0
    use = code_use(vae, projected(start, X))
    assert use.order.tolist() == [1, 2, 0]
    assert use.is_active.tolist() == [True, True, False]
    assert_allclose([use.kl[-1], use.spread[-1], use.explained_variance_ratio[-1]], 0, atol=1e-12)


# The posterior.


def draws_of(n_draws, q=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n_draws, q, generator=generator, dtype=torch.float64)


def test_at_the_start_the_bounds_are_the_log_likelihood(start, X):
    """The posterior is exact: every draw has the weight p(x)."""
    rows = projected(start, X)
    found = diagnose(start.module(), rows, draws_of(8))
    exact = start.log_density(rows.scores.numpy(), rows.residual.numpy()).mean()
    assert found.bound == pytest.approx(exact)
    assert found.log_likelihood == pytest.approx(exact)
    assert_allclose(found.kl, start.unit_kl, rtol=5 / N_ROWS)
    assert found.is_active.all()


def test_elsewhere_the_bounds_are_in_order(nonlinear, start, X):
    found = diagnose(nonlinear, projected(start, X), draws_of(64))
    assert found.bound < found.log_likelihood


def test_mutual_information_at_the_start(X):
    """Of normal rows: half the logarithm of the prior's over the posterior's variance."""
    start = fit_linear(X, 1)
    vae, rows = start.module(), projected(start, X)
    exact = -0.5 * vae.inference.log_variance.sum().item()
    found = diagnose(vae, rows, draws_of(32, 1)).mutual_information
    assert found == pytest.approx(exact, abs=0.15)
    few = diagnose(vae, rows.take(torch.arange(5)), draws_of(32, 1)).mutual_information
    assert few <= math.log(5)


def test_units_that_say_nothing_are_inactive(start, X):
    vae = start.module()
    with torch.no_grad():
        vae.inference.encoder_path[1].zero_()
        vae.inference.log_variance[1] = 0.0
    found = diagnose(vae, projected(start, X), draws_of(8))
    assert found.is_active.tolist() == [True, False, True]
    assert found.kl[1] == pytest.approx(0.0, abs=1e-12)


def test_weights_are_repetitions_of_rows(start, X, nonlinear):
    times = torch.arange(N_ROWS) % 3 + 1
    rows = projected(start, X)
    repeated = ScoreRows(
        rows.scores.repeat_interleave(times, 0), rows.residual.repeat_interleave(times, 0)
    )
    ours, theirs, scaled = (
        code_use(nonlinear, each)
        for each in (
            dataclasses.replace(rows, weight=times.double()),
            repeated,
            dataclasses.replace(rows, weight=1e-3 * times.double()),
        )
    )
    for name in ours._fields:
        # Variances are divided by the rows but one, and other rows are paired.
        tolerance = 0.1 if name == "explained_variance_ratio" else 1.0 / N_ROWS
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=tolerance)
        assert_allclose(getattr(scaled, name), getattr(ours, name))
    assert not np.allclose(ours.kl, code_use(nonlinear, rows).kl, rtol=1e-6)


def test_linear_r2_with_weights_is_that_of_repetitions():
    generator = torch.Generator().manual_seed(0)
    codes, noise = (torch.randn(200, 2, generator=generator) for _ in range(2))
    target, units = codes + noise * codes.abs(), torch.tensor([1.0, 3.0])
    times = torch.arange(200) % 3 + 1
    repeated = [values.repeat_interleave(times, 0) for values in (codes, target)]
    found = linear_r2(codes, target, units, times)
    assert found == pytest.approx(linear_r2(*repeated, units), rel=2.0 / 200)
    assert found != pytest.approx(linear_r2(codes, target, units), rel=1e-4)
    assert linear_r2(codes, target, units, 1e-3 * times) == pytest.approx(found)


def test_densities_go_to_the_users_units(start, X):
    found = diagnose(start.module(), projected(start, X), draws_of(8))
    told = found.in_users_units(np.array([2, 0, 1]), 7.0)
    assert told.bound == found.bound + 7.0
    assert told.log_likelihood == found.log_likelihood + 7.0
    assert_allclose(told.kl, found.kl[[2, 0, 1]])
    assert told.mutual_information == found.mutual_information


def plain(q, networks=None):
    """A model whose codes are its rows, which it decodes to themselves but for the networks."""
    path, zeros = torch.eye(q).double(), torch.zeros(q).double()
    inference = ScoreInference(path, zeros, zeros + CLIP_AT)
    observation = ScoreObservation(path.clone(), torch.tensor(1.0).double(), q)
    return VAE(inference, observation, LatentScale(torch.ones(q).double()), networks)


def test_a_code_that_does_not_vary_explains_nothing():
    codes = torch.stack([torch.full((100,), 0.9), 0.5 * torch.randn(100, generator=seeded())], 1)
    codes = codes.double()
    rows = ScoreRows(codes, codes.new_zeros(len(codes)))
    use = code_use(plain(2), rows)
    assert use.order.tolist() == [1, 0]
    assert_allclose(use.explained_variance_ratio, [1.0, 0.0], atol=1e-12)


class Product(nn.Module):
    """Adds three times the product of both codes to the second number."""

    def forward(self, z):
        return torch.stack([0.0 * z[:, 0], 3.0 * z[:, 0] * z[:, 1]], -1)


def test_shares_of_a_product_are_those_of_sobol():
    """Of independent normal codes, (z0, 2 z1 + 3 z0 z1): z1 explains 4 of 14, and 13 with z0."""
    z = torch.randn(20_000, 2, generator=seeded(), dtype=torch.float64)
    vae = plain(2, Networks(nn.Sequential(), Product()))
    with torch.no_grad():
        vae.observation.decoder_path[1, 1] = 2.0
    vae.encode = lambda rows: Posterior(z, torch.zeros_like(z))
    use = code_use(vae, ScoreRows(vae.decode(z), torch.zeros_like(z[:, 0])))
    assert use.order.tolist() == [1, 0]
    assert_allclose(use.explained_variance_ratio, [4 / 14, 10 / 14], rtol=0.1)
    assert_allclose(use.explained_variance_ratio.sum(), 1.0)


def test_agreement_counts_targets_by_their_weight_and_not_by_chance():
    codes, noise = torch.randn(2, 60, 5, generator=seeded()).double()
    target = torch.stack([codes[:, 0], noise[:, 0]], 1)
    assert linear_r2(codes, target, torch.tensor([1.0, 0.0])) == pytest.approx(1.0)
    assert linear_r2(codes + 10.0, target, torch.tensor([1.0, 0.0])) == pytest.approx(1.0)
    assert linear_r2(codes, target, torch.tensor([1.0, 1.0])) < 0.7
    # Five codes tell a twelfth of anything in sixty rows.
    chance = [
        linear_r2(*torch.randn(2, 60, 5, generator=seeded(n)).double(), torch.ones(5))
        for n in range(100)
    ]
    assert abs(np.mean(chance)) < 0.02


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)
