"""A person's own components and architectures are kept by name, and built by nobody else."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from torch import nn

import skvae
from skvae import MLP, LoadError, VAETransformer
from skvae.registry import REGISTRY, Registry
from tests.persistence.hostile import signed
from tests.persistence.kept import assert_same, loaded
from tests.samples import curve, fit_quietly

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SHORT = {"max_iter": 20, "batch_size": 16, "random_state": 0}


def shallow(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 4), nn.Tanh(), nn.Linear(4, n_out))


def wide(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 9), nn.Tanh(), nn.Linear(9, n_out))


def other(n_in, n_out):
    """Weights of the same names and shapes, which mean something else."""
    return nn.Sequential(nn.Linear(n_in, 4), nn.ReLU(), nn.Linear(4, n_out))


class Deep(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 4), nn.Tanh(), nn.Linear(4, n_out))

    def forward(self, x):
        return self.layers(x)


class Residual(BaseEstimator):
    def __init__(self, *, n_units=4):
        self.n_units = n_units

    def __call__(self, n_in, n_out):
        return nn.Sequential(nn.Linear(n_in, self.n_units), nn.Tanh(), nn.Linear(4, n_out))


class Unplain(BaseEstimator):
    def __init__(self, *, how=np.tanh):
        self.how = how


@pytest.fixture
def registry(monkeypatch):
    """What this process knows, for one test."""
    monkeypatch.setattr(REGISTRY, "_known", {})
    return REGISTRY


@pytest.mark.parametrize("own", [shallow, Deep, Residual], ids=lambda own: own.__name__)
def test_what_is_registered_comes_back(own, registry, tmp_path):
    skvae.register("acme.own", own)
    X = curve(300, 5)
    architecture = own() if own is Residual else own
    vae = fit_quietly(VAETransformer(1, architecture=architecture, **SHORT), X)
    assert vae.kept_ > 0
    assert_same(loaded(vae, tmp_path / "model.skvae"), vae, X)
    assert b"Sequential" not in (tmp_path / "model.skvae").read_bytes()


def test_models_that_learn_in_batches_come_back(registry, tmp_path):
    skvae.register("shallow", shallow)
    X = curve(300, 5)
    vae = VAETransformer(1, architecture=shallow, batch_size=16, random_state=0)
    vae.partial_fit(X[:150])
    found = loaded(vae, tmp_path / "model.skvae")
    codes = [each.partial_fit(X[150:]).transform(X) for each in (found, vae)]
    assert np.array_equal(*codes)


def test_what_is_not_registered_is_told_on_both_sides(registry, tmp_path):
    path = tmp_path / "model.skvae"
    vae = fit_quietly(VAETransformer(1, architecture=shallow, **SHORT), curve(300, 5))
    with pytest.raises(TypeError, match=r"parameter architecture .*skvae\.register\(name, shallow"):
        vae.save(path)
    assert not path.exists()
    skvae.register("shallow", shallow)
    vae.save(path)
    registry._known.clear()
    with pytest.raises(LoadError, match=r"'shallow' is .*skvae\.register\('shallow'"):
        skvae.load(path)
    for own, said in (
        (wide, "shape of the weight"),
        (other, "differ from those"),
        (Residual, "none"),
    ):
        registry._known.clear()
        skvae.register("shallow", own)
        with pytest.raises(LoadError, match=said):
            skvae.load(path)


def test_options_that_a_class_does_not_have_are_refused(registry, tmp_path):
    skvae.register("residual", Residual)
    path = tmp_path / "model.skvae"
    fit_quietly(VAETransformer(1, architecture=Residual(), **SHORT), curve(300, 5)).save(path)

    def change(manifest, arrays):
        manifest["parameters"]["architecture"]["options"]["other"] = 1

    path.write_bytes(signed(path.read_bytes(), change))
    with pytest.raises(LoadError, match="has no part 'other'"):
        skvae.load(path)


@pytest.mark.parametrize(
    ("name", "own", "error", "said"),
    [
        ("", shallow, ValueError, "must begin with a letter"),
        ("os.system('x')", shallow, ValueError, "must begin with a letter"),
        (3, shallow, ValueError, "must begin with a letter"),
        ("MLP", shallow, ValueError, "belongs to skvae"),
        ("mine", MLP, ValueError, "belongs to skvae"),
        ("mine", Residual(), TypeError, "neither a class nor a function"),
        ("mine", 3, TypeError, "neither a class nor a function"),
        ("mine", Unplain, TypeError, "option how of Unplain"),
        ("taken", wide, ValueError, "choose another name"),
        ("another", shallow, ValueError, "is registered as 'taken'"),
    ],
)
def test_what_cannot_be_registered(name, own, error, said):
    registry = Registry()
    registry.reserve({"MLP": MLP})
    registry.register("taken", shallow)
    registry.register("taken", shallow)
    with pytest.raises(error, match=said):
        registry.register(name, own)


def test_a_class_that_was_defined_again_takes_its_own_place():
    registry = Registry()
    registry.register("shallow", shallow)
    text = "def shallow(n_in, n_out):\n    return None"
    again = {"__name__": __name__}
    exec(text, again)
    registry.register("shallow", again["shallow"])
    assert registry.get("shallow") is again["shallow"]
    assert registry.name_of(shallow) == "shallow"


def test_lambdas_are_themselves_alone():
    registry = Registry()
    registry.register("one", lambda n_in, n_out: nn.Linear(n_in, n_out))
    with pytest.raises(ValueError, match="another name"):
        registry.register("one", lambda n_in, n_out: nn.Linear(n_in, n_out))
