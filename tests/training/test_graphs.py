"""Captured steps: what a graph demands of the step holds on any device, and is tested on a tape.

A tape keeps operations with the memory that they read and write, and runs them again, as a graph
does on a GPU: what the step's Python decides is decided once.
"""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.fitting.fit import fit_model
from skvae.model.networks import MLP, Conv
from skvae.model.priors import PRIORS, Mixture, Vamp
from skvae.start.tables import Table
from skvae.training.annealing import Langevin, Metropolis
from skvae.training.graphs import PLAIN_CALLS, Captured, CudaGraph
from skvae.training.objective import OBJECTIVES, Elbo, Mmd, TotalCorrelation
from skvae.training.optimizers import OPTIMIZERS, AdamW
from skvae.training.schedules import KL_SCHEDULES, RATE_SCHEDULES
from skvae.training.step import STEPS, CapturedStep, PlainStep, take_step
from tests.samples import Setting, curve, fitted, options, plan_of

# What makes the host wait for a value, or memory whose size a value decides: no graph holds it.
WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal")


class Recorder(TorchDispatchMode):
    """Keeps every operation with its arguments and results."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation._schema.name in WAITS:
            raise RuntimeError(f"{operation} waits for the device")
        kwargs = kwargs or {}
        results = operation(*args, **kwargs)
        self.operations.append((operation, args, kwargs, results))
        return results


def is_view(operation):
    """Whether the results are memory of the arguments, as it is."""
    returned = operation._schema.returns
    return bool(returned) and all(r.alias_info and not r.alias_info.is_write for r in returned)


class Tape:
    """In place of a CudaGraph."""

    def __init__(self, function, inputs, generator):
        self.function, self.inputs = function, tuple(tensor.clone() for tensor in inputs)
        self.operations = None

    def __call__(self, *inputs):
        for mine, theirs in zip(self.inputs, inputs, strict=True):
            mine.copy_(theirs)
        if self.operations is None:
            with Recorder() as recorder:
                self.outputs = self.function(*self.inputs)
            self.operations = [o for o in recorder.operations if not is_view(o[0])]
        else:
            with torch.no_grad():
                for operation in self.operations:
                    self.run(*operation)
        return tuple(tensor.clone() for tensor in self.outputs)

    @staticmethod
    def run(operation, args, kwargs, results):
        again = operation(*args, **kwargs)
        if operation._schema.is_mutable or operation._schema.name == "aten::new_empty":
            return  # what is not there yet is not to be copied over what is
        pairs = zip(results, again, strict=True) if isinstance(again, tuple) else [(results, again)]
        for kept, new in pairs:
            if new is not None:
                kept.copy_(new)


class Witness:
    """In place of a CudaGraph: runs the function, and notes which operations it takes."""

    def __init__(self, function, inputs, generator):
        self.function, self.seen = function, []

    def __call__(self, *inputs):
        with Recorder() as recorder:
            outputs = self.function(*inputs)
        self.seen.append([described(*operation[:3]) for operation in recorder.operations])
        return outputs


def described(operation, args, kwargs):
    """An operation with its numbers, and the kinds of what else it takes."""
    leaves, _ = tree_flatten((args, kwargs))
    return str(operation), [described_value(leaf) for leaf in leaves]


def described_value(value):
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, value.stride()
    return type(value) if isinstance(value, torch.Generator) else repr(value)


class Unwilling:
    """A graph that cannot be made."""

    def __init__(self, function, inputs, generator):
        raise RuntimeError("operation not permitted when stream is capturing")


def by(graph_type):
    """Ways to take a step, first by a graph of the CPU."""
    return (partial(CapturedStep, {"cpu": graph_type}), PlainStep)


def graph_of(state):
    """What holds the steps of a training, if anything does."""
    return state.take.captured.graph if isinstance(state.take, CapturedStep) else None


def steps(n, weighted=False, **changes):
    """The state after some steps, and their bounds."""
    setting = Setting(**changes)
    state = setting.state
    rows, bounds, device = setting.rows, [], state.generator.device
    if weighted:
        rows = replace(rows, weight=torch.linspace(0.5, 1.5, rows.n_rows).to(rows.scores))
    state.vae.in_bfloat16 = state.precision(32) == torch.bfloat16
    for i in range(n):
        index = torch.randint(100, rows.n_rows, (32,), generator=state.generator, device=device)
        bounds.append(take_step(state, rows.take(index)).elbo)
        if i % 10 == 9:  # weights and units change between passes, where they are
            setting.evaluator.calibrate_and_evaluate(state.averaged_model())
            state.go_back(copy.deepcopy(state.averaged.state_dict()))
    return state, torch.stack(bounds)


VARIANTS = (
    [{"objective": objective()} for objective in OBJECTIVES.values()]
    + [{"prior": prior()} for prior in PRIORS.values()]
    + [{"architecture": Conv(image_shape=(1, 5))}]
    + [{"optimizer": optimizer()} for optimizer in OPTIMIZERS.values()]
    + [{"optimizer": AdamW(schedule=schedule())} for schedule in RATE_SCHEDULES.values()]
    + [{"kl_schedule": schedule()} for schedule in KL_SCHEDULES.values()]
    + [
        {"architecture": MLP(hidden_layer_sizes=(16,), dropout=0.2, normalization="batch")},
        {"objective": Elbo(free_bits=0.1)},
        {"objective": TotalCorrelation(), "weighted": True},
        {"objective": Mmd(), "prior": Mixture()},
        {"objective": Mmd(), "prior": Vamp()},
        {"optimizer": AdamW(clip_norm=None)},
    ]
)


def name_of(changes):
    return " ".join(map(str, changes.values()))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("changes", VARIANTS, ids=name_of)
def test_steps_by_a_graph_are_those_without(changes, precision):
    plain, expected = steps(40, precision=precision, **changes)
    taped, found = steps(40, precision=precision, steps=by(Tape), **changes)
    assert (graph_of(taped) is not None) == taped.config.optimizer.is_capturable
    # The rate of a graph is a number of single precision.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert float(taped.gradient_norm) == pytest.approx(float(plain.gradient_norm), rel=1e-3)
    for name, value in plain.averaged.state_dict().items():
        torch.testing.assert_close(taped.averaged.state_dict()[name], value, rtol=1e-2, atol=1e-4)
    assert taped.step == plain.step == 40


# With 8 bits, the last digit of the rate decides how products are rounded, and training makes that
# larger from step to step: numbers of two trainings prove nothing, so their operations are judged.
@pytest.mark.parametrize("changes", VARIANTS, ids=name_of)
def test_every_step_in_bfloat16_is_of_the_same_operations(changes):
    state, _ = steps(20, precision="bfloat16", steps=by(Witness), **changes)
    witness = graph_of(state)
    if not state.config.optimizer.is_capturable:
        assert witness is None
        return
    first, *others = witness.seen
    assert any("bfloat16" in str(operation) for operation in first)
    assert len(others) == 20 - PLAIN_CALLS - 1
    for other in others:
        assert other == first


class Hasty(Elbo):
    """The bound, by a weight that Python reads."""

    is_capturable = True

    def __call__(self, vae, rows, generator, kl_weight=1.0):
        return super().__call__(vae, rows, generator, float(kl_weight))


class Own(nn.Sequential):
    """A body that is nobody's but its maker's."""


def test_a_tape_takes_no_step_that_waits_for_a_value():
    with pytest.raises(RuntimeError, match=r"_local_scalar_dense.* waits"):
        steps(12, objective=Hasty(), steps=by(Tape))


def test_a_step_that_no_graph_holds_runs_as_it_is():
    _, expected = steps(12, steps=(PlainStep,))
    unwilling = by(Unwilling)
    with pytest.warns(RuntimeWarning, match="cannot be held .*operation not permitted") as warned:
        state, found = steps(12, steps=unwilling)
    assert len(warned) == 1
    assert graph_of(state) is None
    with pytest.warns(RuntimeWarning, match="cannot be held"):  # another training tries again
        steps(12, steps=unwilling)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {
            "architecture": lambda n_in, n_out: Own(
                nn.Linear(n_in, 8), nn.Tanh(), nn.Linear(8, n_out)
            )
        },
        {"objective": type("OwnObjective", (Elbo,), {})()},
        {"optimizer": type("OwnOptimizer", (AdamW,), {})()},
    ],
    ids=["architecture", "objective", "optimizer"],
)
def test_what_is_not_ours_is_not_captured(changes):
    assert graph_of(steps(12, steps=by(Tape), **changes)[0]) is None


def test_disturbed_steps_are_not_captured():
    setting = Setting(steps=by(Tape))
    setting.state.perturb = Langevin().perturbation(setting.state)
    setting.train(plan_of(max_passes=2))
    assert graph_of(setting.state) is None


def test_proposals_of_metropolis_are_trained_by_graphs():
    found = []
    for ways in (STEPS, by(Tape)):
        setting = Setting(steps=ways)
        record = setting.train(plan_of(max_passes=4))
        setting.refine(Metropolis(n_proposals=3, n_steps=20))
        found.append(record.bounds)
    assert graph_of(setting.state) is not None
    assert_allclose(*found, rtol=1e-3)


def test_tables_are_not_captured():
    X = curve(200, 5)
    X[::3, 0] = np.nan
    fits = []
    for ways in (STEPS, by(Tape)):
        columns = Columns.of(Input.of(X), {})
        table = Table(X, columns.likelihoods, columns.n_levels)
        fits.append(fit_model(table, None, options(max_iter=5, steps=ways))[1].bounds)
    assert_allclose(*fits, rtol=0, atol=0)


def test_a_graph_is_made_once_libraries_have_what_they_keep():
    calls, made_after = [], []

    class Counted:
        def __init__(self, function, inputs, generator):
            made_after.append(len(calls))
            self.function = function

        def __call__(self, *inputs):
            return self.function(*inputs)

    captured = Captured({"cpu": Counted})
    for i in range(10):
        captured(lambda x: calls.append(x) or (x,), (torch.tensor(i),), (), torch.Generator())
    assert calls == [*map(torch.tensor, range(10))]
    assert len(made_after) == 1
    assert made_after[0] >= 3  # as PyTorch asks


def test_a_graph_is_made_anew_when_what_is_fixed_in_it_changes():
    setting = Setting(steps=by(Tape))
    state, made = setting.state, []
    for size in (32, 64):
        for decay_level in (0, 1):
            state.controller.decay_level = decay_level
            for step in range(PLAIN_CALLS + 2):
                batch = setting.rows.take(torch.arange(size))
                take_step(state, batch)
                assert (graph_of(state) is None) == (step < PLAIN_CALLS)
            made.append(graph_of(state))
    assert len(set(made)) == 4


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_by_graphs_is_as_good_as_one_without():
    X = curve(600, 5)
    plain = fitted(X, max_iter=60, batch_size=None)
    taped = fitted(X, max_iter=60, batch_size=None, steps=by(Tape))
    assert plain.kept > 0
    assert taped.log_prob(X).mean() == pytest.approx(plain.log_prob(X).mean(), abs=0.2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    ("precision", "n_steps"), [("float32", 40), ("float64", 40), ("bfloat16", PLAIN_CALLS + 2)]
)
@pytest.mark.parametrize("changes", VARIANTS, ids=name_of)
def test_steps_on_a_gpu_by_a_graph_are_those_without(changes, precision, n_steps):
    changes = changes | {"device": torch.device("cuda"), "precision": precision}
    by_graph, found = steps(n_steps, **changes)
    plain, expected = steps(n_steps, steps=(PlainStep,), **changes)
    assert isinstance(graph_of(by_graph), CudaGraph) == plain.config.optimizer.is_capturable
    tolerance = 2e-2 if precision == "bfloat16" else 1e-3
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_capture_that_fails_leaves_the_gpu_as_it_was():
    changes = {"device": torch.device("cuda")}
    _, expected = steps(12, **changes)
    with pytest.warns(RuntimeWarning, match="cannot be held"):
        _, found = steps(12, objective=Hasty(), **changes)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert torch.isfinite(torch.randn(3, device="cuda")).all()
