"""A whole Pipeline goes to ONNX by skl2onnx, and answers as scikit-learn does."""

import sys

import numpy as np
import pandas as pd
import pytest

skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import MLP, VAETransformer
from skvae.export.graph import OPSET
from tests.export.graphs import with_networks
from tests.samples import factors

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TOLERANCE = {np.float64: 1e-9, np.float32: 1e-5}


@pytest.mark.parametrize("opset", [OPSET, None])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
def test_a_pipeline(dtype, opset):
    X = (5.0 * factors(80, 6, 2) + 3.0).astype(dtype)
    y = np.where(X[:, 0] > 3.0, "more", "less")
    vae = with_networks(
        VAETransformer(2, max_iter=0).fit(StandardScaler().fit_transform(X)),
        MLP(hidden_layer_sizes=(8,)),
    )
    scaler = StandardScaler().fit(X)
    codes = vae.transform(scaler.transform(X))
    pipeline = make_pipeline(scaler, vae, LogisticRegression().fit(codes, y))
    VAETransformer.register_onnx_converter()
    model = skl2onnx.to_onnx(
        pipeline, X[:1], target_opset=opset, options={id(pipeline): {"zipmap": False}}
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    labels, probabilities = session.run(None, {"X": X})
    assert labels.tolist() == pipeline.predict(X).tolist()
    expected = pipeline.predict_proba(X)
    np.testing.assert_allclose(probabilities, expected, atol=TOLERANCE[dtype])


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
