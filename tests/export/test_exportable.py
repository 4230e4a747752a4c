"""Graphs say what the estimator says: every likelihood, architecture and kind of rows."""

import sys

import numpy as np
import pytest
from scipy import sparse
from torch import nn

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from sklearn.exceptions import NotFittedError

from skvae import MLP, Conv, VAETransformer
from skvae.export.cells import FORMS
from skvae.export.exporting import OUTPUTS
from skvae.export.graph import IR_VERSION, OPSET
from skvae.likelihoods import LIKELIHOODS
from skvae.model.networks import ARCHITECTURES
from skvae.model.priors import PRIORS
from skvae.training.objective import OBJECTIVES
from tests.export.graphs import assert_parity, graph_of, run, with_networks
from tests.samples import OneSplit, factors
from tests.tables import TABLES, rows_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TINY = MLP(hidden_layer_sizes=(8,))
NETWORKS = {
    "mlp": TINY,
    "linear": ARCHITECTURES["linear"](),
    "conv": Conv(image_shape=(2, 3), channels=(3,), hidden_units=4),
}


def started(X, latent_dim=2, **options):
    """The linear start of rows."""
    return VAETransformer(latent_dim, max_iter=0, random_state=0, **options).fit(X)


def holed(X, share=0.2, seed=1):
    """Rows of which a share of the cells is missing, and one of which all are."""
    X = np.array(X, dtype=float)
    X[np.random.RandomState(seed).uniform(size=X.shape) < share] = np.nan
    X[1] = np.nan
    return X


def both(X, path, dtype=np.float64, latent_dim=2, network=TINY, **options):
    """Parity of the linear start, and of networks beside it."""
    vae = started(X, latent_dim, **options)
    dense = X.toarray() if sparse.issparse(X) else X
    assert_parity(vae, dense, path, dtype)
    assert_parity(with_networks(vae, network), dense, path, dtype)


@pytest.fixture(scope="session")
def rows():
    """Rows of six columns."""
    return factors(80, 6, 2)


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("name", TABLES)
def test_likelihoods(name, share, tmp_path):
    both(rows_of(TABLES[name], share=share), tmp_path, likelihood=TABLES[name])


def test_every_likelihood_has_a_form():
    assert set(FORMS) == set(LIKELIHOODS.values())


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures(name, dtype, rows, tmp_path):
    vae = with_networks(started(rows), NETWORKS[name])
    assert_parity(vae, rows, tmp_path, dtype)
    some = rows.copy()
    some[::2] = holed(rows[::2])
    assert_parity(vae, some, tmp_path, dtype)


def each_graph(graph):
    """A graph and those inside of it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from each_graph(attribute.g)


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_product_is_of_what_was_just_transposed(name, share, rows, tmp_path):
    """Older onnxruntime loads no model with such products of doubles."""
    vae = with_networks(started(holed(rows, share) if share else rows), NETWORKS[name])
    vae.to_onnx(tmp_path / "model.onnx", ("codes", "reconstruction", "mean", "std"))
    graphs = list(each_graph(onnx.load(tmp_path / "model.onnx").graph))
    nodes = [node for graph in graphs for node in graph.node]
    turned = {node.output[0] for node in nodes if node.op_type == "Transpose"}
    products = [node for node in nodes if node.op_type == "MatMul"]
    assert products
    assert not [node.name for node in products if turned.intersection(node.input)]


@pytest.mark.parametrize("likelihood", ["gaussian", "continuous_bernoulli"])
def test_images_with_pixels_that_never_vary(likelihood, tmp_path):
    X = np.random.RandomState(0).uniform(size=(40, 16))
    X[:, 0] = 0.5
    conv = Conv(image_shape=(4, 4), channels=(3,), hidden_units=None, normalization="batch")
    both(X, tmp_path, network=conv, likelihood=likelihood)
    both(holed(X[2:]), tmp_path, network=conv, likelihood=likelihood)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_trained_models(objective, prior, curve, tmp_path):
    if (objective, prior) != ("elbo", prior) and prior != "normal":
        pytest.skip("a prior is no part of a graph: once is enough")
    vae = OneSplit(
        2, max_iter=15, objective=objective, prior=prior, architecture=TINY, random_state=0
    ).fit(curve)
    assert_parity(vae, curve, tmp_path)
    assert_parity(vae, holed(curve), tmp_path)


def test_what_was_kept_in_part(curve, tmp_path):
    """By its own share of the training's weights."""
    found = set()
    for seed in range(3):
        vae = VAETransformer(2, max_iter=6, architecture=TINY, random_state=seed).fit(curve)
        found.add(vae.kept_)
        assert_parity(vae, curve, tmp_path)
    assert found


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("change", [(1.0, 1e6), (1e-30, 0.0), (1e30, 0.0)], ids=str)
def test_offsets_and_scales(change, dtype, rows, tmp_path):
    factor, offset = change
    vae = started(factor * rows + offset)
    assert_parity(vae, factor * rows + offset, tmp_path, dtype)
    assert_parity(with_networks(vae, TINY), factor * rows + offset, tmp_path, dtype)


def test_more_codes_than_are_in_use(rows, tmp_path):
    both(rows[:, :3], tmp_path, latent_dim=5)
    both(rows[:2], tmp_path, latent_dim=4)


def test_constant_columns(rows, tmp_path):
    X = rows.copy()
    X[:, 2] = 7.0
    both(X, tmp_path)
    both(holed(X[2:]), tmp_path)


def test_rows_that_are_all_alike(tmp_path):
    X = np.full((9, 4), 2.5)
    vae = started(X)
    assert_parity(vae, X, tmp_path)
    assert_parity(vae, holed(X), tmp_path)


def test_wide_rows_by_their_principal_scores(tmp_path):
    X = factors(30, 90, 4)
    both(X, tmp_path)
    both(X, tmp_path, whiten=True)


@pytest.mark.parametrize("likelihood", ["gaussian", "poisson", "bernoulli"])
def test_models_of_sparse_rows(likelihood, tmp_path):
    X = sparse.random(60, 24, 0.3, format="csr", random_state=0)
    X.data = np.ceil(4 * X.data) if likelihood == "poisson" else np.ones_like(X.data)
    both(X, tmp_path, likelihood=likelihood)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_refinement_is_that_of_the_moment(steps, rows, tmp_path):
    vae = with_networks(started(rows), TINY)
    before = vae.transform(rows)
    vae.refinement = steps
    assert np.abs(vae.transform(rows) - before).max() > 1e-6
    assert_parity(vae, rows, tmp_path)
    assert_parity(vae, holed(rows), tmp_path)


@pytest.mark.parametrize("shape", [(80, 6, 2), (20, 40, 3), (80, 6, 9)], ids=str)
def test_score_of_a_linear_start(shape, tmp_path):
    n, d, q = shape
    X = 3.0 * factors(n, d, 2) + 5.0
    vae, some = started(X, q), X.copy()
    graph = graph_of(vae, tmp_path, ("score",))
    some[::2] = holed(X[::2])
    for given in (X, some):
        expected = vae.score_samples(given)[:, None]
        np.testing.assert_allclose(run(graph, given)["score"], expected, rtol=1e-7)


def test_score_of_rows_that_are_all_alike(tmp_path):
    X = np.full((9, 4), 2.5)
    vae, some = started(X), holed(X)
    found = run(graph_of(vae, tmp_path, ("score",)), some)["score"]
    np.testing.assert_allclose(found[:, 0], vae.score_samples(some), rtol=1e-7)


def test_a_file_is_whole(rows, tmp_path):
    vae = with_networks(started(rows), TINY)
    vae.to_onnx(tmp_path / "model.onnx", [name for name in OUTPUTS if name != "score"])
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]  # nothing beside it
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == IR_VERSION
    assert {own.domain: own.version for own in model.opset_import}[""] == OPSET
    assert (model.producer_name, model.graph.input[0].name) == ("skvae", "X")
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert {own.key for own in model.metadata_props} == {"skvae_version"}
    assert all(len(own.external_data) == 0 for own in model.graph.initializer)
    asked = {name for node in model.graph.node for name in names_in(node)}
    assert {own.name for own in model.graph.initializer} <= asked  # nothing that nobody asks for


def names_in(node):
    """Names that a node asks for, with those inside."""
    inner = [each for own in node.attribute if own.HasField("g") for each in own.g.node]
    return {*node.input, *(name for each in inner for name in names_in(each))}


def test_a_failure_leaves_the_file_that_was_there(rows, tmp_path):
    vae, path = started(rows), tmp_path / "model.onnx"
    vae.to_onnx(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="outputs"):
        vae.to_onnx(path, ("code",))
    assert path.read_bytes() == before


class Strange(nn.Module):
    """A layer that is known to nobody."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.last = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.last(x)


class Odd(LIKELIHOODS["gaussian_diag"].__mro__[1]):
    """A likelihood of one's own."""

    fit = LIKELIHOODS["gaussian_diag"].fit


def refused():
    """What cannot go to ONNX, with what is asked of it and the words of the error."""
    X = factors(40, 4, 2)
    other, trained = started(X, likelihood=Odd()), with_networks(started(X), TINY)
    table = started(X, likelihood="student_t")
    strange = with_networks(started(X), Strange)
    return {
        "a layer": (strange, {}, TypeError, "architecture has the layer Strange.*use 'mlp'"),
        "a likelihood": (
            other,
            {},
            TypeError,
            "likelihood Odd cannot be exported to ONNX; use one of",
        ),
        "no such output": (trained, {"outputs": ("code",)}, ValueError, "outputs=.*'codes'"),
        "no output": (trained, {"outputs": ()}, ValueError, "outputs=.*each once"),
        "an output twice": (trained, {"outputs": ("mean", "mean")}, ValueError, "each once"),
        "a score by draws": (trained, {"outputs": ("score",)}, ValueError, "score_samples"),
        "a score of a table": (table, {"outputs": ("score",)}, ValueError, "score_samples"),
        "a dtype": (trained, {"dtype": "float16"}, ValueError, "dtype='float16' must be"),
        "no dtype": (trained, {"dtype": "short"}, ValueError, "dtype='short' must be"),
        "nothing yet": (VAETransformer(), {}, NotFittedError, "not fitted"),
    }


REFUSED = (
    "a layer", "a likelihood", "no such output", "no output", "an output twice",
    "a score by draws", "a score of a table", "a dtype", "no dtype", "nothing yet",
)  # fmt: skip


@pytest.fixture(scope="module")
def cases():
    found = refused()
    assert tuple(found) == REFUSED
    return found


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_name_the_parameter_and_the_remedy(what, cases, tmp_path):
    vae, options, kind, words = cases[what]
    with pytest.raises(kind, match=words):
        vae.to_onnx(tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_without_onnx_the_extra_is_named(rows, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'skvae\[onnx\]'"):
        started(rows).to_onnx(tmp_path / "model.onnx")
