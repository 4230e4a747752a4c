"""Annealing on the weights themselves, without gradients."""

import math
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from skvae.model.rows import Rows
from skvae.training.annealing.acceptance import accept, geometric
from skvae.training.annealing.base import Annealing, check_above_zero, check_sizes
from skvae.training.annealing.best import Best
from skvae.training.annealing.course import course_of
from skvae.training.annealing.passes import Passes
from skvae.training.annealing.row_losses import RowLosses
from skvae.training.evaluation import Evaluator
from skvae.training.saved import Saved, part_of, to_arrays, to_tensors
from skvae.training.schedules import check_count
from skvae.training.state import TrainingState

_N_PROBES = 20  # moves by which the temperature is set
# Directions of a random walk: of up to so many weights all, of more the second number.
_DIMENSIONS = (1000, 300)
_N_EVALUATIONS = 40  # of the held-out rows


class RandomWalk(Annealing):
    """Simulated annealing on the weights, instead of training by gradients [1]_.

    A proposal moves all weights, and is accepted with probability min(1, exp(-dL / T)), where dL
    is the change of the loss in nats per row. The size of the moves and the temperature T shrink
    geometrically.

    The number of proposals per improvement grows with the number of independent directions [2]_.
    Good weights lie in most random subspaces of a few hundred dimensions [3]_. So in a large
    network each weight belongs to one of a few hundred random coordinates. A move of a coordinate
    moves all of its weights, each with a random sign.

    Parameters
    ----------
    n_proposals : int, default=4000
        Largest number of proposals. There are fewer if `max_iter` does not leave enough passes.
    neighbourhood : tuple of float, default=(0.1, 0.005)
        Size of the first and of the last move, relative to the usual size of a layer's weights.
    final_temperature : float, default=0.001
        Last temperature as a share of the first. The first is the median of abs(dL) over at most
        20 moves.
    n_dimensions : int or "auto", default="auto"
        Number of coordinates. "auto" is one per weight for at most 1000 weights, otherwise 300.

    References
    ----------
    .. [1] Kirkpatrick, S., Gelatt, C. D. and Vecchi, M. P. (1983). Optimization by simulated
       annealing. Science, 220, 671-680.
    .. [2] Roberts, G. O., Gelman, A. and Gilks, W. R. (1997). Weak convergence and optimal scaling
       of random walk Metropolis algorithms. Annals of Applied Probability, 7, 110-120.
    .. [3] Li, C. et al. (2018). Measuring the intrinsic dimension of objective landscapes. ICLR.

    Examples
    --------
    >>> from skvae import RandomWalk, VAETransformer
    >>> VAETransformer(annealing=RandomWalk(n_proposals=1000))
    VAETransformer(annealing=RandomWalk(n_proposals=1000))
    """

    follows_training: ClassVar[bool] = False

    def __init__(
        self,
        *,
        n_proposals: int = 4000,
        neighbourhood: tuple[float, float] = (0.1, 0.005),
        final_temperature: float = 1e-3,
        n_dimensions: int | str = "auto",
    ) -> None:
        self.n_proposals = n_proposals
        self.neighbourhood = neighbourhood
        self.final_temperature = final_temperature
        self.n_dimensions = n_dimensions

    def refine(
        self, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> None:
        record, begun = state.record, state.annealed
        criterion, before = RowLosses.again(state, rows, training, evaluator)
        n_compared, n_rows = criterion.rows.n_rows, len(training)
        n_passes = state.controller.total_passes - record.n_passes
        affordable = self._affordable(n_passes * n_rows / n_compared)
        n_probes, n_proposals = affordable if begun is None else begun[1]["affordable"]
        record.converged = n_proposals == self.n_proposals
        if n_proposals < 1:
            Best(state, evaluator).evaluate(math.nan, 0, math.nan)
            return
        with Passes(state, n_rows) as passes, Best(state, evaluator) as best:
            walk = Walk(state, criterion, partial(passes.add, n=n_compared))
            if begun is None:
                walk.begin(self._coordinates(state))
                walk.first = walk.typical_change(self.neighbourhood[0], n_probes)
            else:
                walk.load_state(part_of(begun, "chain"))
                passes.load_state(part_of(begun, "passes"), walk.here.device)
                best.load_state(part_of(begun, "best"), walk.here.device)
            course = partial(course_of, (n_probes, n_proposals), before, passes, best, walk)
            every = max(1, n_proposals // _N_EVALUATIONS)
            ends = walk.first, walk.first * self.final_temperature
            while walk.k < n_proposals:
                temperature = geometric(ends, walk.k, n_proposals)
                walk.step(geometric(self.neighbourhood, walk.k, n_proposals), temperature)
                state.step += 1
                if walk.k % every == 0:
                    walk.go_back()
                    best.evaluate(temperature, every, walk.n_accepted / every)
                    walk.n_accepted = 0
                    state.tell(course)

    def _affordable(self, n_evaluations: float) -> tuple[int, int]:
        """Probes and proposals for so many evaluations, one of which is that of the beginning."""
        if n_evaluations >= 1 + _N_PROBES + self.n_proposals:
            return _N_PROBES, self.n_proposals
        n = int(n_evaluations) - 1
        n_probes = min(_N_PROBES, max(1, n // 10))
        return n_probes, min(self.n_proposals, n - n_probes)

    def _coordinates(self, state: TrainingState) -> int:
        """Number of coordinates; as many as weights are all of them."""
        n_weights, (most, few) = state.weights.values.numel(), _DIMENSIONS
        if isinstance(self.n_dimensions, str):
            return n_weights if n_weights <= most else few
        return min(n_weights, self.n_dimensions)

    def check(self) -> None:
        check_count("n_proposals", self.n_proposals)
        check_sizes("neighbourhood", self.neighbourhood)
        check_above_zero("final_temperature", self.final_temperature)
        if not (isinstance(self.n_dimensions, str) and self.n_dimensions == "auto"):
            check_count("n_dimensions", self.n_dimensions)


class Walk:
    """A state that moves along random directions of the weights, judged after each move.

    Every weight falls to a coordinate, which moves it by its usual size, up or down.
    """

    def __init__(
        self, state: TrainingState, criterion: RowLosses, evaluated: Callable[[Tensor], None]
    ) -> None:
        self.state, self.criterion = state, criterion
        self.evaluated = evaluated  # is told of every loss
        self.k = self.n_accepted = 0  # moves so far, those accepted since the last evaluation
        self.first = math.nan  # temperature
        self.here = state.weights.values.detach().clone()
        self.scale, self.n_dimensions = torch.ones_like(self.here), len(self.here)
        self.owner: Tensor | None = None  # the coordinate of every weight
        self.loss = torch.zeros_like(self.here)

    def begin(self, n_dimensions: int) -> None:
        """Draw the directions, and evaluate the first state."""
        self.scale, self.n_dimensions = usual_sizes(self.state), n_dimensions
        n_weights = len(self.scale)
        if n_dimensions < n_weights:
            draw = partial(torch.randint, generator=self.state.generator, device=self.scale.device)
            self.owner = draw(n_dimensions, (n_weights,))
            self.scale = self.scale * (2 * draw(2, (n_weights,)) - 1)
        self.loss = self._judged()[0]

    def to_state(self) -> Saved:
        """Where it stands; the weights are the training's."""
        tensors = {"scale": self.scale, "loss": self.loss}
        if self.owner is not None:
            tensors["owner"] = self.owner
        numbers = ("k", "n_dimensions", "first")
        return to_arrays(tensors), {name: getattr(self, name) for name in numbers}

    def load_state(self, saved: Saved) -> None:
        """Go on from where it stood."""
        tensors, values = to_tensors(saved[0], self.here.device), saved[1]
        self.scale, self.loss, self.owner = tensors["scale"], tensors["loss"], tensors.get("owner")
        self.k, self.n_dimensions, self.first = (
            values[name] for name in ("k", "n_dimensions", "first")
        )

    def typical_change(self, size: float, n_moves: int) -> float:
        """Median change of the loss by so many moves from here."""
        changes = []
        for _ in range(n_moves):
            self._move(size)
            changes.append((self._judged()[0] - self.loss).mean().abs())
        self.go_back()
        return float(torch.stack(changes).median().clamp(min=1e-12))

    def step(self, size: float, temperature: float) -> bool:
        """Try a move; whether it was accepted."""
        self._move(size)
        loss, decoded, kl = self._judged()
        accepted = accept(loss - self.loss, temperature, self.state.generator, with_error=False)
        if accepted:
            self.here = self.state.weights.values.detach().clone()
            self.loss = self.criterion.update_noise(self.state, decoded, kl)
            self.n_accepted += 1
        self.k += 1
        return accepted

    @torch.no_grad()
    def go_back(self) -> None:
        """Let the weights be those of the last move that was accepted."""
        self.state.weights.values.copy_(self.here)

    @torch.no_grad()
    def _move(self, size: float) -> None:
        noise = self.here.new_empty(self.n_dimensions).normal_(generator=self.state.generator)
        if self.owner is not None:
            noise = noise[self.owner]
        self.state.weights.values.copy_(self.here + size * self.scale * noise)

    def _judged(self) -> tuple[Tensor, Tensor, Tensor]:
        loss, decoded, kl = self.criterion.terms(self.state)
        self.evaluated(loss.mean())
        return loss, decoded, kl


def usual_sizes(state: TrainingState) -> Tensor:
    """What a weight of its layer is worth: its root mean square, or that of a fresh layer."""
    sizes = []
    for parameters, share, _ in state.vae.rates:
        for parameter in parameters:
            fresh = 1.0 / math.sqrt(parameter.shape[-1]) if parameter.ndim > 1 else 0.1
            size = parameter.detach().square().mean().sqrt().clamp(min=fresh) * share
            sizes.append(size.expand(parameter.numel()))
    return torch.cat(sizes)
