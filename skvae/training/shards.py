"""Training by several processes: each has shards of the rows, and gradients are summed over all.

A shard has rows, an order of them and noise of its own, whichever process has it: what a step sums
does not depend on how many processes there are.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from skvae.limits import Limits
from skvae.model.networks import draw_with, dropouts_of
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.team import Team
from skvae.training.objective import Terms
from skvae.training.sampler import RowSampler, Sampler
from skvae.training.state import StepParameters, TrainingState
from skvae.training.step import STEPS, Gradient, Step, choose_step

_N_SUMS = 6  # beside the gradient; see `_summed`


@dataclass(frozen=True)
class Shard:
    """Rows that one process trains on, as a part of all."""

    rows: Rows
    index: Tensor  # those of the rows that are its own
    share: float  # of a batch


@dataclass(frozen=True, slots=True)
class ShardBatch(Rows):
    """The rows of a step that this process has, by shard; some may have none."""

    parts: dict[int, Rows]
    weight: Tensor | None = None

    @property
    def n_rows(self) -> int:
        return sum(part.n_rows for part in self.parts.values())

    @property
    def n_inputs(self) -> int:
        return next(iter(self.parts.values())).n_inputs

    @property
    def is_masked(self) -> bool:
        return next(iter(self.parts.values())).is_masked

    def take(self, index: Tensor) -> Rows:
        raise NotImplementedError("rows of several shards are not taken apart")

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        raise NotImplementedError("shards draw noise of their own")


class ShardSampler(Sampler):
    """The shards of this process in step: each in an order of its own.

    Parameters
    ----------
    team : Team
        The processes.
    shards : dict from int to Shard
        Those of this process.
    generator : torch.Generator
        That all processes have in the same state.
    limits : Limits
        Rows of a pass among them.
    """

    def __init__(
        self, team: Team, shards: dict[int, Shard], generator: torch.Generator, limits: Limits
    ) -> None:
        self.team, self.shards, self.common = team, shards, generator
        seeds = _drawn_seeds(team.n_shards, generator)
        self.generators = {v: _generator(seeds[v], generator.device) for v in shards}
        self.samplers = {
            v: RowSampler(
                self.generators[v],
                replace(limits, pass_rows=max(1, math.ceil(limits.pass_rows * shard.share))),
            )
            for v, shard in shards.items()
        }
        self.stop: Tensor | None = None  # above 0 where a process wants to, as of the last step

    def one_pass(self, rows: Rows, training: Tensor, n_steps: int, size: int) -> Iterator[Rows]:
        self.stop_together()
        # What is drawn of a batch as a whole is the same in all shards.
        (seed,) = _drawn_seeds(1, self.common)
        streams = {v: self._one_pass_of(v, n_steps, size, seed) for v in self.shards}
        for parts in zip(*streams.values(), strict=True):
            yield ShardBatch(dict(zip(streams, parts, strict=True)))

    def _one_pass_of(self, v: int, n_steps: int, size: int, seed: int) -> Iterator[Rows]:
        shard, generator = self.shards[v], self.generators[v]
        sizes = sizes_of(shard.share, v / self.team.n_shards, n_steps, size)
        chosen = self.samplers[v].next(shard.index, sum(sizes))
        loaded, order = shard.rows.load(chosen)
        return loaded.batches(order, sizes, generator, _generator(seed, generator.device))

    def stop_together(self) -> None:
        """Raise a KeyboardInterrupt where one of the processes was asked to stop."""
        if self.stop is not None and bool(self.stop > 0):
            raise KeyboardInterrupt

    def to_state(self) -> dict[str, np.ndarray]:
        mine: dict[str, np.ndarray] = {}
        for v, sampler in self.samplers.items():
            arrays = sampler.to_state() | {"generator": self.generators[v].get_state().numpy()}
            mine |= {f"{v}.{name}": array.copy() for name, array in arrays.items()}
        return {name: array for found in self.team.gather(mine) for name, array in found.items()}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        for v, sampler in self.samplers.items():
            sampler.load_state({name: arrays[f"{v}.{name}"] for name in sampler.to_state()})
            self.generators[v].set_state(torch.from_numpy(arrays[f"{v}.generator"]))


class SharedStep(Step):
    """A step by the gradients of all shards, each found in the quickest way.

    Parameters
    ----------
    state : TrainingState
        The training, whose sampler is a `ShardSampler`.
    rows : Rows
        Some of its rows.
    steps : iterable
        Ways to take a step.
    """

    def __init__(
        self, state: TrainingState, rows: Rows, steps: Iterable[Callable[[], Step]] = STEPS
    ) -> None:
        super().__init__()
        self.sampler = cast(ShardSampler, state.sampler)
        steps = tuple(steps)
        refuse_shared_statistics(state.vae)
        self.dropouts = nn.ModuleList(dropouts_of(state.vae))  # not the whole model at every step
        self.alone = choose_step(state, rows, steps)
        self.gradients: dict[int, Gradient] = {}
        for v, generator in self.sampler.generators.items():
            own = replace(state, generator=generator)
            self.gradients[v] = choose_step(own, rows, steps).gradient_of(own)

    def accepts(self, state: TrainingState, rows: Rows) -> bool:
        return state.sampler is self.sampler

    def gradient_of(self, state: TrainingState) -> Gradient:
        weights, team = state.weights, self.sampler.team

        def gradient(batch: Rows, kl_weight: float) -> Terms:
            parts = {}
            for v, rows in cast(ShardBatch, batch).parts.items():
                parts[v] = weights.gradient.new_zeros(len(weights.gradient) + _N_SUMS)
                if rows.n_rows:
                    draw_with(self.dropouts, self.sampler.generators[v])
                    terms = self.gradients[v](rows, kl_weight)
                    parts[v][:-1] = _summed(weights.gradient, terms, rows)
                parts[v][-1] = team.wants_stop
            total = team.total(parts)
            n_rows, loss, weight, elbo, log_likelihood, self.sampler.stop = total[-_N_SUMS:]
            torch.div(total[:-_N_SUMS], n_rows, out=weights.gradient)
            return Terms(loss / n_rows, elbo / weight, log_likelihood / weight)

        return gradient

    def __call__(self, state: TrainingState, batch: Rows, parameters: StepParameters) -> Terms:
        # An annealing takes steps on rows that all processes have: they do the same.
        if not isinstance(batch, ShardBatch):
            draw_with(self.dropouts, state.generator)
            return self.alone(state, batch, parameters)
        return super().__call__(state, batch, parameters)


def even_shards(team: Team, rows: Rows, training: Tensor) -> dict[int, Shard]:
    """The shards of this process where all have all rows."""
    n = team.n_shards
    return {v: Shard(rows, training[v::n], 1.0 / n) for v in team.own}


def n_even(n_rows: int, n_shards: int) -> int:
    """Rows of a pass over shards that are as good as even: as many as the smallest allows."""
    return n_shards * (n_rows // n_shards)


def sizes_of(share: float, offset: float, n_steps: int, size: int) -> list[int]:
    """Rows that a shard gives to each step, its share in all: shards do not step up together."""
    ends = np.floor(np.arange(n_steps + 1) * (size * share) + offset + 1e-9).astype(int)
    return np.diff(ends).tolist()


def refuse_shared_statistics(vae: VAE) -> None:
    """Raise a ValueError where layers take statistics of a batch, which processes do not share."""
    if any(getattr(layer, "track_running_stats", False) for layer in vae.modules()):
        raise ValueError(
            "the architecture has layers that take means over all rows of a step, but each "
            "process has only a part of them: use normalization='layer', or fit with "
            "distributed=None."
        )


def _summed(gradient: Tensor, terms: Terms, rows: Rows) -> Tensor:
    """What is summed of a shard: gradient and means times what they are means of."""
    n = rows.n_rows
    weight = gradient.new_tensor(n) if rows.weight is None else rows.weight.sum()
    sums = [
        gradient.new_tensor(n),
        n * terms.loss.detach(),
        weight,
        weight * terms.elbo,
        weight * terms.log_likelihood,
    ]
    return torch.cat([n * gradient, torch.stack([each.to(gradient) for each in sums])])


def _drawn_seeds(n: int, generator: torch.Generator) -> list[int]:
    return torch.randint(2**62, (n,), generator=generator, device=generator.device).tolist()


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)
