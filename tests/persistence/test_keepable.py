"""What comes back of a file answers the same, to the bit, and goes on learning as it would have."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError
from torch import nn

import skvae
from skvae import MLP, GaussianDiag, Limits, LoadError, StudentT, VAETransformer
from skvae.persistence import container
from tests.generated import to_polars, to_pyarrow
from tests.persistence.kept import answers, assert_same, loaded
from tests.samples import RECIPE, fit_quietly
from tests.samples import curve as bent
from tests.tables import TABLES as OF_LIKELIHOODS
from tests.tables import rows_of
from tests.test_components import TABLES, mixed, model, rows_for

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TINY = MLP(hidden_layer_sizes=(8,))
# How a table was trained leaves no other trace than its networks and its prior do.
SHOWN = (("architecture", "conv"), ("prior", "mixture"))
CASES = [
    pytest.param(
        *(part, name, kind),
        marks=() if kind == "matrix" or (part, name) in SHOWN else pytest.mark.slow,
    )
    for part, table in TABLES.items()
    for name in table
    for kind in ("matrix", "table")
    if part != "likelihood"  # which have a test of their own
]
SHORT = {"architecture": TINY, "max_iter": 2, "batch_size": 16, "random_state": 0}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skvae"


@pytest.fixture(scope="module")
def kept():
    """A model that left PCA, and its rows; not to be changed."""
    X = bent(300, 5)
    vae = fit_quietly(
        VAETransformer(1, architecture=TINY, max_iter=20, batch_size=16, random_state=0), X
    )
    assert vae.kept_ > 0
    return vae, X


def judged_once(vae):
    """The estimator, of which one split judges the training, however few its rows are."""
    vae.limits = RECIPE.limits
    return vae


@pytest.mark.parametrize(("part", "name", "kind"), CASES)
def test_every_component_comes_back(part, name, kind, path):
    names = {part: name, "kind": kind}
    X = rows_for(names)
    passes = {} if part == "annealing" else {"max_iter": 2}
    vae = judged_once(model(kind_of_estimator=VAETransformer, **names, **passes)).fit(X)
    assert_same(loaded(vae, path), vae, X)


@pytest.mark.parametrize(
    ("table", "share"), [*((table, 0.0) for table in OF_LIKELIHOODS), ("mixed", 0.25)]
)
def test_every_likelihood_comes_back(table, share, path):
    likelihood = OF_LIKELIHOODS[table]
    X = rows_of(likelihood, share=share)
    vae = judged_once(VAETransformer(2, likelihood=likelihood, **SHORT)).fit(X)
    assert_same(loaded(vae, path), vae, X)


def frames():
    frame = mixed(100)
    frame["order"] = pd.Categorical(["s", "m"] * 50, ["s", "m", "l"], ordered=True)
    frame["city"] = pd.Categorical(["x", "y", "z", "x"] * 25)
    frame["whole"] = pd.array([*range(99), None], dtype="Int64")
    frame["single"] = np.arange(100, dtype=np.float32)
    frame["small"] = np.arange(100).astype(np.int8)
    return frame


FRAMES = {
    "pandas": frames,
    "nullable": lambda: frames().convert_dtypes(),
    "arrow dtypes": lambda: frames()[["a", "side", "high"]].convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda: to_polars(frames()),
    "pyarrow": lambda: to_pyarrow(frames()),
    "dictionaries": lambda: pa.table(
        {"a": np.arange(40.0), "b": pa.array(["x", "y"] * 20).dictionary_encode()}
    ),
    "labels": lambda: pd.DataFrame(
        bent(40, 3), columns=pd.MultiIndex.from_tuples([("p", 1), ("p", 2), ("q", 1)])
    ),
    "objects": lambda: pd.DataFrame(
        {"a": np.arange(40.0), "b": [1, "x"] * 20, "c": ["é", ""] * 20}
    ),
    "numbers as names": lambda: pd.DataFrame({3: np.arange(40.0), 7: np.arange(40) % 3}),
    "single precision": lambda: bent(60, 5).astype(np.float32),
    "one by Fortran": lambda: np.asfortranarray(bent(60, 5)),
    "lists": lambda: bent(60, 5).tolist(),
    "sparse": lambda: sparse.csr_array(np.maximum(bent(60, 5), 0)),
    "wide": lambda: np.random.RandomState(0).standard_normal((20, 50)),
    "constant": lambda: np.column_stack([np.ones(40), bent(40, 2)]),
    "nothing varies": lambda: np.ones((20, 3)),
}


@pytest.mark.parametrize("rows", FRAMES)
def test_every_container_comes_back(rows, path):
    X = FRAMES[rows]()
    vae = judged_once(VAETransformer(2, **SHORT)).fit(X)
    assert_same(loaded(vae, path), vae, X)


@pytest.mark.parametrize(
    "options",
    [
        {"latent_dim": "auto"}, {"latent_dim": None}, {"latent_dim": 0.5}, {"latent_dim": 40},
        {"latent_dim": np.int64(1)}, {"beta": np.float32(0.5)}, {"whiten": True},
        {"refinement": 0}, {"precision": "float64"}, {"store_rows": False}, {"n_init": 2},
        {"random_state": None}, {"random_state": np.random.RandomState(3)},
        {"architecture": MLP(hidden_layer_sizes=np.array([8, 8]), normalization="batch")},
        {"architecture": MLP(hidden_layer_sizes=[8, 8], residual=True, dropout=0.2)},
        {"likelihood": {0: "student_t", 2: StudentT(df=5), 4: "auto"}},
        {"likelihood": GaussianDiag(start_noise="shared")},
    ],
    # Addresses of objects are others in every worker.
    ids=lambda options: str(options).split(" at 0x")[0],
)  # fmt: skip
def test_every_parameter_comes_back(options, kept, path):
    X = kept[1]
    vae = judged_once(VAETransformer(**SHORT | options)).fit(X)
    found = loaded(vae, path)
    assert_same(found, vae, X)
    if isinstance(vae.random_state, np.random.RandomState):
        assert found.random_state.randint(10**9) == vae.random_state.randint(10**9)


@pytest.mark.parametrize("container", ["default", "pandas", "polars"])
def test_output_and_limits_come_back(container, kept, path):
    vae = pickle.loads(pickle.dumps(kept[0])).set_output(transform=container)
    vae.limits = Limits(refinement=2)
    found = loaded(vae, path)
    assert_same(found, vae, kept[1])
    assert found.limits == vae.limits


def test_a_file_is_that_of_what_came_back(kept, tmp_path):
    first, second = tmp_path / "first.skvae", tmp_path / "second.skvae"
    loaded(kept[0], first).save(second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("kind", ["matrix", "table"])
def test_learning_in_batches_goes_on(kind, path):
    X = mixed(240) if kind == "table" else bent(240, 5)
    parts = [X[n : n + 80] for n in range(0, 240, 80)]
    vae = VAETransformer(2, architecture=TINY, batch_size=16, random_state=0)
    for part in parts[:2]:
        vae.partial_fit(part)
    found = loaded(vae, path)
    vae.partial_fit(parts[2])
    found.partial_fit(parts[2])
    found.history_["seconds"] = vae.history_["seconds"]
    assert_same(found, vae, X)


def test_a_warm_start_goes_on(kept, path):
    X = kept[1]
    vae = VAETransformer(1, warm_start=True, **SHORT).fit(X)
    found = loaded(vae, path)
    vae.fit(X)
    found.fit(X)
    found.history_["seconds"] = vae.history_["seconds"]
    assert_same(found, vae, X)


def own_network(n_in, n_out):
    return nn.Linear(n_in, n_out)


class OwnNetwork(MLP):
    """A component of somebody."""


class OwnEstimator(VAETransformer):
    """An estimator of somebody."""


@pytest.mark.parametrize("architecture", [own_network, OwnNetwork(hidden_layer_sizes=(4,))])
def test_what_a_file_cannot_hold_is_refused_by_name(architecture, kept, path):
    vae = VAETransformer(1, **SHORT | {"architecture": architecture}).fit(kept[1])
    with pytest.raises(TypeError, match=r"parameter architecture cannot be saved.*use a name or"):
        vae.save(path)
    assert not path.exists()


def test_other_attributes_are_refused_by_name(kept, path):
    vae = pickle.loads(pickle.dumps(kept[0]))
    vae.note_ = "mine"
    with pytest.raises(TypeError, match=r"attribute note_.*delete it"):
        vae.save(path)


def test_other_classes_are_refused_by_name(kept, path):
    with pytest.raises(TypeError, match=r"OwnEstimator.*save a VAETransformer"):
        OwnEstimator(1, **SHORT).fit(kept[1]).save(path)
    kept[0].save(path)
    with pytest.raises(LoadError, match="holds a 'VAETransformer', not a OwnEstimator"):
        OwnEstimator.load(path)


def test_what_is_not_fitted_is_refused(path):
    with pytest.raises(NotFittedError):
        VAETransformer().save(path)
    assert not path.exists()


def test_too_many_levels_are_refused(path, monkeypatch):
    monkeypatch.setattr(container, "MOST_HEADER", 50_000)
    levels = [f"{n:0200}" for n in range(300)]
    X = pd.DataFrame({"a": pd.Categorical([levels[0]] * 30, levels), "b": np.arange(30.0)})
    vae = VAETransformer(1, likelihood={"a": "auto"}, max_iter=0)
    with pytest.raises(ValueError, match="leave out columns"):
        vae.fit(X).save(path)
    assert not path.exists()


def test_questions_before_leave_no_trace(kept, path):
    vae, X = kept
    vae.save(path)
    before = path.read_bytes()
    answers(vae, X)
    vae.save(path)
    assert path.read_bytes() == before


@pytest.mark.gpu
def test_a_model_of_a_gpu_comes_back(kept, path):
    vae = VAETransformer(1, device="cuda", **SHORT).fit(kept[1])
    assert_same(loaded(vae, path), vae, kept[1])


def test_a_device_that_is_not_there_is_told(kept, path, monkeypatch):
    vae = pickle.loads(pickle.dumps(kept[0]))
    monkeypatch.setattr("skvae.persistence.keepable.is_available", lambda device: False)
    vae.save(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        skvae.load(path)
    assert "runs on the CPU" in str(caught[0].message)


def test_a_table_of_which_nothing_varies_comes_back(path):
    X = pd.DataFrame({"constant": [3.0, None, 3.0, 3.0] * 5})
    vae = VAETransformer(1, max_iter=0).fit(X)
    assert np.array_equal(loaded(vae, path).score_samples(X), vae.score_samples(X))


def test_a_frame_of_numbers_is_saved_without_a_warning(path):
    X = pd.DataFrame(bent(40, 3), columns=list("abc"))
    vae = VAETransformer(1, max_iter=0).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        skvae_again = loaded(vae, path)
    assert np.array_equal(skvae_again.transform(X), vae.transform(X))
