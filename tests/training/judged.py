"""A judge and a model that has learnt a curve, for tests of both."""

from functools import cache

import torch

from skvae.fitting.rows import start_vae, training_rows
from skvae.start.ppca import fit_linear
from skvae.start.tables import Matrix
from skvae.training.config import Budget
from skvae.training.controller import Controller
from skvae.training.evaluation import Evaluator
from skvae.training.loop import train
from skvae.training.state import TrainingState
from skvae.training.step import choose_step
from tests.samples import RECIPE, curve, options, started


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


@cache
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


def beyond(vae, origin, factor):
    """Move the weights past the trained ones, seen from the origin."""
    vae.load_state_dict({k: origin[k].lerp(w, factor) for k, w in vae.state_dict().items()})


def error_of_codes(vae, evaluator):
    error = vae.observation.squared_error(evaluator.rows, vae.decode(vae.codes(evaluator.rows)))
    return evaluator.rows.mean(error).item()
