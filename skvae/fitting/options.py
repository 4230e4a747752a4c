"""What a person chose of a fit, checked for sense."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from skvae.fitting.sharing import Sharing
from skvae.limits import Limits
from skvae.model.columns import of_columns
from skvae.model.networks import Architecture
from skvae.model.priors import Prior
from skvae.start.ppca import Directions
from skvae.training.annealing import Annealing
from skvae.training.config import TrainingConfig
from skvae.training.objective import Autoencoder, Elbo
from skvae.training.schedules import Constant
from skvae.training.step import STEPS, Step


@dataclass(frozen=True)
class Options:
    """What a person chose; None where "auto" leaves it to the rows."""

    latent_dim: int
    architecture: Architecture
    prior: Prior
    config: TrainingConfig
    annealing: Annealing | None
    n_init: int
    init: str
    batch_size: int | None
    max_iter: int | None
    early_stopping: bool
    validation_fraction: float | None
    device: torch.device
    precision: str
    seed: int
    store_rows: bool = False
    learns_more: bool = True  # in the end, also from half of the rows that were held out
    steps: tuple[Callable[[], Step], ...] = STEPS  # ways to take a step, the quickest first
    sharing: Sharing | None = None  # where several processes fit together

    @property
    def limits(self) -> Limits:
        """Budgets and thresholds, those of the training among them."""
        return self.config.limits

    @property
    def refinement(self) -> int:
        """Steps by which codes are refined."""
        return self.config.refinement

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights while they are trained."""
        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def directions(self) -> Directions:
        """Of complete numbers, those that training sees."""
        limits = self.limits
        tail = limits.fine_tail if of_columns(self.architecture) else limits.coarse_tail
        fine, first, most = limits.fine_tail, limits.first_directions, limits.max_directions
        return Directions(tail, fine, first, most)

    def generator(self, n_rows: int = 0) -> torch.Generator:
        """That of a fit at its beginning, or of a batch after so many rows."""
        return torch.Generator(self.device).manual_seed(self.seed + n_rows)

    def check(self) -> None:
        """Refuse options that make no sense, alone or together.

        Raises
        ------
        ValueError
            If a component's option is out of range, or one choice leaves another nothing to do.
        """
        parts = (self.config.objective, self.config.optimizer, self.config.kl_schedule)
        for part in (*parts, self.prior, self.annealing):
            if part is not None:
                part.check()
        for is_wrong, why in self._contradictions():
            if is_wrong:
                raise ValueError(why)

    def _contradictions(self) -> Iterator[tuple[bool, str]]:
        objective, prior = self.config.objective, self.prior
        weighs = self.config.beta != 1.0 or not isinstance(self.config.kl_schedule, Constant)
        walks = self.annealing is not None and not self.annealing.follows_training
        yield (
            objective.is_deterministic and weighs,
            "objective='autoencoder' has no KL term, so beta and kl_schedule have no effect: "
            "leave them at 1.0 and 'constant', or use objective='elbo'.",
        )
        yield (
            objective.is_deterministic and prior.is_trained,
            f"objective='autoencoder' has no KL term to train prior={prior}: use prior='ex_post', "
            "which is fitted to the codes after training.",
        )
        yield (
            prior.is_trained and not objective.has_plain_kl,
            f"{objective} needs a standard normal prior in training, but prior={prior} is "
            "trained: use prior='normal' or 'ex_post'.",
        )
        yield (
            walks and not isinstance(self.config.kl_schedule, Constant),
            "annealing='randomwalk' has no training steps, so kl_schedule has no effect: leave "
            "it at 'constant'.",
        )
        yield (
            walks and not (objective.has_plain_kl and type(objective) in (Elbo, Autoencoder)),
            "annealing='randomwalk' works with the evidence lower bound or the autoencoder's "
            f"likelihood, not with {objective}: use objective='elbo' or 'autoencoder'.",
        )
