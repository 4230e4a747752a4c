"""A whole Pipeline goes to ONNX by skl2onnx, and answers as scikit-learn does."""

import sys

import numpy as np
import pandas as pd
import pytest

onnx = pytest.importorskip("onnx")
skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from skvae import MLP, VAETransformer
from skvae.export.graph import OPSET
from tests.export.graphs import assert_near, with_networks
from tests.samples import factors

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TOLERANCE = {np.float64: 1e-9, np.float32: 1e-5}


def vae(latent_dim=2):
    return VAETransformer(latent_dim, max_iter=0)


@pytest.mark.parametrize("opset", [OPSET, None])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
def test_a_pipeline(dtype, opset):
    X = (5.0 * factors(80, 6, 2) + 3.0).astype(dtype)
    y = np.where(X[:, 0] > 3.0, "more", "less")
    scaler = StandardScaler().fit(X)
    own = with_networks(vae().fit(scaler.transform(X)), MLP(hidden_layer_sizes=(8,)))
    codes = own.transform(scaler.transform(X))
    pipeline = make_pipeline(scaler, own, LogisticRegression().fit(codes, y))
    VAETransformer.register_onnx_converter()
    model = skl2onnx.to_onnx(
        pipeline, X[:1], target_opset=opset, options={id(pipeline): {"zipmap": False}}
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    labels, probabilities = session.run(None, {"X": X})
    assert labels.tolist() == pipeline.predict(X).tolist()
    expected = pipeline.predict_proba(X)
    np.testing.assert_allclose(probabilities, expected, atol=TOLERANCE[dtype])


# A step has names of skl2onnx before it and behind it, which it gives others at the end.
PIPELINES = {
    "alone": lambda: make_pipeline(vae()),
    "first": lambda: make_pipeline(vae(), StandardScaler()),
    "last": lambda: make_pipeline(StandardScaler(), vae()),
    "middle": lambda: make_pipeline(StandardScaler(), vae(), StandardScaler()),
    "before a regression": lambda: make_pipeline(StandardScaler(), vae(), LinearRegression()),
    "twice": lambda: make_pipeline(vae(3), vae()),
    "twice and last": lambda: make_pipeline(StandardScaler(), vae(3), vae()),
    "twice apart": lambda: make_pipeline(vae(3), StandardScaler(), vae(), LinearRegression()),
    "inside": lambda: make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), vae())),
    "columns": lambda: make_column_transformer((vae(), [0, 1, 2, 3]), (vae(1), [4, 5])),
    "columns, then all": lambda: make_pipeline(
        make_column_transformer(
            (make_pipeline(StandardScaler(), vae()), [0, 1, 2]), ("passthrough", [3, 4, 5])
        ),
        vae(),
    ),
    "side by side": lambda: make_union(vae(), StandardScaler(), vae(3)),
    "side by side, then all": lambda: make_pipeline(make_union(vae(), vae(3)), vae(1)),
}


def assert_answers(pipeline, X):
    """The graph of a pipeline is valid, and answers of rows what the pipeline does."""
    VAETransformer.register_onnx_converter()
    model = skl2onnx.to_onnx(pipeline, X[:1])
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for rows in (X, X[:1]):
        (found,) = session.run(None, {"X": rows})
        answer = pipeline.predict if hasattr(pipeline, "predict") else pipeline.transform
        expected = answer(rows).reshape(found.shape)
        assert_near(found, expected, TOLERANCE[X.dtype.type], answer(X))


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("name", PIPELINES)
def test_a_step_anywhere(name, dtype):
    X = (5.0 * factors(80, 6, 3) + 3.0).astype(dtype)
    assert_answers(PIPELINES[name]().fit(X, X[:, 0]), X)


@pytest.mark.parametrize("name", ["first", "last", "middle", "twice"])
def test_a_step_of_networks_anywhere(name):
    X = 5.0 * factors(80, 6, 3) + 3.0
    pipeline = PIPELINES[name]().fit(X)
    for step in pipeline:
        if isinstance(step, VAETransformer):
            with_networks(step, MLP(hidden_layer_sizes=(8,)))
    assert_answers(pipeline, X)


@pytest.mark.parametrize("name", ["first", "last", "twice"])
def test_a_step_of_rows_with_gaps(name):
    X = 5.0 * factors(80, 6, 3) + 3.0
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    assert_answers(PIPELINES[name]().fit(X), X)


def test_a_table_inside_a_pipeline_is_refused():
    X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 4.0], "b": ["x", "y", "x", "y"]})
    pipeline = make_pipeline(VAETransformer(1, max_iter=0).fit(X), StandardScaler())
    VAETransformer.register_onnx_converter()
    types = skl2onnx.common.data_types
    inputs = [("a", types.DoubleTensorType([None, 1])), ("b", types.StringTensorType([None, 1]))]
    with pytest.raises(TypeError, match="export it alone, with to_onnx"):
        skl2onnx.convert_sklearn(pipeline, initial_types=inputs)


def test_without_skl2onnx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'skvae\[onnx\]'"):
        VAETransformer.register_onnx_converter()
