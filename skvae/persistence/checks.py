"""Whether a model that was read can be one: sizes that agree, numbers that can be, its own weights.

Types are checked where values are made (fitted/parts.py). This comes before the module is built,
so that nothing is allocated by a number alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skvae._sklearn import check_options
from skvae.data.batches import BATCH_CELLS
from skvae.fitted.model import FittedModel
from skvae.model.networks import ARCHITECTURES
from skvae.persistence.container import LoadError
from skvae.start.factor_start import FactorStart
from skvae.start.factors import FactorModel
from skvae.start.ppca import ProbabilisticPCA

_MOST_COLUMNS, _MOST_CODES = 1_000_000, 100_000
_MOST_LAYERS, _MOST_UNITS = 64, 1_000_000

# Arrays by the sizes that they share, as letters; numbers that are above 0.
_SIZES: dict[type, dict[str, str]] = {
    ProbabilisticPCA: {"mean": "d", "components": "kd", "variances": "k"},
    FactorModel: {"center": "D", "loadings": "Dq", "noise": "D", "owner": "D"},
    FactorStart: {"loadings": "wq", "bias": "w", "masked": "c"},
}
_POSITIVE: dict[type, tuple[str, ...]] = {
    ProbabilisticPCA: ("scale", "noise_variance"),
    FactorModel: ("noise",),
}


def check_model(model: FittedModel, are_networks_ours: bool = True) -> None:
    """Check a model as a whole; networks that are not ours are left to what builds them.

    Raises
    ------
    LoadError
        If it cannot be one; it says which part is why.
    """
    _demand(model.view is None and model.batch_cells == BATCH_CELLS, "model.batch_cells")
    _CHECKS[type(model.start)](model.start)
    q = model.start.latent_dim
    _demand(0 <= q <= model.latent_dim <= _MOST_CODES, "latent_dim")
    _demand(0 <= model.kept <= 1 and 0 <= model.start_weight <= 1, "kept and start_weight")
    for name, values in model.use._asdict().items():
        _demand(values.shape == (q,), f"the size of {name}")
    _demand(sorted(model.use.order.tolist()) == list(range(q)), "the order of the codes")
    if model.stored is not None:
        values, weight = model.stored.values, model.stored.weight
        _demand(values.ndim == 2 and values.shape[1] == model.start.n_features, "stored rows")
        _demand(weight is None or weight.shape == values.shape[:1], "weights of stored rows")
    if are_networks_ours:
        _check_weights(model)


def check_columns(columns: Any, d: int) -> None:
    """Raise a LoadError where columns are not those of a model of d of them."""
    _demand(columns.n_levels.shape == (d,), "the number of columns")
    schema = columns.schema
    if schema is not None:
        _demand(len(schema.columns) == d, "the number of columns")
        # What `Columns.of` makes of a schema.
        _demand(
            columns.n_levels.tolist() == [len(own.levels) for own in schema.columns],
            "the number of levels",
        )
        for own in schema.columns:
            _demand(own.kind in ("number", "boolean", "category", "ordered"), "kind")
            _demand(isinstance(own.levels, tuple), "levels")
            _demand(len(set(own.levels)) == len(own.levels), "levels, which are there twice,")
    where = [own for _, places in columns.likelihoods for own in places.tolist()]
    _demand(sorted(where) == list(range(d)), "the likelihoods of columns")


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise LoadError(f"{what} of the model cannot be what the file says.")


def _check_sizes(part: Any) -> dict[str, int]:
    """Sizes by their letters, of arrays that agree on them."""
    sizes: dict[str, int] = {}
    for name, letters in _SIZES[type(part)].items():
        shape = getattr(part, name).shape
        _demand(len(shape) == len(letters), f"the shape of {name}")
        for letter, n in zip(letters, shape, strict=True):
            _demand(sizes.setdefault(letter, n) == n, f"the shape of {name}")
    for name in _POSITIVE.get(type(part), ()):
        _demand(bool((np.asarray(getattr(part, name)) > 0).all()), name)
    return sizes


def _check_finite(part: Any) -> None:
    for name in _SIZES[type(part)]:
        values = getattr(part, name)
        _demand(values.dtype.kind != "f" or bool(np.isfinite(values).all()), name)


def _check_pca(start: ProbabilisticPCA) -> None:
    sizes = _check_sizes(start)
    _check_finite(start)
    _demand(0 < sizes["d"] <= _MOST_COLUMNS, "the number of columns")
    _demand(0 <= start.latent_dim <= sizes["k"] <= sizes["d"], "latent_dim")
    numbers = [start.scale, start.noise_variance, start.total_variance]
    _demand(bool(np.isfinite(numbers).all()), "scale")
    _demand(start.n_rows > 0 and start.rank >= start.latent_dim, "n_rows")
    # Of which square roots are taken.
    spread = start.variances[: start.latent_dim] - start.noise_variance
    _demand(bool((spread > 0).all()), "noise_variance")


def _check_factors(start: FactorStart) -> None:
    sizes, inner = _check_sizes(start), _check_sizes(start.factors)
    _check_finite(start)
    _check_finite(start.factors)
    units, factors = start.units, start.factors
    n_cells, q = sizes["c"], start.latent_dim
    _demand(sizes["q"] == inner["q"] == q, "latent_dim")
    _check_places(factors.owner, n_cells, "owner", every=False)
    _demand(factors.df is None or factors.df.shape == factors.owner.shape, "df")
    _demand(start.basis is None or start.basis.shape[1:] == factors.owner.shape, "basis")
    _demand(start.masked.dtype == bool, "masked")
    _demand(units.columns.shape == (n_cells,), "columns")
    _demand(0 < units.n_columns <= _MOST_COLUMNS, "the number of columns")
    together = np.concatenate([units.columns, units.fixed.columns])
    _check_places(together, units.n_columns, "columns")
    for name, values in units.fixed._asdict().items():
        _demand(values.shape == units.fixed.columns.shape, name)
    parts = [np.zeros(0, int), *(part.columns for part in start.parts)]
    _check_places(np.concatenate(parts), n_cells, "parts")
    _demand(units.scale is None or units.scale > 0, "scale")
    for part in start.parts:
        check_options(part.likelihood)
        _check_constants(part.constants, len(start.bias))
    _demand(sum(len(part.constants["bias"]) for part in start.parts) == len(start.bias), "bias")


def _check_places(places: np.ndarray, n: int, name: str, every: bool = True) -> None:
    """Positions among n; every: each of them once."""
    _demand(places.dtype.kind in "iu" and places.ndim == 1, name)
    if every:
        _demand(np.array_equal(np.sort(places), np.arange(n)), name)
    else:
        _demand(bool(((places >= 0) & (places < n)).all()), name)


def _check_constants(constants: Mapping[str, np.ndarray], width: int) -> None:
    """Constants of a block; whole numbers among them are counts and places of what it has."""
    _demand({"bias", "dispersion"} <= constants.keys(), "constants")
    for name, values in constants.items():
        if values.dtype.kind in "iu":
            _demand(bool((np.abs(values.astype(float)) <= _MOST_COLUMNS).all()), name)
        else:
            _demand(values.dtype.kind in "fb" and not np.isnan(values).any(), name)
    scale = constants.get("scale")
    _demand(scale is None or bool((scale > 0).all()), "scale")


_CHECKS: dict[type, Callable[[Any], None]] = {
    ProbabilisticPCA: _check_pca,
    FactorStart: _check_factors,
}


def _check_weights(model: FittedModel) -> None:
    """Names, shapes and dtypes are those of the module; no number is not finite."""
    expected = _expected(model).state_dict()
    if model.weights.keys() != expected.keys():
        strange = sorted(model.weights.keys() ^ expected.keys())[0]
        raise LoadError(f"the weight {strange!r:.80} is missing, or is none of the model's.")
    for name, own in expected.items():
        _check_weight(name, model.weights[name], own)


def _expected(model: FittedModel) -> nn.Module:
    """The module, of networks without memory.

    What the file does not have is told before memory is taken for the rest.
    """
    start, architecture = model.start, model.architecture
    if architecture is None:
        return start.module()
    _check_architecture(architecture)
    n = getattr(model.prior, "n_components", 1)
    _demand(isinstance(n, int) and 1 <= n <= _MOST_UNITS, "n_components")
    networks = start.networks_of(architecture)
    with torch.device("meta"):
        prior = model.prior.module(start.latent_dim, start.n_inputs)
    for prefix, module in zip(("encoder", "decoder", "prior"), (*networks, prior), strict=True):
        for name, own in module.state_dict().items():
            path = f"{prefix}.{name}"
            _demand(path in model.weights, f"the weight {path!r}, which is missing,")
            _check_shape(path, model.weights[path], own)
    return start.module_with(networks, architecture, model.prior)


def _check_weight(name: str, found: np.ndarray, own: Tensor) -> None:
    is_float = own.dtype.is_floating_point
    _check_shape(name, found, own)
    wanted = found.dtype in (np.float32, np.float64) if is_float else found.dtype.kind in "iub"
    _demand(wanted, f"the dtype of the weight {name!r}")
    _demand(not is_float or bool(np.isfinite(found).all()), f"the weight {name!r}, not finite,")


def _check_shape(name: str, found: np.ndarray, own: Tensor) -> None:
    _demand(found.shape == tuple(own.shape), f"the shape of the weight {name!r}")


def _check_architecture(architecture: Any) -> None:
    """Sizes of networks; what a person has registered has options that are the person's own."""
    if type(architecture) not in ARCHITECTURES.values():
        return
    for name, value in architecture.get_params().items():
        for own in value if isinstance(value, list | tuple) else [value]:
            _demand(not isinstance(own, int | float) or abs(own) <= _MOST_UNITS, name)
        _demand(not isinstance(value, list | tuple) or len(value) <= _MOST_LAYERS, name)
