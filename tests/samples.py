"""Rows, options and fits that several test modules share."""

import copy
import random
import warnings
from collections import Counter

import numpy as np
import pytest
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning

from skvae import VAETransformer
from skvae.fitting import few_rows, fit
from skvae.fitting.beginning import initial_vae, training_state
from skvae.fitting.fit import fit_model
from skvae.fitting.options import Options
from skvae.fitting.rows import start_vae, training_rows
from skvae.fitting.telling import listener_of
from skvae.limits import Limits
from skvae.model.networks import MLP
from skvae.model.priors import Normal
from skvae.model.rows import ScoreRows
from skvae.model.vae import Networks
from skvae.start.ppca import fit_linear
from skvae.start.tables import Matrix
from skvae.training.acceptance import Acceptance
from skvae.training.config import Budget, TrainingConfig
from skvae.training.controller import Controller
from skvae.training.evaluation import Evaluator
from skvae.training.loop import one_pass, train
from skvae.training.objective import Elbo
from skvae.training.optimizers import AdamW
from skvae.training.progress import Follower, Progress
from skvae.training.record import Record
from skvae.training.schedules import Constant
from skvae.training.step import choose_step

HTML_HAS_PARAMETERS = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 7)
SMALL = MLP(hidden_layer_sizes=(32, 32))
# One split judges, which is enough for what is not about few rows.
RECIPE = TrainingConfig(Elbo(), AdamW(), Constant(), limits=Limits(few_rows=0))
N_ROWS, N_SCORES = 300, 5  # of a training
BATCH_SIZE = 30


class OneSplit(VAETransformer):
    """An estimator of which one split judges the training, and fast, however few its rows are."""

    limits = Limits(few_rows=0, evaluation_draws=(2, 4), keep_shares=(1.0, 0.5))


class Followed(Follower):
    """Notes what it is told of a fit, and ends it where a function of the progress says so."""

    def __init__(self, ends=lambda progress: False):
        self.ends, self.told, self.outcomes = ends, [], []

    def begin_training(self, name, most_passes):
        self.told.append((name, most_passes))

    def begin_pass(self):
        self.told.append("pass")

    def end_pass(self, progress, outcome):
        self.told.append(progress)
        self.outcomes.append(outcome and outcome())
        return bool(self.ends(progress))

    def end_training(self):
        self.told.append("end")
        return False

    @property
    def progress(self):
        return [each for each in self.told if isinstance(each, Progress)]


def spread(cases, n_each=2):
    """Cases of which the default run takes so many that every name stands in `n_each` of them.

    A contract over two tables of names holds for every pair; the slow tests run all of them.
    """
    seen, marked = Counter(), []
    for names in random.Random(0).sample(cases, len(cases)):
        parts = [part for part in names.items() if part[0] != "kind"]
        is_new = any(seen[part] < n_each for part in parts)
        seen.update(parts if is_new else [])
        marked.append(pytest.param(names, marks=[] if is_new else pytest.mark.slow))
    return marked


def keep_everything(monkeypatch):
    """Let whatever training made be kept, of few rows and of many."""
    for module in (few_rows, fit):
        monkeypatch.setattr(module, "select", lambda *given: Acceptance(1.0, 0.01))


def gaussian(n_rows, n_columns, seed=0):
    """Correlated normal rows, away from the origin: data on which nothing beats PCA."""
    rng = np.random.RandomState(seed)
    mixing = rng.standard_normal((n_columns, n_columns)) * 0.8 ** np.arange(n_columns)[:, None]
    return rng.standard_normal((n_rows, n_columns)) @ mixing + rng.standard_normal(n_columns)


def uncorrelated(n, deviations, seed=0):
    """Rows with mean 0, whose columns have these standard deviations and are not correlated."""
    rows = np.random.default_rng(seed).normal(size=(n, len(deviations)))
    return np.linalg.qr(rows - rows.mean(0))[0] * np.sqrt(n - 1) * deviations


def factors(n_rows, n_columns, rank, noise=0.3, seed=0):
    """Rows of a factor model: `rank` strong directions and noise in every column."""
    rng = np.random.RandomState(seed)
    loadings = np.linalg.qr(rng.standard_normal((n_columns, rank)))[0] * 3
    rows = rng.standard_normal((n_rows, rank)) @ loadings.T
    return rows + noise * rng.standard_normal((n_rows, n_columns))


def curve(n_rows, n_columns=2, noise=0.1, seed=0):
    """Rows along one bent line: one code says nearly all, but not linearly."""
    rng = np.random.RandomState(seed)
    t = rng.uniform(-1, 1, n_rows)
    line = np.column_stack([2 * t, 3 * t**2 - 1, np.sin(4 * t), t**3, np.cos(3 * t)])
    turn = np.linalg.qr(np.random.RandomState(0).standard_normal((n_columns, n_columns)))[0]
    rows = np.zeros((n_rows, n_columns))
    rows[:, : line.shape[1]] = line[:, :n_columns]
    return rows @ turn + noise * rng.standard_normal(rows.shape)


def noise_of(*shape, seed=0):
    """Standard normal numbers, double precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_networks(start, encoder, decoder, prior=None, knows_columns=False):
    """The model of a start with networks."""
    return start.module(Networks(encoder, decoder), prior, knows_columns)


def projected(start, X, weight=None):
    """Rows in the score space of a linear start, double precision."""
    return ScoreRows(*map(torch.from_numpy, start.project(X)), weight)


def options(**changes):
    """Options of a short fit on the CPU; parts of the recipe go by their own names."""
    config = RECIPE._replace(**{k: changes.pop(k) for k in RECIPE._fields if k in changes})
    chosen = {
        "latent_dim": 1,
        "architecture": SMALL,
        "prior": Normal(),
        "config": config,
        "annealing": None,
        "n_init": 1,
        "init": "pca",
        "batch_size": 32,
        "max_iter": 30,
        "early_stopping": True,
        "validation_fraction": None,
        "device": torch.device("cpu"),
        "precision": "float32",
        "seed": 0,
    }
    return Options(**chosen | changes)


def fitted(X, weight=None, previous=None, **changes):
    """Model of a short fit."""
    return fit_model(Matrix(np.asarray(X)), weight, options(**changes), previous)[0]


def fit_quietly(estimator, X, **kwargs):
    """Fit that may well end while the bound still rises: it is meant to be short."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, **kwargs)


def small_vae(latent_dim=1, **changes):
    """The model of a curve before the first step."""
    chosen, X = options(latent_dim=latent_dim, **changes), curve(100, 5)
    return started(fit_linear(X, latent_dim), chosen, X)


def started(start, chosen, X):
    """The model of rows before the first step."""
    return initial_vae(start, training_rows(start, Matrix(X), None, chosen), chosen)


def plan_of(
    max_passes=40,
    batch_size=BATCH_SIZE,
    n_rows=N_ROWS,
    early_stopping=True,
    may_grow=True,
    config=RECIPE,
):
    """Plan of a training of N_ROWS rows."""
    budget = Budget(batch_size, may_grow, max_passes, early_stopping)
    return Controller(budget, config, n_rows, N_SCORES)


class Setting:
    """All that `train` takes."""

    def __init__(self, seed=0, X=None, **changes):
        self.options = chosen = options(**changes)
        X = Matrix(curve(N_ROWS + 100, 5)) if X is None else X
        start = X.fit_start(chosen.latent_dim, None, np.random.RandomState(0))
        self.rows = training_rows(start, X, None, chosen)
        self.training = torch.arange(100, X.n_rows, device=chosen.device)
        self.vae = initial_vae(start, self.rows, chosen)
        generator = torch.Generator(chosen.device).manual_seed(seed)
        held_out = self.rows.take(torch.arange(100, device=chosen.device))
        linear = start_vae(start, chosen)
        self.evaluator = Evaluator.of(held_out, self.rows, linear, generator, chosen.config)
        self.state = training_state(self.vae, generator, chosen, plan_of(config=chosen.config))
        self.choose()

    def choose(self):
        """Choose how steps are taken."""
        self.state.take = choose_step(self.state, self.rows, self.options.steps)

    def begin(self, controller=None):
        """The record of a training that begins here."""
        self.state.controller = controller or plan_of(config=self.state.config)
        self.state.record = Record()
        self.state.begin(self.evaluator)
        self.choose()
        return self.state.record

    def train(self, controller=None, follower=None):
        record = self.begin(controller)
        self.state.listener = listener_of(follower, "training", (0.0, 0.0))
        train(self.state, self.rows, self.training, self.evaluator)
        return record

    def one_pass(self, controller=None):
        self.state.controller = controller or plan_of()
        return one_pass(self.state, self.rows, self.training)

    def refine(self, annealing, controller=None):
        self.state.controller = controller or plan_of(config=self.state.config)
        annealing.refine(self.state, self.rows, self.training, self.evaluator)

    def bound(self):
        """Held-out bound of the model as it is, which stays as it is."""
        return self.evaluator.calibrate_and_evaluate(copy.deepcopy(self.vae).eval()).bound

    def weights(self):
        return copy.deepcopy(self.vae.state_dict())
