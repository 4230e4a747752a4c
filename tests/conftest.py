"""Data and models that several test files share."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # scipy reads it once, when it is first imported

import math
import random
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from skvae import VAETransformer
from skvae.model.first_weights import build
from skvae.start.ppca import fit_linear
from tests.rounding import OtherSums
from tests.samples import SMALL, gaussian, projected, with_networks
from tests.tables import TABLES


def pytest_addoption(parser):
    parser.addoption("--order", type=int, help="run tests and their files in the order of a seed")
    parser.addoption("--rounding", type=int, help="round products by a seed (tests/rounding.py)")


def pytest_collection_modifyitems(config, items):
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
    if config.option.order is not None:
        shuffle(items, random.Random(config.option.order))


def shuffle(items, generator):
    """Files in random order, and the tests of each: fixtures of a file are made once."""
    place = {path: generator.random() for path in sorted({item.path for item in items})}
    generator.shuffle(items)
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(scope="session", autouse=True)  # before fixtures that tests share
def _rounding(request):
    seed = request.config.option.rounding
    with nullcontext() if seed is None else OtherSums(seed):
        yield


@pytest.fixture(scope="session")
def curve():
    """Rows along a bent curve in 6 columns, which few passes model better than PCA; read-only."""
    rng = np.random.default_rng(0)
    t = rng.uniform(-3, 3, size=200)
    X = np.stack([t, 2 * np.sin(2 * t), 2 * np.cos(2 * t), t**2 / 3, np.abs(t), np.sin(t)], axis=1)
    X += 0.05 * rng.normal(size=X.shape)
    X.setflags(write=False)
    return X


@pytest.fixture(scope="session")
def trained(curve):
    """A model of the curve whose training was kept; not to be fitted again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vae = VAETransformer(2, batch_size=8, max_iter=5, random_state=0).fit(curve)
    assert vae.kept_ > 0, "what is tested on this model needs one that left PCA"
    return vae


@pytest.fixture(scope="session")
def linear(curve):
    """A model of the curve that stayed at the linear start; not to be fitted again."""
    return VAETransformer(2, max_iter=0).fit(curve)


@pytest.fixture(params=[(60, 8), (12, 30)], ids=str)
def start_and_rows(request):
    X = gaussian(*request.param)
    start = fit_linear(X, 3)
    return start, projected(start, X)


@pytest.fixture
def start_log_prob(start_and_rows):
    """Of the start's one normal density, that of its noise variance; with few rows, a half."""
    start, rows = start_and_rows
    x, residual = rows.scores, rows.residual
    q, d, noise = start.latent_dim, start.n_features, start.noise_variance
    variances = torch.from_numpy(start.variances[:q])
    outside = x[:, q:].square().sum(-1) + residual
    log_det = variances.log().sum() + (d - q) * math.log(noise)
    quadratic = (x[:, :q].square() / variances).sum(-1) + outside / noise
    return -0.5 * (quadratic + log_det + d * math.log(2 * math.pi))


@pytest.fixture
def perturbed(start_and_rows):
    """A model whose posterior is not exact."""
    start = start_and_rows[0]
    return with_networks(start, *build(SMALL, start.network_sizes(SMALL), seed=0)).double()


@pytest.fixture(params=TABLES)
def likelihood(request):
    """Of the columns of a table: one of all, or one of each."""
    return TABLES[request.param]


@pytest.fixture(params=[0.0, 0.25], ids=["complete", "missing"])
def share(request):
    """Of the cells that are missing."""
    return request.param
