"""The checks of scikit-learn, those it keeps for itself, and documentation held to the code.

Numbers after "checklist" count the lines of the project's checklist of the contract.
"""

import inspect
import itertools
import json
import re
import warnings

import joblib
import numpy as np
import pandas as pd
import polars
import pytest
import scipy.sparse
import torch
from numpydoc.docscrape import ClassDoc
from numpydoc.validate import validate
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from skvae import MLP, AdamW, Cosine, DivergenceError, VAETransformer
from skvae._sklearn import like, to_numpy
from skvae.likelihoods import LIKELIHOODS
from skvae.model.networks import ARCHITECTURES
from skvae.model.priors import PRIORS
from skvae.training.annealing import ANNEALING
from skvae.training.objective import OBJECTIVES
from skvae.training.optimizers import OPTIMIZERS
from skvae.training.schedules import KL_SCHEDULES, RATE_SCHEDULES
from tests.samples import HTML_HAS_PARAMETERS, OneSplit

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",  # 3 passes are few
    "ignore:latent_dim=:UserWarning",  # checks fit tables of one column
)


def quick(**params):
    return VAETransformer(**{"max_iter": 3, **params})


def one_split(**params):
    return OneSplit(**{"max_iter": 3, **params})


TANH = MLP(hidden_layer_sizes=(32,), activation="tanh")
# Every option that changes behaviour is in one of these; several splits judge the first alone.
VARIANTS = [
    quick(),
    one_split(latent_dim="auto"),
    one_split(max_iter=0),
    one_split(warm_start=True),
    one_split(objective="iwae", prior="mixture", optimizer="muon", beta=0.5),
    one_split(objective="autoencoder", optimizer="sgd"),
    one_split(init="random", whiten=True, precision="float64", architecture="linear", batch_size=7),
    one_split(
        architecture=TANH, precision="bfloat16", early_stopping=False, validation_fraction=0.3
    ),
]
OF_ONE_OPTION = [
    quick(init="random"),
    quick(whiten=True),
    quick(architecture="linear"),
    quick(architecture=TANH),
    quick(precision="float64"),
    quick(precision="bfloat16"),
    quick(early_stopping=False),
    quick(validation_fraction=0.3),
    quick(batch_size=7),
]

# Importable since scikit-learn 1.6 or later, documented nowhere.
EXTRA_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_param_validation",
]


# A row of weight 2 is not two rows to minibatches, to folds, or to a variance over n - 1.
UNEQUAL_WEIGHTS = {
    f"check_sample_weight_equivalence_on_{kind}_data": "weights scale the loss, not the rows"
    for kind in ("dense", "sparse")
}


def with_checks(estimators, expected_failures):
    """Checks of estimators: all of the first, of each other every second, the rest when slow.

    The next estimator has those that the one before it has not.
    """
    every = parametrize_with_checks(estimators, expected_failed_checks=expected_failures)
    (names, pairs), numbers, cases = every.args, {}, []
    places = {id(estimator): place for place, estimator in enumerate(estimators)}
    for pair in pairs:
        estimator, check = getattr(pair, "values", pair)
        number = numbers.setdefault(check.func.__name__, len(numbers))
        is_spare = places[id(estimator)] > 0 and (places[id(estimator)] + number) % 2
        marks = [*getattr(pair, "marks", ()), *([pytest.mark.slow] if is_spare else [])]
        cases.append(pytest.param(estimator, check, marks=marks))
    return pytest.mark.parametrize(names, cases, **every.kwargs)


def expected_failures(estimator):
    return UNEQUAL_WEIGHTS if estimator.whiten or estimator.latent_dim == "auto" else {}


# checklist 1, 2, 4, 12, 13, 15, 17, 20, 22, 24, 26, 36, 38, 40, 41, 44, 54, 59
@with_checks(VARIANTS, expected_failures)
def test_scikit_learn(estimator, check):
    check(estimator)


# the same lines
@pytest.mark.slow
@parametrize_with_checks(OF_ONE_OPTION, expected_failed_checks=expected_failures)
def test_scikit_learn_of_one_option(estimator, check):
    check(estimator)


# Rows of the checks are numbers of any kind; most likelihoods are for some kinds only.


def count(x):
    return np.round(np.abs(x))


def level(x):
    return np.clip(np.round(x), -2, 2)


SUPPORTS = {
    "gaussian": np.asarray,
    "gaussian_diag": np.asarray,
    "student_t": np.asarray,
    "lognormal": lambda x: np.exp(np.clip(x, -9, 9)),
    "bernoulli": lambda x: x > 0,
    "empirical": lambda x: np.maximum(x, 0),
    "continuous_bernoulli": lambda x: 1 / (1 + np.exp(-np.clip(x, -9, 9))),
    "categorical": level,
    "ordinal": level,
    "poisson": count,
    "negative_binomial": count,
}
SPARSE = {"gaussian", "bernoulli", "poisson", "negative_binomial"}  # zeros stay zeros
KINDS = ("student_t", "bernoulli", "categorical", "poisson")  # the others alone, in slow tests


def with_holes(x):
    """About every seventh cell missing, by its own value: rows are as they are on their own."""
    return np.where(np.floor(1000 * np.abs(x)) % 7 == 3, np.nan, x)


def of_many_kinds(x):
    cells = [SUPPORTS[KINDS[j % len(KINDS)]](column) for j, column in enumerate(x.T)]
    return np.stack(cells, 1) if cells else x


class OnSupport(OneSplit):
    """First brings rows into the support of its likelihoods."""

    def rows(self, X):
        sparse = scipy.sparse.issparse(X)
        if sparse and self.likelihood in SPARSE:
            rows = X.tocsr(copy=True)
            rows.data = self.cells(rows.data).astype(X.dtype)
            return rows.asformat(X.format)
        if sparse and not get_tags(self).input_tags.sparse:
            return X  # to be refused by the estimator
        is_array = hasattr(X, "__array_namespace__") or isinstance(X, torch.Tensor)
        x = X.toarray() if sparse else np.asarray(to_numpy(X) if is_array else X)
        try:
            x = x.astype(x.dtype if x.dtype.kind in "fc" else float)
        except (TypeError, ValueError):
            return X  # to be refused by the estimator,
        if x.ndim != 2 or x.dtype.kind == "c":
            return X  # and so are these
        cells = self.cells(x).astype(x.dtype)
        if isinstance(X, pd.DataFrame):
            return pd.DataFrame(cells, X.index, X.columns)
        return like(X, cells) if is_array else cells

    def fit(self, X, y=None, sample_weight=None):
        return super().fit(self.rows(X), y, sample_weight)

    def partial_fit(self, X, y=None, sample_weight=None):
        return super().partial_fit(self.rows(X), y, sample_weight)

    def transform(self, X):
        return super().transform(self.rows(X))

    def encode(self, X):
        return super().encode(self.rows(X))

    def score(self, X, y=None):
        return super().score(self.rows(X))

    def score_samples(self, X):
        return super().score_samples(self.rows(X))

    def cells(self, x):
        return SUPPORTS[self.likelihood](x)


class WithHoles(OnSupport):
    def cells(self, x):
        return with_holes(x)


class OfManyKinds(OnSupport):
    """Columns have a likelihood each, by their position."""

    def cells(self, x):
        return of_many_kinds(x)

    def _validate(self, given, sample_weight, reset, in_stream=False):
        shape = np.shape(given.native)
        chosen, n_columns = self.likelihood, shape[1] if len(shape) == 2 else 0
        self.likelihood = {j: KINDS[j % len(KINDS)] for j in range(n_columns)}
        try:
            return super()._validate(given, sample_weight, reset, in_stream)
        finally:
            self.likelihood = chosen


SMALL = {"max_iter": 1, "architecture": MLP(hidden_layer_sizes=(8,))}
# Their linear start is found by EM and by draws, one for each row.
OPEN_STARTS = {"lognormal", "empirical", "continuous_bernoulli", "categorical", "ordinal"} | {
    "gaussian_diag",
    "student_t",
    "poisson",
    "negative_binomial",
}
# Alone it takes sparse rows as they are; normal columns with holes and most others are above.
FAST = ("poisson",)
TABLES = [
    *(OnSupport(likelihood=name, **SMALL) for name in FAST),
    OfManyKinds(**SMALL),
    WithHoles(**SMALL),
]
SLOW = [OnSupport(likelihood=name, **SMALL) for name in LIKELIHOODS if name not in FAST]


def expected_failures_of_tables(estimator):
    is_open = type(estimator) is not OnSupport or estimator.likelihood in OPEN_STARTS
    return UNEQUAL_WEIGHTS if is_open else {}


def test_every_likelihood_has_rows():
    assert set(SUPPORTS) == set(LIKELIHOODS)


# the lines of test_scikit_learn
@with_checks(TABLES, expected_failures_of_tables)
def test_scikit_learn_tables(estimator, check):
    if type(estimator) is not OnSupport and "sparse" in check.func.__name__:
        pytest.skip("sparse rows would be made dense here")
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(SLOW, expected_failed_checks=expected_failures_of_tables)
def test_scikit_learn_tables_of_one_kind(estimator, check):
    check(estimator)


# the same lines, with as many passes as a person gets who sets nothing
@pytest.mark.slow
@parametrize_with_checks([VAETransformer()])
def test_scikit_learn_defaults(estimator, check):
    check(estimator)


# checklist 3, 9, 10, 31, 32; these checks ask a model of a frame about arrays
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning")
@pytest.mark.parametrize("name", EXTRA_CHECKS)
@pytest.mark.parametrize("estimator", [quick(), quick(latent_dim="auto", whiten=True)], ids=str)
def test_scikit_learn_itself(estimator, name):
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip(f"this scikit-learn has no {name}")
    check("VAETransformer", estimator)


# checklist 59
@pytest.mark.parametrize("sample_weight", [False, True])
@pytest.mark.parametrize(
    ("namespace", "dtype"),
    [
        ("numpy", "float64"),
        ("array_api_strict", "float64"),
        ("torch", "float64"),
        ("torch", "float32"),
    ],
)
def test_array_api_values(namespace, dtype, sample_weight):
    check = getattr(estimator_checks, "check_array_api_input_and_values", None)
    taken = {} if check is None else inspect.signature(check).parameters
    if not {"dtype_name", "check_sample_weight"} <= set(taken):
        pytest.skip("this scikit-learn has no such check")
    device = "cpu" if namespace == "torch" else None
    weight = {"check_sample_weight": sample_weight}
    check("VAETransformer", quick(random_state=0), namespace, device, dtype, **weight)


def test_array_api_checks_are_not_skipped():
    names = {
        getattr(check, "func", check).__name__
        for _, check in estimator_checks.estimator_checks_generator(quick())
    }
    checks = ("check_array_api_input", "check_array_api_mixed_inputs")
    assert {name for name in checks if hasattr(estimator_checks, name)} <= names
    try:
        estimator_checks.check_array_api_input("VAETransformer", quick(), "array_api_strict")
    except ImportError as error:  # older scikit-learn asks for packages of its own
        pytest.skip(str(error))


def test_tags():
    tags = get_tags(VAETransformer())
    assert tags.estimator_type is None
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert tags.array_api_support
    assert tags.input_tags.sparse
    assert tags.input_tags.allow_nan
    assert not tags.non_deterministic
    assert tags.requires_fit


# checklist 1
@pytest.mark.parametrize("estimator", [*VARIANTS, *OF_ONE_OPTION], ids=str)
def test_clone_keeps_every_parameter(estimator):
    params = estimator.get_params(deep=False)
    copy = clone(estimator)
    assert joblib.hash(copy.get_params(deep=False)) == joblib.hash(params)
    again = type(estimator)(**params)
    assert all(getattr(again, name) is value for name, value in params.items())


TABLES = (
    ARCHITECTURES,
    LIKELIHOODS,
    PRIORS,
    OBJECTIVES,
    OPTIMIZERS,
    KL_SCHEDULES,
    RATE_SCHEDULES,
    ANNEALING,
)
COMPONENTS = list(dict.fromkeys(component for table in TABLES for component in table.values()))


# checklist 5
@pytest.mark.parametrize("component", [VAETransformer, *COMPONENTS])
def test_defaults_are_plain(component):
    defaults = component().get_params()
    tuples = {name: tuple(v) for name, v in defaults.items() if isinstance(v, tuple)}
    assert json.loads(json.dumps(defaults)) | tuples == defaults
    assert joblib.hash(defaults) == joblib.hash(clone(component()).get_params())


# checklist 2
@pytest.mark.parametrize("value", [-1, 3.0, "helloworld", np.ones(2), [1], {}, None])
@pytest.mark.parametrize("component", [VAETransformer, *COMPONENTS])
def test_nothing_is_validated_before_fit(component, value):
    for name in component().get_params():
        estimator = component(**{name: value})
        assert getattr(estimator, name) is value
        assert component().set_params(**{name: value}).get_params()[name] is value
        assert set(vars(estimator)) == set(component().get_params())


BAD_VALUES = {
    "latent_dim": [0, -1, 2.5, 2.0, 0.0, 1.0, -0.5, "two", [2]],
    "likelihood": ["normal", 3, None],
    "architecture": ["transformer", 3, None],
    "prior": ["uniform", 3, None],
    "objective": ["vae", 3, None],
    "beta": [-1, "one", None],
    "kl_schedule": ["cosine", 3, None],
    "optimizer": ["lbfgs", 3, None],
    "annealing": ["gibbs", 3],
    "n_init": [0, 1.5, None],
    "init": ["PCA", None],
    "batch_size": [0, 1.5, "big"],
    "max_iter": [-1, 10.0, "many"],
    "early_stopping": ["no", 2],
    "validation_fraction": [0.0, 1.0, 2, "half"],
    "whiten": ["yes", None],
    "refinement": [-1, 1.5, "many", None],
    "store_rows": ["yes", None],
    "checkpoint_dir": [3, True],
    "checkpoint_every": [-1, "often", None],
    "distributed": ["dask", True],
    "deterministic": ["yes", None],
    "device": [0, None],
    "precision": ["half", 32],
    "warm_start": ["yes", None],
    "verbose": [-1, "loud"],
    "random_state": ["zero", -1, np.random.default_rng(0)],
}


# checklist 3
@pytest.mark.parametrize("method", ["fit", "fit_transform", "partial_fit"])
@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD_VALUES.items() for value in values]
)
def test_bad_parameters(curve, name, value, method):
    estimator = VAETransformer(**{name: value})
    with pytest.raises(ValueError, match=f"The '{name}' parameter of VAETransformer") as caught:
        getattr(estimator, method)(curve)
    assert isinstance(caught.value, TypeError)
    assert repr(value) in str(caught.value)


def test_every_parameter_is_tested_with_bad_values():
    assert set(BAD_VALUES) == set(VAETransformer().get_params())


# checklist 55
def test_metadata_requests():
    methods = {name for name in dir(VAETransformer) if name.startswith("set_")}
    requests = {name for name in methods if name.endswith("_request")}
    assert requests == {"set_fit_request", "set_partial_fit_request"}
    assert list(inspect.signature(VAETransformer.set_fit_request).parameters) == [
        "self",
        "sample_weight",
    ]


# checklist 42
@pytest.mark.parametrize("public", [VAETransformer, *COMPONENTS])
def test_documented_parameters(public):
    parameters = ClassDoc(public)["Parameters"]
    documented = [name for parameter in parameters for name in parameter.name.split(", ")]
    assert documented == list(inspect.signature(public).parameters)


def default_in_words(parameter):
    return parameter.type.rpartition("default=")[2].strip('"')


# checklist 42
@pytest.mark.parametrize("public", [VAETransformer, *COMPONENTS])
def test_documented_defaults(public):
    for parameter in ClassDoc(public)["Parameters"]:
        if ", " in parameter.name:
            assert parameter.desc[0].startswith("As of"), parameter.name
            continue
        default = inspect.signature(public.__init__).parameters[parameter.name].default
        assert default_in_words(parameter) == str(default), parameter.name


# checklist 42
@pytest.mark.parametrize("max_iter", [0, 3])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_documented_attributes(curve, method, max_iter):
    frame = pd.DataFrame(curve, columns=list("abcdef"))
    vae = getattr(VAETransformer(max_iter=max_iter), method)(frame)
    documented = {attribute.name for attribute in ClassDoc(VAETransformer)["Attributes"]}
    assert documented == {name for name in vars(vae) if name.endswith("_") and name[0] != "_"}


IGNORED = {
    "class": {"RT02", "GL01", "GL02"},
    "method": {"RT02", "GL01", "GL02", "EX01", "SA01", "ES01"},
}
OPTIONAL = {"EX01", "SA01", "ES01"}  # of classes: not every one needs all three


def public_objects():
    for public in (VAETransformer, *COMPONENTS, DivergenceError):
        yield f"{public.__module__}.{public.__name__}"
        if public in LIKELIHOODS.values():
            continue  # what they do is for the model, not for a person
        for name, member in vars(public).items():
            is_own = inspect.isfunction(member) and member.__module__.startswith("skvae")
            if is_own and member.__doc__ is None and inspect.getdoc(getattr(public, name)):
                continue  # what it says in the base class
            if is_own and (name == "__call__" or name[0] != "_"):
                yield f"{public.__module__}.{public.__name__}.{name}"


# checklist 42
@pytest.mark.parametrize("path", list(public_objects()))
def test_docstrings(path):
    kind = "class" if path.rpartition(".")[2][0].isupper() else "method"
    ignored = IGNORED[kind]
    if not path.endswith("VAETransformer"):
        ignored = ignored | OPTIONAL
    if path.rpartition(".")[2] in {kind.__name__ for kind in OPTIMIZERS.values()}:
        ignored = ignored | {"PR04"}  # types of options that are said elsewhere
    assert [error for error in validate(path)["errors"] if error[0] not in ignored] == []


# checklist 6
def test_html_shows_parameters_and_state(linear):
    for estimator in (VAETransformer(), clone(linear), linear):
        html = estimator._repr_html_()
        assert "VAETransformer" in html
        assert "latent_dim" in html or not HTML_HAS_PARAMETERS
    assert "Not fitted" in VAETransformer()._repr_html_()
    assert "Not fitted" not in linear._repr_html_()


@pytest.mark.skipif(not HTML_HAS_PARAMETERS, reason="scikit-learn shows parameters since 1.7")
def test_html_shows_what_was_changed():
    vae = VAETransformer(3, architecture=MLP(dropout=0.1), optimizer=AdamW(schedule=Cosine()))
    html = vae._repr_html_()

    def is_changed(name):
        row = re.search(rf'<tr class="([a-z-]+)">(?:(?!</tr>).)*\'{name}\'', html, re.DOTALL)
        return row.group(1) == "user-set"

    own = ("latent_dim", "architecture", "architecture__dropout", "optimizer__schedule")
    assert all(map(is_changed, own))
    others = ("beta", "architecture__activation", "optimizer__clip_norm")
    assert not any(map(is_changed, others))
    shown = vae._get_params_html()
    assert list(shown)[: len(shown.non_default)] == list(shown.non_default)
    assert shown.keys() == vae.get_params().keys()


COMPONENTS = [
    kind
    for table in (ARCHITECTURES, PRIORS, ANNEALING, OBJECTIVES, OPTIMIZERS, KL_SCHEDULES,
                  RATE_SCHEDULES, LIKELIHOODS)
    for kind in table.values()
]  # fmt: skip


@pytest.mark.parametrize("kind", [VAETransformer, *dict.fromkeys(COMPONENTS)])
def test_html_links_to_documentation(kind):
    made = kind()
    assert made._get_doc_link().startswith("https://github.com/skvae/skvae/")
    assert repr(made) == f"{kind.__name__}()"
    if HTML_HAS_PARAMETERS:
        assert made._get_params_html().non_default == ()
        for name in made.get_params():
            documented = ClassDoc(kind)["Parameters"]
            assert any(name in each.name.split(", ") for each in documented), name


# checklist 6
def test_repr_shows_what_was_changed():
    assert repr(VAETransformer()) == "VAETransformer()"
    assert repr(VAETransformer(3, whiten=True)) == "VAETransformer(latent_dim=3, whiten=True)"
    assert isinstance(MLP(), BaseEstimator)


# dtypes: what goes in decides what comes out, whatever the kind of model


def plain_rows(dtype):
    X = np.random.default_rng(0).normal(size=(60, 4)) @ np.random.default_rng(1).normal(size=(4, 4))
    return (X + 3).astype(dtype)


def rows_with_gaps(dtype):
    X = plain_rows(dtype)
    X[::7, 1] = np.nan
    return X


def numeric_frame(dtype):
    return pd.DataFrame(plain_rows(dtype), columns=list("abcd"))


def mixed_frame(dtype):
    frame = numeric_frame(dtype)
    return frame.assign(kind=np.where(frame["a"] > 3, "high", "low"), yes=frame["b"] > 3)


def polars_frame(dtype):
    return polars.from_pandas(mixed_frame(dtype))


KINDS_OF_ROWS = (plain_rows, rows_with_gaps, numeric_frame, mixed_frame, polars_frame)
OF_DTYPE = ("mean_", "scale_", "noise_variance_", "explained_variance_ratio_", "kl_per_dim_")


@pytest.fixture(scope="module", params=itertools.product(KINDS_OF_ROWS, ["float32", "float64"]),
                ids=lambda param: f"{param[0].__name__}-{param[1]}")  # fmt: skip
def of_dtype(request):
    rows, dtype = request.param
    X = rows(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return X, np.dtype(dtype), quick(random_state=0, max_iter=2).fit(X)


def dtypes_of(answer, numbers="abcd"):
    """Of an array, or of the columns of numbers of a frame."""
    if isinstance(answer, pd.DataFrame):
        return {np.dtype(answer[name].dtype) for name in numbers}
    if isinstance(answer, polars.DataFrame):
        names = {polars.Float32: "float32", polars.Float64: "float64"}
        return {np.dtype(names[answer[name].dtype]) for name in numbers}
    return {answer.dtype}


def test_answers_have_the_dtype_of_the_rows(of_dtype):
    X, dtype, vae = of_dtype
    codes = vae.transform(X)
    assert dtypes_of(codes) == {dtype}
    for answer in (*vae.encode(X), vae.score_samples(X), clone(vae).fit_transform(X)):
        assert dtypes_of(answer) == {dtype}
    assert isinstance(vae.score(X), float)
    for rows in (vae.inverse_transform(codes), vae.decode(codes), vae.sample(3, random_state=0)):
        assert dtypes_of(rows) == {dtype}
    for filled in (vae.impute(X), *vae.impute(X, n_draws=2, random_state=0)):
        assert dtypes_of(filled) == {dtype}


def test_codes_of_another_dtype_decide_for_arrays(of_dtype):
    X, dtype, vae = of_dtype
    codes = vae.transform(X)
    for other in (np.float32, np.float64):
        for answer in (vae.decode, vae.inverse_transform):
            rows = answer(codes.astype(other))
            expected = other if isinstance(rows, np.ndarray) else dtype
            assert dtypes_of(rows) == {np.dtype(expected)}


def test_rows_of_the_other_dtype_decide(of_dtype):
    X, dtype, vae = of_dtype
    other = {"float32": "float64", "float64": "float32"}[dtype.name]
    if isinstance(X, polars.DataFrame):
        X = X.with_columns(polars.col("a", "b", "c", "d").cast(
            {"float32": polars.Float32, "float64": polars.Float64}[other]))  # fmt: skip
    else:
        numbers = dict.fromkeys("abcd", other)
        X = X.astype(numbers if isinstance(X, pd.DataFrame) else other)
    for answer in (vae.transform(X), vae.score_samples(X), *vae.encode(X)):
        assert answer.dtype == other


def test_attributes_have_the_dtype_of_pcas(of_dtype):
    _, dtype, vae = of_dtype
    pca = PCA(2).fit(plain_rows(dtype))
    for name in OF_DTYPE:
        assert getattr(vae, name).dtype == dtype, name
        assert getattr(pca, name, vae.mean_).dtype == dtype, name


def test_a_variance_beyond_single_precision_is_kept_in_double():
    X = plain_rows(np.float32) * np.float32(1e25)
    vae = quick(max_iter=0).fit(X)
    assert np.isfinite(vae.noise_variance_)
    assert vae.noise_variance_ > 1e40
    assert vae.transform(X).dtype == np.float32


# Torch in and out: one rule for rows, codes and a training that goes on


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "decode", "score_samples",
                                    "partial_fit", "fit"])  # fmt: skip
@pytest.mark.parametrize("began_with", ["torch", "numpy"])
def test_another_array_library_than_that_of_fit_is_refused(began_with, method):
    if not hasattr(estimator_checks, "check_array_api_same_namespace"):
        pytest.skip("this scikit-learn has no such rule")
    X = plain_rows("float32")
    tensors, arrays = torch.from_numpy(X), X
    own, other = (tensors, arrays) if began_with == "torch" else (arrays, tensors)
    with config_context(array_api_dispatch=True):
        vae = quick(warm_start=True, max_iter=1).fit(own)
        codes = vae.transform(own)
        assert type(codes) is type(own)
        wrong = other[:, :2] if method in ("inverse_transform", "decode") else other
        with pytest.raises(ValueError, match="namespace"):
            getattr(vae, method)(wrong)
        for answer in (vae.decode(codes), vae.inverse_transform(codes), vae.sample(2), vae.mean_):
            assert type(answer) is type(own)
            assert answer.dtype == own.dtype


# Tags that depend on the likelihood


@pytest.mark.parametrize("likelihood", ["auto", *LIKELIHOODS])
def test_tags_say_which_rows_are_taken(likelihood):
    x = SUPPORTS.get(likelihood, np.asarray)(plain_rows("float64") - 3)
    vae = quick(likelihood=likelihood, max_iter=0)
    tags = get_tags(vae).input_tags
    text = pd.DataFrame({name: np.where(x[:, 0] > 0, "one", "two") for name in "ab"})
    for tag, rows in ((tags.sparse, scipy.sparse.csr_array(x)), (tags.string, text)):
        if tag:
            vae.fit(rows)
        else:
            with pytest.raises((ValueError, TypeError)):
                vae.fit(rows)
    assert tags.categorical == tags.string
    gaps = np.where(np.arange(x.size).reshape(x.shape) % 7 == 3, np.nan, x)
    assert vae.fit(gaps).latent_dim_ == 2  # as allow_nan says
    assert tags.allow_nan


def test_tags_of_components_dicts_and_nonsense():
    def sparse_of(likelihood):
        return get_tags(VAETransformer(likelihood=likelihood)).input_tags.sparse

    assert not sparse_of(LIKELIHOODS["bernoulli"](stochastic=True))
    assert sparse_of(LIKELIHOODS["bernoulli"]())
    assert sparse_of({0: "gaussian"})
    assert not sparse_of({0: "student_t"})
    assert not any(map(sparse_of, ("normal", 3, None)))
