"""Jumps from where training ended, each followed by some training, accepted or taken back."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import NamedTuple

import torch
from sklearn.base import clone
from torch import Tensor

from skvae.model.rows import Rows
from skvae.model.vae import network_parameters
from skvae.training.annealing.acceptance import accept, geometric
from skvae.training.annealing.base import Annealing, check_sizes
from skvae.training.annealing.best import Best
from skvae.training.annealing.course import course_of
from skvae.training.annealing.passes import Passes
from skvae.training.annealing.row_losses import RowLosses
from skvae.training.config import Budget
from skvae.training.controller import Controller
from skvae.training.evaluation import Evaluator
from skvae.training.record import Record
from skvae.training.saved import Saved, named, owned, part_of, to_arrays, to_tensors
from skvae.training.schedules import Constant, Cosine, check_count
from skvae.training.state import TrainingState
from skvae.training.step import take_step

_N_PROBES = 3  # trainings without a jump by which the temperature is set


class Metropolis(Annealing):
    """Simulated annealing by jumps with short trainings, after training [1]_ [2]_.

    A proposal adds normal noise to the weights of the networks, and then trains them for some
    steps. The learning rate of these steps falls along a cosine. The proposal is accepted with
    probability min(1, exp(-dL / T - e^2 / (2 T^2))) [3]_. dL is the change of the loss in nats per
    row, on fixed rows with fixed noise, and e is its standard error.

    The temperature T starts at the median of abs(dL) over three short trainings without a jump.
    It falls by a constant factor after each proposal. A rejection restores the weights and the
    state of the optimizer. There are fewer proposals if `max_iter` does not leave enough passes.

    Parameters
    ----------
    n_proposals : int, default=12
        Largest number of proposals.
    n_steps : int, default=100
        Training steps after each jump.
    jump : tuple of float, default=(0.05, 0.005)
        Size of the first and of the last jump, relative to the root mean square of the weights.
    cooling : float, default=0.7
        Factor of the temperature from one proposal to the next, above 0 and at most 1.

    References
    ----------
    .. [1] Metropolis, N. et al. (1953). Equation of state calculations by fast computing machines.
       Journal of Chemical Physics, 21, 1087-1092.
    .. [2] Kirkpatrick, S., Gelatt, C. D. and Vecchi, M. P. (1983). Optimization by simulated
       annealing. Science, 220, 671-680.
    .. [3] Ceperley, D. M. and Dewing, M. (1999). The penalty method for random walks with uncertain
       energies. Journal of Chemical Physics, 110, 9812-9820.

    Examples
    --------
    >>> from skvae import Metropolis, VAETransformer
    >>> VAETransformer(annealing=Metropolis(n_proposals=20))
    VAETransformer(annealing=Metropolis(n_proposals=20))
    """

    def __init__(
        self,
        *,
        n_proposals: int = 12,
        n_steps: int = 100,
        jump: tuple[float, float] = (0.05, 0.005),
        cooling: float = 0.7,
    ) -> None:
        self.n_proposals = n_proposals
        self.n_steps = n_steps
        self.jump = jump
        self.cooling = cooling

    def n_steps_after(self) -> int:
        return (self.n_proposals + _N_PROBES) * self.n_steps

    def refine(
        self, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> None:
        record, begun = state.record, state.annealed
        affordable = self._affordable(state.controller, record)
        n_proposals, n_steps = affordable if begun is None else begun[1]["affordable"]
        if n_proposals < self.n_proposals:
            record.converged = False
        if n_proposals < 1:
            return
        criterion, before = RowLosses.again(state, rows, training, evaluator)
        passes = Passes(state, state.controller.pass_steps)
        some_training = partial(self._train, state, rows, training, n_steps, passes)
        with passes, Best(state, evaluator) as best:
            if begun is None:
                chain = Chain(0, 0.0, Snapshot.of(state), criterion.losses(state))
                chain.temperature = self._first_temperature(state, criterion, some_training, chain)
            else:
                chain = Chain.from_state(part_of(begun, "chain"), state)
                passes.load_state(part_of(begun, "passes"), chain.loss.device)
                best.load_state(part_of(begun, "best"), chain.loss.device)
            course = partial(course_of, (n_proposals, n_steps), before, passes, best, chain)
            while chain.k < n_proposals:
                jump(state, geometric(self.jump, chain.k, n_proposals))
                some_training()
                proposed = criterion.losses(state)
                accepted = accept(proposed - chain.loss, chain.temperature, state.generator)
                best.evaluate(chain.temperature, 1, float(accepted))
                chain.go_on(state, proposed if accepted else None, self.cooling)
                state.tell(course)

    def _affordable(self, controller: Controller, record: Record) -> tuple[int, int]:
        """Proposals, and steps of each, for which passes are left: one short one at the least."""
        wanted = self.n_proposals + _N_PROBES
        left = (controller.total_passes - record.n_passes) * controller.pass_steps
        if left >= wanted * self.n_steps:
            return self.n_proposals, self.n_steps
        n_steps = min(self.n_steps, int(left) // (_N_PROBES + 1))
        return (int(left) // n_steps - _N_PROBES, n_steps) if n_steps > 0 else (0, 0)

    def _first_temperature(
        self,
        state: TrainingState,
        criterion: RowLosses,
        some_training: Callable[[], None],
        chain: "Chain",
    ) -> float:
        changes = []
        for _ in range(_N_PROBES):
            some_training()
            changes.append((criterion.losses(state) - chain.loss).mean().abs())
            chain.here.restore(state)
        return float(torch.stack(changes).median().clamp(min=1e-12))

    def _train(
        self,
        state: TrainingState,
        rows: Rows,
        training: Tensor,
        n_steps: int,
        passes: Passes,
    ) -> None:
        """Some steps at half the rate, which falls along a cosine."""
        optimizer = clone(state.config.optimizer)
        optimizer.set_params(schedule=Cosine(), learning_rate=0.5 * state.controller.full_rate)
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
        check_sizes("jump", self.jump)
        if not (isinstance(self.cooling, Real) and 0.0 < float(self.cooling) <= 1.0):
            raise ValueError(f"cooling={self.cooling!r} must be above 0 and at most 1.")


class Snapshot(NamedTuple):
    """All that a rejection has to bring back."""

    model: dict[str, Tensor]
    moments: list[Tensor]
    steps: list[Tensor]

    @classmethod
    def of(cls, state: TrainingState) -> "Snapshot":
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

    def to_state(self) -> Saved:
        """As arrays."""
        moments, steps = (
            to_arrays({str(n): own for n, own in enumerate(each)})
            for each in (self.moments, self.steps)
        )
        arrays = named("moments", moments) | named("steps", steps)
        return arrays | named("model", to_arrays(self.model)), {}

    @classmethod
    def from_state(cls, saved: Saved, device: torch.device) -> "Snapshot":
        """What was written."""
        model, moments, steps = (
            to_tensors(owned(name, saved[0]), device) for name in ("model", "moments", "steps")
        )
        return cls(model, list(moments.values()), list(steps.values()))


@dataclass
class Chain:
    """Where jumps stand."""

    k: int  # proposals so far
    temperature: float
    here: Snapshot
    loss: Tensor  # of the rows, (n,)

    def go_on(self, state: TrainingState, accepted: Tensor | None, cooling: float) -> None:
        """Stay where the loss that was accepted is, or go back; cool down."""
        if accepted is None:
            self.here.restore(state)
        else:
            self.here, self.loss = Snapshot.of(state), accepted
        self.temperature *= cooling
        self.k += 1

    def to_state(self) -> Saved:
        """As arrays and JSON values."""
        arrays, _ = self.here.to_state()
        values = {"k": self.k, "temperature": self.temperature}
        return arrays | to_arrays({"loss": self.loss}), values

    @classmethod
    def from_state(cls, saved: Saved, state: TrainingState) -> "Chain":
        """Where they stood."""
        arrays, values = saved
        device = state.weights.values.device
        here = Snapshot.from_state(saved, device)
        loss = torch.tensor(arrays["loss"], device=device)
        return cls(values["k"], values["temperature"], here, loss)


@torch.no_grad()
def jump(state: TrainingState, size: float) -> None:
    """Move the networks' weights by noise of this size, relative to each tensor's own."""
    for parameter in network_parameters(state.vae):
        noise = torch.empty_like(parameter).normal_(generator=state.generator)
        parameter.add_(noise * (size * parameter.square().mean().sqrt()))
