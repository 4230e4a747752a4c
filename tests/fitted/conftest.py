"""Models of tables that are asked about cells."""

import numpy as np
import pytest

from tests.fitted.models import KINDS, MIXED, UNITS, D, N, Q, fitted, gaps, mixed_rows, normal_of
from tests.samples import gaussian


@pytest.fixture(scope="session", params=KINDS)
def linear(request):
    """A Gaussian linear model, its rows, and the normal density that it is."""
    X = gaps(gaussian(N, D) * (1.0 if request.param == "gaussian" else UNITS))
    model = fitted(X, KINDS[request.param])
    mean, loadings, noise = normal_of(model.start)
    return X, model, mean, loadings @ loadings.T + np.diag(noise)


@pytest.fixture(scope="session")
def trained():
    """A model of six kinds whose training was kept."""
    model = fitted(gaps(mixed_rows(600), 0.1), MIXED, max_iter=40, latent_dim=Q)
    assert model.kept > 0
    return model


@pytest.fixture(scope="session")
def untrained():
    return fitted(gaps(mixed_rows(600), 0.1), MIXED)
