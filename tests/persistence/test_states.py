"""What pickles and skops bring is an estimator that holds, or one clear error."""

import copy
import pickle
import warnings
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skvae
from skvae import VAETransformer
from skvae.persistence.tables import OPTIONAL
from tests.generated import WITHOUT_A_FIT, seeds
from tests.persistence.golden import FOLDER, KINDS
from tests.persistence.hostile import STRANGE
from tests.persistence.kept import bits

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
CHOSEN = ("matrix", "pandas", "batches", "prior-mixture")


@pytest.fixture(scope="module")
def states():
    """A state of a model of a kind, a new one for each call."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pickled = {name: pickle.dumps(KINDS[name]().__getstate__()) for name in CHOSEN}
    return lambda name: pickle.loads(pickled[name])


def opened(state):
    """The estimator of a state, as pickle and skops make it."""
    made = object.__new__(VAETransformer)
    made.__setstate__(state)
    return made


def attributes(owner):
    """What is in an object, with what changes it."""
    own = owner if isinstance(owner, dict) else None
    if hasattr(owner, "__dict__") and type(owner).__module__.startswith("skvae"):
        own = vars(owner)
    return [] if own is None else [(key, own[key], own) for key in own]


def places(state):
    """Everything inside, the deeper the later."""
    found, waiting = [], attributes(state)
    while waiting:
        key, value, own = waiting.pop()
        found.append((key, own))
        waiting += attributes(value)
    return sorted(found, key=lambda place: str(place[0]))


MANGLED = [*STRANGE, np.zeros(3), np.array(["x"]), np.float64("nan"), object(), print, 10**9, (1,)]


@given(st.sampled_from(CHOSEN), seeds)
@WITHOUT_A_FIT
def test_a_state_that_was_changed_is_refused_or_holds(states, name, seed):
    state, generator = states(name), np.random.default_rng(seed)
    found = places(state)
    key, own = found[generator.integers(len(found))]
    own[key] = copy.deepcopy(MANGLED[generator.integers(len(MANGLED))])
    with suppress(ValueError):  # and no other error, now or later
        vae = opened(state)
        rows = vae.sample(3, random_state=0)
        vae.transform(rows)
        vae.score_samples(rows)


@given(st.sampled_from(CHOSEN), seeds)
@WITHOUT_A_FIT
def test_a_state_that_lacks_something_is_refused(states, name, seed):
    state, generator = states(name), np.random.default_rng(seed)
    key = sorted(state)[generator.integers(len(state))]
    del state[key]
    if key in ("_skvae_version", "_model") or key in OPTIONAL:  # without a model: not fitted
        assert opened(state).n_samples_ > 0
        return
    with pytest.raises(ValueError, match=rf"has no {key}|does not belong to a fitted"):
        opened(state)


@pytest.mark.parametrize("state", [None, [], "x", {}, {"_model": 1}, 3, {"latent_dim": 2}])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(ValueError, match=r"state|has no"):
        opened(state)


@pytest.mark.parametrize("name", ["transform", "fit", "_parameter_constraints", "__class__", 3])
def test_no_attribute_stands_before_a_method(name, states):
    state = states("matrix")
    state[name] = print
    with pytest.raises(ValueError, match="no attribute of an object"):
        opened(state)


def test_what_a_person_adds_comes_back(states):
    state = states("matrix")
    state["note"] = "of Monday"
    assert opened(state).note == "of Monday"


def test_states_of_other_versions_load_with_a_warning_or_say_what_they_lack(states):
    state = states("matrix")
    state["_skvae_version"] = "0.3.0"
    with pytest.warns(UserWarning, match=r"pickled by skvae 0\.3\.0"):
        opened(state)
    del state["kept_"]
    with pytest.raises(ValueError, match=r"by skvae 0\.3\.0 and has no kept_"):
        opened(state)


def golden(name):
    """The model of a kind, of its file."""
    return skvae.load(FOLDER / skvae.__version__ / f"{name}.skvae")


def just_fitted(name):
    return KINDS[name]()


OF_SKOPS = [
    pytest.param(name, make, marks=pytest.mark.slow if is_long else ())
    for name in KINDS
    for make, is_long in ((golden, name in CHOSEN), (just_fitted, name not in CHOSEN))
]


@pytest.mark.parametrize(("name", "make"), OF_SKOPS)
def test_skops_trusts_every_kind_and_gives_it_back(name, make):
    skops = pytest.importorskip("skops.io")
    vae = make(name)
    data = skops.dumps(vae)
    assert set(skops.get_untrusted_types(data=data)) <= set(skvae.SKOPS_TRUSTED_TYPES)
    found = skops.loads(data, trusted=skvae.SKOPS_TRUSTED_TYPES)
    rows = vae.sample(10, random_state=0)
    for method in ("transform", "score_samples"):
        assert bits(getattr(found, method)(rows)) == bits(getattr(vae, method)(rows))
    assert bits(found.sample(5, random_state=1)) == bits(vae.sample(5, random_state=1))
    assert bits(found.inverse_transform(found.transform(rows))) == bits(
        vae.inverse_transform(vae.transform(rows))
    )


def test_skops_keeps_a_pipeline():
    skops = pytest.importorskip("skops.io")
    X = np.random.default_rng(0).standard_normal((60, 4))
    pipeline = make_pipeline(
        StandardScaler(), VAETransformer(2, max_iter=0), LogisticRegression()
    ).fit(X, X[:, 0] > 0)
    found = skops.loads(skops.dumps(pipeline), trusted=skvae.SKOPS_TRUSTED_TYPES)
    assert np.array_equal(found.predict_proba(X), pipeline.predict_proba(X))
