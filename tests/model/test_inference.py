"""What rows tell of their codes: far ones little, complete ones the same beside rows with gaps."""

import numpy as np
import pytest
import torch

from skvae.model.first_weights import build
from skvae.model.inference import soft_clip
from skvae.model.rows import CellRows, ScoreRows
from skvae.start.ppca import fit_linear
from skvae.training.objective import Iwae
from tests.samples import SMALL, gaussian, projected, with_networks
from tests.tables import cells, rows_of, started, with_branches


@pytest.fixture(name="X")
def normal_rows():
    return gaussian(60, 8)


@pytest.fixture
def start(X):
    return fit_linear(X, 3)


@pytest.fixture
def vae(start):
    """With branches that do something."""
    return with_networks(start, *build(SMALL, start.network_sizes(SMALL), seed=0)).double()


def test_far_rows_see_the_linear_path(start, vae, X):
    """A branch sees an outlier bent to a few deviations: it adds no more than to those."""
    rows = projected(start, X)
    x, residual = rows.scores, rows.residual

    def branch_alone(x):
        q = vae.encode(ScoreRows(x, residual))
        return torch.cat(
            [
                q.mean - x @ vae.inference.encoder_path.T,
                q.log_variance - vae.inference.log_variance,
            ],
            1,
        )

    far, farther = branch_alone(1e6 * x), branch_alone(1e9 * x)
    torch.testing.assert_close(far, farther, rtol=1e-3, atol=1e-3)
    assert (branch_alone(1e9 * x)[:, 3:].abs() <= 4).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_branch_changes_variances_by_no_more_than_a_factor(start, vae, X, sign):
    rows = projected(start, X)
    with torch.no_grad():
        vae.encoder[-1].bias[3:] = sign * 1e6
        change = vae.encode(rows).log_variance - vae.inference.log_variance
    torch.testing.assert_close(change, torch.full_like(change, sign * 4.0))


def test_a_root_of_a_complete_row_is_no_root(likelihood):
    """A row has one posterior, whether the rows beside it have gaps or not."""
    X = rows_of(likelihood)
    start = started(rows_of(likelihood, share=0.2), likelihood)
    vae = with_branches(start, seed=2).requires_grad_(False)
    rows = cells(X, likelihood)
    holed = rows.values.clone()
    holed[1:, 0] = torch.nan
    alone, beside = vae.encode(rows), vae.encode(CellRows(holed))
    torch.testing.assert_close(alone.mean[0], beside.mean[0])
    torch.testing.assert_close(alone.variance[0], beside.variance[0])


def test_a_row_without_cells_has_the_prior(likelihood):
    X = rows_of(likelihood, share=0.2)
    X[0] = np.nan
    q = started(rows_of(likelihood, share=0.2), likelihood).module().encode(cells(X, likelihood))
    torch.testing.assert_close(q.kl()[0].sum(), torch.tensor(0.0).double(), rtol=0, atol=1e-12)


def test_a_missing_cell_is_seen_as_the_other_cells_have_it_and_flagged():
    """Rows with one hidden cell, against what the factor model says of it."""
    X = rows_of("gaussian_diag", share=0.2)
    vae = with_branches(started(X, "gaussian_diag")).requires_grad_(False)
    rows = cells(X, "gaussian_diag")
    hidden = rows.values.isnan()
    seen = []
    vae.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    vae.encode(rows)
    flags = seen[0][:, -len(vae.inference.masked) :]
    torch.testing.assert_close(flags, (~hidden[:, vae.inference.masked]).to(flags))
    linear = started(X, "gaussian_diag").module().requires_grad_(False)
    expected = linear.encode(rows).mean @ linear.inference.factor_loadings.T
    shown = seen[0][:, : expected.shape[1]]
    expected = soft_clip(expected, 6.0).to(shown)
    torch.testing.assert_close(shown[hidden], expected[hidden], rtol=1e-4, atol=1e-4)
    assert (shown[~hidden] - expected[~hidden]).abs().max() > 0.1


@pytest.mark.parametrize("name", ["gaussian", "gaussian_diag"])
def test_iwae_leaves_the_exact_posterior_of_observed_cells_alone(name):
    """All draws have the same weight, whatever they are, and the encoder learns nothing."""
    X = rows_of(name, share=0.25)
    vae, rows = with_branches(started(X, name), zero=True), cells(X, name)
    assert vae.encode(rows).root is not None
    losses = [Iwae(n_draws=3)(vae, rows, torch.Generator().manual_seed(i)).loss for i in range(3)]
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(losses[2], losses[0])
    vae.zero_grad()
    losses[0].backward()
    largest = max(p.grad.abs().max() for p in vae.decoder.parameters())
    assert all(p.grad.abs().max() < 1e-9 * largest for p in vae.encoder.parameters())
