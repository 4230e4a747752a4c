"""Down a height: to the bottom of a parabola at once, and never up."""

import numpy as np
import pytest
import torch

from skvae.model.descent import descend
from skvae.model.posterior import Posterior
from skvae.model.rows import ScoreRows
from tests.samples import noise_of

N, Q = 40, 3


@pytest.fixture
def rows():
    return ScoreRows(noise_of(N, Q), torch.zeros(N, dtype=torch.float64))


@pytest.fixture
def q(rows):
    """Posteriors as they are where the height is half the squared distance from the scores."""
    return Posterior(noise_of(N, Q, seed=1), torch.zeros(N, Q, dtype=torch.float64))


def bowl(rows, z):
    return 0.5 * (z - rows.scores).square().sum(-1)


def valley(rows, z):
    """Rosenbrock's, once for every row: its slopes say little of where the bottom is."""
    z = z - rows.scores
    return 0.5 * ((1.0 - z[:, 0]) ** 2 + 20.0 * (z[:, 1] - z[:, 0] ** 2) ** 2 + z[:, 2] ** 2)


def always(promise, level):
    return promise > 0


def test_one_step_reaches_the_bottom_of_what_the_posterior_knows(rows, q):
    assert torch.equal(descend(bowl, always, rows, q, q.mean, 0), q.mean)
    torch.testing.assert_close(descend(bowl, always, rows, q, q.mean, 1), rows.scores)


@pytest.mark.parametrize("factor", [0.5, 2.0, 30.0])
def test_slopes_mend_a_covariance_that_is_wrong(rows, q, factor):
    wrong = q._replace(log_variance=q.log_variance + np.log(factor))
    found = descend(bowl, always, rows, wrong, q.mean, 4)
    torch.testing.assert_close(found, rows.scores, atol=1e-6, rtol=0)


def test_no_row_goes_up_and_more_steps_go_lower(rows, q):
    before = valley(rows, q.mean)
    levels = [valley(rows, descend(valley, always, rows, q, q.mean, n)) for n in (1, 3, 10, 40)]
    for level in levels:
        assert (level <= before).all()
    means = [level.mean().item() for level in levels]
    assert sorted(means, reverse=True) == means
    assert means[-1] < 0.05 * before.mean().item()


def test_every_row_goes_its_own_way(rows, q):
    together = descend(valley, always, rows, q, q.mean, 8)
    for i in range(3):
        own = torch.tensor([i])
        alone = descend(valley, always, rows.take(own), q.take(own), q.mean[own], 8)
        torch.testing.assert_close(alone[0], together[i], rtol=1e-11, atol=1e-12)


def test_a_step_that_is_not_worth_it_is_not_taken(rows, q):
    is_far = torch.arange(N) % 2 == 0
    z = torch.where(is_far[:, None], q.mean + 100.0, rows.scores + 0.01)
    found = descend(bowl, lambda promise, level: promise > 1.0, rows, q, z, 5)
    assert torch.equal(found[~is_far], z[~is_far])
    torch.testing.assert_close(found[is_far], rows.scores[is_far])


def test_a_row_whose_height_is_no_number_stays(rows, q):
    def broken(rows, z):
        return torch.where(rows.scores[:, 0] > 0, bowl(rows, z), torch.nan)

    found = descend(broken, always, rows, q, q.mean, 3)
    is_number = rows.scores[:, 0] > 0
    assert torch.equal(found[~is_number], q.mean[~is_number])
    torch.testing.assert_close(found[is_number], rows.scores[is_number])


def test_a_covariance_of_any_shape_is_used(rows):
    """Units that the height mixes: with the covariance of the height one step arrives."""
    mixing = torch.eye(Q, dtype=torch.float64) + 0.9 * torch.ones(Q, Q, dtype=torch.float64).triu(1)

    def mixed(rows, z):
        return 0.5 * ((z - rows.scores) @ mixing.T).square().sum(-1)

    root = torch.linalg.inv(mixing).expand(N, Q, Q)
    q = Posterior(noise_of(N, Q, seed=2), torch.zeros(N, Q, dtype=torch.float64), root)
    torch.testing.assert_close(descend(mixed, always, rows, q, q.mean, 1), rows.scores)
