"""Learning from rows that come batch by batch: the start, what is kept, what is carried along."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import IncrementalPCA

from skvae import VAETransformer
from skvae.fitting.fit import arrays, fit_model
from skvae.fitting.online import Networks, _resume, check_online, fit_online
from skvae.fitting.options import Options
from skvae.limits import Limits
from skvae.model.networks import MLP
from skvae.model.priors import ExPost, Vamp
from skvae.start.ppca import fit_linear
from skvae.start.tables import Matrix
from skvae.training.annealing import Langevin
from skvae.training.optimizers import Adam, AdamW
from skvae.training.schedules import Constant, LinearWarmUp
from tests import tables
from tests.samples import N_ROWS, SMALL, Setting, curve, fitted, gaussian, options, projected


@pytest.fixture(scope="module", name="X")
def bent_rows():
    return curve(400, 5)


@pytest.fixture(scope="module")
def learnt():
    """What a stream of a bent line leaves."""
    state, looks = None, []
    for part in np.array_split(curve(1600, 5, seed=3), 8):
        model, record, online = learn(part, options(), state)
        state = (model, online)
        looks += record.bounds
    return (*state, looks)


def learn(X, chosen, state=None, n_before=0):
    """Model, record and state after a batch; the state before is a model with what it left."""
    model, online = state or (None, None)
    return fit_online(Matrix(X), None, chosen, model, online, n_before)


def streamed(X, batches, chosen):
    """Model and state after batches, given by the rows at which they begin."""
    state = None
    for part in np.split(X, batches):
        model, _, online = learn(part, chosen, state)
        state = (model, online)
    return state


def error(model, X):
    return np.square(X - model.reconstruct(model.codes(X, False), False)).mean()


# The linear start


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("batches", [[], [1], [2, 3, 50], [350, 399]], ids=str)
def test_the_start_is_that_of_all_rows(X, batches, offset):
    X = X[X[:, 0].argsort()] + offset
    chosen = options(latent_dim=2, max_iter=0)
    model, _ = streamed(X, batches, chosen)
    whole = fitted(X, latent_dim=2, max_iter=0)
    spread = 1e-8 * X.std()
    assert_allclose(model.codes(X, False), whole.codes(X, False), atol=spread)
    assert_allclose(model.log_prob(X), whole.log_prob(X), atol=1e-7)
    assert model.architecture is None
    assert_allclose(
        model.use.explained_variance_ratio, whole.use.explained_variance_ratio, rtol=1e-9
    )


def test_without_passes_nothing_is_trained(X):
    model, online = streamed(X, [200], options(max_iter=0))
    assert model.kept == 0.0
    assert online.networks is None


def test_a_first_batch_of_low_rank_ends_nothing():
    """Two rows have one direction; the others come later."""
    X = gaussian(300, 5)
    model, _ = streamed(X, [2, 3, 4], options(latent_dim=3, max_iter=0))
    assert model.start.latent_dim == 3
    first, _ = streamed(X[:2], [], options(latent_dim=3))
    assert first.start.latent_dim == 1
    assert first.latent_dim == 3


def test_nothing_to_gain(X):
    model, record, online = learn(X, options(latent_dim=5))
    assert model.architecture is None
    assert online.networks is None
    assert record.n_passes == 1


# The networks


def test_batches_come_to_beat_the_start(learnt):
    model, _, looks = learnt
    assert model.kept == 1.0
    fresh = curve(500, 5, seed=99)
    assert model.log_prob(fresh).mean() > fitted(fresh, max_iter=0).log_prob(fresh).mean() + 1
    assert looks[-1] > looks[0] + 1


def test_what_was_learnt_before_is_left_as_it_was(learnt):
    model, online, _ = learnt
    before = pickle.dumps((model.weights, online.networks.weights, online.sample.values))
    learn(curve(200, 5, seed=5), options(), (model, online))
    assert pickle.dumps((model.weights, online.networks.weights, online.sample.values)) == before


def test_networks_go_along_with_a_start_that_moves(learnt):
    """Rows far away turn and stretch the start; on the others the model stays what it was."""
    model, online, _ = learnt
    X = curve(300, 5, seed=7)
    far = np.full((1, 5), 30.0)
    moved, _, _ = learn(far, options(), (model, online))
    assert moved.start.scale > 1.1 * model.start.scale
    assert moved.kept == model.kept == 1.0
    assert_allclose(moved.reconstruct(moved.codes(X, False), False),
                    model.reconstruct(model.codes(X, False), False), atol=0.1)  # fmt: skip
    assert error(moved, X) < 1.2 * error(model, X) < 0.5 * error(fitted(X, max_iter=0), X)


def test_few_rows_change_the_start_alone(learnt):
    model, online, _ = learnt
    after, record, state = learn(curve(1, 5), options(), (model, online))
    assert record.losses == record.bounds == []
    assert state.networks is online.networks
    assert after.start.n_rows == model.start.n_rows + 1
    assert after.kept == model.kept


def test_a_model_that_the_start_beats_clearly_begins_anew(learnt):
    model, online, _ = learnt
    networks = online.networks
    corrupted = {
        name: w + 3 if name.startswith("decoder.") else w for name, w in networks.averaged.items()
    }
    wrong = replace(online, networks=replace(networks, weights=corrupted, averaged=corrupted))
    _, _, after = learn(curve(300, 5), options(), (model, wrong))
    assert after.networks.step < networks.step


def test_it_goes_on_from_a_fit(X):
    model = fitted(X, max_iter=40)
    assert model.kept == 1.0
    after, _, _ = learn(X[:1], options(), (model, None), len(X))
    assert after.kept == 1.0
    assert after.start.n_rows == len(X) + 1
    assert error(after, X) < 1.2 * error(model, X)
    assert_allclose(after.start.mean, np.concatenate([X, X[:1]]).mean(0), atol=1e-9)


def test_after_a_fit_that_stayed_linear_too():
    X = gaussian(300, 5)
    model = fitted(X, latent_dim=3, max_iter=0)
    after, _, _ = learn(X[:7] + 1, options(latent_dim=3, max_iter=0), (model, None), 300)
    assert_allclose(
        after.start.variances, fit_linear(np.concatenate([X, X[:7] + 1]), 3).variances, rtol=1e-8
    )


def test_batches_of_many_rows_are_seen_whole(X):
    _, record, _ = learn(X, options(limits=Limits(pass_rows=len(X) // 4)))
    assert len(record.losses) == 4


def test_networks_that_see_scores_see_a_coarser_tail():
    X = gaussian(400, 196) + np.random.default_rng(0).normal(size=(400, 196))
    chosen = options(max_iter=1)
    few = fit_model(Matrix(X), None, chosen)[0].start.n_directions
    assert learn(X, chosen)[0].start.n_directions == few < fit_linear(X, 1).n_directions


def test_what_is_kept_is_bounded(learnt):
    _, online, _ = learnt
    more = learn(np.repeat(curve(1000, 5), 9, 0), options(max_iter=0))[2]
    assert len(more.sample.values) == 4096
    assert more.sample.n_rows == more.n_rows == 9000
    assert online.stream.moments.root.shape == (5, 5)


def test_every_batch_has_noise_of_its_own(X, monkeypatch):
    begun, plain = [], Options.generator

    def noted(chosen, n_rows):
        begun.append(n_rows)
        return plain(chosen, n_rows)

    monkeypatch.setattr(Options, "generator", noted)
    streamed(X, [200], options())
    assert begun == [200, 400]


# Going on where training stood


@pytest.fixture(scope="module")
def stood():
    """Networks after a few steps, and the start whose scores they see."""
    setting = Setting(max_iter=3)
    setting.train()
    start = fit_linear(curve(N_ROWS + 100, 5), 1)
    networks = Networks.of(setting.state, start)
    averaged = {name: np.float32(1.25) * w for name, w in networks.averaged.items()}
    return replace(networks, averaged=averaged), start


def resumed(networks, start, **changes):
    state = Setting(seed=1, **changes).state
    assert _resume(state, networks, start)
    return state


def test_networks_go_on_with_all_that_they_were(stood):
    networks, start = stood
    state = resumed(networks, start)
    for vae, kept in ((state.vae, networks.weights), (state.averaged, networks.averaged)):
        for name, array in arrays(vae).items():
            assert_array_equal(array, kept[name])
    for moment, array in zip(state.weights.moments, networks.moments, strict=True):
        assert_array_equal(moment.numpy(), array)
        assert array.any()
    assert state.step == networks.step > 0
    assert {part.step.item() for part in state.weights.parts} == {networks.step}


def test_another_optimizer_begins_with_a_memory_of_its_own(stood):
    networks, start = stood
    state = resumed(networks, start, optimizer=Adam())
    assert [m.shape for m in state.weights.moments] == [m.shape for m in networks.moments]
    assert not any(moment.any() for moment in state.weights.moments)
    assert state.step == 0
    path = "inference.encoder_path"
    assert_array_equal(state.vae.state_dict()[path], networks.weights[path])


def test_networks_go_on_in_the_coordinates_of_another_start(stood):
    networks, start = stood
    k = start.n_directions
    scores = np.random.default_rng(0).normal(size=(300, k)) * (1.0 + np.arange(k)) + 5.0
    X = start.restore(scores)  # nothing outside of the directions
    other = fit_linear(X, 1)
    assert other.n_directions == k
    state, same = resumed(networks, other), resumed(networks, start)
    for averaged in (False, True):
        rebuilt = []
        for each, coordinates in ((state, other), (same, start)):
            vae = (each.averaged if averaged else each.vae).eval().double()
            vae.inference.clip_limit.fill_(1e9)  # where clipping differs between directions
            rows = projected(coordinates, X)
            rebuilt.append(coordinates.restore(vae.decode(vae.codes(rows)).numpy(force=True)))
        assert_allclose(*rebuilt, atol=1e-4)


def test_the_start_of_a_table_stays_unless_another_is_clearly_likelier():
    X = gaussian(200, 4)
    same, wide = (tables.table(rows, "gaussian_diag") for rows in (X, 5.0 * X))
    chosen = options(max_iter=0)
    model, _, online = fit_online(same, None, chosen, None, None, 0)
    as_before, _, after = fit_online(same, None, chosen, model, online, 0)
    assert as_before.start is model.start
    assert (online.stream.n_started, after.stream.n_started) == (200, 400)
    wider, _, _ = fit_online(wide, None, chosen, model, online, 0)
    assert wider.start is not model.start
    everything = np.concatenate([X, 5.0 * X])
    assert wider.log_prob(everything).mean() > model.log_prob(everything).mean() + 0.04


# Streams, judged by IncrementalPCA

QUICK = {"architecture": SMALL, "batch_size": 32, "random_state": 0}


def clipped(n):
    rng = np.random.default_rng(1)
    t = rng.uniform(-3, 3, n)
    X = np.stack([t, 2 * np.sin(2 * t), 2 * np.cos(2 * t), t**2 / 3, np.abs(t), np.sin(t)], 1)
    return X + 0.05 * rng.standard_normal(X.shape)


def flat(n):
    rng = np.random.default_rng(2)
    return 3 * rng.standard_normal((n, 2)) @ rng.standard_normal(
        (2, 8)
    ) + 0.5 * rng.standard_normal((n, 8))


def levels(n):
    rng = np.random.default_rng(3)
    return np.repeat(20 * rng.standard_normal((20, 8)), n // 20, 0) + 0.5 * rng.standard_normal(
        (n, 8)
    )


def drifting(n):
    return clipped(n) + np.linspace(0, 20, n)[:, None] * [1, -0.5, 0.3, 0, 0.2, 0.1]


def by_column(X):
    return X[X[:, 0].argsort()]


STREAMS = {
    "shuffled": clipped(1000),
    "by level": levels(1000),
    "by a column": by_column(clipped(1000)),
    "by a column, flat": by_column(flat(600)),
    "drift": drifting(1000),
}


def mean_squared_error(estimator, X):
    return np.square(X - estimator.inverse_transform(estimator.transform(X))).mean()


@pytest.mark.parametrize("name", STREAMS)
def test_no_stream_ends_worse_than_incremental_pca(name):
    X = STREAMS[name]
    vae, pca = VAETransformer(2, **QUICK), IncrementalPCA(2)
    for n, part in enumerate(np.array_split(X, 10)):
        vae.partial_fit(part)
        pca.partial_fit(part)
        if n % 3 == 0:
            seen = X[: vae.n_samples_]
            assert mean_squared_error(vae, seen) <= 1.01 * mean_squared_error(pca, seen)
    bar = 0.8 if name == "shuffled" else 1.001
    assert mean_squared_error(vae, X) < bar * mean_squared_error(pca, X)


@pytest.mark.parametrize("first", [1, 2, 7, 8, 50])
def test_a_tiny_first_batch_ends_as_well(first):
    X = flat(500)
    vae, pca = VAETransformer(2, **QUICK), IncrementalPCA(2)
    for part in [X[:first], *np.array_split(X[first:], 4)]:
        vae.partial_fit(part)
    for part in np.array_split(X, 5):
        pca.partial_fit(part)
    assert mean_squared_error(vae, X) <= 1.001 * mean_squared_error(pca, X)


def test_rows_one_by_one():
    X = flat(80)
    vae = VAETransformer(2, **QUICK)
    for row in X:
        vae.partial_fit(row[None])
    assert vae.n_samples_ == 80
    assert mean_squared_error(vae, X) <= 1.001 * mean_squared_error(IncrementalPCA(2).fit(X), X)


def test_networks_of_any_kind(X):
    bodies = [
        MLP(hidden_layer_sizes=(8,), normalization="batch"),
        MLP(hidden_layer_sizes=(5, 5), residual=True),
        MLP(hidden_layer_sizes=(8,), dropout=0.1),
    ]
    for body in bodies:
        model, online = streamed(X, [150, 160, 300], options(architecture=body))
        assert online.networks.step > 0
        assert np.isfinite(model.log_prob(X)).all()


def test_the_same_stream_gives_the_same_model(X):
    (first, _), (second, _) = (streamed(X, [150, 300], options()) for _ in range(2))
    for name, array in first.weights.items():
        assert_array_equal(array, second.weights[name])


# What needs all rows at once


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"kl_schedule": LinearWarmUp()}, "a schedule with a fixed course"),
        ({"optimizer": AdamW(schedule="one_cycle")}, "a schedule with a fixed course"),
        ({"annealing": Langevin()}, "annealing"),
        ({"n_init": 2}, "n_init above 1"),
        ({"prior": ExPost()}, "prior=ExPost"),
    ],
    ids=str,
)
def test_rows_that_are_seen_once_do_not_allow_everything(changes, what):
    parts = {
        "kl_schedule": Constant(),
        "optimizer": AdamW(schedule="plateau"),
        "annealing": None,
        "n_init": 1,
        "prior": Vamp(),
    }
    check_online(**parts)
    with pytest.raises(AttributeError, match=rf"partial_fit sees each row once.*{what}.*use fit"):
        check_online(**parts | changes)
