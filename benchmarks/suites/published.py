"""Published: figures that papers report, measured in their setting and held to theirs.

``PUBLISHED`` is a table of figures as ``bars`` has them, and they stand in its table of the pages.
Test rows that have to be binary are drawn once, by a seed of their own, for all models.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

import skvae
from benchmarks import datasets
from benchmarks.metrics import squared_error
from benchmarks.runner import Suite
from benchmarks.suites import bars
from benchmarks.suites.bars import Figures, Measured, Settings, neighbour_accuracy

BINARISED_BY = 20160901  # the seed of the binary test rows

# Draws in training -> nats (Burda et al., 2016, table 1: one stochastic layer of 50).
IWAE_LIMITS = {1: 86.76, 5: 85.54, 50: 84.78}
# latent_dim -> nats (Davidson et al., 2018, table 1: N-VAE).
LOW_DIM_LIMITS = {2: -135.73, 5: -110.21}
# objective -> squared error per pixel in [0, 1] (Sainburg et al., 2021), latent_dim 64.
CONV_LIMITS = {"autoencoder": 0.0016, "elbo": 0.0024}
LINEAR_LIMIT = 1e-3  # of the log-likelihood
LINEAR_PASSES = 1500
SHAPES = {"cifar10": (3, 32, 32), "spoken_digits": (1, 32, 32), "mnist": (1, 28, 28)}


def iwae(settings: Settings, n_draws: int) -> Iterator[Measured]:
    """Yield the negative log-likelihood of MNIST, binarised anew in every pass.

    After ten passes a rate of 0.001 in batches of 128, nearer to the paper's, is 2.5 nats behind
    one of 0.003 in batches of 256, and that 1.2 nats behind one of 0.006.
    """
    split = datasets.split("mnist", settings.source, seed=0)
    model = skvae.VAETransformer(
        50,
        likelihood=skvae.Bernoulli(stochastic=True),
        architecture=skvae.MLP(hidden_layer_sizes=(200, 200), activation="tanh"),
        objective=importance_objective(n_draws),
        optimizer=skvae.Adam(schedule="cosine"),
        batch_size=256,
        max_iter=settings.max_iter,
        random_state=0,
    ).fit(split.X_train)
    value = -log_likelihood(model, binarised(split.X_test), n_draws=5000)
    passes = f"{model.n_iter_} passes"
    name = f"MNIST, binarised, 50 codes, {n_draws} draws, {passes}: -log p"
    yield Measured(name, value, "<=", IWAE_LIMITS[n_draws], "nats")


def low_dim(settings: Settings) -> Iterator[Measured]:
    """Yield the log-likelihood of binarised MNIST with few codes."""
    split = datasets.split("mnist", settings.source, seed=0)
    for latent_dim, limit in LOW_DIM_LIMITS.items():
        model = skvae.VAETransformer(
            latent_dim,
            likelihood=skvae.Bernoulli(stochastic=True),
            max_iter=settings.max_iter,
            random_state=0,
        ).fit(split.X_train)
        value = log_likelihood(model, binarised(split.X_test), n_draws=500)
        yield Measured(f"MNIST, binarised, {latent_dim} codes: log p", value, ">=", limit, "nats")


def conv(settings: Settings) -> Iterator[Measured]:
    """Yield the squared error of convolutional networks on MNIST.

    Convolutions learn more from many small batches than the default's arithmetic pays for, and an
    autoencoder for long by less per pass than what counts as a gain.
    """
    split = datasets.split("mnist", settings.source, seed=0)
    for objective, limit in CONV_LIMITS.items():
        model = skvae.VAETransformer(
            64,
            architecture=skvae.Conv(image_shape=SHAPES["mnist"]),
            objective=objective,
            batch_size=128,
            max_iter=settings.max_iter,
            early_stopping=objective != "autoencoder",
            random_state=0,
        ).fit(split.X_train)
        value = squared_error(model, split.X_test)
        yield Measured(f"MNIST, 64 codes, Conv, {objective}: MSE", value, "<=", limit)


def images(settings: Settings) -> Iterator[Measured]:
    """Yield error and accuracy of convolutional networks against MLP and PCA on images."""
    for name in ("cifar10", "spoken_digits"):
        for latent_dim in (16, 64):
            yield from compared(name, latent_dim, settings)


def compared(name: str, latent_dim: int, settings: Settings) -> Iterator[Measured]:
    """Yield the figures of networks on one data set, means over the seeds; PCA's are the bar."""
    networks = {"PCA": None, "MLP": "mlp", "Conv": skvae.Conv(image_shape=SHAPES[name])}
    limits: tuple[float | None, ...] = (None, None)
    for network, architecture in networks.items():
        found = [
            _error_and_accuracy(name, latent_dim, seed, architecture, settings)
            for seed in settings.seeds
        ]
        error, accuracy = np.mean(found, axis=0).tolist()
        title = f"{name}, {latent_dim} codes, {network}"
        yield Measured(f"{title}: MSE", error, "<=", limits[0])
        yield Measured(f"{title}: 5-NN accuracy", accuracy, ">=", limits[1])
        limits = (error, accuracy)  # Conv is held to MLP, which is held to PCA


def linear(settings: Settings) -> Iterator[Measured]:
    """Yield how far a linear VAE from random weights stays behind probabilistic PCA.

    What ``score`` reports can fall back on PCA, so the bound that training reached is held to
    that of the same rows where training began at PCA. Where a likelihood is near 0 nats (digits,
    2 codes) shares of it say nothing, so there are 4 codes at least.
    """
    for name in ("digits", "wine", "breast_cancer", "diabetes"):
        for latent_dim in (4, 8):
            X = datasets.split(name, settings.source, seed=0).X_train
            ours, theirs = (linear_vae(X, latent_dim, init, settings) for init in ("random", "pca"))
            title = f"linear VAE, random start: {name}, {latent_dim} codes"
            score = PCA(latent_dim).fit(X).score(X)
            behind = _shortfall(ours.score(X), score)
            yield Measured(f"{title}: score behind PCA's", behind, "<=", LINEAR_LIMIT)
            behind = _shortfall(trained_bound(ours), trained_bound(theirs))
            yield Measured(f"{title}: bound behind PCA's", behind, "<=", LINEAR_LIMIT)


def linear_vae(X, latent_dim: int, init: str, settings: Settings):
    """Return a fitted linear VAE that is trained by the bound alone, and long.

    Principal axes are found slowly by gradients (Bao et al., 2020), so the rate is high.
    """
    return skvae.VAETransformer(
        latent_dim,
        architecture="linear",
        init=init,
        objective=skvae.Elbo(point_share=0.0),
        optimizer=skvae.AdamW(learning_rate=0.03, schedule="cosine", weight_decay=0.0),
        max_iter=settings.passes or LINEAR_PASSES,
        random_state=0,
    ).fit(X)


def trained_bound(model, n_passes: int = 150) -> float:
    """Return the bound of the training rows at the end of training, nats per row.

    The mean over the last passes, which hardly move any more, since each has noise of its own.
    """
    return -float(np.mean(model.loss_curve_[-n_passes:]))


def importance_objective(n_draws: int) -> Any:
    """Return the objective of so many draws: the evidence lower bound of one, without more."""
    return skvae.Elbo(point_share=0.0) if n_draws == 1 else skvae.Iwae(n_draws=n_draws)


def binarised(X) -> np.ndarray:
    """Return pixels in [0, 1] as draws of zeros and ones, always the same."""
    drawn = np.random.default_rng(BINARISED_BY).random(X.shape) < X
    return drawn.astype(X.dtype)


def log_likelihood(model, X, n_draws: int, rows_per_chunk: int = 1000) -> float:
    """Return the mean log-likelihood of rows by many importance samples, nats."""
    chunks = np.array_split(X, -(-len(X) // rows_per_chunk))
    return float(np.mean(np.concatenate([model.score_samples(c, n_draws=n_draws) for c in chunks])))


def _error_and_accuracy(name, latent_dim, seed, architecture, settings):
    split = datasets.split(name, settings.source, seed)
    if architecture is None:
        model = PCA(latent_dim, random_state=seed)
    else:
        model = skvae.VAETransformer(
            latent_dim, architecture=architecture, max_iter=settings.max_iter, random_state=seed
        )
    model.fit(split.X_train)
    return squared_error(model, split.X_test), neighbour_accuracy(model, split, 5)


def _shortfall(value, goal):
    return max(0.0, goal - value) / abs(goal)


PUBLISHED: Figures = {
    "iwae_1": partial(iwae, n_draws=1),
    "iwae_5": partial(iwae, n_draws=5),
    "iwae_50": partial(iwae, n_draws=50),
    "low_dim": low_dim,
    "conv": conv,
    "images": images,
    "linear": linear,
}


def _add_options(parser):
    names = [name for name in PUBLISHED if name != "iwae_50"]
    known = f"of {', '.join(PUBLISHED)}; iwae_50 wants a GPU"
    add = parser.add_argument
    add("--only", nargs="+", choices=PUBLISHED, default=names, metavar="NAME", help=known)
    add("--passes", type=int, help="passes over the rows; the estimator's own without")
    add("--seeds", nargs="+", type=int, default=[0], help="of the splits of images")
    datasets.add_source(parser)


def _plan(options):
    source = datasets.source_of(options)
    settings = Settings(source, options.passes, tuple(options.seeds))
    return bars.plan("published", options.only, PUBLISHED, settings)


SUITE = Suite(
    help="measure what papers report, in their setting, and print each figure beside theirs",
    add_options=_add_options,
    plan=_plan,
    show=bars.show,  # the lines stand in the table of bars
)
