"""Simulated annealing: chances that gradients do not take.

`Metropolis` works on top of gradients: from where training ended it jumps, trains a little and
keeps what the Metropolis rule keeps. `Langevin` adds noise that cools down to every gradient.
`RandomWalk` needs no gradient at all and is for small networks. All end at the best state that
the held-out rows have seen, so that none can lose what training had.
"""

import copy
import math
from functools import partial
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor

from skvae.held_out import HeldOut
from skvae.objective import explained
from skvae.schedules import Constant, Cosine, check_count
from skvae.training import Budget, Disturbance, Learner, Plan, Record, take_step
from skvae.vae import Rows, branch_parameters

_EVALUATION_ROWS = 2048  # of the training, by which proposals are judged
_LARGEST_WALK = 20_000  # parameters that a random walk can still cope with
_N_PROBES = 20  # moves by which the temperature of a random walk is set
_LOOKS = 40  # at the held-out rows in a random walk


class Annealing(BaseEstimator):
    """What chance does, during training, after it or instead of it."""

    follows_training: ClassVar[bool] = True  # by gradients

    def disturbance(self, learner: Learner) -> Disturbance | None:
        """What is added to every gradient."""
        return None

    def refine(
        self,
        learner: Learner,
        rows: Rows,
        training: Tensor,
        held_out: HeldOut,
        plan: Plan,
        record: Record,
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

    def disturbance(self, learner: Learner) -> Disturbance:
        generator = learner.generator

        def disturb(gradient: Tensor, share: float) -> None:
            learner.temperature = self.temperature * (1.0 - min(share, 1.0)) ** 2
            size = learner.temperature * gradient.square().mean().sqrt()
            gradient.add_(torch.empty_like(gradient).normal_(generator=generator) * size)

        return disturb

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

    def refine(
        self,
        learner: Learner,
        rows: Rows,
        training: Tensor,
        held_out: HeldOut,
        plan: Plan,
        record: Record,
    ) -> None:
        judge = _Judge.of(learner, rows, training, held_out)
        with _Best(learner, held_out, record) as best:
            here = _State.of(learner)
            loss = judge.losses(learner)
            some_training = partial(self._train, learner, rows, training, plan)
            temperature = self._first_temperature(learner, judge, some_training, here, loss)
            for k in range(self.n_proposals):
                _jump(learner, _geometric(self.jump, k, self.n_proposals))
                some_training()
                proposed = judge.losses(learner)
                accepted = _accept(proposed - loss, temperature, learner.generator)
                best.look(temperature, 1, float(accepted))
                if accepted:
                    here, loss = _State.of(learner), proposed
                else:
                    here.restore(learner)
                temperature *= self.cooling

    def _first_temperature(self, learner, judge, some_training, here, loss) -> float:
        changes = []
        for _ in range(3):
            some_training()
            changes.append((judge.losses(learner) - loss).mean().abs())
            here.restore(learner)
        return float(torch.stack(changes).median().clamp(min=1e-12))

    def _train(self, learner: Learner, rows: Rows, training: Tensor, plan: Plan) -> None:
        """Some steps at half the rate, which falls along a cosine."""
        optimizer = clone(learner.recipe.optimizer)
        optimizer.set_params(schedule=Cosine(), learning_rate=0.5 * optimizer.learning_rate)
        recipe = learner.recipe._replace(optimizer=optimizer, kl_schedule=Constant())
        budget = Budget(plan.batch_size, False, 1, False)
        short = Plan(budget, recipe, plan.n_rows, plan.n_inputs)
        short.decay_level = plan.decay_level
        short.max_passes = self.n_steps / short.pass_steps
        learner.vae.train()
        chosen = torch.randint(
            len(training),
            (self.n_steps * plan.batch_size,),
            generator=learner.generator,
            device=training.device,
        )
        for batch in rows.batches(training[chosen], plan.batch_size, learner.generator):
            take_step(learner, batch, short)

    def check(self) -> None:
        for name in ("n_proposals", "n_steps"):
            check_count(name, getattr(self, name))
        _check_sizes("jump", self.jump)
        if not (isinstance(self.cooling, Real) and 0.0 < float(self.cooling) <= 1.0):
            raise ValueError(f"cooling={self.cooling!r} must be above 0 and at most 1.")


class RandomWalk(Annealing):
    """Simulated annealing on the weights themselves, without gradients (Kirkpatrick et al., 1983).

    A proposal moves all weights by normal noise and is accepted with probability
    min(1, exp(-dL / T)). Neighbourhood and temperature shrink geometrically. An independent move
    takes a number of proposals that grows with that of the weights (Roberts, Gelman & Gilks,
    1997), so this is for small networks: more than 20000 weights are refused.

    Parameters
    ----------
    n_proposals : int, default=4000
        How many moves are tried.
    neighbourhood : tuple of float, default=(0.1, 0.005)
        Size of the first and of the last move, relative to a layer's usual weights.
    final_temperature : float, default=0.001
        Of the last proposal, relative to the first, which is the median abs(dL) of some moves.
    """

    follows_training: ClassVar[bool] = False

    def __init__(self, *, n_proposals=4000, neighbourhood=(0.1, 0.005), final_temperature=1e-3):
        self.n_proposals = n_proposals
        self.neighbourhood = neighbourhood
        self.final_temperature = final_temperature

    def refine(
        self,
        learner: Learner,
        rows: Rows,
        training: Tensor,
        held_out: HeldOut,
        plan: Plan,
        record: Record,
    ) -> None:
        _refuse_large(learner)
        judge = _Judge.of(learner, rows, training, held_out)
        with _Best(learner, held_out, record) as best:
            here, loss = learner.weights.values.detach().clone(), judge.losses(learner)
            sizes = _usual_sizes(learner)
            first = self._first_temperature(learner, judge, sizes, here, loss)
            every = max(1, self.n_proposals // _LOOKS)
            n_accepted = 0
            for k in range(self.n_proposals):
                temperature = _geometric(
                    (first, first * self.final_temperature), k, self.n_proposals
                )
                _walk(learner, sizes, here, _geometric(self.neighbourhood, k, self.n_proposals))
                proposed = judge.losses(learner)
                if _accept(proposed - loss, temperature, learner.generator, with_error=False):
                    here, n_accepted = learner.weights.values.detach().clone(), n_accepted + 1
                    loss = judge.follow_noise(learner, proposed)
                if (k + 1) % every == 0:
                    with torch.no_grad():
                        learner.weights.values.copy_(here)
                    record.losses.append(loss.mean())
                    record.n_passes += 1
                    best.look(temperature, every, n_accepted / every)
                    loss, n_accepted = judge.losses(learner), 0
                learner.step += 1
        record.converged = True

    def _first_temperature(self, learner, judge, sizes, here, loss) -> float:
        changes = []
        for _ in range(_N_PROBES):
            _walk(learner, sizes, here, self.neighbourhood[0])
            changes.append((judge.losses(learner) - loss).mean().abs())
        with torch.no_grad():
            learner.weights.values.copy_(here)
        return float(torch.stack(changes).median().clamp(min=1e-12))

    def check(self) -> None:
        check_count("n_proposals", self.n_proposals)
        _check_sizes("neighbourhood", self.neighbourhood)
        _above_zero("final_temperature", self.final_temperature)


class _Judge(NamedTuple):
    """Fixed rows of the training, with fixed noise, by which states are compared."""

    rows: Rows
    noise: Tensor | None

    @classmethod
    def of(cls, learner: Learner, rows: Rows, training: Tensor, held_out: HeldOut) -> "_Judge":
        some = rows.take(training[:_EVALUATION_ROWS]).drawn(learner.generator)
        noise = some.draw_noise(learner.vae.latent_dim, learner.generator)
        return cls(some, None if held_out.is_deterministic else noise)

    @torch.no_grad()
    def losses(self, learner: Learner) -> Tensor:
        """Minus the bound of every row, in nats, under the weights as they are."""
        vae = learner.vae.eval()
        _, decoded, kl = explained(vae, self.rows, self.noise)
        loss = learner.recipe.beta * kl - vae.log_likelihood(self.rows, decoded)
        return loss if self.rows.weight is None else loss * self.rows.weight

    def follow_noise(self, learner: Learner, losses: Tensor) -> Tensor:
        """The losses after the model's noise has followed them."""
        with torch.no_grad():
            _, decoded, _ = explained(learner.vae, self.rows, self.noise)
            likelihood = self.rows.mean(learner.vae.log_likelihood(self.rows, decoded))
            learner.vae.follow_noise(likelihood, 0.1)
        return self.losses(learner)


class _State(NamedTuple):
    """All that a rejection has to bring back."""

    model: dict[str, Tensor]
    moments: list[Tensor]
    steps: list[Tensor]

    @classmethod
    def of(cls, learner: Learner) -> "_State":
        weights = learner.weights
        return cls(
            copy.deepcopy(learner.vae.state_dict()),
            [moment.clone() for moment in weights.moments],
            [part.step.clone() for part in weights.parts],
        )

    def restore(self, learner: Learner) -> None:
        learner.vae.load_state_dict(self.model)
        weights = learner.weights
        for moment, value in zip(weights.moments, self.moments, strict=True):
            moment.copy_(value)
        for part, step in zip(weights.parts, self.steps, strict=True):
            part.step.copy_(step)


class _Best:
    """The best state that the held-out rows have seen, to begin with that of the training."""

    def __init__(self, learner: Learner, held_out: HeldOut, record: Record) -> None:
        self.learner, self.held_out, self.record = learner, held_out, record
        self.state = copy.deepcopy(learner.averaged.state_dict())
        self.bound = held_out.look(learner.averaged).bound

    def look(self, temperature: float, n_proposals: int, accepted: float) -> None:
        """Look at the state of the learner; keep it if it is the best so far."""
        learner = self.learner
        learner.averaged.load_state_dict(learner.vae.state_dict())
        look = self.held_out.look(learner.averaged)
        self.record.add(
            look,
            step=learner.step,
            gradient_norm=float(learner.gradient_norm),
            temperature=temperature,
            proposals=n_proposals,
            accepted=accepted,
        )
        if look.bound > self.bound:
            self.state, self.bound = copy.deepcopy(learner.averaged.state_dict()), look.bound

    def __enter__(self) -> "_Best":
        return self

    def __exit__(self, kind: type | None, *_: object) -> bool:
        """Go back to it, also where a person has had enough, once anything has been judged."""
        self.learner.go_back(self.state)
        is_enough = kind is KeyboardInterrupt and len(self.record.bounds) > 1
        self.record.interrupted |= is_enough
        return is_enough


@torch.no_grad()
def _jump(learner: Learner, size: float) -> None:
    """Move the branches' weights by noise of this size, relative to each tensor's own."""
    for parameter in branch_parameters(learner.vae):
        noise = torch.empty_like(parameter).normal_(generator=learner.generator)
        parameter.add_(noise * (size * parameter.square().mean().sqrt()))


@torch.no_grad()
def _walk(learner: Learner, sizes: Tensor, here: Tensor, size: float) -> None:
    noise = torch.empty_like(here).normal_(generator=learner.generator)
    learner.weights.values.copy_(here + size * sizes * noise)


def _usual_sizes(learner: Learner) -> Tensor:
    """What a weight of its layer is worth: its root mean square, or that of a fresh layer."""
    sizes = []
    for parameters, share, _ in learner.vae.rates:
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
    luck = torch.rand((), generator=generator, device=change.device)
    return bool(torch.log(luck) < -penalty)


def _geometric(ends: tuple[float, float], k: int, n: int) -> float:
    """Number k of n in a geometric row from the first end to the last."""
    first, last = ends
    return first * (last / first) ** (k / max(n - 1, 1))


def _refuse_large(learner: Learner) -> None:
    n = learner.weights.values.numel()
    if n > _LARGEST_WALK:
        raise ValueError(
            f"annealing='randomwalk' cannot search {n} weights, only {_LARGEST_WALK}: take a "
            "smaller network, such as architecture=MLP(hidden_layer_sizes=(16,)), or "
            "annealing='metropolis', which follows gradients."
        )


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
