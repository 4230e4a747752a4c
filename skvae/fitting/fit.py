"""From rows to a fitted model: start, split, train, keep what is better, measure the codes."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.fitted.model import FittedModel
from skvae.fitted.stored_rows import StoredRows
from skvae.fitting.beginning import initial_vae
from skvae.fitting.few_rows import accept_of_few, candidate_of
from skvae.fitting.judges import evaluator_of, other_splits, split
from skvae.fitting.last_passes import learn_more
from skvae.fitting.options import Options
from skvae.fitting.rows import (
    is_trainable,
    known_rows,
    new_start,
    with_hidden_layers,
    with_own_shards,
)
from skvae.fitting.sharing import n_rows_of
from skvae.fitting.telling import Telling, listener_of, mean_jacobians
from skvae.fitting.trial import Trial, best_of, chosen, copied, run_trial
from skvae.model.diagnostics import CodeUse, code_use
from skvae.model.priors import Normal, Normals, Prior
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.start.base import LinearStart, State
from skvae.start.spectrum import Spectra
from skvae.start.tables import TrainingTable
from skvae.training.acceptance import Acceptance, select
from skvae.training.checkpoint import Checkpoint
from skvae.training.evaluation import Evaluator
from skvae.training.listener import NOBODY, Listener
from skvae.training.progress import LAST_PASSES, TRAINING, Follower
from skvae.training.record import Record


@torch.inference_mode(False)
@torch.enable_grad()
def fit_model(
    X: TrainingTable,
    weight: np.ndarray | None,
    options: Options,
    previous: FittedModel | None = None,
    follower: Follower | None = None,
    left: State | None = None,
    *,
    spectra: Spectra | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[FittedModel, Record]:
    """Fit on a matrix or a table.

    The training goes on from the weights of a previous model; where that is the linear start, from
    those that the training before has left, if they fit. In a search the start comes from what
    other candidates have found of the same rows. With a checkpoint it goes on from where the same
    fit stood, and ends with the same bits. A follower is told of every pass, and may end the fit.
    """
    checkpoint = checkpoint or Checkpoint()
    rng = np.random.RandomState(options.seed)
    start = previous.start if previous else new_start(X, weight, options, rng, spectra)
    if not is_trainable(start, X.n_rows, options):
        if previous is not None:  # what was learnt before stays
            return previous, Record(converged=True)
        # The closed form counts as a pass: it has seen all the rows.
        return linear_model(start, X, options, weight), linear_record(start, X, weight)
    options = with_hidden_layers(options, start, n_rows_of(options.sharing, X))
    rows = known_rows(start, X, weight, options)
    held_out, training = split(rows.n_rows, options.validation_fraction, rng, options.device)
    options = with_own_shards(options, start, rows, held_out.numpy(force=True))
    evaluator = evaluator_of(start, rows, held_out, training, options)
    seen, jacobians = evaluator.seen, mean_jacobians(start, X.values, weight, training, held_out)
    fit = Fit(X, weight, options, previous, start, training, jacobians)

    def attempt(number: int, before: list[Trial]) -> Trial:
        # The first goes on from what there is, the others begin anew.
        origin, weights = (previous, left) if number == 0 else (None, None)
        vae = initial_vae(start, seen, options, number=number, previous=origin, left=weights)
        listener: Listener = NOBODY
        if follower is not None:
            now = Trial(vae, copied(vae), Record(), rows, evaluator)
            finish = partial(fit.as_stopped, before, now)
            listener = Telling(follower, TRAINING, jacobians, finish)
        return run_trial(vae, rows, training, evaluator, options, checkpoint, listener=listener)

    trial = best_of(attempt, options.n_init, seen)
    trial.record.log_jacobians = jacobians
    if previous is not None or trial.record.was_cut:
        return fit.finished(trial, select([candidate_of(trial, options)], options.limits))
    return fit.completed(trial, held_out, checkpoint, follower)


class Fit(NamedTuple):
    """What trainings have in common, and how the model is made of the best of them."""

    X: TrainingTable
    weight: np.ndarray | None
    options: Options
    previous: FittedModel | None
    start: LinearStart
    training: Tensor  # which rows
    jacobians: tuple[float, ...]

    def completed(
        self, trial: Trial, held_out: Tensor, checkpoint: Checkpoint, follower: Follower | None
    ) -> tuple[FittedModel, Record]:
        """The model of a training that came to its end: judged, and with its last passes."""
        options, limits = self.options, self.options.limits
        if trial.rows.n_rows < limits.few_rows:
            splits = other_splits(held_out, self.training, limits.n_splits)
            kept = accept_of_few(
                trial, self.X, self.weight, splits, options, checkpoint, follower=follower
            )
        else:
            kept = select([candidate_of(trial, options)], limits)
        if kept.share == 1.0:
            listener = listener_of(follower, LAST_PASSES, self.jacobians)
            learn_more(trial, self.training, held_out, options, checkpoint, listener)
        return self.finished(trial, kept)

    def finished(self, trial: Trial, kept: Acceptance) -> tuple[FittedModel, Record]:
        """The model, where so much of a training is kept."""
        (vae, record), options, previous = (trial.vae, trial.record), self.options, self.previous
        if kept.share == 0.0:
            record.left = arrays(vae)
            if previous is not None and previous.kept == 0.0:  # which more rows know better
                return previous, record
            return linear_model(self.start, self.X, options, self.weight), record
        rows, evaluator = trial.rows, trial.evaluator
        kept, prior = fit_prior(vae, rows, self.training, evaluator, kept, options)
        use = use_of(vae, evaluator.seen, options)
        return trained_model(vae, self.start, kept, prior, use, options), record

    def as_stopped(
        self, before: list[Trial], now: Trial, vae: VAE, record: Record
    ) -> tuple[FittedModel, Record]:
        """The model, where the fit ends with a training that has come to this."""
        now = now._replace(vae=vae, record=record)
        trial = chosen([*(trial.copy() for trial in before), now], now.evaluator.seen)
        trial.record.log_jacobians = self.jacobians
        kept = select([candidate_of(trial, self.options)], self.options.limits)
        return self.finished(trial, kept)


def with_stored_rows(
    model: FittedModel, X: TrainingTable, weight: np.ndarray | None, options: Options
) -> FittedModel:
    """The model with some of these rows, where rows may be kept."""
    stored = None
    if options.store_rows:
        stored = StoredRows.of(X.values, weight, options.seed, options.limits)
    return replace(model, stored=stored)


def fit_prior(
    vae: VAE,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    kept: Acceptance,
    options: Options,
) -> tuple[Acceptance, Prior]:
    """The prior of the model: where one is to be fitted to the codes afterwards, it has to help."""
    if not options.prior.is_fitted_after:
        return kept, options.prior
    # Draws that do not depend on how long training took.
    some = rows.take(training[: options.limits.prior_rows]).drawn(options.generator())
    with torch.no_grad():
        q = vae.encode(some)
        draws = q.sample(some.draw_noise(vae.latent_dim, options.generator()))
    weight = None if some.weight is None else some.weight.numpy(force=True)
    codes, *posteriors = (
        part.numpy(force=True).astype(np.float64) for part in (draws, q.mean, q.variance)
    )
    module = options.prior.fit(codes, options.seed, weight, Normals(*posteriors))
    start_weight = evaluator.prefer(vae, module.to(draws))
    if start_weight is None:
        return kept, Normal()
    weight_in_density = max(start_weight.item(), options.limits.start_weight_min)
    return kept._replace(start_weight=weight_in_density), options.prior


def linear_model(
    start: LinearStart, X: TrainingTable, options: Options, weight: np.ndarray | None = None
) -> FittedModel:
    """The linear start as it stands."""
    weights, use = arrays(start.module()), start.code_use(X.values, weight)
    device = str(options.device)
    return FittedModel(start, options.latent_dim, None, Normal(), weights, use, 1.0, 0.0, device)


def linear_record(
    start: LinearStart, X: TrainingTable, weight: np.ndarray | None, is_own: bool = True
) -> Record:
    """A fit without training: one pass, that of the closed form."""
    gain = start.representation.log_jacobian(X.values)
    jacobian = float(np.average(gain, weights=weight))
    score = start.score(X.values, weight, is_own)
    loss = torch.tensor(jacobian - score, dtype=torch.float64)
    return Record(losses=[loss], n_passes=1, converged=True, log_jacobians=(jacobian, jacobian))


def trained_model(
    vae: VAE,
    start: LinearStart,
    kept: Acceptance,
    prior: Prior,
    use: CodeUse,
    options: Options,
) -> FittedModel:
    """The model that fit leaves where training was kept."""
    return FittedModel(
        start,
        options.latent_dim,
        options.architecture,
        prior,
        arrays(vae),
        use,
        kept.start_weight,
        kept.share,
        str(options.device),
    )


def use_of(vae: VAE, seen: Rows, options: Options) -> CodeUse:
    """What the codes hold, by fewer rows the more codes there are: each costs some passes."""
    limits, most = options.limits, options.limits.seen_rows
    n_rows = int(np.clip(limits.measured_numbers // vae.latent_dim, most // 2, most))
    some = torch.arange(min(n_rows, seen.n_rows), device=vae.scale.center.device)
    return code_use(vae, seen.take(some), options.refinement)


def arrays(vae: VAE) -> State:
    """The state of a model as numpy arrays of its own."""
    return {name: value.numpy(force=True).copy() for name, value in vae.state_dict().items()}
