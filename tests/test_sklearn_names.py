"""Private names of scikit-learn: each may be gone, and what stands in its place does the same."""

import ast
import importlib
import importlib.util
import subprocess
import sys
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

from skvae import _sklearn
from skvae._sklearn import RealNotInt

SOURCE = Path(_sklearn.__file__)


def private_names():
    """Modules and names that are imported and that scikit-learn keeps for itself, or has late."""
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        module = getattr(node, "module", None) or ""
        if isinstance(node, ast.ImportFrom) and module.startswith("sklearn"):
            is_private = any(part.startswith("_") for part in module.split("."))
            for name in (alias.name for alias in node.names):
                if is_private or name.startswith("_") or module == "sklearn.callback":
                    yield module, name


NAMES = sorted(set(private_names()))


def without(monkeypatch, gone):
    """The module as it would be if scikit-learn had no such names."""
    for module, name in gone:
        try:
            found = importlib.import_module(module)
        except ImportError:  # as before 1.9
            continue
        monkeypatch.delattr(found, name, raising=False)
    spec = importlib.util.spec_from_file_location("skvae_without", SOURCE)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.undo()
    return made


CASES = [[each] for each in NAMES] + [NAMES]


@pytest.fixture(params=CASES, ids=lambda gone: gone[0][1] if len(gone) == 1 else "all")
def module(request, monkeypatch):
    return without(monkeypatch, request.param)


def test_names_were_found():
    assert len(NAMES) >= 9


def test_columns_weights_and_containers(module):
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [2.0, 0.0, 1.0]})
    scaler = StandardScaler().fit(frame)
    assert list(module.feature_names_of(scaler)) == ["a", "b"]
    assert list(module.feature_names_of(StandardScaler().fit(frame.to_numpy()))) == ["x0", "x1"]
    for asked in ("default", "pandas"):
        scaler.set_output(transform=asked)
        assert module.output_container(scaler) == asked
    X = frame.to_numpy()
    assert module.to_numpy(X) is X
    assert module.like(X, X) is X
    assert module.float_dtypes(X) == [np.float64, np.float32]
    for given in (None, 2, [1, 0, 3]):
        weight = module.weights_of(given, X)
        assert weight.dtype == np.float64
        assert np.array_equal(weight, _sklearn.weights_of(given, X))
    for wrong in ([1, 2], [[1], [2], [3]], ["a", "b", "c"], [1, np.nan, 2]):
        with pytest.raises((ValueError, TypeError)):
            module.weights_of(wrong, X)


class Options(BaseEstimator):
    def __init__(self, value):
        self.value = value


VALUES = [None, True, 0, 1, 2, -1, 0.0, 0.5, 1.0, 1.5, np.nan, np.inf, np.int64(1), np.float32(0.5),
          "auto", "none", len, StandardScaler(), np.random.RandomState(0), [1], 2**40]  # fmt: skip


def kinds(module):
    """Constraints as the estimators declare them."""
    return [
        [module.Interval(Integral, 1, None, closed="left"), module.StrOptions({"auto"}), None],
        [module.Interval(module.RealNotInt, 0.0, 1.0, closed="neither")],
        [module.Interval(Real, 0.0, None, closed="left")],
        [module.Interval(Real, None, 1, closed="both")],
        ["boolean"], ["verbose"], ["random_state"], [callable], [StandardScaler, dict], [str],
    ]  # fmt: skip


def allows(module, constraints, value):
    estimator = Options(value)
    estimator._parameter_constraints = {"value": constraints}
    try:
        module.check_parameters(estimator)
    except ValueError:
        return False
    return True


def test_parameters_are_checked_alike(module):
    for own, others in zip(kinds(module), kinds(_sklearn), strict=True):
        for value in VALUES:
            found = allows(module, own, value), allows(_sklearn, others, value)
            assert found[0] == found[1], (own, value)


def test_components_are_checked(module):
    option, said = Options(3), r"value=3 of Options must be an int in the range \[1, 2\]"
    option._parameter_constraints = {"value": [module.Interval(Integral, 1, 2, closed="both")]}
    with pytest.raises(ValueError, match=said):
        module.check_options(option)


def test_a_float_is_no_integer():
    assert isinstance(0.5, RealNotInt)
    assert not isinstance(1, RealNotInt)


FIT = """
import importlib, sys, warnings
import sklearn.decomposition, sklearn.ensemble, sklearn.mixture, sklearn.neighbors, sklearn.pipeline
warnings.simplefilter("ignore")
gone = []
for module, name in {names}:
    try:
        found = importlib.import_module(module)
        gone.append((found, name, getattr(found, name)))
        delattr(found, name)
    except (ImportError, AttributeError):
        pass
import numpy as np
from skvae import VAETransformer
for found, name, value in gone:  # which scikit-learn itself needs
    setattr(found, name, value)
X = np.random.RandomState(0).normal(size=(60, 4))
vae = VAETransformer(2, max_iter=2, random_state=0)
codes = vae.fit(X, sample_weight=np.ones(60)).set_output(transform="pandas").transform(X)
print(codes.shape, list(codes.columns), hasattr(vae, "set_callbacks"))
try:
    VAETransformer("two").fit(X)
except ValueError as error:
    print(error)
"""


def test_a_fit_needs_none_of_them():
    run = [sys.executable, "-c", FIT.format(names=NAMES)]
    ran = subprocess.run(run, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == "(60, 2) ['vaetransformer0', 'vaetransformer1'] False"
    assert "latent_dim" in lines[1]
