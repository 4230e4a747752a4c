"""Every name of every table of components fits, answers, repeats itself and is refused in the
same way, alone and beside every other.

A name that is added to a table is tested here without a line of its own.
"""

import itertools
import pickle
import random
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skvae
from skvae import MLP, VAETransformer
from skvae.components import plain
from skvae.likelihoods import LIKELIHOODS
from skvae.model.bounds import importance_bound
from skvae.model.networks import ARCHITECTURES
from skvae.model.priors import PRIORS
from skvae.start.ppca import fit_linear
from skvae.training.annealing import ANNEALING
from skvae.training.objective import OBJECTIVES
from skvae.training.optimizers import OPTIMIZERS
from skvae.training.schedules import KL_SCHEDULES, RATE_SCHEDULES
from tests.samples import RECIPE, OneSplit, options, projected, spread, started

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::skvae.CollapseWarning"),
]

TABLES = {
    "architecture": ARCHITECTURES,
    "objective": OBJECTIVES,
    "prior": PRIORS,
    "kl_schedule": KL_SCHEDULES,
    "optimizer": OPTIMIZERS,
    "schedule": RATE_SCHEDULES,  # of the optimizer
    "annealing": ANNEALING,
    "likelihood": LIKELIHOODS,
}
USUAL = {
    "architecture": "mlp",
    "objective": "elbo",
    "prior": "normal",
    "kl_schedule": "constant",
    "optimizer": "adamw",
    "schedule": "settle",
    "likelihood": "gaussian",
}
SMALL = {
    "mlp": {"hidden_layer_sizes": (16,)},
    "conv": {"channels": (4,), "image_shape": (6, 6), "hidden_units": 16},
    "mixture": {"n_components": 3},
    "vamp": {"n_components": 5},
    "ex_post": {"n_components": 3},
    "aggregate": {"n_components": 20},
    "metropolis": {"n_proposals": 2, "n_steps": 10},
    "randomwalk": {"n_proposals": 200},
    "adamw": {"learning_rate": 0.03},  # few passes have to be enough
    "adam": {"learning_rate": 0.03},
    "rmsprop": {"learning_rate": 0.01},
    "muon": {"learning_rate": 0.03},
}

N_ROWS, N_COLUMNS, SIDE = 150, 6, 6
DEFAULTS = {"batch_size": 8, "max_iter": 5, "random_state": 0}


# Rows that few passes model better than PCA.


def clipped(n_rows=N_ROWS, seed=0):
    """Rows along a line that is bent in 6 columns."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-3, 3, n_rows)
    X = np.stack([t, 2 * np.sin(2 * t), 2 * np.cos(2 * t), t**2 / 3, np.abs(t), np.sin(t)], 1)
    return X + 0.05 * rng.normal(size=X.shape)


def images(n_rows=N_ROWS, seed=0):
    """Spots at some place in a square."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, SIDE - 1, (2, n_rows, 1, 1))
    i, j = np.mgrid[:SIDE, :SIDE]
    spots = np.exp(-((i - x) ** 2 + (j - y) ** 2) / 4)
    return spots.reshape(n_rows, -1) + 0.02 * rng.normal(size=(n_rows, SIDE**2))


def with_gaps(X, share=0.1, seed=0):
    X = np.array(X)
    X[np.random.default_rng(seed).uniform(size=X.shape) < share] = np.nan
    return X


def mixed(n_rows=N_ROWS):
    """A frame of numbers, text and booleans, with missing cells."""
    X = clipped(n_rows)
    frame = pd.DataFrame(with_gaps(X[:, :4]), columns=list("abcd"))
    frame["side"] = pd.Series(np.where(X[:, 0] > 0, "right", "left")).where(X[:, 1] < 1.9)
    frame["high"] = X[:, 3] > 1
    return frame


def levels(X):
    return np.clip(np.round(X), -2, 2) + 2


SUPPORTS = {
    "lognormal": lambda X: np.exp(X / 2),
    "bernoulli": lambda X: np.greater(X, np.median(X, 0)).astype(float),
    "continuous_bernoulli": lambda X: 1 / (1 + np.exp(-X)),
    "categorical": levels,
    "ordinal": levels,
    "poisson": lambda X: np.round(np.abs(X)),
    "negative_binomial": lambda X: np.round(np.abs(X)),
}


def rows_for(names):
    """Rows that the chosen components can be fitted to."""
    is_image = names.get("architecture") == "conv"
    if names.get("kind") == "table":
        return with_gaps(images(100)) if is_image else mixed(100)
    X = images() if is_image else clipped()
    return SUPPORTS.get(names.get("likelihood"), np.asarray)(X)


# Models.


def component(parameter, name):
    return TABLES[parameter][name](**SMALL.get(name, {}))


def model(latent_dim=2, /, kind_of_estimator=OneSplit, **names):
    """Estimator of these components, by their names in the tables; other parameters as they are."""
    names.pop("kind", None)
    names = {"architecture": "mlp", "optimizer": "adamw"} | names
    chosen = {
        parameter: component(parameter, name) if name in TABLES.get(parameter, ()) else name
        for parameter, name in names.items()
    }
    if "schedule" in chosen:
        chosen["optimizer"].set_params(schedule=chosen.pop("schedule"))
    if "randomwalk" in names.values() and chosen.get("max_iter") != 0:
        chosen["max_iter"] = 250  # which an evaluation takes as much of as a pass
        if len(names) > 1:
            chosen["architecture"] = narrow(chosen["architecture"])
    return kind_of_estimator(latent_dim, **DEFAULTS | chosen)


def narrow(architecture):
    return MLP(hidden_layer_sizes=(4,)) if isinstance(architecture, MLP) else architecture


def is_complete(answer):
    """Whether numbers are finite and everything else is there."""
    frame = pd.DataFrame(answer)
    numbers = frame.select_dtypes("number")
    return bool(frame.notna().to_numpy().all() and np.isfinite(numbers.to_numpy(float)).all())


def answers(vae, X):
    codes = vae.transform(X)
    return {
        "transform": codes,
        "inverse_transform": vae.inverse_transform(codes),
        "score_samples": vae.score_samples(X),
        "sample": vae.sample(20, random_state=0),
    }


def assert_answers(vae, X):
    found = answers(vae, X)
    for method, answer in found.items():
        assert is_complete(answer), method
    assert found["transform"].shape == (len(X), 2)
    assert found["inverse_transform"].shape == X.shape
    assert is_complete(vae.loss_curve_)
    assert np.isfinite(vae.history_["bound"]).all()


def assert_gradients_are_finite(vae):
    history = pd.DataFrame(vae.history_)
    norms = history.loc[history["step"] > 0, "gradient_norm"]
    if isinstance(vae.annealing, skvae.RandomWalk):
        assert norms.isna().all()  # there are none
    else:
        assert np.isfinite(norms).all()


def gain(vae):
    """What training gained over the linear start on rows that it has not seen."""
    bounds = vae.history_["bound"]
    return bounds[1:].max() - bounds[0]


def assert_improves(vae):
    """Training ends above PCA, where it began there; otherwise its own loss falls."""
    if vae.init == "pca":
        assert gain(vae) > 0
    elif vae.loss_curve_:
        # The last passes of an annealing may be those of a jump that was not kept.
        last = vae.loss_curve_[-1] if vae.annealing is None else min(vae.loss_curve_[1:])
        assert last < vae.loss_curve_[0]
    else:
        own = vae.history_["reconstruction"] - vae.history_["kl"]
        assert own[-3:].max() > own[1]


def pairs(first, second, *others):
    """Cases of every name of one table beside every name of another; defaults stand alone."""
    choices = [
        [(parameter, name) for name in TABLES[parameter] if name != USUAL.get(parameter)]
        for parameter in (first, second)
    ]
    return [dict(case) for case in itertools.product(*choices, *others)]


def label(names):
    return "-".join(map(str, names.values()))


def each(cases):
    return pytest.mark.parametrize("names", cases, ids=label)


def is_refused(names):
    """Pairs of which one leaves the other nothing to do."""
    objective, prior = names.get("objective"), names.get("prior")
    kl_schedule = names.get("kl_schedule", "constant")
    if objective == "autoencoder":
        return prior in ("mixture", "vamp") or kl_schedule != "constant"
    if names.get("annealing") == "randomwalk":
        return objective not in (None, "elbo") or kl_schedule != "constant"
    return objective == "tc" and prior in ("mixture", "vamp")


def generators():
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return [kind, keys.tolist(), rest, torch.get_rng_state().tolist(), random.getstate()]


# One at a time.

ALONE = [{parameter: name} for parameter, table in TABLES.items() for name in table]
# What is another step alone judges several splits of few rows as any other does.
OF_STEPS = {"kl_schedule", "optimizer", "schedule"}


@each(ALONE)
def test_it_fits_answers_improves_and_repeats_itself(names):
    X = rows_for(names)
    before = generators()
    vae = model(kind_of_estimator=OneSplit if OF_STEPS & {*names} else VAETransformer, **names)
    found = answers(vae.fit(X), X)
    assert generators() == before
    assert_answers(vae, X)
    assert_gradients_are_finite(vae)
    if names != {"architecture": "linear"}:  # which PCA is the best of
        assert_improves(vae)
    for other in (clone(vae).fit(X), pickle.loads(pickle.dumps(vae))):
        assert other.loss_curve_ == vae.loss_curve_
        for method, answer in answers(other, X).items():
            np.testing.assert_array_equal(answer, found[method], err_msg=method)


# Side by side.


def check(names, **params):
    """It fits, answers, and ends above its first weights, or above PCA where it began there."""
    X = rows_for(names)
    vae = model(**names, **params).fit(X)
    assert_answers(vae, X)
    assert_gradients_are_finite(vae)
    assert_improves(vae)


@each(spread(pairs("objective", "architecture")))
def test_objectives_with_architectures(names):
    check(names, init="random")
    if names["architecture"] != "linear":  # of which PCA is the best
        check(names)


@each(spread(pairs("objective", "likelihood"), n_each=1))  # their linear starts take long
def test_objectives_with_likelihoods(names):
    check(names, max_iter=8)


@each(spread([names for names in pairs("prior", "objective") if not is_refused(names)]))
def test_priors_with_objectives(names):
    check(names)


@each(spread(pairs("optimizer", "schedule")))
def test_optimizers_with_rate_schedules(names):
    check(names)


@each(spread([
    {"annealing": annealing, "architecture": architecture, "kind": kind}
    for annealing in ANNEALING
    for architecture in ARCHITECTURES
    for kind in ("numbers", "table")
]))  # fmt: skip
def test_annealing_with_architectures_and_kinds_of_rows(names):
    check(names, init="random")


@each(spread([names for names in pairs("kl_schedule", "objective") if not is_refused(names)]))
def test_kl_schedules_with_objectives(names):
    check(names)


# What is refused.


def remedy(names):
    named = {"prior": r"prior=", "kl_schedule": "kl_schedule", "annealing": "annealing="}
    what = [pattern for parameter, pattern in named.items() if parameter in names]
    objective = names.get("objective")
    if objective is not None:
        what.append(rf"(objective='{objective}'|{OBJECTIVES[objective].__name__}\()")
    return "".join(f"(?=.*{pattern})" for pattern in what) + ".*: (use|leave)"


REFUSED = [
    names
    for first, second in [
        ("prior", "objective"),
        ("kl_schedule", "objective"),
        ("annealing", "objective"),
        ("annealing", "kl_schedule"),
    ]
    for names in pairs(first, second)
    if is_refused(names)
]


@each(REFUSED)
def test_pairs_that_make_no_sense_are_refused_by_both_names(names):
    with pytest.raises(ValueError, match=remedy(names)):
        model(**names).fit(clipped())


@each(spread([names for names in pairs("annealing", "objective") if not is_refused(names)]))
def test_annealing_with_objectives_that_are_left(names):
    check(names)


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_free_bits_leave_no_room_for_a_trained_prior(prior):
    with pytest.raises(ValueError, match=r"Elbo\(free_bits=0.5\).*prior="):
        model(prior=prior, objective=skvae.Elbo(free_bits=0.5)).fit(clipped())


def test_an_autoencoder_has_no_beta():
    with pytest.raises(ValueError, match=r"objective='autoencoder'.*beta"):
        model(objective="autoencoder", beta=2.0).fit(clipped())


@pytest.mark.parametrize("architecture", ["conv", skvae.Conv()], ids=str)
def test_a_convolution_wants_images(architecture):
    with pytest.raises(ValueError, match="image_shape"):
        VAETransformer(2, architecture=architecture, **DEFAULTS).fit(clipped())


def test_an_image_of_another_shape_is_refused():
    wrong = skvae.Conv(image_shape=(5, 6))
    with pytest.raises(ValueError, match=r"image_shape=\(5, 6\).*30 pixels.*36 columns"):
        model(architecture=wrong).fit(images())


def test_a_random_walk_takes_large_networks():
    """Such as the default one of more than a few cells."""
    vae = VAETransformer(2, annealing="randomwalk", **DEFAULTS).fit(clipped(2000))
    assert vae.n_iter_ <= DEFAULTS["max_iter"]
    assert_answers(vae, clipped(2000))


ONLINE = [
    *({"kl_schedule": name} for name in KL_SCHEDULES if name != "constant"),
    {"schedule": "one_cycle"},
    {"schedule": "cosine"},
    *({"annealing": name} for name in ANNEALING),
    {"n_init": 2},
    {"prior": "ex_post"},
]


@each(ONLINE)
def test_partial_fit_is_not_there_where_all_rows_are_needed(names):
    vae = model(**names)
    assert not hasattr(vae, "partial_fit")
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as found:
        vae.partial_fit(clipped())
    assert "partial_fit sees each row once" in str(found.value.__cause__)


@each([
    *({"objective": name} for name in OBJECTIVES),
    *({"optimizer": name} for name in OPTIMIZERS),
    *({"architecture": name} for name in ARCHITECTURES),
    {"prior": "mixture"}, {"prior": "vamp"}, {"schedule": "constant"}, {"schedule": "plateau"},
])  # fmt: skip
def test_partial_fit_takes_the_others(names):
    X = rows_for(names)
    vae = model(**names)
    for _ in range(2):
        vae.partial_fit(X)
    assert_answers(vae, X)
    assert vae.n_samples_ == 2 * len(X)


OUT_OF_RANGE = [
    ("architecture", MLP(hidden_layer_sizes=(0,)), r"hidden_layer_sizes=\(0,\)"),
    ("architecture", MLP(activation="cubic"), "activation='cubic'"),
    ("architecture", MLP(dropout=1.0), "dropout=1.0"),
    ("architecture", MLP(normalization="none"), "normalization='none'"),
    ("architecture", skvae.Conv(kernel_size=4), "kernel_size=4"),
    ("architecture", skvae.Conv(channels=()), r"channels=\(\)"),
    ("architecture", skvae.Conv(hidden_units=0), "hidden_units=0"),
    ("architecture", skvae.Conv(image_shape=(6,)), r"image_shape=\(6,\)"),
    ("objective", skvae.Elbo(free_bits=-1.0), "free_bits=-1.0"),
    ("objective", skvae.Elbo(point_share=1.0), "point_share=1.0"),
    ("objective", skvae.Denoising(noise=-0.1), "noise=-0.1"),
    ("objective", skvae.Denoising(masking=1.0), "masking=1.0"),
    ("objective", skvae.Denoising(point_share=-0.5), "point_share=-0.5"),
    ("objective", skvae.Iwae(n_draws=0), "n_draws=0"),
    ("objective", skvae.Iwae(n_draws=2.5), "n_draws=2.5"),
    ("objective", skvae.TotalCorrelation(weight=-1.0), "weight=-1.0"),
    ("objective", skvae.Mmd(alpha=1.5), "alpha=1.5"),
    ("objective", skvae.Mmd(weight=0.5), "weight=0.5"),
    ("prior", skvae.Mixture(n_components=0), "n_components=0"),
    ("prior", skvae.Vamp(n_components=2.5), "n_components=2.5"),
    ("prior", skvae.ExPost(n_components="auto"), "n_components='auto'"),
    ("kl_schedule", skvae.LinearWarmUp(warm_up=0.0), "warm_up=0.0"),
    ("kl_schedule", skvae.Sigmoid(steepness=0.0), "steepness=0.0"),
    ("kl_schedule", skvae.Cyclical(n_cycles=0), "n_cycles=0"),
    ("kl_schedule", skvae.Cyclical(ramp=1.0), "ramp=1.0"),
    ("optimizer", skvae.Adam(learning_rate=0.0), "learning_rate=0.0"),
    ("optimizer", skvae.AdamW(schedule="linear"), "schedule='linear'"),
    ("optimizer", skvae.AdamW(weight_decay=-1.0), "weight_decay=-1.0"),
    ("optimizer", skvae.RMSprop(clip_norm=0.0), "clip_norm=0.0"),
    ("optimizer", skvae.Muon(averaging=1.0), "averaging=1.0"),
    ("optimizer", skvae.SGD(momentum=1.0), "momentum=1.0"),
    ("optimizer", skvae.SGD(schedule=skvae.OneCycle(warm_up=1.0)), "warm_up=1.0"),
    ("optimizer", skvae.SGD(schedule=skvae.Plateau(drop=1.0)), "drop=1.0"),
    ("optimizer", skvae.SGD(schedule=skvae.Plateau(n_drops=0)), "n_drops=0"),
    ("annealing", skvae.Metropolis(n_proposals=0), "n_proposals=0"),
    ("annealing", skvae.Metropolis(n_steps=0), "n_steps=0"),
    ("annealing", skvae.Metropolis(jump=(0.1, 0.0)), r"jump=\(0.1, 0.0\)"),
    ("annealing", skvae.Metropolis(cooling=0.0), "cooling=0.0"),
    ("annealing", skvae.Langevin(temperature=0.0), "temperature=0.0"),
    ("annealing", skvae.RandomWalk(n_proposals=-1), "n_proposals=-1"),
    ("annealing", skvae.RandomWalk(neighbourhood=(0.1,)), r"neighbourhood=\(0.1,\)"),
    ("annealing", skvae.RandomWalk(final_temperature=0), "final_temperature=0"),
    ("likelihood", skvae.StudentT(df=2.0), "df=2.0"),
    ("likelihood", skvae.GaussianDiag(start_noise="none"), "start_noise='none'"),
    ("likelihood", skvae.Categorical(weight="none"), "weight='none'"),
    ("likelihood", skvae.Poisson(size_factor="total"), "size_factor='total'"),
    ("likelihood", skvae.NegativeBinomial(size_factor=3), "size_factor=3"),
]


@pytest.mark.parametrize(("parameter", "wrong", "message"), OUT_OF_RANGE, ids=str)
def test_options_out_of_range_are_refused_by_name_and_value(parameter, wrong, message):
    is_image, is_count = isinstance(wrong, skvae.Conv), "size_factor" in message
    X = images() if is_image else np.round(np.abs(clipped())) if is_count else clipped()
    with pytest.raises(ValueError, match=message):
        model(**{parameter: wrong}).fit(X)


@pytest.mark.parametrize("parameter", [p for p in TABLES if p not in ("schedule", "likelihood")])
def test_unknown_names_are_refused_by_the_parameter(parameter):
    with pytest.raises(ValueError, match=rf"'{parameter}' parameter .* Got 'best'"):
        model(**{parameter: "best"}).fit(clipped())


# Options that numpy made.


def of_numpy(value):
    """What a grid or a table of numpy holds in place of a value: numbers of the fewest bits."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.min_scalar_type(value).type(value)
    if isinstance(value, tuple):
        return np.array(value)
    return {float: np.float64, str: np.str_}.get(type(value), lambda same: same)(value)


def leaves(value):
    if hasattr(value, "get_params"):
        value = tuple(value.get_params(deep=False).values())
    return itertools.chain(*map(leaves, value)) if isinstance(value, tuple) else [value]


EVERY = [(parameter, name) for parameter, table in TABLES.items() for name in table]


@pytest.mark.parametrize(("parameter", "name"), EVERY)
def test_options_of_numpy_are_taken_as_pythons_own(parameter, name):
    part = component(parameter, name)
    options = {option: of_numpy(value) for option, value in part.get_params().items()}
    own = plain(clone(part).set_params(**options))
    assert own.get_params() == part.get_params()
    assert {type(leaf) for leaf in leaves(own)} <= {int, float, bool, str, type(None)}
    lists = {
        option: value.tolist() if isinstance(value, np.ndarray) else value
        for option, value in options.items()
    }
    assert plain(clone(part).set_params(**lists)).get_params() == part.get_params()


# Of each table its first name: which options are taken is tested of all of them above.
WITH_NUMPY = [
    pytest.param(parameter, name, marks=pytest.mark.slow if place else ())
    for parameter, table in TABLES.items()
    for place, name in enumerate(table)
]


@pytest.mark.parametrize(("parameter", "name"), WITH_NUMPY)
def test_a_fit_with_options_of_numpy_is_that_with_pythons(parameter, name):
    X = rows_for({parameter: name})[:60]
    numpys = clone(component(parameter, name))
    numpys.set_params(**{k: of_numpy(value) for k, value in numpys.get_params().items()})
    of_rate = parameter == "schedule"
    ours, theirs = (
        model(**{"optimizer": skvae.AdamW(schedule=each)} if of_rate else {parameter: each})
        for each in (component(parameter, name), numpys)
    )
    for vae in (ours, theirs):
        if name == "randomwalk":
            vae.set_params(architecture=MLP(hidden_layer_sizes=(4,)))
        vae.set_params(max_iter=5 if name == "randomwalk" else 1).fit(X)
    assert ours.loss_curve_ == theirs.loss_curve_
    np.testing.assert_array_equal(ours.score_samples(X), theirs.score_samples(X))


def test_a_component_inside_another_is_plain_too():
    inner = skvae.Plateau(drop=np.float32(0.5), n_drops=np.uint8(2))
    own = plain(skvae.SGD(schedule=inner, momentum=np.longdouble(0.5)))
    assert own.get_params(deep=False)["schedule"].get_params() == {"drop": 0.5, "n_drops": 2}
    assert {type(leaf) for leaf in leaves(own)} <= {int, float, str}
    assert isinstance(inner.drop, np.float32)  # the person's own stays as it was


NONSENSE = (1j, "nonsense", {"one": 1}, (1, "two"))  # for every option there is


@pytest.mark.parametrize(
    ("parameter", "name", "option"),
    [(*part, option) for part in EVERY for option in component(*part).get_params()],
)
def test_nonsense_in_an_option_is_refused_by_its_name(parameter, name, option):
    X = rows_for({parameter: name})
    for value in NONSENSE:
        part = component(parameter, name).set_params(**{option: value})
        chosen = {"optimizer": skvae.AdamW(schedule=part)} if parameter == "schedule" else {}
        with pytest.raises(ValueError, match=f"{option}="):
            model(**chosen or {parameter: part}, max_iter=1).fit(X)


# Options by their nested names.

NESTED = {
    "architecture__dropout": (MLP(hidden_layer_sizes=(16,)), [0.0, 0.3]),
    "objective__n_draws": (skvae.Iwae(), [1, 4]),
    "prior__n_components": (skvae.Mixture(), [2, 5]),
    "kl_schedule__warm_up": (skvae.LinearWarmUp(), [0.2, 0.9]),
    "optimizer__learning_rate": (skvae.AdamW(), [1e-3, 3e-2]),
    "annealing__n_proposals": (skvae.Metropolis(n_steps=2), [1, 2]),
}


@pytest.mark.parametrize("name", NESTED)
def test_an_option_is_set_by_its_nested_name_and_counts(name):
    part, values = NESTED[name]
    parameter, option = name.split("__")
    vae = model(**{parameter: clone(part)}, max_iter=3)
    looks = []
    for value in values:
        vae.set_params(**{name: value}).fit(clipped())
        assert getattr(getattr(vae, parameter), option) == vae.get_params()[name] == value
        looks.append(vae.validation_scores_)
    assert looks[0] != looks[1]


def test_a_search_reaches_the_options_of_every_component():
    parts = {name.split("__")[0]: clone(part) for name, (part, _) in NESTED.items()}
    before = {parameter: part.get_params() for parameter, part in parts.items()}
    pipeline = make_pipeline(StandardScaler(), OneSplit(2, **DEFAULTS | {"max_iter": 2}))
    pipeline[-1].set_params(**parts)
    grids = [{f"onesplit__{name}": values[1:]} for name, (_, values) in NESTED.items()]
    search = GridSearchCV(pipeline, grids, cv=2, error_score="raise").fit(clipped(80))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    for name, value in search.best_params_.items():
        assert search.best_estimator_.get_params()[name] == value
    assert {parameter: part.get_params() for parameter, part in parts.items()} == before


# The start is PCA whatever is chosen.

OF_A_START = ("architecture", "objective", "prior", "optimizer", "annealing")
START = [{parameter: name} for parameter in OF_A_START for name in TABLES[parameter]]


@each(START)
def test_no_passes_give_pca_whatever_is_chosen(names):
    X = rows_for(names)
    vae = model(**names, max_iter=0).fit(X)
    pca = PCA(2).fit(X)
    codes = pca.transform(X)
    np.testing.assert_allclose(vae.transform(X), codes, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        vae.inverse_transform(vae.transform(X)), pca.inverse_transform(codes), rtol=1e-6, atol=1e-8
    )
    np.testing.assert_allclose(vae.score_samples(X), pca.score_samples(X), rtol=1e-6)


@each([
    *pairs("objective", "architecture"),
    *(names for names in pairs("objective", "prior") if not is_refused(names)),
])  # fmt: skip
def test_before_the_first_step_points_are_pcas(names):
    X = rows_for(names)
    architecture = component("architecture", names.get("architecture", "mlp"))
    chosen = options(
        latent_dim=2,
        architecture=architecture,
        prior=component("prior", names.get("prior", "normal")),
        objective=component("objective", names["objective"]),
        precision="float64",
    )
    start = fit_linear(X, 2)
    vae = started(start, chosen, X)
    with torch.no_grad():
        scores = vae.decode(vae.codes(projected(start, X))).numpy()
    pca = PCA(2).fit(X)
    expected = pca.inverse_transform(pca.transform(X))
    np.testing.assert_allclose(start.restore(scores), expected, rtol=1e-6, atol=1e-8)


# Weights, missing cells, dtypes.


@each([{"objective": name} for name in OBJECTIVES])
def test_weights_count_by_their_ratios(names):
    X = clipped()
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
    vae = model(**names, max_iter=2)
    none, equal, weighted, doubled = (
        clone(vae).fit(X, sample_weight=w).history_["bound"]
        for w in (None, np.full(len(X), 2.0), weight, 2.0 * weight)
    )
    np.testing.assert_array_equal(none, equal)
    np.testing.assert_array_equal(weighted, doubled)
    assert (none != weighted).all()


@each([{p: name} for p in ("objective", "prior", "optimizer") for name in TABLES[p]])
def test_missing_cells(names):
    X = with_gaps(clipped())
    vae = model(**names, init="random", max_iter=3).fit(X)
    assert_answers(vae, X)
    assert_improves(vae)
    filled = vae.impute(X)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])


@each([{p: name} for p in ("objective", "prior", "architecture") for name in TABLES[p]])
def test_single_precision_in_and_out(names):
    X = rows_for(names).astype(np.float32)
    vae = model(**names, max_iter=3).fit(X)
    assert_answers(vae, X)
    for method, answer in answers(vae, X).items():
        assert answer.dtype == np.float32, method
    double = vae.score_samples(X.astype(np.float64))
    np.testing.assert_allclose(vae.score_samples(X), double, rtol=1e-4, atol=1e-3)


# Restarts.


@each([{}, {"annealing": "metropolis"}, {"annealing": "langevin"}, {"objective": "autoencoder"}])
def test_the_best_of_three_restarts_is_kept(names):
    vae = model(**names, init="random", n_init=3).fit(clipped())
    bounds, agreement = vae.restarts_["bound"], vae.restarts_["agreement"]
    assert len(bounds) == len(agreement) == 3
    assert len(set(bounds)) == 3
    assert bounds.max() == vae.history_["bound"][1:].max()
    assert agreement[bounds.argmax()] == pytest.approx(1.0, abs=1e-6)
    assert (agreement <= 1.0 + 1e-6).all()


@each([{}, {"annealing": "metropolis"}, {"annealing": "langevin"}, {"annealing": "randomwalk"}])
def test_a_warm_start_goes_on_with_restarts(names):
    vae = model(**names, n_init=2, warm_start=True).fit(clipped())
    first, n_looks = vae.history_["bound"].max(), len(vae.history_["bound"])
    vae.fit(clipped())
    second = vae.history_["bound"][n_looks + 1 :]
    assert len(vae.restarts_["bound"]) == 2
    assert second.max() == vae.restarts_["bound"].max()
    assert second.max() > first - 0.5
    assert_answers(vae, clipped())
    assert_gradients_are_finite(vae)


# Densities.


def blobs(n_rows, seed=0):
    """Four clusters on a bent surface in 6 columns."""
    rng = np.random.default_rng(seed)
    centers = np.array([[-2, -2], [-2, 2], [2, -2], [2, 2]])
    a, b = (centers[rng.integers(4, size=n_rows)] + 0.15 * rng.normal(size=(n_rows, 2))).T
    X = np.stack([a, b, a * b / 2, a**2 / 2, np.sin(b), np.cos(a + b)], 1)
    return X + 0.05 * rng.normal(size=X.shape)


@pytest.fixture(scope="module")
def clustered():
    """Models of the same training, by prior."""
    names = ("normal", "ex_post", "mixture", "vamp")
    X = blobs(200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            name: model(prior=PRIORS[name](**{"n_components": 8} if name != "normal" else {}),
                        max_iter=12).fit(X)
            for name in names
        }  # fmt: skip


def test_a_prior_fitted_afterwards_is_kept_where_rows_are_likelier(clustered):
    X = blobs(300, seed=1)
    plain, prior = clustered["normal"], clustered["ex_post"]
    assert plain.kept_ == prior.kept_ > 0
    assert prior._model.prior is not None
    np.testing.assert_array_equal(prior.transform(X), plain.transform(X))
    assert prior.score(X) > plain.score(X)


def test_a_prior_fitted_afterwards_is_dropped_where_it_does_not_help(monkeypatch):
    X = clipped()
    plain = model().fit(X)
    far = skvae.ExPost.fit

    def wrong(self, codes, *given):
        return far(self, codes + 5.0, *given)

    monkeypatch.setattr(skvae.ExPost, "fit", wrong)
    vae = model(prior="ex_post").fit(X)
    assert vae.kept_ > 0
    assert isinstance(vae.prior_, skvae.Normal)
    np.testing.assert_array_equal(vae.score_samples(X), plain.score_samples(X))


@pytest.mark.parametrize("name", ["ex_post", "mixture", "vamp"])
def test_draws_of_clusters_lie_near_the_data(clustered, name):
    new = NearestNeighbors(n_neighbors=1).fit(blobs(2000, seed=2))

    def distance(vae):
        return new.kneighbors(vae.sample(1000, random_state=0))[0].mean()

    assert clustered[name].kept_ > 0
    assert distance(clustered[name]) < 0.95 * distance(clustered["normal"])


DENSITIES = [
    {"objective": "elbo"},
    {"objective": "autoencoder"},
    {"objective": "autoencoder", "prior": "ex_post"},
    {"prior": "mixture"},
    {"prior": "vamp"},
]


def arc(n_rows, seed=0):
    """Rows along a parabola."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-1.5, 1.5, n_rows)
    return np.stack([2 * t, 1.5 * t**2], 1) + 0.15 * rng.normal(size=(n_rows, 2))


@pytest.fixture(scope="module", params=DENSITIES, ids=label)
def density(request):
    """A model of one code in two columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vae = model(1, **request.param, max_iter=15)
        # More draws, which scores have too, and no last passes: any model has a density.
        vae.limits = replace(RECIPE.limits, last_shares=(0.0, 0.0))
        vae.fit(arc(300))
    assert vae.kept_ > 0, "what is tested needs a model that left PCA"
    return vae


def exact_of_model(vae, X):
    """Log-density of rows without the start, summed over a fine grid of the one code."""
    z = np.linspace(-6, 6, 601)[:, None]
    inside = vae._model.module(torch.float64)
    with torch.no_grad():
        log_prior = inside.log_prior(torch.from_numpy(z)).numpy()
    points, variance = vae.decode(z), vae.noise_variance_
    square = np.square(X).sum(1)[:, None] - 2 * X @ points.T + np.square(points).sum(1)
    log_rows = -0.5 * square / variance - np.log(2 * np.pi * variance)
    return logsumexp(log_prior + log_rows, axis=1) + np.log(z[1, 0] - z[0, 0])


def exact(vae, X):
    """Log-density of rows under the mixture of model and start."""
    weights = np.log([1 - vae.start_weight_, vae.start_weight_])
    start = PCA(1).fit(arc(300)).score_samples(X)
    return np.logaddexp(weights[0] + exact_of_model(vae, X), weights[1] + start)


def test_scores_bound_the_exact_density_from_below(density):
    """In the mean over sets of draws: all rows share one, which may lie above by luck."""
    X, model = arc(100, seed=1), density._model
    vae, rows = model.module(torch.float64), model.representation.whole_rows(X, model.device)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        sets = torch.empty(200, 4, 1, dtype=torch.float64).normal_(generator=generator)
        bounds = [importance_bound(vae, rows, draws, is_mended=True).mean() for draws in sets]
    expected = (exact_of_model(density, X) - model.representation.log_jacobian(X)).mean()
    standard_error = np.std(bounds) / np.sqrt(len(bounds))
    assert expected - 0.2 < np.mean(bounds) < expected + 3 * standard_error
    for n_draws in (None, 2000):
        score = density.score_samples(X, n_draws=n_draws).mean()
        assert score == pytest.approx(exact(density, X).mean(), abs=0.03)


def test_densities_integrate_to_one(density):
    step = 0.15  # finer than the noise; the decoder goes on beyond the rows
    x, y = np.meshgrid(np.arange(-8, 10, step), np.arange(-4, 16, step))
    grid = np.stack([x.ravel(), y.ravel()], 1)
    exactly, reported = 0.0, 0.0
    for rows in np.array_split(grid, 10):
        exactly += np.exp(exact(density, rows)).sum() * step**2
        reported += np.exp(density.score_samples(rows, n_draws=50)).sum() * step**2
    assert exactly == pytest.approx(1.0, abs=0.01)
    assert reported == pytest.approx(1.0, abs=0.1)  # by draws that all rows share
