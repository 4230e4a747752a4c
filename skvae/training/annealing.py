"""Simulated annealing: chances that gradients do not take.

`Metropolis` works on top of gradients: from where training ended it jumps, trains a little and
keeps what the Metropolis rule keeps. `Langevin` adds noise that cools down to every gradient.
`RandomWalk` needs no gradient at all; in large networks it moves in random directions, far fewer
than there are weights. All end at the best state that the held-out rows have seen, so that none can
lose what training had. None takes more passes over the rows than `Controller.total_passes` leaves.
"""

import copy
import math
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor

from skvae.model.rows import Rows
from skvae.model.vae import network_parameters
from skvae.training.config import Budget
from skvae.training.controller import Controller
from skvae.training.evaluation import Evaluator
from skvae.training.objective import explained
from skvae.training.record import Record
from skvae.training.schedules import Constant, Cosine, check_count
from skvae.training.state import Perturbation, TrainingState
from skvae.training.step import take_step

_EVALUATION_ROWS = 2048  # of the training, by which proposals are judged
_N_PROBES = (3, 20)  # moves by which a temperature is set, of Metropolis and of a random walk
# Directions of a random walk: of up to so many weights all, of more the second number.
_DIMENSIONS = (1000, 300)
_LOOKS = 40  # at the held-out rows in a random walk


class Annealing(BaseEstimator):
    """What chance does, during training, after it or instead of it."""

    follows_training: ClassVar[bool] = True  # by gradients

    def n_steps_after(self) -> int:
        """Steps that it would take after the training; what a budget cannot pay for is left out."""
        return 0

    def perturbation(self, state: TrainingState) -> Perturbation | None:
        """What is added to every gradient."""
        return None

    def refine(
        self, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> None:
        """Go on from where training ended; leave the best state."""

    def check(self) -> None:
        """Refuse options that make no sense.

        Raises
        ------
        ValueError
            If an option is out of range.
        """


class Langevin(Annealing):
    """Gradients with noise that cools down (Welling & Teh, 2011; Neelakantan et al., 2015).

    The noise has standard deviation temperature * rms(gradient) * (1 - share of the budget)^2.

    Parameters
    ----------
    temperature : float, default=1.0
        Size of the noise at the beginning, relative to the gradient.
    """

    def __init__(self, *, temperature=1.0):
        self.temperature = temperature

    def perturbation(self, state: TrainingState) -> Perturbation:
        generator = state.generator

        def perturb(gradient: Tensor, share: float) -> None:
            state.temperature = self.temperature * (1.0 - min(share, 1.0)) ** 2
            size = state.temperature * gradient.square().mean().sqrt()
            gradient.add_(torch.empty_like(gradient).normal_(generator=generator) * size)

        return perturb

    def check(self) -> None:
        _above_zero("temperature", self.temperature)


class Metropolis(Annealing):
    """Jump, train a little, keep or go back (Metropolis et al., 1953; Kirkpatrick et al., 1983).

    A proposal moves the weights of the branches by normal noise, relative to their size, and
    trains them for some steps whose rate falls along a cosine. It is accepted with probability
    min(1, exp(-dL / T - e^2 / 2 T^2)), where dL is the change of the loss in nats per row on fixed
    rows with fixed noise, and e its standard error (Ceperley & Dewing, 1999). T begins at the
    median abs(dL) of such training without a jump and falls by a factor at each proposal. After a
    rejection weights and the optimiser's memory are what they were.

    Parameters
    ----------
    n_proposals : int, default=12
        How many jumps.
    n_steps : int, default=100
        Steps of training after each.
    jump : tuple of float, default=(0.05, 0.005)
        Size of the first and of the last jump, relative to the weights' root mean square.
    cooling : float, default=0.7
        Factor of the temperature from a proposal to the next.
    """

    def __init__(self, *, n_proposals=12, n_steps=100, jump=(0.05, 0.005), cooling=0.7):
        self.n_proposals = n_proposals
        self.n_steps = n_steps
        self.jump = jump
        self.cooling = cooling

    def n_steps_after(self) -> int:
        return (self.n_proposals + _N_PROBES[0]) * self.n_steps

    def refine(
        self, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> None:
        record = state.record
        n_proposals, n_steps = self._affordable(state.controller, record)
        if n_proposals < self.n_proposals:
            record.converged = False
        if n_proposals < 1:
            return
        judge = _RowLosses.of(state, rows, training, evaluator)
        passes = _Passes(record, state.controller.pass_steps)
        with passes, _Best(state, evaluator) as best:
            here = _State.of(state)
            loss = judge.losses(state)
            some_training = partial(self._train, state, rows, training, n_steps, passes)
            temperature = self._first_temperature(state, judge, some_training, here, loss)
            for k in range(n_proposals):
                _jump(state, _geometric(self.jump, k, n_proposals))
                some_training()
                proposed = judge.losses(state)
                accepted = _accept(proposed - loss, temperature, state.generator)
                best.look(temperature, 1, float(accepted))
                if accepted:
                    here, loss = _State.of(state), proposed
                else:
                    here.restore(state)
                temperature *= self.cooling

    def _affordable(self, controller: Controller, record: Record) -> tuple[int, int]:
        """Proposals, and steps of each, for which passes are left: one short one at the least."""
        wanted = self.n_proposals + _N_PROBES[0]
        left = (controller.total_passes - record.n_passes) * controller.pass_steps
        if left >= wanted * self.n_steps:
            return self.n_proposals, self.n_steps
        n_steps = min(self.n_steps, int(left) // (_N_PROBES[0] + 1))
        return (int(left) // n_steps - _N_PROBES[0], n_steps) if n_steps > 0 else (0, 0)

    def _first_temperature(self, state, judge, some_training, here, loss) -> float:
        changes = []
        for _ in range(_N_PROBES[0]):
            some_training()
            changes.append((judge.losses(state) - loss).mean().abs())
            here.restore(state)
        return float(torch.stack(changes).median().clamp(min=1e-12))

    def _train(
        self,
        state: TrainingState,
        rows: Rows,
        training: Tensor,
        n_steps: int,
        passes: "_Passes",
    ) -> None:
        """Some steps at half the rate, which falls along a cosine."""
        optimizer = clone(state.config.optimizer)
        optimizer.set_params(schedule=Cosine(), learning_rate=0.5 * optimizer.learning_rate)
        config = state.config._replace(optimizer=optimizer, kl_schedule=Constant())
        controller = state.controller
        batch_size = controller.batch_size
        budget = Budget(batch_size, False, 1, False)
        short = Controller(budget, config, controller.n_rows, controller.n_inputs)
        short.decay_level = controller.decay_level
        short.max_passes = n_steps / short.pass_steps
        state.vae.train()
        chosen = torch.randint(
            len(training),
            (n_steps * batch_size,),
            generator=state.generator,
            device=training.device,
        )
        with state.led_by(short):
            for batch in rows.batches(training[chosen], batch_size, state.generator):
                passes.add(-take_step(state, batch).elbo, 1)

    def check(self) -> None:
        for name in ("n_proposals", "n_steps"):
            check_count(name, getattr(self, name))
        _check_sizes("jump", self.jump)
        if not (isinstance(self.cooling, Real) and 0.0 < float(self.cooling) <= 1.0):
            raise ValueError(f"cooling={self.cooling!r} must be above 0 and at most 1.")


class RandomWalk(Annealing):
    """Simulated annealing on the weights themselves, without gradients (Kirkpatrick et al., 1983).

    A proposal moves all weights and is accepted with probability min(1, exp(-dL / T)).
    Neighbourhood and temperature shrink geometrically. A move that helps takes a number of
    proposals that grows with that of independent directions (Roberts, Gelman & Gilks, 1997), but
    good weights lie in most random subspaces of a few hundred (Li et al., 2018). So the weights of
    a large network fall at random to a number of coordinates, with random signs: what moves a
    coordinate moves all of its weights.

    Parameters
    ----------
    n_proposals : int, default=4000
        How many moves are tried, where `max_iter` leaves room for them.
    neighbourhood : tuple of float, default=(0.1, 0.005)
        Size of the first and of the last move, relative to a layer's usual weights.
    final_temperature : float, default=0.001
        Of the last proposal, relative to the first, which is the median abs(dL) of some moves.
    n_dimensions : int or "auto", default="auto"
        Coordinates of the search; "auto" takes one for each weight, and 300 where there are more
        than 1000 weights.
    """

    follows_training: ClassVar[bool] = False

    def __init__(
        self,
        *,
        n_proposals=4000,
        neighbourhood=(0.1, 0.005),
        final_temperature=1e-3,
        n_dimensions="auto",
    ):
        self.n_proposals = n_proposals
        self.neighbourhood = neighbourhood
        self.final_temperature = final_temperature
        self.n_dimensions = n_dimensions

    def refine(
        self, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> None:
        judge, record = _RowLosses.of(state, rows, training, evaluator), state.record
        n_judged, n_rows = judge.rows.n_rows, len(training)
        n_passes = state.controller.total_passes - record.n_passes
        n_probes, n_proposals = self._affordable(n_passes * n_rows / n_judged)
        record.converged = n_proposals == self.n_proposals
        if n_proposals < 1:
            _Best(state, evaluator).look(math.nan, 0, math.nan)
            return
        with _Passes(record, n_rows) as passes, _Best(state, evaluator) as best:
            walk = _Walk(state, judge, self._coordinates(state), partial(passes.add, n=n_judged))
            first = walk.typical_change(self.neighbourhood[0], n_probes)
            every = max(1, n_proposals // _LOOKS)
            n_accepted = 0
            for k in range(n_proposals):
                temperature = _geometric((first, first * self.final_temperature), k, n_proposals)
                n_accepted += walk.step(_geometric(self.neighbourhood, k, n_proposals), temperature)
                state.step += 1
                if (k + 1) % every == 0:
                    walk.stand()
                    best.look(temperature, every, n_accepted / every)
                    n_accepted = 0

    def _affordable(self, n_evaluations: float) -> tuple[int, int]:
        """Probes and proposals for so many evaluations, one of which is that of the beginning."""
        if n_evaluations >= 1 + _N_PROBES[1] + self.n_proposals:
            return _N_PROBES[1], self.n_proposals
        n = int(n_evaluations) - 1
        n_probes = min(_N_PROBES[1], max(1, n // 10))
        return n_probes, min(self.n_proposals, n - n_probes)

    def _coordinates(self, state: TrainingState) -> int:
        """Number of coordinates; as many as weights are all of them."""
        n_weights, (most, few) = state.weights.values.numel(), _DIMENSIONS
        if isinstance(self.n_dimensions, str):
            return n_weights if n_weights <= most else few
        return min(n_weights, self.n_dimensions)

    def check(self) -> None:
        check_count("n_proposals", self.n_proposals)
        _check_sizes("neighbourhood", self.neighbourhood)
        _above_zero("final_temperature", self.final_temperature)
        if not (isinstance(self.n_dimensions, str) and self.n_dimensions == "auto"):
            check_count("n_dimensions", self.n_dimensions)


class _Walk:
    """A state that moves along random directions of the weights, judged after each move.

    Every weight falls to a coordinate, which moves it by its usual size, up or down.
    """

    def __init__(
        self, state: TrainingState, judge: "_RowLosses", n_dimensions: int, evaluated: Callable
    ) -> None:
        self.state, self.judge, self.n_dimensions = state, judge, n_dimensions
        self.evaluated = evaluated  # is told of every loss
        self.scale, self.owner = _usual_sizes(state), None
        n_weights = len(self.scale)
        if n_dimensions < n_weights:
            draw = partial(torch.randint, generator=state.generator, device=self.scale.device)
            self.owner = draw(n_dimensions, (n_weights,))
            self.scale = self.scale * (2 * draw(2, (n_weights,)) - 1)
        self.here = state.weights.values.detach().clone()
        self.loss = self._judged()[0]

    def typical_change(self, size: float, n_moves: int) -> float:
        """Median change of the loss by so many moves from here."""
        changes = []
        for _ in range(n_moves):
            self._move(size)
            changes.append((self._judged()[0] - self.loss).mean().abs())
        self.stand()
        return float(torch.stack(changes).median().clamp(min=1e-12))

    def step(self, size: float, temperature: float) -> bool:
        """Try a move; whether it was accepted."""
        self._move(size)
        loss, decoded, kl = self._judged()
        accepted = _accept(loss - self.loss, temperature, self.state.generator, with_error=False)
        if accepted:
            self.here = self.state.weights.values.detach().clone()
            self.loss = self.judge.follow_noise(self.state, decoded, kl)
        return accepted

    @torch.no_grad()
    def stand(self) -> None:
        """Let the weights be those of the last move that was accepted."""
        self.state.weights.values.copy_(self.here)

    @torch.no_grad()
    def _move(self, size: float) -> None:
        noise = self.here.new_empty(self.n_dimensions).normal_(generator=self.state.generator)
        if self.owner is not None:
            noise = noise[self.owner]
        self.state.weights.values.copy_(self.here + size * self.scale * noise)

    def _judged(self) -> tuple[Tensor, Tensor, Tensor]:
        loss, decoded, kl = self.judge.look(self.state)
        self.evaluated(loss.mean())
        return loss, decoded, kl


class _Passes:
    """Passes over the rows that an annealing takes: so many steps, or rows, are one."""

    def __init__(self, record: Record, size: int) -> None:
        self.record, self.size = record, size
        self.n, self.losses = 0, list[Tensor]()

    def add(self, loss: Tensor, n: int) -> None:
        """Count some of a pass, with their loss."""
        self.losses.append(loss)
        self.n += n
        if self.n >= self.size:
            self.n -= self.size
            self._count()

    def _count(self) -> None:
        self.record.losses.append(torch.stack(self.losses).mean())
        self.record.n_passes += 1
        self.losses = []

    def __enter__(self) -> "_Passes":
        return self

    def __exit__(self, *_: object) -> None:
        """What was begun counts as a pass."""
        if self.losses:
            self._count()


class _RowLosses(NamedTuple):
    """Fixed rows of the training, with fixed noise, by which states are compared."""

    rows: Rows
    noise: Tensor | None

    @classmethod
    def of(
        cls, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> "_RowLosses":
        some = rows.take(training[:_EVALUATION_ROWS]).drawn(state.generator)
        noise = some.draw_noise(state.vae.latent_dim, state.generator)
        return cls(some, None if evaluator.is_deterministic else noise)

    def losses(self, state: TrainingState) -> Tensor:
        """Minus the bound of every row, in nats, under the weights as they are."""
        return self.look(state)[0]

    @torch.no_grad()
    def look(self, state: TrainingState) -> tuple[Tensor, Tensor, Tensor]:
        """Losses, what was decoded, and the KL, of every row."""
        _, decoded, kl = explained(state.vae.eval(), self.rows, self.noise)
        return self._losses(state, decoded, kl), decoded, kl

    @torch.no_grad()
    def follow_noise(self, state: TrainingState, decoded: Tensor, kl: Tensor) -> Tensor:
        """The losses after the model's noise has followed what was decoded."""
        likelihood = self.rows.mean(state.vae.log_likelihood(self.rows, decoded))
        state.vae.observation.update_noise(likelihood, 0.1)
        return self._losses(state, decoded, kl)

    def _losses(self, state: TrainingState, decoded: Tensor, kl: Tensor) -> Tensor:
        loss = state.config.beta * kl - state.vae.log_likelihood(self.rows, decoded)
        weight = self.rows.weight
        return loss if weight is None else loss * (weight / weight.mean())


class _State(NamedTuple):
    """All that a rejection has to bring back."""

    model: dict[str, Tensor]
    moments: list[Tensor]
    steps: list[Tensor]

    @classmethod
    def of(cls, state: TrainingState) -> "_State":
        weights = state.weights
        return cls(
            copy.deepcopy(state.vae.state_dict()),
            [moment.clone() for moment in weights.moments],
            [part.step.clone() for part in weights.parts],
        )

    def restore(self, state: TrainingState) -> None:
        state.vae.load_state_dict(self.model)
        weights = state.weights
        for moment, value in zip(weights.moments, self.moments, strict=True):
            moment.copy_(value)
        for part, step in zip(weights.parts, self.steps, strict=True):
            part.step.copy_(step)


class _Best:
    """The best weights that the held-out rows have seen, to begin with those of the training."""

    def __init__(self, state: TrainingState, evaluator: Evaluator) -> None:
        self.training, self.evaluator, self.record = state, evaluator, state.record
        self.weights = copy.deepcopy(state.averaged.state_dict())
        self.bound = evaluator.calibrate_and_evaluate(state.averaged).bound

    def look(self, temperature: float, n_proposals: int, accepted: float) -> None:
        """Evaluate the weights as they are; keep them if they are the best so far."""
        state = self.training
        state.averaged.load_state_dict(state.vae.state_dict())
        look = self.evaluator.calibrate_and_evaluate(state.averaged)
        self.record.add(
            look,
            step=state.step,
            gradient_norm=float(state.gradient_norm),
            temperature=temperature,
            proposals=n_proposals,
            accepted=accepted,
        )
        if look.bound > self.bound:
            self.weights, self.bound = copy.deepcopy(state.averaged.state_dict()), look.bound

    def __enter__(self) -> "_Best":
        return self

    def __exit__(self, kind: type | None, *_: object) -> bool:
        """Go back to it, also where a person has had enough, once anything has been judged."""
        self.training.go_back(self.weights)
        is_enough = kind is KeyboardInterrupt and len(self.record.bounds) > 1
        self.record.interrupted |= is_enough
        return is_enough


@torch.no_grad()
def _jump(state: TrainingState, size: float) -> None:
    """Move the branches' weights by noise of this size, relative to each tensor's own."""
    for parameter in network_parameters(state.vae):
        noise = torch.empty_like(parameter).normal_(generator=state.generator)
        parameter.add_(noise * (size * parameter.square().mean().sqrt()))


def _usual_sizes(state: TrainingState) -> Tensor:
    """What a weight of its layer is worth: its root mean square, or that of a fresh layer."""
    sizes = []
    for parameters, share, _ in state.vae.rates:
        for parameter in parameters:
            fresh = 1.0 / math.sqrt(parameter.shape[-1]) if parameter.ndim > 1 else 0.1
            size = parameter.detach().square().mean().sqrt().clamp(min=fresh) * share
            sizes.append(size.expand(parameter.numel()))
    return torch.cat(sizes)


def _accept(
    change: Tensor, temperature: float, generator: torch.Generator, with_error: bool = True
) -> bool:
    """Metropolis' rule for a change of the loss of every row, with a penalty for its error."""
    penalty = change.mean() / temperature
    if with_error:
        penalty = penalty + change.var() / len(change) / (2.0 * temperature**2)
    luck = torch.rand((), generator=generator, dtype=torch.float32, device=change.device)
    return bool(torch.log(luck) < -penalty)


def _geometric(ends: tuple[float, float], k: int, n: int) -> float:
    """Number k of n in a geometric row from the first end to the last."""
    first, last = ends
    return first * (last / first) ** (k / max(n - 1, 1))


def _above_zero(name: str, value: Any) -> None:
    if not (isinstance(value, Real) and 0.0 < float(value) < math.inf):
        raise ValueError(f"{name}={value!r} must be above 0.")


def _check_sizes(name: str, value: Any) -> None:
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2
    if not (is_pair and all(isinstance(v, Real) and 0.0 < float(v) < math.inf for v in value)):
        raise ValueError(f"{name}={value!r} must be two numbers above 0: the first, the last.")


ANNEALING: dict[str, type[Annealing]] = {
    "metropolis": Metropolis,
    "langevin": Langevin,
    "randomwalk": RandomWalk,
}
