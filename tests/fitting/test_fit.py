"""From rows to a fitted model: the split, the budget, where training begins, what is left."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae.devices import PRECISIONS
from skvae.fitting import fit as fitting
from skvae.fitting.beginning import initial_vae, new_vae
from skvae.fitting.budget import auto_batch_size, is_small, make_budget
from skvae.fitting.fit import fit_model, fit_prior
from skvae.fitting.judges import split
from skvae.fitting.rows import start_vae, training_rows, with_hidden_layers
from skvae.fitting.trial import compare
from skvae.limits import Limits
from skvae.model.networks import MLP, Conv, Linear
from skvae.model.posterior import Posterior
from skvae.model.priors import ExPost, Mixture, Normal, Vamp
from skvae.start.ppca import fit_linear
from skvae.start.tables import Matrix
from skvae.training.acceptance import Acceptance
from skvae.training.annealing import Langevin, Metropolis, RandomWalk
from skvae.training.evaluation import DivergenceError, Evaluator
from skvae.training.objective import Autoencoder, Denoising, Elbo, Iwae, Mmd, TotalCorrelation
from skvae.training.optimizers import SGD, AdamW
from skvae.training.schedules import Cyclical, LinearWarmUp, OneCycle
from tests import tables
from tests.samples import curve, fitted, gaussian, keep_everything, options, started

CPU = torch.device("cpu")


def rng():
    return np.random.RandomState(0)


@pytest.mark.parametrize("fraction", [None, 0.001, 0.3, 0.999])
@pytest.mark.parametrize("n_rows", [30, 31, 999, 5000])
def test_split_covers_the_rows_once(n_rows, fraction):
    held_out, training = split(n_rows, fraction, rng(), CPU)
    assert sorted([*held_out.tolist(), *training.tolist()]) == list(range(n_rows))
    assert len(held_out) >= 2
    assert len(training) >= 2


@pytest.mark.parametrize(
    ("n_rows", "n_held_out"), [(30, 6), (500, 100), (1500, 200), (5000, 500), (1_000_000, 20_000)]
)
def test_auto_split(n_rows, n_held_out):
    assert len(split(n_rows, None, rng(), CPU)[0]) == n_held_out


def test_split_takes_the_fraction():
    assert len(split(1000, 0.3, rng(), CPU)[0]) == 300


@pytest.mark.parametrize("n_rows", [20, 100, 3000, 100_000])
def test_budget_of_auto(n_rows):
    X = gaussian(100, 8)
    start = fit_linear(X, 2)
    chosen = options(latent_dim=2, batch_size=None, max_iter=None)
    budget = make_budget(n_rows, started(start, chosen, X), chosen)
    assert 1 <= budget.batch_size <= min(1024, n_rows)
    assert budget.max_passes >= 1
    # A wider network gets fewer steps, not more.
    wide = options(
        latent_dim=2,
        batch_size=None,
        max_iter=None,
        architecture=MLP(hidden_layer_sizes=(2048,) * 2),
    )
    assert make_budget(n_rows, started(start, wide, X), wide).max_passes <= budget.max_passes


def test_budget_as_chosen():
    X = gaussian(100, 8)
    start = fit_linear(X, 2)
    chosen = options(latent_dim=2, batch_size=17, max_iter=5, early_stopping=False)
    budget = make_budget(100, started(start, chosen, X), chosen)
    assert budget[:5] == (17, False, 5, False, 5)
    assert make_budget(10, started(start, chosen, X), chosen).batch_size == 10


@pytest.mark.parametrize(
    ("annealing", "max_iter", "of_training"),
    [
        (None, 9, 9),
        (Langevin(), 9, 9),
        (RandomWalk(), 9, 9),
        (Metropolis(), 9, 5),
        (Metropolis(), 1, 1),
        (Metropolis(n_proposals=1, n_steps=5), 40, 36),  # 20 steps, 5 of them a pass
        (Metropolis(), None, None),
    ],
)
def test_passes_are_shared_with_annealing(annealing, max_iter, of_training):
    X = gaussian(100, 8)
    chosen = options(latent_dim=2, batch_size=20, max_iter=max_iter, annealing=annealing)
    vae = started(fit_linear(X, 2), chosen, X)
    budget = make_budget(100, vae, chosen)
    if max_iter is None:  # annealing comes on top
        assert budget == make_budget(100, vae, replace(chosen, annealing=None))
        assert budget.total_passes == np.inf
    else:
        assert (budget.max_passes, budget.total_passes) == (of_training, max_iter)


@pytest.mark.parametrize(
    ("n_rows", "max_passes", "size"),
    [(1000, None, 128), (20_000, None, 512), (20_000, 8, 512), (20_000, 4, 256), (20_000, 1, 128)],
)
def test_few_passes_have_small_batches(n_rows, max_passes, size):
    assert auto_batch_size(n_rows, max_passes, Limits()) == size


def test_it_starts_at_pca():
    X = gaussian(100, 8)
    start = fit_linear(X, 2)
    chosen = options(latent_dim=2, precision="float64")
    vae, linear = started(start, chosen, X), start.module()
    x = training_rows(start, Matrix(X), None, chosen)
    for ours, theirs in zip(vae.encode(x)[:2], linear.encode(x)[:2], strict=True):
        assert torch.equal(ours, theirs)
    assert vae.encode(x).root is linear.encode(x).root is None
    assert torch.equal(vae.codes(x), linear.codes(x))
    assert torch.equal(vae.decode(vae.codes(x)), linear.decode(linear.codes(x)))


def test_a_random_start_knows_nothing_of_pca():
    X = gaussian(100, 8)
    start = fit_linear(X, 2)
    vae = started(start, options(latent_dim=2, init="random"), X)
    assert not vae.inference.encoder_path.any()
    assert not vae.observation.decoder_path.any()
    assert vae.decoder[-1].weight.any()
    assert vae.observation.shared_noise == 1


@pytest.mark.parametrize("precision", ["auto", *PRECISIONS])
def test_rows_have_the_trainings_its_own_precision(precision):
    X = gaussian(100, 8)
    chosen = options(precision=precision)
    rows = training_rows(fit_linear(X, 2), Matrix(X), np.full(100, 3.0), chosen)
    expected = torch.float64 if precision == "float64" else torch.float32
    assert {part.dtype for part in (rows.scores, rows.residual, rows.weight)} == {expected}
    assert_allclose(rows.weight, 1.0)


@pytest.fixture(scope="module", name="X")
def bent_rows():
    return curve(400, 5)


@pytest.fixture(scope="module")
def model(X):
    return fitted(X, max_iter=40)


def test_a_bent_line_is_learnt(X, model):
    assert model.kept == 1.0
    assert model.architecture is not None
    error = np.square(X - model.reconstruct(model.codes(X, False), False)).mean()
    pca = fitted(X, max_iter=0)
    assert error < 0.3 * np.square(X - pca.reconstruct(pca.codes(X, False), False)).mean()


@pytest.mark.parametrize(
    "changes",
    [{"max_iter": 0}, {"latent_dim": 5}, {"latent_dim": 9}],
    ids=["no passes", "nothing left to reconstruct", "above the rank"],
)
def test_nothing_is_trained_where_nothing_can_be_gained(X, changes):
    model, record = fit_model(Matrix(X), None, options(**changes))
    assert model.architecture is None
    assert (model.kept, model.start_weight) == (0.0, 1.0)
    # The closed form has seen all the rows: it is one pass, and its likelihood the loss.
    assert record.n_passes == len(record.losses) == 1
    assert record.losses[0].item() == pytest.approx(-model.start.mean_log_prob(X), rel=1e-6)
    assert record.bounds == []
    assert record.converged


@pytest.mark.parametrize("n_rows", [2, 5, 29])
def test_too_few_rows_stay_with_the_start(X, n_rows):
    assert fitted(X[:n_rows]).architecture is None


def test_a_model_is_numpy_and_plain_values(X, model):
    assert all(type(array) is np.ndarray for array in model.weights.values())
    assert all(type(array) is np.ndarray for array in model.use)
    assert {type(model.kept), type(model.start_weight)} == {float}
    assert sum(array.nbytes for array in model.weights.values()) < X.nbytes * 10


def test_a_model_is_repeatable(X, model):
    again, other = fitted(X, max_iter=40), fitted(X, max_iter=40, seed=1)
    assert_array_equal(again.codes(X, False), model.codes(X, False))
    assert_array_equal(again.log_prob(X), model.log_prob(X))
    assert not np.array_equal(other.codes(X, False), model.codes(X, False))


def test_fit_leaves_the_global_generators_alone(X):
    state, numpy_state = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    fitted(X, max_iter=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert str(np.random.get_state()) == numpy_state  # noqa: NPY002


def test_going_on_from_a_model_leaves_it_as_it_is(X, model):
    before = {name: array.copy() for name, array in model.weights.items()}
    further = fitted(X, previous=model, max_iter=10)
    assert all(np.array_equal(model.weights[name], before[name]) for name in before)
    assert further.log_prob(X).mean() > model.log_prob(X).mean() - 0.2


def test_row_weights_move_the_fit(X, model):
    is_heavy = X[:, 0] > np.median(X[:, 0])
    weighted = fitted(X, np.where(is_heavy, 10.0, 0.1), max_iter=40)

    def share(model):
        """Error of the heavy rows over that of the others."""
        error = np.square(X - model.reconstruct(model.codes(X, False), False)).sum(1)
        return error[is_heavy].mean() / error[~is_heavy].mean()

    assert share(weighted) < 0.5 * share(model)


# What goes together.

CONTRADICTIONS = [
    ({"objective": Autoencoder(), "beta": 2.0}, "beta"),
    ({"objective": Autoencoder(), "kl_schedule": LinearWarmUp()}, "kl_schedule"),
    ({"objective": Autoencoder(), "prior": Mixture()}, "prior=Mixture"),
    ({"objective": Autoencoder(), "prior": Vamp()}, "prior=Vamp"),
    ({"objective": Elbo(free_bits=0.1), "prior": Mixture()}, "prior=Mixture"),
    ({"objective": TotalCorrelation(), "prior": Vamp()}, "prior=Vamp"),
    ({"annealing": RandomWalk(), "kl_schedule": Cyclical()}, "kl_schedule"),
    ({"annealing": RandomWalk(), "objective": Iwae()}, "objective"),
    ({"annealing": RandomWalk(), "objective": Denoising()}, "objective"),
    ({"annealing": RandomWalk(), "objective": Elbo(free_bits=0.1)}, "objective"),
]


@pytest.mark.parametrize(("changes", "name"), CONTRADICTIONS, ids=str)
def test_choices_that_leave_another_nothing_to_do_are_refused(changes, name):
    with pytest.raises(ValueError, match=name) as caught:
        options(**changes).check()
    assert ": leave" in str(caught.value) or ": use" in str(caught.value)  # the remedy


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"objective": Iwae(n_draws=0)}, "n_draws"),
        ({"optimizer": SGD(momentum=2.0)}, "momentum"),
        ({"optimizer": AdamW(schedule=OneCycle(warm_up=0.0))}, "warm_up"),
        ({"kl_schedule": Cyclical(n_cycles=0)}, "n_cycles"),
        ({"prior": Mixture(n_components=0)}, "n_components"),
        ({"annealing": Metropolis(cooling=2.0)}, "cooling"),
    ],
    ids=str,
)
def test_every_part_is_asked_for_its_options(changes, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        options(**changes).check()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"objective": Autoencoder(), "prior": ExPost()},
        {"objective": Iwae(), "prior": Vamp(), "beta": 0.5, "kl_schedule": LinearWarmUp()},
        {"objective": Mmd(), "prior": Mixture()},
        {"objective": TotalCorrelation(), "prior": ExPost(), "annealing": Metropolis()},
        {"objective": Elbo(free_bits=0.1), "annealing": Langevin(), "n_init": 3},
        {"annealing": RandomWalk(), "objective": Autoencoder()},
        {"annealing": RandomWalk(), "prior": Mixture(), "beta": 2.0},
    ],
    ids=str,
)
def test_choices_that_go_together(changes):
    options(**changes).check()


# Restarts, priors, annealing.


def test_the_generator_of_a_fit_follows_seed_and_steps():
    def draw(seed, n_steps=0):
        generator = options(seed=seed).generator(n_steps)
        return torch.empty(3, dtype=torch.float32).normal_(generator=generator)

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))
    assert not torch.equal(draw(3), draw(3, n_steps=5))


def test_every_restart_begins_with_networks_and_a_prior_of_its_own(X):
    chosen, start = options(prior=Vamp(n_components=4)), fit_linear(X, 1)
    rows = training_rows(start, Matrix(X), None, chosen)
    one, again, other = (
        initial_vae(start, rows, chosen, number=number).state_dict() for number in (0, 0, 1)
    )
    for name in ("encoder.0.weight", "prior.pseudo_inputs"):
        assert torch.equal(one[name], again[name])
        assert not torch.equal(one[name], other[name])


@pytest.mark.parametrize("n_components", [4, 5])
def test_a_training_that_goes_on_has_its_prior_unless_another_is_asked_for(
    X, monkeypatch, n_components
):
    keep_everything(monkeypatch)
    model = fitted(X, max_iter=1, prior=Mixture(n_components=4))
    chosen = options(prior=Mixture(n_components=n_components))
    rows = training_rows(model.start, Matrix(X), None, chosen)
    vae = initial_vae(model.start, rows, chosen, previous=model)
    assert len(vae.prior.means) == n_components
    if n_components == 4:
        assert_array_equal(vae.prior.means.detach(), model.weights["prior.means"])


def test_restarts_are_numbered(X, monkeypatch):
    numbers = []

    def noted(*args, number, **kwargs):
        numbers.append(number)
        return initial_vae(*args, number=number, **kwargs)

    monkeypatch.setattr(fitting, "initial_vae", noted)
    fitted(X, n_init=3, max_iter=1)
    assert numbers == [0, 1, 2]


def test_codes_of_restarts_agree_by_the_nats_that_they_carry():
    codes = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_variance = torch.tensor([-8.0, 0.0], dtype=torch.float64).expand(200, 2)
    q = Posterior(codes * torch.tensor([1.0, 0.0]), log_variance)  # the second says nothing
    best = SimpleNamespace(encode=lambda rows: q, codes=lambda rows: codes)
    other = SimpleNamespace(codes=lambda rows: codes[:, :1])
    rows = SimpleNamespace(mean=lambda values: values.mean(0), weight=None)
    assert compare([best, other], best, rows) == pytest.approx([1.0, 1.0], abs=1e-6)


def test_a_prior_that_is_fitted_afterwards_knows_the_weights(X, monkeypatch):
    weights, fit = [], ExPost.fit

    def noted(self, codes, random_state, weight, posteriors):
        weights.append(weight)
        return fit(self, codes, random_state, weight, posteriors)

    monkeypatch.setattr(ExPost, "fit", noted)
    given = np.linspace(1.0, 2.0, len(X))
    assert fitted(X, given, prior=ExPost(n_components=2), max_iter=20).kept > 0
    share = given / given.mean()
    assert len(weights[0]) == 0.8 * len(X)
    assert np.isin(weights[0].astype(np.float32), share.astype(np.float32)).all()


def test_the_best_restart_is_kept(X):
    alone = fit_model(Matrix(X), None, options(init="random"))[1]
    model, record = fit_model(Matrix(X), None, options(n_init=3, init="random"))
    bounds, agreement = zip(*record.restarts, strict=True)
    assert len(bounds) == 3
    assert len(set(bounds)) == 3
    assert max(record.bounds[1:]) == max(bounds)
    assert bounds[0] == max(alone.bounds[1:])
    assert agreement[bounds.index(max(bounds))] == pytest.approx(1.0, abs=1e-4)
    assert all(0.0 <= share <= 1.0 + 1e-6 for share in agreement)
    assert model.kept > 0


def starts_of(X, latent_dim):
    """The linear start of rows, and the rows."""
    start = fit_linear(X, latent_dim)
    return start, training_rows(start, Matrix(X), None, options())


def test_restarts_begin_at_other_weights(X):
    start, seen = starts_of(X, 2)
    states = [
        initial_vae(start, seen, options(latent_dim=2, seed=seed), number=number)
        for seed, number in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    first, again, other, seeded = (vae.encoder[0].weight for vae in states)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, seeded)


def test_the_generator_of_a_fit_is_that_of_its_seed():
    draws = [
        torch.rand(3, generator=options(seed=seed).generator(n_steps)).tolist()
        for seed, n_steps in ((0, 0), (0, 0), (1, 0), (0, 1))
    ]
    assert draws[0] == draws[1]
    assert draws[0] not in draws[2:]


def test_codes_agree_by_the_nats_that_they_carry(X):
    """A restart that finds another second code, which says next to nothing, has found as much."""
    start, rows = starts_of(X, 2)
    best, other = (start.module().to(rows.scores) for _ in range(2))
    with torch.no_grad():
        best.inference.encoder_path[1] *= 1e-3
        best.inference.log_variance[1] = 0.0
        other.inference.encoder_path[1] = torch.randn(5, generator=torch.Generator().manual_seed(0))
        other.inference.encoder_path[1, 1] = 0.0
    kl = best.encode(rows).kl().mean(0)
    assert kl[1] < 1e-3 * kl[0]
    assert compare([best, other], best, rows) == pytest.approx([1.0, 1.0], abs=1e-2)
    swapped = compare([best, other], other, rows)
    assert swapped[0] < 0.9


def test_a_prior_is_fitted_to_codes_by_the_weights_of_their_rows(X):
    """Rows that weigh nothing to speak of leave no component behind."""
    far = np.r_[X, X + 30.0 * np.std(X)]
    is_heavy = np.arange(len(far)) < len(X)
    weight = np.where(is_heavy, 1.0, 1e-9)
    start = fit_linear(far, 1)
    chosen = options(prior=ExPost(n_components=2))
    vae = start.module().float()
    seen = []
    plain = ExPost.fit

    class Watched(ExPost):
        def fit(self, codes, *given):
            seen.append((codes, plain(self, codes, *given)))
            return seen[-1][1]

    chosen = replace(chosen, prior=Watched(n_components=2))
    rows = training_rows(start, Matrix(far), weight, chosen)
    everything = torch.arange(len(far))
    evaluator = Evaluator.of(
        rows, rows, start_vae(start, chosen), chosen.generator(), chosen.config
    )
    fit_prior(vae, rows, everything, evaluator, Acceptance(1.0, 0.01), chosen)
    ((codes, module),) = seen
    low, high = codes[is_heavy].min(), codes[is_heavy].max()
    weights = module.logits.softmax(0)
    means = module.means[weights > 1e-3]
    assert (means > low).all()
    assert (means < high).all()


def test_a_restart_that_diverges_costs_no_others(X, monkeypatch):
    trial, diverging = fitting.run_trial, [True, False, True]

    def sometimes(*args, **others):
        if diverging.pop():
            raise DivergenceError("the held-out bound became nan")
        return trial(*args, **others)

    monkeypatch.setattr(fitting, "run_trial", sometimes)
    assert len(fit_model(Matrix(X), None, options(n_init=3))[1].restarts) == 1
    diverging += [True, True]
    with pytest.raises(DivergenceError):
        fit_model(Matrix(X), None, options(n_init=2))


def test_one_training_is_one_restart(X):
    record = fit_model(Matrix(X), None, options())[1]
    ((bound, agreement),) = record.restarts
    assert bound == max(record.bounds[1:])
    assert agreement == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("component", [Metropolis(n_proposals=3, n_steps=20), Langevin()])
def test_annealing_goes_with_the_training(X, component):
    model, record = fit_model(Matrix(X), None, options(annealing=component))
    assert model.kept > 0
    found = [row.get("temperature", np.nan) for row in record.history]
    assert np.isfinite(found).any()
    assert len(record.losses) == record.n_passes


def test_a_random_walk_goes_without_it(X):
    tiny = MLP(hidden_layer_sizes=(4,))
    component = RandomWalk(n_proposals=80)
    record = fit_model(Matrix(X), None, options(annealing=component, architecture=tiny))[1]
    assert record.n_passes == len(record.losses) == 30
    assert 20 <= len(record.bounds) <= 41


@pytest.mark.parametrize("prior", [Mixture(n_components=3), Vamp(n_components=5)], ids=str)
def test_a_trained_prior_is_part_of_the_model(X, prior):
    model = fitted(X, prior=prior)
    assert model.prior is prior
    assert any(name.startswith("prior.") for name in model.weights)
    drawn = model.sample(200, rng(), np.float64)
    assert np.isfinite(drawn).all()
    assert np.isfinite(model.log_prob(X)).all()


def test_a_prior_that_is_fitted_afterwards_leaves_the_codes_alone(X, model):
    """Codes that follow the normal prior as it is have no use for another: nothing changes."""
    after = fitted(X, max_iter=40, prior=ExPost(n_components=5))
    assert_array_equal(after.codes(X, False), model.codes(X, False))
    assert isinstance(after.prior, Normal)
    assert_array_equal(after.log_prob(X), model.log_prob(X))


def test_an_autoencoder_gets_a_density_afterwards(X):
    model = fitted(X, objective=Autoencoder(), prior=ExPost(n_components=5), max_iter=40)
    assert model.kept > 0
    assert model.prior is not None
    error = np.square(X - model.reconstruct(model.codes(X, False), False)).mean()
    pca = fitted(X, max_iter=0)
    assert error < 0.3 * np.square(X - pca.reconstruct(pca.codes(X, False), False)).mean()
    assert model.log_prob(X).mean() > pca.log_prob(X).mean()


@pytest.mark.parametrize(
    ("shape", "latent_dim", "sizes"),
    [
        ((300, 5), 2, (64, 64)),
        ((300, 20), 2, (256, 256)),
        ((4000, 20), 2, (256, 256, 256)),
        ((4000, 40), 32, (256, 256)),
        ((300, 200), 2, (256, 256, 512)),
        ((300, 200), 32, (512, 512)),
    ],
)
def test_hidden_layers_follow_rows_scores_and_codes(shape, latent_dim, sizes):
    start = fit_linear(np.random.default_rng(0).normal(size=shape), latent_dim)
    chosen = with_hidden_layers(options(architecture=MLP()), start, shape[0])
    assert chosen.architecture.hidden_layer_sizes == sizes


def test_hidden_layers_of_tables():
    start = tables.started(gaussian(50, 4), "gaussian_diag")
    chosen = with_hidden_layers(options(architecture=MLP()), start, 100)
    assert chosen.architecture.hidden_layer_sizes == (256, 256)


@pytest.mark.parametrize("architecture", [MLP(hidden_layer_sizes=(7,)), Linear()])
def test_layers_that_were_chosen_stay(architecture):
    chosen = options(architecture=architecture)
    start = fit_linear(np.random.default_rng(0).normal(size=(300, 5)), 2)
    assert with_hidden_layers(chosen, start, 300).architecture is architecture


def test_what_training_left_is_for_the_same_networks_alone():
    X = gaussian(100, 8)
    start = fit_linear(X, 2)
    same = options(latent_dim=2, architecture=MLP(hidden_layer_sizes=(8,)), max_iter=5)
    others = options(latent_dim=2, architecture=MLP(hidden_layer_sizes=(8, 8)), max_iter=5)
    record = fit_model(Matrix(X), None, same)[1]
    assert record.left is not None
    seen = training_rows(start, Matrix(X), None, same)
    again = initial_vae(start, seen, same, left=record.left)
    for name, value in again.state_dict().items():
        assert_array_equal(value, record.left[name])
    fresh = initial_vae(start, seen, others)
    unfit = initial_vae(start, seen, others, left=record.left)
    for name, value in unfit.state_dict().items():
        assert_array_equal(value, fresh.state_dict()[name])


def test_networks_that_see_columns_see_a_finer_tail():
    X = gaussian(400, 196) + np.random.default_rng(0).normal(size=(400, 196))
    of_scores = options(max_iter=1)
    of_columns = options(max_iter=1, architecture=Conv(channels=(2,)))
    few = fit_model(Matrix(X), None, of_scores)[0].start.n_directions
    assert fit_model(Matrix(X), None, of_columns)[0].start.n_directions > few


@pytest.mark.parametrize("sizes", [(64, 64), (256, 256)])
def test_small_networks_of_a_matrix_have_a_higher_rate_and_more_patience(sizes):
    X, chosen = gaussian(100, 8), options(architecture=MLP(hidden_layer_sizes=sizes))
    budget = make_budget(1000, started(fit_linear(X, 2), chosen, X), chosen)
    expected = (Limits().learning_rate, Limits().patience)
    if sizes == (64, 64):
        expected = (Limits().small_rate, Limits().small_patience)
    assert (budget.auto_rate, budget.patience) == expected


def test_networks_of_a_table_are_never_small():
    chosen = options(latent_dim=2, architecture=MLP(hidden_layer_sizes=(8,)))
    vae = new_vae(tables.started(gaussian(50, 4), "gaussian_diag"), chosen, 0).double()
    assert not is_small(vae, Limits())
