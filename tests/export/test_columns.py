"""Columns of frames as named inputs, each of its own type, and as outputs."""

import re

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from hypothesis import given

from skvae import MLP, VAETransformer
from skvae.data.excerpts import excerpt
from skvae.export.columns import safe_names
from tests.export.graphs import assert_parity, graph_of, run, with_networks
from tests.generated import FITTED, estimators, fitted, tables

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TINY = MLP(hidden_layer_sizes=(8,))


@pytest.fixture(scope="module")
def frame():
    """Columns of every kind, some with gaps."""
    rng = np.random.RandomState(0)
    z = rng.standard_normal(120)
    whole = np.round(3 * z).astype(int)
    X = pd.DataFrame(
        {
            "a b": z + 0.2 * rng.standard_normal(120),
            "a_b": np.float32(2 * z),
            "whole": whole,
            "small": np.abs(whole).astype(np.uint8),
            "yes": z > 0,
            "text": np.where(z > 0.5, "x", np.where(z < -0.5, "ß", "z")).astype(object),
            "ordered": pd.Categorical(np.where(z > 0, "lo", "hi"), ["hi", "lo"], ordered=True),
            "codes": pd.Categorical(np.digitize(z, [-1, 1])),
            "flags": pd.Categorical(z > 1),
            "one": 1.5,
            "same": "alike",
            "1": pd.array(whole, dtype="Int64"),
            "known": pd.array(z > 0, dtype="boolean"),
        }
    )
    X.loc[::7, "a b"], X.loc[::9, "text"] = np.nan, None
    X.loc[::5, "1"], X.loc[::6, "known"] = pd.NA, pd.NA
    return X


LIKELIHOODS = {
    "auto": "auto",
    "counts": {"small": "poisson", "a b": "student_t"},
    "levels": {"whole": "ordinal", "small": "empirical", "a b": "empirical"},
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_tables(name, frame, tmp_path):
    vae = VAETransformer(3, max_iter=0, likelihood=LIKELIHOODS[name], random_state=0).fit(frame)
    assert_parity(vae, frame, tmp_path)
    assert_parity(with_networks(vae, TINY), frame, tmp_path)


def test_inputs_have_names_and_types_of_their_own(frame, tmp_path):
    vae = VAETransformer(2, max_iter=0).fit(frame)
    graph = graph_of(vae, tmp_path, ("codes",))
    assert {port.name: port.type.removeprefix("tensor") for port in graph.get_inputs()} == {
        "a_b": "(double)",
        "a_b_2": "(float)",
        "whole": "(int64)",
        "small": "(int64)",
        "yes": "(bool)",
        "text": "(string)",
        "ordered": "(string)",
        "codes_2": "(int64)",
        "flags": "(bool)",
        "one": "(double)",
        "same": "(string)",
        "_1": "(double)",
        "known": "(double)",
    }


def test_levels_that_fit_has_not_seen_tell_nothing_of_the_codes(frame, tmp_path):
    vae = VAETransformer(2, max_iter=0).fit(frame)
    graph = graph_of(vae, tmp_path, ("codes",))
    strange, empty = frame.copy(), frame.copy()
    strange["text"], empty["text"] = "never seen", None
    found = run(graph, strange)["codes"]
    np.testing.assert_allclose(found, vae.transform(strange), atol=1e-9)
    np.testing.assert_allclose(found, run(graph, empty)["codes"], atol=1e-9)


def test_levels_of_an_array(tmp_path):
    rng = np.random.RandomState(0)
    X = np.column_stack([np.digitize(rng.standard_normal(60), [-1, 0.5]) * 2.5, rng.rand(60)])
    vae = VAETransformer(2, max_iter=0, likelihood={0: "categorical"}).fit(X)
    assert_parity(vae, X, tmp_path)
    unknown = X.copy()
    unknown[::3, 0] = 77.0
    codes = run(graph_of(vae, tmp_path, ("codes",)), unknown)["codes"]
    np.testing.assert_allclose(codes, vae.transform(unknown), atol=1e-9)


def test_levels_of_several_types_are_refused(tmp_path):
    X = pd.DataFrame({"odd": ["a", 1, 2, "b"] * 5, "x": np.arange(20.0)})
    vae = VAETransformer(1, max_iter=0).fit(X)
    with pytest.raises(TypeError, match=r"column 'odd' has levels of the type int, str.*text"):
        vae.to_onnx(tmp_path / "model.onnx")


@pytest.mark.parametrize("outputs", ["codes", "reconstruction"])
@pytest.mark.parametrize(
    "levels", [["a\ud800", "b"], ["\udfff", "b"], [2**70, 1], [2**63, 1]], ids=str
)
def test_a_level_that_onnx_cannot_hold_is_named(levels, outputs, tmp_path):
    X = pd.DataFrame({"x": np.arange(20.0), "odd": pd.Series(levels * 10, dtype=object)})
    vae = VAETransformer(1, max_iter=0).fit(X)
    words = re.escape(f"column 'odd' has the level {excerpt(levels[0])}, ")
    with pytest.raises(ValueError, match=f"{words}.*before fit"):
        vae.to_onnx(tmp_path / "model.onnx", outputs)
    assert not list(tmp_path.iterdir())


def test_names_may_be_no_unicode(tmp_path):
    cells = [[float(n), "ab"[n % 2]] for n in range(20)]
    X = pd.DataFrame(cells, columns=pd.Index(["a\ud800", "\udfff"], dtype=object))
    assert_parity(VAETransformer(1, max_iter=0).fit(X), X, tmp_path)


def test_columns_that_are_all_alike(tmp_path):
    X = pd.DataFrame({"k": np.full(20, 1.5), "t": ["same"] * 20})
    assert_parity(VAETransformer(1, max_iter=0).fit(X), X, tmp_path)


def test_names_are_safe_and_each_once():
    names = ["a b", "a-b", "", "1", "codes", "mean_x", "é"]
    found = safe_names(names, ["codes", "mean"])
    assert found == ["a_b", "a_b_2", "_", "_1", "codes_2", "mean_x", "__2"]
    others = [f"{output}_{name}" for output in ("codes", "mean") for name in found]
    assert len({*found, *others}) == len(found) + len(others)


@FITTED
@given(tables(), estimators())
def test_any_table(tmp_path_factory, table, vae):
    fitted(vae, table)
    path = tmp_path_factory.mktemp("onnx")
    dtype = vae.transform(table[:1]).dtype.type
    if dtype == np.float64:
        assert_parity(vae, table, path)
