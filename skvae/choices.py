"""What a person gave for the parameters of an estimator, as options of a fit."""

from typing import Any

import torch
from sklearn.base import BaseEstimator

from skvae.components import component, is_same, plain, unless_auto
from skvae.fitted.model import FittedModel
from skvae.fitting.options import Options
from skvae.likelihoods import LIKELIHOODS
from skvae.model.networks import ARCHITECTURES, Architecture, Conv
from skvae.model.priors import PRIORS
from skvae.training.annealing import ANNEALING
from skvae.training.config import TrainingConfig
from skvae.training.objective import OBJECTIVES
from skvae.training.optimizers import OPTIMIZERS
from skvae.training.schedules import KL_SCHEDULES, check_count

# What stays while a training goes on, with the tables of its names.
_FIXED: dict[str, dict] = {
    "latent_dim": {},
    "likelihood": LIKELIHOODS,
    "architecture": ARCHITECTURES,
}


def options_of(
    given: BaseEstimator,
    latent_dim: int,
    seed: int,
    device: torch.device,
    architecture: Architecture,
) -> Options:
    """Options of a fit, checked; the rows have decided what is given beside them."""
    config = TrainingConfig(
        component(given.objective, OBJECTIVES),
        component(given.optimizer, OPTIMIZERS),
        component(given.kl_schedule, KL_SCHEDULES),
        float(given.beta),
        given.limits,
        refinement_of(given),
    )
    options = Options(
        latent_dim=latent_dim,
        architecture=architecture,
        prior=component(given.prior, PRIORS),
        config=config,
        annealing=component(given.annealing, ANNEALING),
        n_init=int(given.n_init),
        init=given.init,
        batch_size=unless_auto(given.batch_size),
        max_iter=unless_auto(given.max_iter),
        early_stopping=bool(given.early_stopping),
        validation_fraction=unless_auto(given.validation_fraction),
        device=device,
        precision=given.precision,
        seed=seed,
        store_rows=bool(given.store_rows),
        learns_more=not given.warm_start,  # the next fit is judged by the same rows
    )
    options.check()
    return options


def count_of(name: str, value: Any) -> int | None:
    """A number of things, or None.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if value is None:
        return None
    check_count(name, value)
    return int(value)


def refinement_of(given: BaseEstimator) -> int:
    """Steps by which codes are refined."""
    return given.limits.refinement if given.refinement == "auto" else int(given.refinement)


def architecture_of(
    given: BaseEstimator, n_columns: int, previous: FittedModel | None
) -> Architecture:
    """The architecture for rows of so many columns: that of the training which goes on."""
    architecture = component(given.architecture, ARCHITECTURES)
    if previous is not None and previous.architecture is not None:
        architecture = previous.architecture
    return architecture.of_rows(n_columns) if isinstance(architecture, Conv) else architecture


def fixed_of(given: BaseEstimator) -> dict[str, Any]:
    """What stays while a training goes on, as plain values."""
    return {name: plain(getattr(given, name)) for name in _FIXED}


def refuse_changes(given: BaseEstimator, began: dict[str, Any], previous: FittedModel) -> None:
    """Raise a ValueError where training cannot go on with what was changed since it began."""
    fits = {name: [value] for name, value in began.items()}
    fits["latent_dim"] += ["auto", previous.latent_dim]
    if previous.architecture is None:  # the linear start, beside which any network can be
        del fits["architecture"]
    for name, known in fits.items():
        chosen = getattr(given, name)
        if not any(is_same(chosen, each, _FIXED[name]) for each in known):
            raise ValueError(
                f"{name}={chosen!r:.80}, but training continues with a model of "
                f"{name}={known[-1]!r:.80}. Use that value, or start a new fit with "
                "warm_start=False."
            )
