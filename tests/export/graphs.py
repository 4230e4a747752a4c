"""Graphs of fitted models, as onnxruntime runs them, and what is asked of both."""

from dataclasses import replace

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")

from skvae.export.columns import is_table
from skvae.model.priors import Normal

OUTPUTS = ("codes", "reconstruction", "mean", "std")
NUMBERS = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": bool,
}
SPREAD = {np.float64: 1e-9, np.float32: 1e-5}  # of each code's spread, by which answers may differ


def session(path):
    """A file as onnxruntime runs it, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def graph_of(vae, path, outputs=OUTPUTS, dtype=None):
    """The graph of a model."""
    vae.to_onnx(path / "model.onnx", outputs, dtype=dtype)
    return session(path / "model.onnx")


def feed(graph, X):
    """What goes into a graph: a matrix, or a column each of a pandas frame."""
    if isinstance(X, np.ndarray):
        (port,) = graph.get_inputs()
        return {port.name: np.ascontiguousarray(X, NUMBERS[port.type])}
    return {
        port.name: cells(port, column)
        for port, (_, column) in zip(graph.get_inputs(), X.items(), strict=True)
    }


def cells(port, column):
    """A column as its input takes it."""
    if port.type == "tensor(string)":
        own = column.astype(object).where(column.notna(), "no level of fit").to_numpy(object)
    elif NUMBERS[port.type] in (np.float64, np.float32):
        own = column.to_numpy(NUMBERS[port.type], na_value=np.nan)
    else:
        own = column.to_numpy(NUMBERS[port.type])
    return own[:, None]


def run(graph, X):
    """Answers of a graph, by their names."""
    names = [port.name for port in graph.get_outputs()]
    return dict(zip(names, graph.run(names, feed(graph, X)), strict=True))


def assert_parity(vae, X, path, dtype=np.float64):
    """Graph and estimator say the same of rows, and of none and one of them."""
    rows = X.astype(dtype) if isinstance(X, np.ndarray) else X
    graph = graph_of(vae, path, dtype=dtype)
    found = run(graph, rows)
    codes, (mean, std) = vae.transform(rows), vae.encode(rows)
    for name, expected in (("codes", codes), ("mean", mean), ("std", std)):
        assert found[name].dtype == dtype
        assert_near(found[name], expected, SPREAD[dtype])
    assert_same_rows(vae, found, codes, SPREAD[dtype])
    for n in (0, 1):
        some = run(graph, rows[:n])
        assert some["codes"].shape == (n, vae.latent_dim_)
        assert_near(some["codes"], found["codes"][:n], SPREAD[dtype], found["codes"])


def assert_near(found, expected, share, spread_of=None):
    """Equal to a share of the spread of each column."""
    spread = np.std(expected if spread_of is None else spread_of, 0, dtype=np.float64)
    rounding = 4 * np.finfo(found.dtype).eps * np.abs(expected)
    difference = np.abs(found.astype(np.float64) - expected)
    assert found.shape == expected.shape
    assert (difference <= share * np.where(spread > 0, spread, 1.0) + rounding).all(), (
        difference.max(0)
    )


def assert_same_rows(vae, found, codes, share):
    """Reconstructions are those of `inverse_transform`: numbers nearly, levels to the last."""
    expected = vae.inverse_transform(codes)
    if not is_table(vae._columns):
        assert_near(found["reconstruction"], np.asarray(expected, float), 10 * share)
        return
    names = [name for name in found if name.startswith("reconstruction_")]
    for name, (_, column) in zip(names, expected.items(), strict=True):
        own = found[name][:, 0]
        if own.dtype.kind == "f":
            theirs = column.to_numpy(np.float64)
            size = np.abs(theirs).max(initial=1e-300)
            np.testing.assert_allclose(own, theirs, rtol=1e-6, atol=share * size)
        else:
            assert own.tolist() == column.to_numpy(own.dtype).tolist(), name


def with_networks(vae, architecture, seed=0):
    """The fitted estimator with networks of random weights, and units that are not the start's."""
    model = vae._model
    module = model.start.module_of(architecture, Normal())
    known = module_state(model.start.module())
    if module.columns is not None:
        known |= {f"columns.{name}": own for name, own in module_state(module.columns).items()}
    rng = np.random.RandomState(seed)
    weights = {
        name: known[name] if name in known else random_weights(name, tensor, rng)
        for name, tensor in module.state_dict().items()
    }
    q = model.start.latent_dim
    weights["scale.center"] = 0.3 * rng.standard_normal(q)
    weights["scale.spread"] = np.exp(0.2 * rng.standard_normal(q))
    weights["scale.width"] = 0.1 * rng.standard_normal(q)
    vae._model = replace(model, architecture=architecture, weights=weights, kept=1.0)
    return vae


def module_state(module):
    return {name: own.numpy(force=True).copy() for name, own in module.state_dict().items()}


def random_weights(name, tensor, rng):
    """Weights of a layer; variances are positive."""
    if not tensor.dtype.is_floating_point:
        return np.array(3)
    own = 0.2 * rng.standard_normal(tuple(tensor.shape)).astype(np.float32)
    return np.abs(own) + 0.5 if "running_var" in name else own
