"""What is around a call changes nothing: settings of torch and numpy, other threads, failures."""

import random
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.pipeline import make_pipeline
from torch import nn

from skvae import MLP, CollapseWarning, Conv, VAETransformer, Vamp
from skvae.ambient import asking, learning, undisturbed
from skvae.training.annealing import Langevin, Metropolis, RandomWalk
from tests.samples import OneSplit, curve, fit_quietly

TINY = MLP(hidden_layer_sizes=(8,), dropout=0.1)
X = curve(120, 5)
GAPS = np.where(np.arange(X.size).reshape(X.shape) % 11 == 0, np.nan, X)
FRAME = pd.DataFrame(X[:, :3], columns=list("abc")).assign(
    k=np.where(X[:, 3] > 0, "x", "y"), n=np.arange(120) % 5
)


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def everything():
    """All settings of a thread and process at once."""
    numpys, torchs = np.errstate(all="raise"), torch.autocast("cpu", torch.bfloat16)
    inference = torch.inference_mode()
    with default_dtype(torch.float64), default_device("meta"), numpys, torchs, inference:
        yield


SETTINGS = {
    "float64 by default": lambda: default_dtype(torch.float64),
    "bfloat16 by default": lambda: default_dtype(torch.bfloat16),
    "meta device by default": lambda: default_device("meta"),
    "meta device around": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "deterministic algorithms": deterministic,
    "numpy raises": lambda: np.errstate(all="raise"),
    "everything": everything,
}


# Of all models all settings take too long.
MOST = ("float64 by default", "bfloat16 by default", "everything")


def own_module(n_in, n_out):
    """A module that leaves dtype and device to torch, in its weights and when it is called."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.rand(n_in) - torch.full((n_in,), 0.5))
            self.last = nn.Linear(n_in, n_out)

        def forward(self, x):
            return self.last(torch.tanh(x + self.shift * torch.ones(1).to(x)))

    return Own()


MODELS = {
    "numbers": (X, {}),
    "single precision": (X.astype(np.float32), {}),
    "bfloat16": (X, {"precision": "bfloat16", "architecture": MLP(hidden_layer_sizes=(8,))}),
    "gaps": (GAPS, {}),
    "frame": (FRAME, {}),
    "trained prior": (X, {"prior": Vamp(n_components=3)}),
    "prior afterwards": (X, {"prior": "ex_post"}),
    "autoencoder": (X, {"objective": "autoencoder"}),
    "restarts": (X, {"n_init": 2, "init": "random"}),
    "images": (X[:, :4], {"architecture": Conv(channels=(2,), normalization="batch")}),
    "module of one's own": (X, {"architecture": own_module}),
    "metropolis": (X, {"annealing": Metropolis(n_proposals=2, n_steps=2)}),
    "random walk": (X, {"annealing": RandomWalk(n_proposals=4)}),
}

METHODS = {
    "transform": lambda vae, rows: vae.transform(rows),
    "inverse_transform": lambda vae, rows: vae.inverse_transform(np.eye(2)),
    "encode": lambda vae, rows: vae.encode(rows),
    "decode": lambda vae, rows: vae.decode(np.eye(2)),
    "sample": lambda vae, rows: vae.sample(5, random_state=0),
    "impute": lambda vae, rows: vae.impute(holed(rows)),
    "impute, drawn": lambda vae, rows: vae.impute(holed(rows), 2, random_state=0),
    "score_samples": lambda vae, rows: vae.score_samples(rows),
    "score, gaps": lambda vae, rows: vae.score(holed(rows)),
    "loadings": lambda vae, rows: vae.loadings(),
    "loadings of rows": lambda vae, rows: vae.loadings(rows),
    "diagnostics": lambda vae, rows: vae.diagnostics(rows),
}


def holed(rows):
    """Rows with a gap in the first column."""
    rows = rows.copy()
    if isinstance(rows, pd.DataFrame):
        rows.iloc[::3, 0] = np.nan
    else:
        rows[::3, 0] = np.nan
    return rows


def quick(name):
    rows, changes = MODELS[name]
    options = {"architecture": TINY, "max_iter": 2, "random_state": 0} | changes
    # Of few rows some judge by several splits, which takes long.
    kind = VAETransformer if name in ("numbers", "frame") else OneSplit
    return fit_quietly(kind(2, **options), rows)


@pytest.fixture(scope="module")
def fits():
    return {name: quick(name) for name in MODELS}


def same(a, b):
    """Whether answers, or all that objects hold, are the same to the bit."""
    if isinstance(a, pd.DataFrame):
        return a.equals(b) and list(a.dtypes) == list(b.dtypes)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return type(a) is type(b) and (a == b or a != a)


def learned(vae):
    """What a fit leaves, but for the time that it took."""
    found = {k: v for k, v in vars(vae).items() if k.endswith("_") and k != "prior_"}
    found["history_"] = {k: v for k, v in vae.history_.items() if k != "seconds"}
    return found | {"weights": vae._model.weights, "start_weight": vae._model.start_weight}


def pairs():
    """Names of models and settings: all of one, most of another, and all at once of the rest."""
    quick = {"numbers": SETTINGS, "frame": MOST}
    for name in MODELS:
        for setting in SETTINGS if name == "numbers" else MOST:
            is_spare = setting not in quick.get(name, ("everything",))
            yield pytest.param(name, setting, marks=pytest.mark.slow if is_spare else ())


@pytest.mark.parametrize(("name", "setting"), [*pairs()])
def test_settings_around_fit_change_nothing(fits, name, setting):
    with SETTINGS[setting]():
        found = learned(quick(name))
    expected = learned(fits[name])
    assert [k for k in expected if not same(found[k], expected[k])] == []


@pytest.fixture(scope="module")
def answers(fits):
    """What models answer without settings around."""
    return {
        name: {method: ask(fits[name], MODELS[name][0][:20]) for method, ask in METHODS.items()}
        for name in ("numbers", "single precision", "gaps", "frame", "trained prior")
    }


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", METHODS)
def test_settings_around_a_question_change_no_answer(fits, answers, method, setting):
    for name in answers if setting in MOST else ("numbers",):
        with SETTINGS[setting]():
            found = METHODS[method](fits[name], MODELS[name][0][:20])
        assert same(found, answers[name][method]), name


@pytest.mark.parametrize("setting", MOST)
def test_settings_around_partial_fit_change_nothing(setting):
    def stream():
        vae = VAETransformer(2, architecture=TINY, random_state=0)
        for part in np.split(X, 3):
            vae.partial_fit(part)
        return learned(vae)

    expected = stream()
    with SETTINGS[setting]():
        found = stream()
    assert [k for k in expected if not same(found[k], expected[k])] == []


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_come_back(setting):
    def settings():
        return (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_autocast_enabled("cpu"),
            torch.is_inference_mode_enabled(),
            torch.is_grad_enabled(),
            np.geterr(),
        )

    with SETTINGS[setting]():
        before = settings()
        with undisturbed():
            assert torch.ones(1, requires_grad=True).mul(0.1).requires_grad
            assert (torch.eye(1) @ torch.tensor([[0.5]])).dtype == torch.float32
            assert torch.arange(2).dtype == torch.int64
            assert torch.tensor([0.5]).item() == 0.5
            assert np.geterr() == {
                "divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"
            }  # fmt: skip
        assert settings() == before
        with pytest.raises(ZeroDivisionError), undisturbed():
            raise ZeroDivisionError
        assert settings() == before


@contextmanager
def busy():
    """Another thread that draws from every global generator, all the time."""
    stop, is_drawing = threading.Event(), threading.Event()

    def draw():
        while not stop.is_set():
            torch.rand(3), np.random.standard_normal(3), random.random()  # noqa: NPY002
            is_drawing.set()

    thread = threading.Thread(target=draw)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        assert is_drawing.wait(10)
        yield
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("name", MODELS)
def test_threads_that_draw_change_no_fit(fits, name):
    with busy():
        found = learned(quick(name))
    expected = learned(fits[name])
    assert [k for k in expected if not same(found[k], expected[k])] == []


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_and_its_questions_move_no_global_stream(name):
    def streams():
        return torch.get_rng_state().numpy(), np.random.get_state()[1:3], random.getstate()  # noqa: NPY002

    before = streams()
    vae, rows = quick(name), MODELS[name][0][:20]
    for ask in METHODS.values():
        if name in ("numbers", "frame"):
            ask(vae, rows)
    assert same(streams(), before)


@pytest.mark.parametrize(
    "annealing", [None, Langevin(), Metropolis(n_proposals=1, n_steps=1), RandomWalk(n_proposals=4)]
)
def test_other_seeds_give_other_fits(annealing):
    changes = {"architecture": TINY, "max_iter": 6, "annealing": annealing, "init": "random"}
    fits = [fit_quietly(VAETransformer(2, random_state=seed, **changes), X) for seed in (0, 0, 1)]
    bounds = [vae.validation_scores_ for vae in fits]
    assert bounds[0] == bounds[1]
    assert not set(bounds[0][1:]) & set(bounds[2][1:])


# One state at a time.


class Slow:
    """An object whose methods let a test look into them."""

    def __init__(self):
        self.value = self.other = 0

    @learning
    def set(self, value, meanwhile):
        """Learn a value."""
        self.value = value
        meanwhile()
        self.other = value
        return self

    @asking
    def ask(self, meanwhile):
        first = self.value
        meanwhile()
        return first, self.other


def test_what_is_learned_appears_at_once():
    slow, seen = Slow(), []
    assert slow.set(1, lambda: seen.append(slow.ask(lambda: None))) is slow
    assert seen == [(0, 0)]
    assert slow.ask(lambda: None) == (1, 1)
    assert slow.ask(lambda: slow.set(2, lambda: None)) == (1, 1)
    assert slow.ask(lambda: None) == (2, 2)
    assert slow.set.__doc__ == "Learn a value."


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_fails_leaves_no_trace(error):
    def fail():
        raise error

    slow = Slow()
    with pytest.raises(error):
        slow.set(1, fail)
    assert slow.ask(lambda: None) == (0, 0)


def test_readers_see_the_old_model_until_a_fit_ends():
    vae, other = VAETransformer(2, max_iter=0), curve(90, 4)
    vae.fit(X)
    answers, errors, stop, has_read = [], [], threading.Event(), threading.Event()

    def read():
        while not stop.is_set():
            rows = X[:5] if vae.n_features_in_ == 5 else other[:5]
            try:
                answers.append((vae.transform(rows), vae.score_samples(rows)))
            except ValueError as error:  # the other model came after the question which it is
                if "features" not in str(error):
                    errors.append(error)
            except Exception as error:
                errors.append(error)
            has_read.set()

    expected = [
        (fit.transform(rows[:5]), fit.score_samples(rows[:5]))
        for rows in (X, other)
        for fit in [VAETransformer(2, max_iter=0).fit(rows)]
    ]
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for rows in (other, X) * 5:
            has_read.clear()
            assert has_read.wait(10)
            vae.fit(rows)
    finally:
        stop.set()
        reader.join()
    assert errors == []
    for codes, scores in answers:
        # The two questions may be asked of different models, each is answered by one.
        assert any(same(codes, answer[0]) for answer in expected)
        assert any(same(scores, answer[1]) for answer in expected)


@pytest.mark.parametrize("step", ["_validate", "_options"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_anywhere_in_fit_leaves_the_estimator_as_it_was(monkeypatch, step, error):
    fresh, fitted = (VAETransformer(2, max_iter=0, random_state=0) for _ in range(2))
    fitted.fit(X)
    before = learned(fitted)
    plain = getattr(VAETransformer, step)

    def fail(*args, **kwargs):
        plain(*args, **kwargs)
        raise error

    monkeypatch.setattr(VAETransformer, step, fail)
    for vae in (fresh, fitted):
        for method in (vae.fit, vae.partial_fit):
            with pytest.raises(error):
                method(curve(90, 5, seed=1))
    assert vars(fresh).keys() == VAETransformer().get_params().keys()
    assert same(learned(fitted), before)


def test_warnings_point_at_the_line_that_fits():
    with pytest.warns(UserWarning, match="above the rank") as seen:
        VAETransformer(4, max_iter=0).fit(np.c_[X[:, :2], X[:, :2], X[:, :2]])
    assert [w.filename for w in seen if not isinstance(w.message, CollapseWarning)] == [__file__]


@pytest.mark.parametrize("method", ["fit", "partial_fit", "transform", "score_samples", "impute"])
def test_warnings_point_at_the_line_that_asks(method):
    frame = pd.DataFrame({"x": np.arange(60.0), "who": [f"person {n}" for n in range(60)]})
    vae = VAETransformer(1, max_iter=0)
    if method not in ("fit", "partial_fit"):
        vae.fit(frame.assign(who=["a", "b"] * 30))
    with pytest.warns(UserWarning, match=r"'who'") as seen:
        getattr(vae, method)(frame)
    assert {each.filename for each in seen if "'who'" in str(each.message)} == {__file__}


def test_warnings_point_at_the_line_that_asks_a_pipeline():
    frame = pd.DataFrame({"x": np.arange(60.0), "who": [f"person {n}" for n in range(60)]})
    with pytest.warns(UserWarning, match=r"'who'") as seen:
        make_pipeline(VAETransformer(1, max_iter=0)).fit_transform(frame)
    assert {each.filename for each in seen} == {__file__}
