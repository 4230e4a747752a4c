"""A fit that was stopped, by whatever, goes on when it is asked for again; what differs is told."""

import os
import pickle
import re
import resource
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skvae
from skvae.interrupts import sigterm_interrupts
from skvae.persistence import checkpoints
from skvae.persistence.container import LoadError, pack, unpack
from skvae.persistence.fingerprint import BLOCK_ROWS, first_changed, hashes_of
from skvae.team import TeamError
from tests.persistence import killed_fits
from tests.persistence.kept import bits
from tests.persistence.quick import FRAME, X, answers, fitted, quick
from tests.processes import apart


class Stopped(BaseException):
    """As a kill, but for the process."""


@contextmanager
def told(match):
    """Some warning says so, whatever others say."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
    said = [str(each.message) for each in caught]
    assert any(re.search(match, each) for each in said), said


@contextmanager
def stopped(monkeypatch, n=3, error=Stopped):
    """Every file is the last, once it is the n-th of its fit."""
    with monkeypatch.context() as patched:
        write, written = checkpoints.write_whole, []

        def counted(*given):
            write(*given)
            written.append(given)
            if len(written) == n:
                raise error

        patched.setattr(checkpoints, "write_whole", counted)
        with pytest.raises(error):
            yield


def files(folder):
    return sorted(path for path in Path(folder).iterdir())


KINDS = {
    "matrix": (X, {}),
    "sparse": (sparse.random(150, 6, 0.4, "csr", random_state=0), {}),
    "frame": (FRAME, {}),
    "gaps": (np.where(np.random.default_rng(0).uniform(size=X.shape) < 0.1, np.nan, X), {}),
    "single precision": (X.astype(np.float32), {}),
    "ex post": (X, {"objective": "autoencoder"}),
    "auto latent_dim": (X, {"latent_dim": "auto"}),
    "a generator": (X, {"random_state": np.random.RandomState(7)}),
    "dict of likelihoods": (X, {"likelihood": {0: "student_t"}}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_fit_goes_on(kind, tmp_path, monkeypatch):
    X, changes = KINDS[kind]
    folder = tmp_path / "is" / "made"
    whole = fitted(quick(**pickle.loads(pickle.dumps(changes))), X)
    with stopped(monkeypatch):
        fitted(quick(folder, **pickle.loads(pickle.dumps(changes))), X)
    assert len(files(folder)) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", skvae.CollapseWarning)
        warnings.filterwarnings("ignore", "training used its whole budget")
        warnings.filterwarnings("ignore", "fit was interrupted")
        resumed = quick(folder, **pickle.loads(pickle.dumps(changes))).fit(X)
    assert answers(resumed, X) == answers(whole, X)
    assert files(folder) == []  # of fits that have ended


def test_weights_of_rows_are_data(tmp_path, monkeypatch):
    weight = np.linspace(0.5, 1.5, len(X))
    whole = fitted(quick(), sample_weight=weight)
    with stopped(monkeypatch):
        fitted(quick(tmp_path), sample_weight=weight)
    with pytest.raises(skvae.DataChangedError, match="or their weights"):
        fitted(quick(tmp_path))
    assert answers(fitted(quick(tmp_path), sample_weight=weight)) == answers(whole)


def test_a_seed_that_was_drawn_stays(tmp_path, monkeypatch):
    kept = []
    with stopped(monkeypatch, n=4) as _:
        fitted(quick(tmp_path, random_state=None))
    (path,) = files(tmp_path)
    kept = checkpoints.unpacked(path.read_bytes())
    resumed = fitted(quick(tmp_path, random_state=None))
    assert resumed._seed == kept.seed
    assert len(resumed.loss_curve_) >= 4


def test_a_training_that_goes_on_from_a_model(tmp_path, monkeypatch):
    first = fitted(quick(tmp_path, warm_start=True))
    copy = pickle.dumps(first)
    whole = fitted(pickle.loads(copy).set_params(checkpoint_dir=None))
    with stopped(monkeypatch):
        fitted(pickle.loads(copy))
    assert answers(fitted(pickle.loads(copy))) == answers(whole)
    with stopped(monkeypatch):
        fitted(pickle.loads(copy))
    with told("the model that it goes on from"):
        quick(tmp_path, warm_start=True).fit(X)


def test_seconds_go_on(tmp_path, monkeypatch):
    with stopped(monkeypatch, n=5):
        fitted(quick(tmp_path))
    seconds = fitted(quick(tmp_path)).history_["seconds"]
    assert (np.diff(seconds) >= 0).all()


# What differs.


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"beta": 2.0}, r"beta \(1.0 there, 2.0 here\)"),
        ({"random_state": 1}, r"random_state \(0 there, 1 here\)"),
        ({"objective": "iwae"}, "objective"),
    ],
)
def test_other_parameters_are_told(changes, said, tmp_path, monkeypatch):
    with stopped(monkeypatch):
        fitted(quick(tmp_path))
    (path,) = files(tmp_path)
    with told(f"starts anew: .*differs in {said}"):
        other = quick(tmp_path, **changes).fit(X)
    assert answers(other) == answers(fitted(quick(**changes)))
    assert files(tmp_path) == [path]  # which a fit of its own can still use


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (X[:-1], "the number of rows"),
        (X[:, :-1], "the columns"),
        (X.astype(np.float32), "the dtype"),
    ],
)
def test_other_tables_are_told(other, said, tmp_path, monkeypatch):
    with stopped(monkeypatch):
        fitted(quick(tmp_path))
    with told(f"starts anew: .*{said}"):
        quick(tmp_path).fit(other)


def test_changed_rows_are_an_error(tmp_path, monkeypatch):
    with stopped(monkeypatch):
        fitted(quick(tmp_path))
    changed = X.copy()
    changed[3, 2] += 1e-9
    (path,) = files(tmp_path)
    with pytest.raises(skvae.DataChangedError, match=r"rows 0 to 149 of X.*delete that file"):
        quick(tmp_path).fit(changed)
    path.unlink()
    fitted(quick(tmp_path), changed)


def test_the_first_changed_block_is_named():
    rows = np.zeros((3 * BLOCK_ROWS + 5, 1))
    before = hashes_of(rows, None)
    assert len(before) == 4
    assert len({*before}) == 2  # of equal blocks, and of the last, which is short
    for n in (0, BLOCK_ROWS - 1, BLOCK_ROWS, 3 * BLOCK_ROWS + 4):
        changed = rows.copy()
        changed[n] = 1
        block = n // BLOCK_ROWS
        found = first_changed(hashes_of(changed, None), before, len(rows))
        assert found == range(block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, len(rows)))


def test_hashes_tell_weights_and_places_apart():
    weight = np.linspace(1, 2, len(X))
    assert hashes_of(X, weight) != hashes_of(X, weight[::-1])
    row, other = sparse.csr_array([[1.0, 0.0, 2.0]]), sparse.csr_array([[1.0, 2.0, 0.0]])
    assert hashes_of(row, None) != hashes_of(other, None)


def test_hashes_are_of_numbers_whatever_holds_them():
    one = np.asfortranarray(X)
    assert hashes_of(one, None) == hashes_of(X, None) == hashes_of(X[:, ::-1][:, ::-1], None)
    csr = sparse.csr_array(X)
    assert hashes_of(csr, None) == hashes_of(csr.copy(), None) != hashes_of(X, None)
    assert hashes_of(X, np.ones(len(X))) != hashes_of(X, None)


def test_what_cannot_be_told_is_refused(tmp_path):
    vae = quick(tmp_path, architecture=lambda n_in, n_out: None)
    with pytest.raises(TypeError, match=r"checkpoint_dir .* architecture cannot be saved"):
        vae.fit(X)


# Files.


@pytest.mark.parametrize("spoil", ["cut", "flip", "empty", "text", "model", "content", "folder"])
def test_a_damaged_file_is_told_and_the_fit_begins_anew(spoil, tmp_path, monkeypatch):
    with stopped(monkeypatch):
        fitted(quick(tmp_path))
    (path,) = files(tmp_path)
    data = path.read_bytes()
    if spoil == "model":
        fitted(quick(max_iter=0)).save(path)
    elif spoil == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(
            {
                "cut": data[:-9],
                "flip": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
                "empty": b"",
                "text": b"no file of ours" * 10,
                "content": forged(data),
            }[spoil]
        )
    with told(r"starts anew|cannot be removed"):
        found = quick(tmp_path).fit(X)
    assert answers(found) == answers(fitted(quick()))


def forged(data):
    """A file whose checksum is right, with a training that is none."""
    manifest, arrays = unpack(data)
    name = max(arrays, key=lambda name: arrays[name].size)
    return pack(manifest, arrays | {name: arrays[name][:-1]})


def test_an_array_of_another_size_is_found(tmp_path, monkeypatch):
    with stopped(monkeypatch):
        fitted(quick(tmp_path))
    (path,) = files(tmp_path)
    manifest, arrays = unpack(path.read_bytes())
    whole = answers(fitted(quick()))
    for name in sorted(arrays)[::9]:
        if {"record", "sampler"} & {*name.split(".")}:  # of any length
            continue
        path.write_bytes(pack(manifest, arrays | {name: arrays[name].ravel()[:0]}))
        with told("starts anew"):
            assert answers(quick(tmp_path).fit(X)) == whole, name


def test_a_checkpoint_under_the_name_of_another_fit_is_told(tmp_path, monkeypatch):
    for seed in (0, 1):
        with stopped(monkeypatch):
            fitted(quick(tmp_path / str(seed), random_state=seed))
    (of_other,), (own,) = files(tmp_path / "0"), files(tmp_path / "1")
    own.write_bytes(of_other.read_bytes())
    with told("it belongs to another fit"):
        found = quick(tmp_path / "1", random_state=1).fit(X)
    assert answers(found) == answers(fitted(quick(random_state=1)))


def test_a_model_is_no_checkpoint_and_a_checkpoint_no_model(tmp_path, monkeypatch):
    with stopped(monkeypatch):
        fitted(quick(tmp_path))
    (path,) = files(tmp_path)
    with pytest.raises(LoadError):
        skvae.load(path)


def test_a_model_names_no_folder(tmp_path):
    vae = fitted(quick(tmp_path / "checkpoints"))
    vae.save(tmp_path / "model.skvae")
    assert skvae.load(tmp_path / "model.skvae").checkpoint_dir is None
    manifest, arrays = unpack((tmp_path / "model.skvae").read_bytes())
    manifest["parameters"]["checkpoint_dir"] = str(tmp_path / "elsewhere")
    (tmp_path / "model.skvae").write_bytes(pack(manifest, arrays))
    with pytest.raises(LoadError, match="names a folder"):
        skvae.load(tmp_path / "model.skvae")


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with told("no checkpoint could be written") as caught:
        found = quick(tmp_path / "file" / "folder").fit(X)
    assert sum("no checkpoint" in str(each.message) for each in caught) == 1
    assert answers(found) == answers(fitted(quick()))


# Interrupts.


def test_an_interrupt_leaves_a_model_and_a_checkpoint(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        one_pass = skvae.training.loop.one_pass

        def interrupted(state, *given):
            if state.record.n_passes == 5:
                raise KeyboardInterrupt
            return one_pass(state, *given)

        patched.setattr(skvae.training.loop, "one_pass", interrupted)
        with told("interrupted after pass 5"):
            vae = quick(tmp_path, checkpoint_every=1e9).fit(X)
    assert len(files(tmp_path)) == 1
    assert answers(fitted(vae)) == answers(fitted(quick()))  # the same estimator goes on
    assert files(tmp_path) == []


@pytest.mark.parametrize("error", [Stopped, TeamError, ValueError])
def test_what_ends_a_fit_from_outside_leaves_what_was_noted(error):
    written = []

    class File:
        found = None

        def write(self, seed, standing):
            written.append((seed, standing))

    class Training:
        def to_state(self):
            return {}, {"n_passes": 3}

    def fit(checkpoint):
        checkpoint.note(Training())
        raise error

    with pytest.raises(error):
        checkpoints.ResumableFit(File(), every=1e9).run(7, fit)
    # What fails by itself would fail again.
    kept = [(7, ([], ({}, {"n_passes": 3})))]
    assert written == ([] if error is ValueError else kept)


def test_sigterm_interrupts_while_it_may(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    heard = []
    monkeypatch.setattr(threading, "main_thread", lambda: None)
    with sigterm_interrupts():
        heard.append(signal.getsignal(signal.SIGTERM))
    assert heard == [before]


def test_a_handler_of_ones_own_stays():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *given: heard.append(given))
    try:
        with sigterm_interrupts():
            signal.raise_signal(signal.SIGTERM)
        assert len(heard) == 1
    finally:
        signal.signal(signal.SIGTERM, before)


# Searches.


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_fits_of_a_search_have_files_of_their_own(n_jobs, tmp_path, monkeypatch):
    grid = {"beta": [0.5, 1.0]}

    def search(folder):
        own = GridSearchCV(quick(folder), grid, cv=3, n_jobs=n_jobs)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "training used its whole budget")
            warnings.filterwarnings("ignore", "codes .* carry almost no information")
            return own.fit(X)

    plain = search(None)
    # Fits that were stopped, of each candidate and each of two folds.
    for beta in grid["beta"]:
        for rows in (X[50:], X[:100]):
            with stopped(monkeypatch):
                fitted(clone(quick(tmp_path, beta=beta)), rows)
    assert len(files(tmp_path)) == 4
    found = search(tmp_path)
    for name, values in plain.cv_results_.items():
        if "time" not in name:
            assert bits(found.cv_results_[name]) == bits(values), name
    assert files(tmp_path) == []


def test_a_clone_is_known_after_its_pickle(tmp_path, monkeypatch):
    with stopped(monkeypatch):
        fitted(quick(tmp_path))
    other = X + 1.0
    twin = pickle.loads(pickle.dumps(clone(quick(tmp_path))))
    assert answers(fitted(twin, other), other) == answers(fitted(clone(quick()), other), other)


# Other processes.


def full(folder):
    """A fit whose files may have no more than a thousand bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with told("no checkpoint could be written") as caught:
        found = answers(quick(folder).fit(X))
    assert sum("no checkpoint" in str(each.message) for each in caught) == 1
    assert found == answers(fitted(quick()))


def terminated(folder):
    """How many checkpoints a fit leaves that is told to end, once it has written some."""
    vae = quick(folder, max_iter=10**6, early_stopping=False, checkpoint_every=0)

    def terminate():
        seen = set()
        while len(seen) < 20:  # checkpoints, each of which is another file
            for path in files(folder):
                if path.suffix == ".checkpoint":
                    seen.add(path.stat().st_mtime_ns)
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate).start()
    with told("interrupted"):
        vae.fit(X)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    return len([*Path(folder).glob("*.checkpoint")])


def kill(folder, n_kills, seed):
    """Kill fits at random moments, and ask for them again; most have left a checkpoint."""
    n_hit, n_left = apart(killed_fits.main, folder, n_kills, seed)
    assert n_hit >= n_kills
    assert n_left >= n_kills // 4


def test_fits_that_are_killed_go_on(tmp_path):
    kill(tmp_path, 4, seed=0)


@pytest.mark.slow
def test_fits_that_are_killed_a_hundred_times_go_on(tmp_path):
    kill(tmp_path, 100, seed=1)


def test_a_full_disk_is_told_once(tmp_path):
    apart(full, tmp_path)
    assert files(tmp_path) == []


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    with stopped(monkeypatch):
        fitted(quick(tmp_path))
    (path,) = files(tmp_path)
    before = path.read_bytes()

    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skvae.persistence.writing.os.fsync", full)
    monkeypatch.setattr(checkpoints.CheckpointFile, "remove", lambda self: None)
    with told("no checkpoint could be written"):
        found = quick(tmp_path).fit(X)
    assert path.read_bytes() == before
    assert answers(found) == answers(fitted(quick()))


def test_sigterm_ends_a_fit_with_a_checkpoint(tmp_path):
    assert apart(terminated, tmp_path) == 1
