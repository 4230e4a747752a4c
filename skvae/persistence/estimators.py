"""A fitted estimator as a manifest and arrays, and back."""

import copy
import platform
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import sklearn
import torch

from skvae._sklearn import to_numpy
from skvae.fitted.model import FittedModel
from skvae.fitted.parts import is_of
from skvae.fitted.state import Reader, Writer
from skvae.persistence import container
from skvae.persistence.checks import check_columns, check_model
from skvae.persistence.container import Arrays, LoadError
from skvae.persistence.tables import KINDS, LEARNED, OPTIONAL, PRIVATE
from skvae.pickles import VERSION

_TEST_ROWS, _TEST_DRAWS = 8, 4
_ROUNDING = 1e-5  # relative; of another machine
_KEYS = {"format", "versions", "class", "parameters", "learned", "test"}


class Content(NamedTuple):
    """What is kept of an estimator."""

    name: str  # of its class
    parameters: dict[str, Any]
    learned: dict[str, Any]
    takes_own: bool  # whether it takes rows that it draws, rounded as the columns ask for


def packed(content: Content, version: str) -> bytes:
    """The bytes of a file.

    Raises
    ------
    TypeError
        If a parameter or an attribute cannot be kept; the message names it.
    """
    writer = Writer(KINDS)
    test = _answers(content.learned["_model"]) | {"takes_own": content.takes_own}
    manifest = {
        "format": {"name": container.NAME, "major": container.MAJOR, "minor": container.MINOR},
        "versions": _versions(version),
        "class": content.name,
        "parameters": _trees(writer, content.parameters, "parameter"),
        "learned": _trees(writer, content.learned, "attribute"),
        "test": _trees(writer, test, "test"),
    }
    return container.pack(manifest, writer.arrays)


def unpacked(data: bytes) -> Content:
    """What a file holds, checked but for the parameters, which their estimator checks.

    Raises
    ------
    LoadError
        If it is not what `packed` makes.
    """
    manifest, arrays = container.unpack(data)
    try:
        return _content(manifest, arrays)
    except Exception as error:  # whatever a file can cause: it is not to be trusted
        raise error_of(error, manifest) from error


def error_of(error: Exception, manifest: Mapping[str, Any]) -> LoadError:
    """What is said of a file that does not hold a model; it may be of a later version."""
    said = (
        str(error) if isinstance(error, LoadError) else f"it does not hold a model: {error!s:.300}"
    )
    minor = manifest["format"].get("minor")
    if isinstance(minor, int) and minor > container.MINOR:
        said += (
            f" It was written by skvae {manifest['versions'].get('skvae')!r:.40}: load it there."
        )
    return LoadError(said)


def _versions(version: str) -> dict[str, str]:
    return {
        "skvae": version,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
    }


def _trees(writer: Writer, values: Mapping[str, Any], what: str) -> dict[str, Any]:
    trees = {}
    for name, value in values.items():
        try:
            trees[name] = writer.tree(in_numpy(value), f"{what}.{name}")
        except TypeError as error:
            raise TypeError(f"the {what} {name} cannot be saved: {error}") from error
    return trees


def in_numpy(value: Any) -> Any:
    """Arrays of other libraries as numpy has them."""
    if isinstance(value, np.ndarray | np.generic):
        return value
    is_array = hasattr(value, "__array_namespace__") or torch.is_tensor(value)
    return to_numpy(value) if is_array else value


def check_keys(manifest: Mapping[str, Any]) -> None:
    """Raise a LoadError unless a manifest has its parts, and no others."""
    if manifest.keys() != _KEYS:
        strange = sorted(manifest.keys() ^ _KEYS)[0]
        raise LoadError(f"the manifest has, or lacks, {strange!r:.80}.")


def _content(manifest: dict[str, Any], arrays: Arrays) -> Content:
    check_keys(manifest)
    reader = Reader(arrays, KINDS)
    parameters, learned, test = (
        _values(reader, manifest[part]) for part in ("parameters", "learned", "test")
    )
    if unused := arrays.keys() - reader.used:
        raise LoadError(f"the array {min(unused)!r:.80} belongs to nothing.")
    model = learned.get("_model")
    if not isinstance(model, FittedModel):
        raise LoadError("the file holds no fitted model.")
    check_model(model)
    check_learned(learned, model)
    check_columns(learned["_columns"], model.start.n_features)
    with np.errstate(all="ignore"):
        _check_answers(model, test, manifest["versions"].get("skvae") == VERSION)
    return Content(manifest["class"], parameters, learned, test["takes_own"])


def _values(reader: Reader, trees: Any) -> dict[str, Any]:
    return {name: reader.value(tree) for name, tree in trees.items()}


def check_attribute(name: str, value: Any) -> None:
    """Raise a LoadError unless a fit leaves such a value under such a name."""
    hint = (LEARNED | PRIVATE | OPTIONAL).get(name)
    if hint is None or not is_of(value, hint):
        raise LoadError(f"the attribute {name!r:.80} is none that a fit leaves.")


def check_learned(learned: Mapping[str, Any], model: FittedModel) -> None:
    """Raise a LoadError unless the attributes are those that a fit leaves, of this model."""
    needed = LEARNED | PRIVATE
    if missing := needed.keys() - learned.keys():
        raise LoadError(f"the file lacks the attribute {min(missing)!r}.")
    for name, value in learned.items():
        check_attribute(name, value)
    d, q = model.start.n_features, model.latent_dim
    sizes = {"n_features_in_": d, "latent_dim_": q, "mean_": d, "kl_per_dim_": q}
    for name, n in sizes.items():
        found = learned[name]
        if (found.shape if isinstance(found, np.ndarray) else found) not in (n, (n,)):
            raise LoadError(f"the attribute {name!r} is none of this model.")
    names, schema = learned.get("feature_names_in_"), learned["_columns"].schema
    known = None if names is None or schema is None else schema.names
    if names is not None and (names.shape != (d,) or known not in (None, names.tolist())):
        raise LoadError("the names of the columns are none of this model.")
    if learned["_dtype"].kind != "f":
        raise LoadError(f"the dtype of the codes is {learned['_dtype']}, and that of no number.")


def _answers(model: FittedModel, rows: np.ndarray | None = None) -> dict[str, Any]:
    """What the model says of a few rows, or of rows that it draws."""
    if rows is None:
        rows = model.sample(_TEST_ROWS, np.random.RandomState(0), np.dtype(np.float64))
    return {
        "rows": rows,
        "codes": model.codes(rows, whiten=False),
        "scores": model.log_prob(rows, _TEST_DRAWS),
    }


def _check_answers(model: FittedModel, test: Mapping[str, Any], has_same_draws: bool) -> None:
    """Raise a LoadError where the model says something else of the rows than it did.

    Scores are bounds by draws: another version may draw otherwise, and says the same of codes.
    """
    rows = test["rows"]
    if rows.shape != (_TEST_ROWS, model.start.n_features) or rows.dtype != np.float64:
        raise LoadError("the rows of the self-test are none of the model.")
    found = _answers(model, rows)
    if test.keys() != found.keys() | {"takes_own"}:
        raise LoadError("the self-test is not complete.")
    for name, values in found.items():
        size = np.abs(values[np.isfinite(values)]).max(initial=1e-300)
        if test[name].shape != values.shape:
            raise LoadError(f"the {name} of the self-test are none of the model.")
        close = np.isclose(test[name], values, _ROUNDING, _ROUNDING * size, equal_nan=True)
        if not close.all() and (has_same_draws or name != "scores"):
            raise LoadError(f"the {name} of the model differ from those at the time of saving.")


def estimator_of(content: Content, kind: type) -> Any:
    """The estimator of a content.

    Raises
    ------
    LoadError
        If it is of another class, or a parameter cannot be.
    """
    if content.name != kind.__name__:
        raise LoadError(f"the file holds a {content.name!r:.40}, not a {kind.__name__}.")
    names = set(kind._get_param_names())  # type: ignore[attr-defined]
    if strange := content.parameters.keys() - names:
        raise LoadError(f"the file has the unknown parameter {min(strange)!r:.80}.")
    if content.parameters.get("checkpoint_dir") is not None:
        raise LoadError("the file names a folder of checkpoints, which none that is saved does.")
    made = kind(**content.parameters)
    try:
        made.__setstate__(made.__getstate__() | content.learned)
        if content.takes_own:
            _ask_of_own(made)
    except Exception as error:  # whatever a file can cause
        raise LoadError(f"the file does not hold a model: {error!s:.300}") from error
    return made


def takes_own(estimator: Any) -> bool:
    """Whether an estimator takes rows that it draws: rounded, they may be what a column cannot.

    What the model answers of rows that were taken is asked elsewhere.
    """
    try:
        _ask_of_own(estimator)
    except ValueError:
        return False
    return True


def _ask_of_own(estimator: Any) -> None:
    # A frame of numbers would come back as an array, without the names that fit has seen.
    asked = "pandas" if hasattr(estimator, "feature_names_in_") else "default"
    plain = copy.copy(estimator).set_output(transform=asked)
    plain._check_rows(plain.sample(2, random_state=0), "transform")
