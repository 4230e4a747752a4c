"""A fit that goes on from any of its checkpoints ends with the bits of one that never stopped."""

from dataclasses import replace

import numpy as np
import pytest

from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.fitting.fit import fit_model
from skvae.limits import Limits
from skvae.model.networks import MLP
from skvae.model.priors import PRIORS, ExPost
from skvae.persistence.checkpoints import Content, packed, unpacked
from skvae.persistence.fingerprint import Fingerprint
from skvae.start.tables import Matrix, Table
from skvae.training.annealing import Langevin, Metropolis, RandomWalk
from skvae.training.checkpoint import Checkpoint, Standing
from skvae.training.evaluation import DivergenceError
from skvae.training.objective import OBJECTIVES, Autoencoder
from skvae.training.optimizers import OPTIMIZERS, AdamW, Muon
from skvae.training.schedules import KL_SCHEDULES
from tests.samples import Followed, curve, gaussian, options

TINY = MLP(hidden_layer_sizes=(8,))
QUICK = Limits(few_rows=0, check_steps=5, width_steps=5)
FEW = Limits(check_steps=5)


def table():
    """A table of several kinds with gaps."""
    X = curve(120, 5)
    X[:, 1], X[:, 2], X[:, 3] = X[:, 1] > 0, np.abs(X[:, 2]).round(), np.digitize(X[:, 3], [0, 1])
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.1] = np.nan
    names = ("gaussian_diag", "bernoulli", "poisson", "ordinal", "student_t")
    columns = Columns.of(Input.of(X), dict(enumerate(names)))
    levels = np.where(np.arange(5) == 3, 3, columns.n_levels)
    return Table(X, columns.likelihoods, levels)


def levels():
    X = np.random.default_rng(1).integers(0, 3, (120, 3)).astype(float)
    columns = Columns.of(Input.of(X), "categorical")
    return Table(X, columns.likelihoods, np.full(3, 3))


MATRIX = Matrix(curve(120, 5))
WEIGHT = np.random.default_rng(0).uniform(0.5, 2.0, 120)
WALK = RandomWalk(n_proposals=80)
JUMPS = Metropolis(n_proposals=3, n_steps=4)
KINDS = {
    "matrix": {},
    "table": {"X": table()},
    "weights": {"weight": WEIGHT},
    "float64": {"precision": "float64"},
    "bfloat16": {"precision": "bfloat16"},
    "dropout": {"architecture": MLP(hidden_layer_sizes=(8,), dropout=0.2, normalization="batch")},
    "random start": {"init": "random"},
    "restarts": {"n_init": 3},
    "all passes": {"early_stopping": False},
    "auto": {"max_iter": None, "limits": replace(QUICK, steps=(20, 40))},
    "many rows": {"limits": replace(QUICK, pass_rows=50, block_rows=8)},
    "streamed": {"limits": replace(QUICK, held_bytes=0)},
    "few rows": {"limits": FEW},
    "few rows of noise": {"X": Matrix(gaussian(60, 5)), "limits": replace(FEW, few_rows=10**6)},
    "few rows of a table": {"X": table(), "limits": FEW},
    "metropolis": {"annealing": JUMPS},
    "langevin": {"annealing": Langevin()},
    "random walk": {"annealing": WALK},
    "metropolis, restarts": {"annealing": JUMPS, "n_init": 2},
    "autoencoder, ex post": {"objective": Autoencoder(), "prior": ExPost()},
    "plateau": {"optimizer": AdamW(schedule="plateau")},
    "muon": {"optimizer": Muon(), "X": table()},
    **{f"objective {name}": {"objective": own()} for name, own in OBJECTIVES.items()},
    **{f"prior {name}": {"prior": own()} for name, own in PRIORS.items()},
    **{f"optimizer {name}": {"optimizer": own()} for name, own in OPTIMIZERS.items()},
    **{f"kl {name}": {"kl_schedule": own()} for name, own in KL_SCHEDULES.items()},
}


class Fit:
    """A fit of one kind."""

    def __init__(self, X=MATRIX, weight=None, **changes):
        self.X, self.weight = X, weight
        own = {"architecture": TINY, "max_iter": 6, "batch_size": 16, "limits": QUICK}
        self.options = options(**own | changes)

    def __call__(self, checkpoint=None):
        """All bits of it, but for seconds."""
        try:
            model, record = fit_model(self.X, self.weight, self.options, checkpoint=checkpoint)
        except DivergenceError as error:
            return str(error)
        history = [
            {name: value for name, value in look.items() if name != "seconds"}
            for look in record.history
        ]
        return (
            {name: own.tobytes() for name, own in model.weights.items()},
            (model.kept, model.start_weight, repr(model.prior), record.converged),
            [float(loss) for loss in record.losses],
            repr((record.n_passes, history, record.restarts)),
        )


def in_a_file(standing):
    """A standing by way of the bytes of a file."""
    return unpacked(packed(Content(Fingerprint({}, [], 0), 0, standing))).standing


def noted(fit):
    """Bits of a fit, and its checkpoints, after every pass."""
    found = []

    def keep(standing):
        found.append(Standing(list(standing.ended), standing.running))

    return fit(Checkpoint(keep, every=0)), found


@pytest.mark.parametrize(
    "kind",
    # Another case has Muon with a matrix, and another a table with another optimizer.
    [pytest.param(kind, marks=pytest.mark.slow if kind == "muon" else ()) for kind in KINDS],
)
def test_a_fit_goes_on_with_the_same_bits(kind):
    fit = Fit(**KINDS[kind])
    whole = fit()
    same, checkpoints = noted(fit)
    assert same == whole  # whenever it is noted
    assert len(checkpoints) > 1
    for n in (np.random.default_rng(0).integers(len(checkpoints) - 1), len(checkpoints) - 1):
        assert fit(Checkpoint(found=in_a_file(checkpoints[n]))) == whole


@pytest.mark.parametrize("kind", ["restarts", "few rows", "metropolis", "random walk"])
def test_what_has_ended_is_not_trained_again(kind):
    fit = Fit(**KINDS[kind])
    _, checkpoints = noted(fit)
    n_all = len(checkpoints)
    for n in (0, n_all // 2, n_all - 1):
        rest = []
        fit(Checkpoint(rest.append, every=0, found=in_a_file(checkpoints[n])))
        assert len(rest) == n_all - n - 1


def test_a_restart_that_diverged_is_remembered():
    fit = Fit(n_init=3, optimizer=AdamW(learning_rate=1e30, clip_norm=None), init="random")
    whole = fit()
    assert isinstance(whole, str)
    _, checkpoints = noted(fit)
    assert "diverged" in checkpoints[-1].ended[-1][1]
    for each in checkpoints:
        assert fit(Checkpoint(found=in_a_file(each))) == whole


def test_an_interrupt_keeps_what_was_noted_last():
    kept, fit = [], Fit()

    def interrupt(progress):
        if progress.n_passes == 3:
            raise KeyboardInterrupt

    checkpoint, follower = Checkpoint(kept.append, every=1e9), Followed(interrupt)
    _, record = fit_model(MATRIX, None, fit.options, follower=follower, checkpoint=checkpoint)
    assert record.interrupted
    assert len(kept) == 1
    assert kept[0].running is not None
    assert fit(Checkpoint(found=in_a_file(kept[0]))) == fit()


def test_what_is_of_another_training_is_refused():
    _, checkpoints = noted(Fit())
    for changes in ({"architecture": MLP(hidden_layer_sizes=(9,))}, {"max_iter": 7}):
        with pytest.raises(ValueError, match=r"is not of|by another"):
            Fit(**changes)(Checkpoint(found=checkpoints[0]))


def test_without_a_place_to_keep_it_nothing_is_noted():
    fit = Fit()
    checkpoint = Checkpoint()
    assert fit(checkpoint) == fit()
    checkpoint.flush()
