"""Callbacks of scikit-learn: what they see of a fit, how they end it, and that they leave it be."""

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skvae
from skvae import MLP, Metropolis, RandomWalk, VAETransformer
from skvae.training.progress import LAST_PASSES, SPLIT, TRAINING
from tests.samples import OneSplit, curve, gaussian

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")

X = curve(300)
SMALL = {"architecture": MLP(hidden_layer_sizes=(8,)), "random_state": 0, "latent_dim": 1}


class Noting:
    """Notes what it sees; ends the fit where a function of the estimator and the task says so."""

    def __init__(self, ends=lambda estimator, context: False):
        self.ends, self.calls, self.progress, self.fitted = ends, [], [], []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.calls.append(("end", context.task_name))
        if context.task_name == "pass":
            self.progress.append(estimator.progress_)
        return self.ends(estimator, context)

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))


class Asking(Noting):
    """Wants an estimator after every pass."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if context.task_name == "pass":
            self.fitted.append(fitted_estimator)
        return super().on_fit_task_end(estimator, context)


class Spreading(Noting):
    """Is handed on to the steps of a Pipeline and the candidates of a search."""

    max_propagation_depth = None


def small(max_iter=6, **params):
    return OneSplit(**{**SMALL, "max_iter": max_iter, **params})


def fitted(vae, rows=X, *callbacks, **given):
    """The estimator, fitted; whose warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "training used its whole budget", ConvergenceWarning)
        return vae.set_callbacks(*callbacks).fit(rows, **given)


def score(vae, X, y):
    return {"score": vae.score(X)}


def after(n_passes):
    """Whether a fit has had so many passes."""
    return lambda estimator, context: (
        context.task_name == "pass" and estimator.progress_.n_passes == n_passes
    )


def learned(vae):
    """What a fit has left, but for the time that it took."""
    state = {**vars(vae), "history_": {**vae.history_, "seconds": 0}, "_model": None}
    return pickle.dumps({name: state[name] for name in state if name.endswith("_")})


def same(one, other):
    """Whether two fits are the same, to the bit."""
    rows = curve(40, seed=1)
    return (
        learned(one) == learned(other)
        and np.array_equal(one.transform(rows), other.transform(rows))
        and np.array_equal(one.score_samples(rows), other.score_samples(rows))
        and np.array_equal(one.impute(np.c_[rows[:, :1], rows[:, :1] * np.nan]),
                           other.impute(np.c_[rows[:, :1], rows[:, :1] * np.nan]))
    )  # fmt: skip


def test_every_pass_is_seen_with_bound_gain_and_seconds():
    seen = Noting()
    vae = fitted(small(), X, seen)
    assert seen.calls == [
        ("setup", "fit"), ("begin", "fit"), ("begin", TRAINING),
        *[("begin", "pass"), ("end", "pass")] * 6,
        ("end", TRAINING), ("end", "fit"), ("teardown", "fit"),
    ]  # fmt: skip
    assert [told.n_passes for told in seen.progress] == list(range(1, 7))
    assert [told.loss for told in seen.progress] == vae.loss_curve_
    last = seen.progress[-1]
    assert last.bounds == vae.validation_scores_
    assert last.bound == max(vae.validation_scores_)
    assert last.gain == last.bound - vae.validation_scores_[0]
    seconds = [told.seconds for told in seen.progress]
    assert seconds[0] > 0
    assert seconds == sorted(seconds)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n_init": 2},
        {"annealing": Metropolis(n_proposals=2, n_steps=10), "max_iter": 20},
        {"annealing": RandomWalk(n_proposals=30), "max_iter": 20},
        {"annealing": "langevin"},
        {"objective": "denoising"},
        {"prior": "mixture"},
        {"architecture": MLP(hidden_layer_sizes=(8,), dropout=0.2, normalization="batch")},
    ],
    ids=str,
)
def test_a_callback_does_not_change_the_bits(params):
    seen, vae = Asking(), small(**params)
    watched = fitted(clone(vae), X, seen)
    assert same(watched, fitted(vae))
    assert "progress_" not in vars(watched)
    n_passes = sum(call == ("end", "pass") for call in seen.calls)
    assert n_passes == watched.n_iter_ * params.get("n_init", 1)


@pytest.mark.parametrize("n_init", [1, 2])
def test_a_stop_leaves_the_model_that_was_shown(n_init):
    vae, seen = small(9, n_init=n_init), Asking()
    fitted(clone(vae), X, seen)
    for n in (1, 4, 9):
        stopped = fitted(clone(vae), X, Noting(after(n)))
        assert stopped.n_iter_ == n
        assert same(stopped, seen.fitted[n - 1])


def test_tables_and_weights():
    rng = np.random.RandomState(0)
    rows = np.where(rng.rand(*X.shape) < 0.1, np.nan, X)
    rows[:, 0], weight = X[:, 0], rng.uniform(1, 2, len(X))
    seen, vae = Asking(), small(4)
    watched = fitted(clone(vae), rows, seen, sample_weight=weight)
    assert same(watched, fitted(clone(vae), rows, sample_weight=weight))
    stopped = fitted(clone(vae), rows, Noting(after(2)), sample_weight=weight)
    assert same(stopped, seen.fitted[1])


def test_trainings_of_splits_and_last_passes_are_seen_too():
    def tasks(rows, ends, **params):
        seen = Noting(ends)
        vae = fitted(VAETransformer(**SMALL, batch_size=20, **params), rows, seen)
        return vae, [name for what, name in seen.calls if what == "begin" and name != "pass"]

    vae, found = tasks(curve(200), lambda *_: False)
    assert vae.kept_ == 1.0
    assert (found[:2], found[-1]) == (["fit", TRAINING], LAST_PASSES)
    hopeless = gaussian(60, 3)
    vae, found = tasks(hopeless, lambda *_: False, max_iter=9)
    assert found[:3] == ["fit", TRAINING, SPLIT]

    def in_a_split(estimator, context):
        return context.parent is not None and context.parent.task_name == SPLIT

    for ends in (after(1), in_a_split, lambda _, context: context.task_name == TRAINING):
        vae, stopped = tasks(hopeless, ends, max_iter=9)
        assert len(stopped) == (3 if ends is in_a_split else 2)
        assert vae.kept_ == 0.0


@pytest.mark.parametrize(
    "annealing", [Metropolis(n_proposals=4, n_steps=20), RandomWalk()], ids=str
)
def test_an_annealing_can_be_stopped(annealing):
    vae = fitted(small(30, annealing=annealing), X, Noting(after(2)))
    assert vae.n_iter_ == 2
    begins = Noting(lambda estimator, context: estimator.progress_.n_passes >= 12)
    assert fitted(small(30, annealing=annealing), X, begins).n_iter_ == 12


def test_restarts_end_with_a_stop():
    assert len(fitted(small(n_init=3), X, Noting(after(2))).restarts_["bound"]) == 1
    whole = Noting(lambda _, context: context.task_name == TRAINING)
    vae = fitted(small(n_init=3), X, whole)
    assert (len(vae.restarts_["bound"]), vae.n_iter_) == (1, 6)


def test_a_fit_without_training_is_seen():
    seen = Noting()
    fitted(small(0), X, seen)
    assert seen.calls == [
        ("setup", "fit"), ("begin", "fit"), ("end", "fit"), ("teardown", "fit")
    ]  # fmt: skip


def test_an_error_of_a_callback_leaves_the_estimator_as_it_was():
    def fail(estimator, context):
        raise RuntimeError("no room left")

    seen, vae = Noting(fail), small()
    with pytest.raises(RuntimeError, match="no room left"):
        fitted(vae, X, seen)
    assert seen.calls[-1] == ("teardown", "fit")
    assert vars(vae).keys() - vae.get_params() == {"_skl_callbacks"}


def test_ctrl_c_in_a_callback_is_ctrl_c():
    def interrupt(estimator, context):
        if after(3)(estimator, context):
            raise KeyboardInterrupt
        return False

    with pytest.warns(ConvergenceWarning, match="interrupted after pass 3"):
        small(batch_size=10).set_callbacks(Noting(interrupt)).fit(X)


def test_a_stop_ends_a_fit_with_checkpoints(tmp_path):
    vae = small(8, checkpoint_dir=tmp_path, checkpoint_every=0.0)
    stopped = fitted(vae, X, Noting(after(3)))
    assert list(tmp_path.iterdir()) == []
    assert same(stopped, fitted(small(8), X, Noting(after(3))))


def test_an_interrupted_fit_goes_on_before_its_callbacks(tmp_path):
    def interrupt(estimator, context):
        if after(3)(estimator, context):
            raise KeyboardInterrupt
        return False

    seen, whole = Noting(), fitted(small(8, batch_size=10))
    kept = {"checkpoint_dir": tmp_path, "checkpoint_every": 0.0, "batch_size": 10}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        small(8, **kept).set_callbacks(Noting(interrupt)).fit(X)
    fitted(small(8, **kept), X, seen)
    assert seen.progress[0].n_passes > 1
    assert seen.progress[-1].n_passes == 8
    assert seen.progress[-1].bounds == whole.validation_scores_


# What scikit-learn brings: its own callbacks, Pipelines and searches


def test_scoring_monitor_scores_every_pass():
    monitor, rows = callback.ScoringMonitor(scoring=score), curve(700)
    vae = fitted(small(), rows, monitor)
    log = monitor.get_logs().data
    scores = [row["score"] for row in log if row["task_name"] == "pass"]
    assert len(scores) == 6
    assert scores[-1] == vae.score(rows)
    assert len(set(scores)) > 1
    monitor = callback.ScoringMonitor(scoring=lambda vae, X, y, **weight: {"n": len(weight)})
    fitted(small(1), X, monitor, sample_weight=np.linspace(1, 2, len(X)))
    assert {row["n"] for row in monitor.get_logs().data if "n" in row} == {1}


def test_progress_bar_shows_trainings(capsys):
    pytest.importorskip("rich")
    fitted(small(n_init=2), X, callback.ProgressBar())
    out = capsys.readouterr().out
    assert "VAETransformer - fit" in out or "OneSplit - fit" in out
    assert "training #1" in out


def test_a_pipeline_hands_callbacks_on():
    seen = Spreading()
    pipe = make_pipeline(FunctionTransformer(), small())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*FunctionTransformer does not support callbacks")
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipe.set_callbacks(seen).fit(X)
    assert sum(call == ("end", "pass") for call in seen.calls) == 6
    assert vars(pipe[-1]).keys() & {"_skl_callbacks", "_parent_callback_ctx", "progress_"} == set()
    assert learned(pipe[-1]) == learned(fitted(small()))


def test_a_search_hands_callbacks_on_and_can_be_stopped():
    for ends, most in ((lambda *_: False, 4), (after(2), 2)):
        seen = Spreading(ends)
        search = GridSearchCV(small(4), {"whiten": [False, True]}, cv=2)
        fitted(search, X, seen)
        assert max(told.n_passes for told in seen.progress) == most
        assert sum(call == ("end", "pass") for call in seen.calls) == 5 * most
        assert search.best_estimator_.n_iter_ == most


def test_clones_share_callbacks_and_files_have_none(tmp_path):
    seen = Noting()
    vae = fitted(small(2), X, seen)
    assert clone(vae)._skl_callbacks == [seen]
    vae = fitted(VAETransformer(**SMALL, max_iter=0), X, callback.ScoringMonitor(scoring=score))
    vae.save(tmp_path / "a.skvae")
    loaded = skvae.load(tmp_path / "a.skvae")
    assert "_skl_callbacks" not in vars(loaded)
    assert type(pickle.loads(pickle.dumps(vae))._skl_callbacks[0]) is callback.ScoringMonitor
    vae.set_callbacks()
    assert "_skl_callbacks" not in vars(vae)


def test_what_a_callback_is_shown_can_be_kept(tmp_path):
    paths = [tmp_path / f"{n}.skvae" for n in range(3)]

    class Saving(Noting):
        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if context.task_name == "pass":
                fitted_estimator.save(paths[context.task_id])
                assert "progress_" not in vars(fitted_estimator)

    vae = fitted(VAETransformer(**SMALL, max_iter=3), curve(600), Saving())
    assert all(path.exists() for path in paths)
    assert np.array_equal(skvae.load(paths[-1]).transform(X), vae.transform(X))


# What docs/callbacks.md shows

PAGE = Path(skvae.__file__).parent.parent / "docs" / "callbacks.md"


def blocks(title):
    """The code of a section of the page; "" is what comes before the first."""
    sections = PAGE.read_text().split("\n## ")
    (section,) = [each for each in sections if each.startswith(title or "# Callbacks")]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def run(title, folder, monkeypatch):
    """The names that a section's code leaves."""
    monkeypatch.chdir(folder)
    names = {"X": curve(300, 5), "VAETransformer": VAETransformer}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks(title):
            exec(block, names)
    return names


def test_recipe_of_a_progress_bar(tmp_path, monkeypatch):
    pytest.importorskip("rich")
    assert run("", tmp_path, monkeypatch)["vae"].latent_dim_ == 2


def test_recipe_of_scores(tmp_path, monkeypatch):
    scores = run("What a callback sees", tmp_path, monkeypatch)["scores"]
    assert all(np.isfinite(row["log-likelihood"]) for row in scores)


def test_recipe_of_an_end(tmp_path, monkeypatch):
    enough = run("Ending a fit", tmp_path, monkeypatch)["Enough"](0.0)
    assert fitted(small(), X, enough).n_iter_ == 1


def test_recipe_of_tensorboard(tmp_path, monkeypatch):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run("TensorBoard", tmp_path, monkeypatch)
    found = reader.EventAccumulator(str(tmp_path / "runs")).Reload()
    assert set(found.Tags()["scalars"]) == {"loss", "bound", "gain", "seconds"}
    steps = [each.step for each in found.Scalars("bound")]
    assert steps == list(range(1, len(steps) + 1))


def test_recipe_of_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path}/runs")
    run("MLflow", tmp_path, monkeypatch)
    (found,) = mlflow.search_runs(output_format="list")
    assert {"loss", "bound", "gain", "seconds"} <= set(found.data.metrics)
    assert found.data.params["latent_dim"] == "2"
