"""Likelihoods p(x | z) by block of columns: every one a density or a distribution that sums to one.

A block is some columns of one likelihood. x are their cells, shape (batch, c), anything where
nothing was observed: numbers standardised in double precision (`standardised`, and back
`restored`), codes of the levels that fit has seen, counts as they are. eta are the decoder's
outputs for them, shape (batch, width). Log-densities are those of cells, in nats, shape
(batch, c); `log_jacobian` is what they gain in the user's units. Features are what the encoder
sees: the cells, centred and scaled, shape (batch, n_features).

A likelihood is a component without state: what it learns of its columns is a dict of arrays, which
`Block` holds. To add one: a component here, a row in LIKELIHOODS.
"""

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import linalg, sparse
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

_LOG_2PI = math.log(2 * math.pi)
_SMALLEST_NOISE = 1e-3  # of a column, in its standard deviations
_LOG_RATE = 15.0  # of counts may be so far outside of 0 and that of the column's mean
_FAR = 1e4  # a logit beyond every threshold
_MOST = 2.0**53  # counts of which the next larger one is another number
_TOO_MANY = "counts beyond 2**53 cannot be told apart"
_SMALLEST = float(np.finfo(float).smallest_subnormal)
_ROUNDING = 4 * float(np.finfo(float).eps)  # of a number, relative to its size

Constants = dict[str, np.ndarray]


class Block(nn.Module):
    """Columns of one likelihood with what it has learnt of them; `dispersion` is trained."""

    dispersion: Tensor
    if TYPE_CHECKING:  # constants differ by likelihood

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, likelihood: "Likelihood", columns: np.ndarray, constants: Constants) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.columns = np.array(columns)  # a copy: that of a file mapped into memory is read-only
        where = torch.tensor(columns, dtype=torch.int64)
        self.register_buffer("where", where)  # the columns, where the rows are
        for name, value in constants.items():
            if name in likelihood.outside:
                continue
            if name == "dispersion":
                self.dispersion = nn.Parameter(torch.tensor(value, dtype=torch.float64))
            else:
                dtype = torch.float64 if value.dtype.kind == "f" else torch.int64
                self.register_buffer(name, torch.tensor(value, dtype=dtype))
        self.width = len(constants["bias"])
        self.owners = likelihood.owners(constants)
        self.n_features = len(self.owners)
        self.n_expectations = likelihood.n_expectations(constants)

    def features(self, x: Tensor) -> Tensor:
        """Features of cells, (batch, n_features); anything where one is missing."""
        return self.likelihood.features(self, self._readable(x))

    def log_prob(self, x: Tensor, eta: Tensor) -> Tensor:
        """Log-density of every cell, shape (batch, c)."""
        return self.likelihood.log_prob(self, self._readable(x), eta)

    def _readable(self, x: Tensor) -> Tensor:
        """Cells without NaN, whose gradient would be NaN even where nothing asks for it."""
        return x if self.likelihood.takes_missing else x.nan_to_num()

    def expectation(self, eta: Tensor, x: Tensor | None = None) -> Tensor:
        """Cells of the mean values, or probabilities of levels; x are cells that are known."""
        return self.likelihood.expectation(self, self._sized(eta, x))

    def decide(self, expectation: Tensor) -> Tensor:
        """Cells from (averaged) expectations, shape (batch, c)."""
        return self.likelihood.decide(self, expectation)

    def expected_features(self, eta: Tensor) -> Tensor:
        """Features of the expectation, shape (batch, n_features)."""
        return self.likelihood.expected_features(self, eta)

    def sample(self, eta: Tensor, generator: torch.Generator, x: Tensor | None = None) -> Tensor:
        """Draws of cells, shape (batch, c); x are the rows' cells, where some are known."""
        if x is None:
            eta = self.likelihood.with_drawn_size(self, eta, generator)
        return self.likelihood.sample(self, self._sized(eta, x), generator)

    def _sized(self, eta: Tensor, x: Tensor | None) -> Tensor:
        return eta if x is None else self.likelihood.with_size(self, eta, x)


class Likelihood(BaseEstimator):
    """What all likelihoods share; see the module."""

    kinds: tuple[str, ...] = ("number",)  # of columns that it can be given
    is_coded = False  # whether values are codes of levels
    shares_noise = True  # in the linear start, with the other columns that do
    takes_sparse = False  # whether its features are 0 where values are
    is_gaussian = False  # given features: the linear start's own density
    takes_noise = True  # whether a value with noise added is still one that its features know
    takes_missing = False  # whether NaN means something to it beside the cell itself
    outside: tuple[str, ...] = ()  # constants that only the way from values to cells needs

    @property
    def tail(self) -> float:
        """Degrees of freedom of its features' noise in the factor model; 0 where that is normal."""
        return 0.0

    @property
    def is_stochastic(self) -> bool:
        """Whether values are probabilities, of which training draws."""
        return False

    def check(self, values, names) -> None:
        """Raise a ValueError that names the first value which cannot be."""

    @property
    def keeps_constants(self) -> bool:
        """Whether a column that never varies says something of the others."""
        return False

    def standardised(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """Cells of values in the user's units, shape (n, c), float64."""
        return values

    def restored(self, constants: Constants, cells: np.ndarray) -> np.ndarray:
        """Values in the user's units of cells, shape (n, c), float64."""
        return cells

    def log_jacobian(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """What the log-density of a cell gains when it is told in the user's units, (n, c)."""
        return np.zeros(values.shape)

    def spread(self, block: Block) -> Tensor | float:
        """Standard deviation of the cells of each column."""
        return block.scale

    def owners(self, constants: Constants) -> np.ndarray:
        """Column of the block that each feature belongs to, shape (n_features,)."""
        return np.arange(len(constants["bias"]))

    def with_size(self, block: Block, eta: Tensor, x: Tensor) -> Tensor:
        """Outputs for rows of the size that the observed ones of cells x tell."""
        return eta

    def with_drawn_size(self, block: Block, eta: Tensor, generator: torch.Generator) -> Tensor:
        """Outputs for rows of sizes drawn at random."""
        return eta

    def validate(self) -> None:
        """Raise a ValueError where an option cannot be."""

    def n_expectations(self, constants: Constants) -> int:
        """Columns of `expectation`."""
        return len(constants["bias"])

    def decide(self, block: Block, expectation: Tensor) -> Tensor:
        return expectation

    def expected_features(self, block: Block, eta: Tensor) -> Tensor:
        return block.features(self.expectation(block, eta))


def _refuse(where: np.ndarray, values: np.ndarray, names, what: str, remedy: str) -> None:
    if where.any():
        row, column = np.argwhere(where)[0]
        raise ValueError(
            f"column {names[column]!r} holds {values[row, column]:g} in row {row}, and {what}; "
            f"{remedy}."
        )


def _refuse_cell(cells: sparse.coo_array, where: np.ndarray, names, what: str, remedy: str) -> None:
    if where.any():
        cell = int(where.argmax())
        row, column, value = cells.row[cell], cells.col[cell], cells.data[cell]
        raise ValueError(
            f"column {names[column]!r} holds {value:g} in row {row}, and {what}; {remedy}."
        )


def noise_variance(block: Block) -> Tensor:
    """Not below the floor: no column buys likelihood by precision (Mattei & Frellsen, 2018)."""
    return torch.maximum((2.0 * block.dispersion).exp(), block.floor.square())


def _normal(error: Tensor, variance: Tensor) -> Tensor:
    return -0.5 * (error.square() / variance + variance.log() + _LOG_2PI)


def _noise(eta: Tensor, generator: torch.Generator) -> Tensor:
    return torch.empty_like(eta).normal_(generator=generator)


def _uniform(eta: Tensor, generator: torch.Generator) -> Tensor:
    tiny = torch.finfo(eta.dtype).tiny
    return torch.empty_like(eta).uniform_(generator=generator).clamp(min=tiny)


class GaussianDiag(Likelihood):
    """Normal, with a noise of its own for every column.

    Its noise is at least a thousandth of the column's standard deviation, and at least the
    resolution of its values (their smallest difference) divided by the root of 12, the standard
    deviation of rounding.
    """

    shares_noise = False
    is_gaussian = True
    outside = ("center", "scale")

    def fit(self, values: np.ndarray, weight=None, n_levels=None, scale=None) -> Constants:
        """Mean and scale of every column; scale: one for all of them."""
        return self._normal_constants(values, weight, resolution(values), scale)

    def _normal_constants(self, y, weight, gap, scale=None) -> Constants:
        """Of columns that are normal, whose smallest step is gap."""
        center, own = moments(y, weight)
        scale = _or_one(own) if scale is None else np.full_like(own, scale)
        floor = np.maximum(_SMALLEST_NOISE * own, gap / math.sqrt(12)) / scale
        return {
            "center": center,
            "scale": scale,
            "floor": np.where(own > 0, floor, 1.0),  # a constant column has no scale
            "bias": np.zeros(y.shape[1]),
            "dispersion": np.zeros(y.shape[1]),
        }

    def standardised(self, constants, values):
        return (values - constants["center"]) / constants["scale"]

    def restored(self, constants, cells):
        return constants["center"] + constants["scale"] * cells

    def log_jacobian(self, constants, values):
        return np.broadcast_to(-np.log(constants["scale"]), values.shape)

    def spread(self, block):
        return 1.0

    def features(self, block, x):
        return x

    def log_prob(self, block, x, eta):
        return _normal(x - eta, noise_variance(block))

    def expectation(self, block, eta):
        return eta

    def expected_features(self, block, eta):
        return eta

    def sample(self, block, eta, generator):
        return eta + noise_variance(block).sqrt() * _noise(eta, generator)


class Gaussian(GaussianDiag):
    """Normal, with one noise for all columns, as in probabilistic PCA."""

    shares_noise = True

    def fit(self, values, weight=None, n_levels=None, scale=None):
        constants = super().fit(values, weight, n_levels, scale) | {"dispersion": np.zeros(1)}
        # As in PCA, constant columns have the noise of the others.
        return constants | {"floor": np.where(varies(values), constants["floor"], 0.0)}


class LogNormal(GaussianDiag):
    """Normal on the logarithm, for positive numbers; its noise is multiplicative.

    Where a column holds zeros, their logarithm is taken after half the smallest positive value
    was added to all.
    """

    is_gaussian = False
    outside = ("center", "shift")

    def check(self, values, names):
        remedy = "use 'gaussian' or 'student_t' for it"
        _refuse(values < 0, values, names, "'lognormal' needs values that are not negative", remedy)

    def fit(self, values, weight=None, n_levels=None, scale=None):
        smallest = np.nanmin(np.where(values > 0, values, np.inf), axis=0)
        half = np.where(np.isfinite(smallest), np.maximum(0.5 * smallest, _SMALLEST), 1.0)
        shift = np.where((values == 0).any(0), half, 0.0)
        y = _log(values, shift)
        # Logarithms are as exact as their values, also those near 0.
        gap = resolution(y, np.maximum(np.abs(y), 1.0))
        return self._normal_constants(y, weight, gap) | {"shift": shift}

    def standardised(self, constants, values):
        return super().standardised(constants, _log(values, constants["shift"]))

    def restored(self, constants, cells):
        with np.errstate(over="ignore"):  # beyond the largest number is infinite
            values = np.exp(super().restored(constants, cells)) - constants["shift"]
        return np.maximum(values, 0.0)

    def log_jacobian(self, constants, values):
        return super().log_jacobian(constants, values) - _log(values, constants["shift"])

    def expectation(self, block, eta):
        """That of the mean of values, which is above the median."""
        return eta + 0.5 * noise_variance(block) * block.scale


def _log(values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Logarithm of shifted values; below the support the nearest one that is a number."""
    return np.log(np.maximum(values + shift, _SMALLEST))


class StudentT(GaussianDiag):
    """Student's t, for columns with heavy tails; scale and degrees of freedom per column.

    Parameters
    ----------
    df : float or "auto", default="auto"
        Degrees of freedom, above 2; "auto" learns them.
    """

    is_gaussian = False

    def __init__(self, *, df="auto"):
        self.df = df

    def fit(self, values, weight=None, n_levels=None, scale=None):
        """Median and interquartile range instead of mean and standard deviation."""
        constants = super().fit(values, weight)
        center, robust = _median_and_scale(values, weight)
        robust = np.where(robust > 0, robust, constants["scale"])
        gap = resolution(values)
        floor = np.maximum(_SMALLEST_NOISE, gap / math.sqrt(12) / robust)
        raw_df = np.full(len(robust), 2.0)  # softplus(2) + 2, about 4
        return constants | {
            "center": center,
            "scale": robust,
            "floor": np.where(gap > 0, floor, 1.0),
            "dispersion": np.concatenate([np.zeros(len(robust)), raw_df]),
        }

    @property
    def tail(self):
        return 4.0 if self.df == "auto" else float(self.df)

    def validate(self):
        if self.df != "auto" and not (isinstance(self.df, Real) and float(self.df) > 2):
            raise ValueError(f"df={self.df!r} of StudentT must be 'auto' or a number above 2.")

    def _parts(self, block):
        log_scale, raw_df = block.dispersion.chunk(2)
        variance = torch.maximum((2.0 * log_scale).exp(), block.floor.square())
        df = 2.0 + F.softplus(raw_df) if self.df == "auto" else torch.full_like(raw_df, self.df)
        return variance, df

    def log_prob(self, block, x, eta):
        variance, df = self._parts(block)
        square = (x - eta).square() / variance
        constant = torch.lgamma(0.5 * (df + 1)) - torch.lgamma(0.5 * df)
        constant = constant - 0.5 * (df * variance * math.pi).log()
        return constant - 0.5 * (df + 1) * torch.log1p(square / df)

    def sample(self, block, eta, generator):
        variance, df = self._parts(block)
        rng = _numpy_generator(generator)
        t = torch.as_tensor(rng.standard_t(df.detach().numpy(force=True), tuple(eta.shape)))
        return eta + variance.sqrt() * t.to(eta)


class Bernoulli(Likelihood):
    """Yes or no: booleans, and numbers that are 0 or 1.

    Parameters
    ----------
    stochastic : bool, default=False
        Whether numbers from 0 to 1 are probabilities, such as the pixels of a grey image, of
        which every step of the training draws anew (stochastic binarisation: Salakhutdinov &
        Murray, 2008). Reconstructions are then probabilities too. The score of a number between
        0 and 1 weighs the logarithms of both probabilities by it; for the likelihood of draws,
        score draws.
    """

    kinds: tuple[str, ...] = ("number", "boolean")
    takes_sparse = True

    def __init__(self, *, stochastic=False):
        self.stochastic = stochastic

    @property
    def is_stochastic(self):
        return self.stochastic

    def validate(self):
        if not isinstance(self.stochastic, bool):
            raise ValueError(
                f"stochastic={self.stochastic!r} of {type(self).__name__} must be True or False."
            )

    @property
    def keeps_constants(self):
        return self.stochastic

    def check(self, values, names):
        if self.stochastic and not sparse.issparse(values):
            wrong = (values < 0) | (values > 1)
            what = "'bernoulli' needs probabilities from 0 to 1"
            _refuse(wrong, values, names, what, "divide the column by its largest value")
            return
        if sparse.issparse(values):
            cells = sparse.coo_array(values)
            wrong = (cells.data != 0) & (cells.data != 1)
            _refuse_cell(cells, wrong, names, "'bernoulli' needs 0 or 1", "use 'poisson'")
            return
        wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
        _refuse(wrong, values, names, "'bernoulli' needs 0 or 1", "use 'gaussian' or a threshold")

    def sparse_features(self, block, values):
        """Features of CSR rows as CSR, not centred."""
        return sparse.csr_array(values.astype(np.float64).multiply(1 / block.scale.numpy()))

    def fit(self, values, weight=None, n_levels=None, scale=None):
        share, n = _mean(values, weight), _count(values, weight)
        share = (share * n + 0.5) / (n + 1.0)
        return {
            "center": share,
            "scale": np.sqrt(share * (1 - share)),
            "bias": np.log(share / (1 - share)),
            "dispersion": np.zeros(0),
        }

    def features(self, block, x):
        return (x - block.center) / block.scale

    def log_prob(self, block, x, eta):
        return x * eta - F.softplus(eta)

    def expectation(self, block, eta):
        return torch.sigmoid(eta)

    def decide(self, block, expectation):
        return expectation if self.stochastic else (expectation >= 0.5).to(expectation)

    def sample(self, block, eta, generator):
        return (_uniform(eta, generator) < torch.sigmoid(eta)).to(eta)


class ContinuousBernoulli(Bernoulli):
    """Values in [0, 1]: intensities and shares (Loaiza-Ganem & Cunningham, 2019)."""

    kinds = ("number",)
    takes_sparse = False

    stochastic = False

    def __init__(self):
        """Nothing to choose."""

    def check(self, values, names):
        wrong = (values < 0) | (values > 1)
        what = "'continuous_bernoulli' needs values in [0, 1]"
        _refuse(wrong, values, names, what, "divide the column by its largest value")

    def fit(self, values, weight=None, n_levels=None, scale=None):
        center, scale = moments(values, weight)
        # The logit whose mean is center, from a table: the mean has no inverse in closed form.
        logits = torch.linspace(-50, 50, 5001, dtype=torch.float64)
        bias = np.interp(center, self.expectation(None, logits).numpy(), logits.numpy())
        constants = {"center": center, "scale": _or_one(scale)}
        return constants | {"bias": bias, "dispersion": np.zeros(0)}

    def log_prob(self, block, x, eta):
        return x * eta - _log_sinhc(eta)

    def expectation(self, block, eta):
        small = eta.abs() < 1e-2
        safe = torch.where(small, torch.ones_like(eta), eta)
        return torch.where(small, 0.5 + eta / 12, -1 / torch.expm1(-safe) - 1 / safe)

    def decide(self, block, expectation):
        return expectation

    def sample(self, block, eta, generator):
        u, size = _uniform(eta, generator), eta.abs()
        safe = size.clamp(min=1e-4)
        x = 1.0 + torch.log(u + (1.0 - u) * torch.exp(-safe)) / safe
        x = torch.where(size < 1e-4, u, x)
        return torch.where(eta < 0, 1.0 - x, x).clamp(0.0, 1.0)


def _log_sinhc(eta: Tensor) -> Tensor:
    """log((exp(eta) - 1) / eta), the normaliser of the continuous Bernoulli."""
    small = eta.abs() < 1e-2
    size = torch.where(small, torch.ones_like(eta), eta.abs())
    exact = torch.relu(eta) + torch.log(-torch.expm1(-size)) - size.log()
    return torch.where(small, eta / 2 + eta.square() / 24, exact)


class Levels(Likelihood):
    """What likelihoods of levels share: cells count the levels that fit has seen, -1 is another."""

    takes_noise = False
    is_coded = True
    outside: tuple[str, ...] = ("levels",)

    def standardised(self, constants, values):
        cells = np.full(values.shape, np.nan)
        for j, known in enumerate(self.known(constants)):
            place = np.searchsorted(known, values[:, j]).clip(max=len(known) - 1)
            cells[:, j] = np.where(known[place] == values[:, j], place, -1.0)
        return np.where(np.isnan(values), np.nan, cells)

    def restored(self, constants, cells):
        level = np.nan_to_num(cells).astype(int).clip(0)
        return np.stack(
            [known[codes] for known, codes in zip(self.known(constants), level.T, strict=True)],
            axis=1,
        ).astype(np.float64)

    def known(self, constants) -> list[np.ndarray]:
        """Codes, in the user's table, of the levels of each column."""
        return np.split(constants["levels"], constants["first_level"][1:])


def _levels_seen(column: np.ndarray, weight) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of the levels that occur in a column, their counts, and the sums of their weights."""
    seen = ~np.isnan(column) & (column >= 0)
    known, place = np.unique(column[seen].astype(int), return_inverse=True)
    w = None if weight is None else weight[seen]
    mass = np.bincount(place, w, minlength=len(known)).astype(float)
    return known, np.bincount(place, minlength=len(known)).astype(float), mass


def _first_levels(levels: list[np.ndarray]) -> np.ndarray:
    """Where the levels of each column begin, among those of all."""
    sizes = [len(known) for known in levels]
    return np.cumsum(sizes) - sizes


class Categorical(Levels):
    """One of several levels, in no order: a softmax.

    Levels beyond the most frequent ones share one output, within which their frequencies are
    kept. A level that fit has not seen tells nothing about the codes, and has the probability
    with which new levels are to be expected (Good & Turing: the share of levels seen once).

    Parameters
    ----------
    max_levels : int, default=64
        Levels of a column that get an output of their own.
    """

    kinds = ("number", "boolean", "category", "ordered")

    def __init__(self, *, max_levels=64):
        self.max_levels = max_levels

    def validate(self):
        if not (isinstance(self.max_levels, Integral) and int(self.max_levels) >= 2):
            raise ValueError(
                f"max_levels={self.max_levels!r} of Categorical must be a whole number from 2 up."
            )

    def fit(self, values, weight=None, n_levels=None, scale=None):
        slots, within, shares, log_seen, log_unseen, levels = [], [], [], [], [], []
        for column in values.T:
            known, count, mass = _levels_seen(column, weight)
            slot, within_slot, share = _slots(mass, count, self.max_levels)
            unseen = ((count == 1).sum() + 0.5) / (count.sum() + 1.0)
            levels.append(known)
            slots.append(slot)
            within.append(within_slot)
            shares.append(share)
            log_seen.append(math.log1p(-min(unseen, 0.5)))
            log_unseen.append(math.log(min(unseen, 0.5)))
        sizes = np.array([len(share) for share in shares])
        share = np.concatenate(shares)
        return {
            "sizes": sizes,
            "first_slot": np.cumsum(sizes) - sizes,
            "slot_of": np.concatenate(slots),
            "log_within": np.concatenate(within),
            "levels": np.concatenate(levels),
            "first_level": _first_levels(levels),
            "contrasts": linalg.block_diag(*map(_contrasts, shares)),
            "log_seen": np.array(log_seen),
            "log_unseen": np.array(log_unseen),
            "bias": np.log(share),
            "dispersion": np.zeros(0),
        }

    def owners(self, constants):
        n_features = np.maximum(constants["sizes"] - 1, 1)
        return np.repeat(np.arange(len(n_features)), n_features)

    def _slot(self, block, x):
        """Index among all outputs of the block, shape (batch, c); a guess where unseen."""
        level = block.first_level + x.clamp(min=0).long()
        return block.first_slot + block.slot_of[level], level

    def features(self, block, x):
        one_hot = x.new_zeros(len(x), block.width).scatter_(1, self._slot(block, x)[0], 1.0)
        return one_hot @ block.contrasts

    def log_prob(self, block, x, eta):
        slot, level = self._slot(block, x)
        normaliser = torch.stack([part.logsumexp(-1) for part in self._split(block, eta)], -1)
        seen = eta.gather(1, slot) - normaliser + block.log_within[level] + block.log_seen
        return torch.where(x < 0, block.log_unseen, seen)

    def expectation(self, block, eta):
        return torch.cat([part.softmax(-1) for part in self._split(block, eta)], -1)

    def expected_features(self, block, eta):
        return self.expectation(block, eta) @ block.contrasts

    def decide(self, block, expectation):
        return self._level(block, [p.argmax(-1) for p in self._split(block, expectation)])

    def sample(self, block, eta, generator):
        shares = self._split(block, self.expectation(block, eta))
        drawn = [torch.multinomial(p, 1, generator=generator)[:, 0] for p in shares]
        return self._level(block, drawn, generator)

    def _split(self, block, eta):
        return eta.split(block.sizes.tolist(), -1)

    def _level(self, block, slots, generator=None):
        """Codes of levels from slots: within a shared one the most frequent, or a draw."""
        levels = []
        bounds = [*block.first_level.tolist(), len(block.slot_of)]
        for slot, first, last in zip(slots, bounds[:-1], bounds[1:], strict=True):
            owner, log_within = block.slot_of[first:last], block.log_within[first:last]
            best = [log_within.masked_fill(owner != s, -torch.inf).argmax() for s in owner.unique()]
            level = torch.stack(best)[slot]
            shared = slot == len(best) - 1
            if generator is not None and shared.any() and (owner == len(best) - 1).sum() > 1:
                share = torch.where(owner == len(best) - 1, log_within.exp(), 0.0)
                n = int(shared.sum())
                level[shared] = torch.multinomial(share, n, replacement=True, generator=generator)
            levels.append(level)
        return torch.stack(levels, -1).to(block.contrasts)


def _contrasts(share: np.ndarray) -> np.ndarray:
    """Levels in K - 1 uncorrelated numbers of variance one, shape (K, K - 1).

    Indicators divided by the root of their share (Pages, 2004), in coordinates across the one
    direction in which they cannot vary; so two levels are one number, as a boolean is.
    """
    if len(share) == 1:
        return np.zeros((1, 1))
    root = np.sqrt(share)
    axis = root + np.sign(root[0]) * np.eye(len(root))[0]
    reflection = np.eye(len(root)) - 2 * np.outer(axis, axis) / (axis @ axis)
    return reflection[:, 1:] / root[:, None]


def _slots(mass: np.ndarray, count: np.ndarray, most: int):
    """Slot of each level, log-probability within it, share of each slot.

    The most frequent levels come first in their own order; the rest share the last slot.
    """
    if len(count) > most:
        own = np.sort(np.argsort(-mass, kind="stable")[: most - 1])
        slot = np.full(len(count), most - 1)
        slot[own] = np.arange(most - 1)
    else:
        slot = np.arange(len(count))
    mass = mass * count.sum() / max(mass.sum(), 1e-300) + 0.5
    total = np.bincount(slot, mass)
    return slot, np.log(mass / total[slot]), total / total.sum()


class Ordinal(Levels):
    """One of several levels in an order: thresholds on one number (McCullagh, 1980)."""

    outside = ("levels", "first_level")
    kinds = ("number", "ordered")

    def fit(self, values, weight=None, n_levels=None, scale=None):
        """Thresholds at the levels' frequencies; features are the levels' mean normal ranks."""
        unseen, thresholds, positions, levels = [], [], [], []
        for column in values.T:
            known, count, mass = _levels_seen(column, weight)
            share = (mass + 0.5) / (mass + 0.5).sum()
            up_to = np.cumsum(share)
            levels.append(known)
            thresholds.append(np.log(up_to[:-1] / (1 - up_to[:-1])))
            positions.append(up_to - 0.5 * share)
            unseen.append(0.5 / (count.sum() + 1.0))
        n_levels = np.array([len(known) for known in levels])
        constants = {"levels": np.concatenate(levels), "first_level": _first_levels(levels)}
        padded = np.full((len(n_levels), n_levels.max()), np.nan)
        ranks = np.zeros((len(n_levels), n_levels.max()))
        for row, rank, t, p in zip(padded, ranks, thresholds, positions, strict=True):
            row[: len(t)] = t
            rank[: len(p)] = np.log(p / (1 - p))
        raw = padded.copy()
        raw[:, 1:] = np.log(np.expm1(np.maximum(np.diff(padded, axis=1), 1e-3)))
        cells = self.standardised(constants, values)
        feature = np.take_along_axis(ranks, np.nan_to_num(cells).astype(int).clip(0).T, 1).T
        center, scale = moments(np.where(cells >= 0, feature, np.nan), weight)
        return constants | {
            "n_levels": n_levels,
            "ranks": ranks,
            "center": center,
            "scale": _or_one(scale),
            "log_seen": np.log1p(-np.array(unseen)),
            "log_unseen": np.log(unseen),
            "bias": np.zeros(len(n_levels)),
            "dispersion": np.nan_to_num(raw),
        }

    def features(self, block, x):
        rank = block.ranks.gather(1, x.clamp(min=0).long().T).T
        return (rank - block.center) / block.scale

    def n_expectations(self, constants):
        return constants["ranks"].size

    def _thresholds(self, block):
        """Lower and upper end of every level, shape (c, levels)."""
        gaps = torch.cat([block.dispersion[:, :1], F.softplus(block.dispersion[:, 1:])], 1)
        upper = gaps.cumsum(1)
        level = torch.arange(upper.shape[1], device=upper.device)
        upper = torch.where(level >= block.n_levels[:, None] - 1, _FAR, upper)
        lower = torch.cat([torch.full_like(upper[:, :1], -_FAR), upper[:, :-1]], 1)
        return lower, upper

    def log_prob(self, block, x, eta):
        lower, upper = self._thresholds(block)
        level = x.clamp(min=0).long().T
        low, high = lower.gather(1, level).T - eta, upper.gather(1, level).T - eta
        seen = _log_between(low, high) + block.log_seen
        return torch.where(x < 0, block.log_unseen, seen)

    def expectation(self, block, eta):
        """Probabilities of levels, shape (batch, c * levels), 0 past a column's last one."""
        lower, upper = self._thresholds(block)
        p = torch.sigmoid(upper - eta[..., None]) - torch.sigmoid(lower - eta[..., None])
        return p.flatten(1)

    def decide(self, block, expectation):
        return expectation.view(len(expectation), *block.ranks.shape).argmax(-1).to(expectation)

    def expected_features(self, block, eta):
        p = self.expectation(block, eta).view(len(eta), *block.ranks.shape)
        return ((p * block.ranks).sum(-1) - block.center) / block.scale

    def sample(self, block, eta, generator):
        u = _uniform(eta, generator)
        logistic = eta + torch.log(u) - torch.log1p(-u.clamp(max=1 - 1e-7))
        upper = self._thresholds(block)[1]
        level = (logistic[..., None] > upper).sum(-1)
        return torch.minimum(level, block.n_levels - 1).to(eta)


def _log_between(low: Tensor, high: Tensor) -> Tensor:
    """log(sigmoid(high) - sigmoid(low)), stable: sigmoid(h) sigmoid(-l) (1 - exp(l - h))."""
    gap = (high - low).clamp(min=1e-6)
    return F.logsigmoid(high) + F.logsigmoid(-low) + torch.log(-torch.expm1(-gap))


class Poisson(Likelihood):
    """Counts whose variance is their mean.

    Parameters
    ----------
    size_factor : bool or "auto", default="auto"
        Whether a row's mean counts are its total times a share: for texts and for sequencing,
        where the total says how much was looked at. The density is then that of the counts given
        the total. "auto" does so if every column of the table has this likelihood and there are
        at least 20.
    """

    takes_noise = False
    takes_missing = True
    takes_sparse = True

    def __init__(self, *, size_factor="auto"):
        self.size_factor = size_factor

    @property
    def keeps_constants(self):
        return self.size_factor is True  # of whose total they are a part

    def check(self, values, names):
        what, remedy = "counts are whole numbers from 0 up", "use 'lognormal' or 'gaussian'"
        if sparse.issparse(values):
            cells = sparse.coo_array(values)
            wrong = (cells.data < 0) | (cells.data != np.floor(cells.data))
            _refuse_cell(cells, wrong, names, what, remedy)
            _refuse_cell(cells, cells.data > _MOST, names, _TOO_MANY, "divide the column")
            return
        wrong = (values < 0) | (values != np.floor(values)) & ~np.isnan(values)
        _refuse(wrong, values, names, what, remedy)
        _refuse(values > _MOST, values, names, _TOO_MANY, "use 'lognormal' for it")

    def fit(self, values, weight=None, n_levels=None, scale=None):
        share = _mean(values, weight)
        if self.size_factor is True:
            total = _sum(values)
            some = total > 0
            own = None if weight is None else weight[some]
            median = float(_quantiles(total[some], 0.5, own)) if some.any() else 1.0
            share = np.maximum(share, 1e-8 * share.sum() + 1e-30) / max(share.sum(), 1e-30)
            log_total = np.log(np.maximum(total, 1.0))
            sizes = {
                "median": np.array(median),
                "totals": _quantiles(log_total, np.linspace(0, 1, 101), weight),
            }
        else:
            sizes = {"median": np.array(0.0), "totals": np.zeros(101)}
        constants = {"share": share, "center": share, "scale": np.ones_like(share), **sizes}
        center, own = self._feature_moments(values, weight, constants)
        scale = own
        if self.size_factor is True:  # columns in one unit share a scale, as in PCA
            scale = np.full_like(own, np.sqrt(np.mean(np.square(own))))
        return constants | {
            "center": center,
            "scale": scale,
            "bias": np.log(np.maximum(share, 1e-8)),
            "dispersion": np.zeros(0),
        }

    def _feature_moments(self, values, weight, constants):
        total = square = n = np.zeros(values.shape[1])
        weight = np.ones(values.shape[0]) if weight is None else weight
        plain = {name: torch.from_numpy(np.asarray(v, float)) for name, v in constants.items()}
        for start in range(0, values.shape[0], 512):
            x = values[start : start + 512]
            x = x.toarray() if sparse.issparse(x) else x
            y = self._stabilised(plain, torch.from_numpy(np.asarray(x, float))).numpy()
            w, there = weight[start : start + 512], ~np.isnan(y)
            y = np.where(there, y, 0.0)
            total, square, n = total + w @ y, square + w @ np.square(y), n + w @ there
        mean = total / n
        sd = np.sqrt(np.maximum(square / n - np.square(mean), 0.0))
        return mean, np.where(sd > 1e-12, sd, 1.0)

    def _stabilised(self, constants, x):
        if self.size_factor is True:
            x = x * (constants["median"] / self._total(constants, x))[:, None]
        return torch.log1p(x)

    def sparse_features(self, block, values):
        """Features of CSR counts as CSR, not centred: zeros stay zeros."""
        counts = values.astype(np.float64)
        if self.size_factor is True:
            total = np.maximum(_sum(counts), 1e-8)
            counts = sparse.csr_array(counts.multiply((float(block.median) / total)[:, None]))
        return sparse.csr_array(counts.log1p().multiply(1 / block.scale.numpy()))

    def _total(self, constants, x):
        """Row totals; where cells are missing, as if those that are there were typical."""
        there = ~torch.isnan(x)
        total = torch.where(there, x, 0.0).sum(-1)
        return (total / (there.to(x) @ constants["share"]).clamp(min=1e-8)).clamp(min=1e-8)

    def features(self, block, x):
        return (self._stabilised(block._buffers, x) - block.center) / block.scale

    def _bounded(self, block, eta):
        low, high = block.bias.clamp(max=0.0), block.bias.clamp(min=0.0)
        return eta.clamp(low - _LOG_RATE, high + _LOG_RATE)

    def _log_rate(self, block, x, eta):
        log_rate = self._bounded(block, eta)
        if self.size_factor is True:
            log_rate = log_rate + self._total(block._buffers, x).log()[:, None]
        return log_rate

    def log_prob(self, block, x, eta):
        log_rate, x = self._log_rate(block, x, eta), x.nan_to_num()
        return x * log_rate - log_rate.exp() - torch.lgamma(x + 1)

    def expectation(self, block, eta):
        """Mean counts; of a row with the median total, where totals count."""
        return self._bounded(block, eta).exp() * block.median.clamp(min=1.0)

    def with_size(self, block, eta, x):
        if self.size_factor is not True:
            return eta
        return eta + (self._total(block._buffers, x) / block.median).log()[:, None]

    def with_drawn_size(self, block, eta, generator):
        if self.size_factor is not True:
            return eta
        place = 100.0 * eta.new_empty(len(eta), dtype=torch.float32).uniform_(generator=generator)
        below = place.long().clamp(max=99)
        low, high = block.totals[below], block.totals[below + 1]
        log_total = low + (place - below).to(low) * (high - low)
        return eta + (log_total - block.median.log())[:, None]

    def validate(self):
        if self.size_factor not in (True, False, "auto"):
            raise ValueError(
                f"size_factor={self.size_factor!r} of {type(self).__name__} must be True, False or "
                "'auto'."
            )

    def expected_features(self, block, eta):
        return (torch.log1p(self.expectation(block, eta)) - block.center) / block.scale

    def sample(self, block, eta, generator):
        rate = self.expectation(block, eta).numpy(force=True).astype(float)
        return torch.as_tensor(_numpy_generator(generator).poisson(rate)).to(eta)


class NegativeBinomial(Poisson):
    """Counts whose variance exceeds their mean m: m + m^2 / theta, with theta per column.

    Parameters
    ----------
    size_factor : bool or "auto", default="auto"
        As in `Poisson`.
    """

    def fit(self, values, weight=None, n_levels=None, scale=None):
        constants = super().fit(values, weight, n_levels, scale)
        return constants | {"dispersion": np.ones(len(constants["bias"]))}

    def log_prob(self, block, x, eta):
        log_theta = block.dispersion.clamp(-8.0, 12.0)
        theta, log_rate, x = log_theta.exp(), self._log_rate(block, x, eta), x.nan_to_num()
        log_sum = torch.logaddexp(log_theta, log_rate)
        log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
        return log_choose + theta * (log_theta - log_sum) + x * (log_rate - log_sum)

    def sample(self, block, eta, generator):
        rng = _numpy_generator(generator)
        theta = block.dispersion.clamp(-8.0, 12.0).exp().detach().numpy(force=True).astype(float)
        rate = self.expectation(block, eta).numpy(force=True).astype(float)
        rate = rate * rng.gamma(theta, 1 / theta, tuple(eta.shape))
        return torch.as_tensor(rng.poisson(np.minimum(rate, 1e15))).to(eta)


def varies(values: np.ndarray) -> np.ndarray:
    """Whether the observed cells of each column differ by more than rounding, shape (c,)."""
    least, most = (
        extreme(values, axis=0, initial=start, where=~np.isnan(values))
        for extreme, start in ((np.min, np.inf), (np.max, -np.inf))
    )
    size = np.maximum(np.abs(least), np.abs(most))
    return most - least > _ROUNDING * size


def resolution(values: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
    """Smallest positive difference between values of each column, shape (c,).

    Values that differ by rounding alone, of numbers of their size, are one value.
    """
    gaps = np.zeros(values.shape[1])
    for j, column in enumerate(values.T):
        distinct, where = np.unique(column[~np.isnan(column)], return_index=True)
        own = np.abs(distinct) if size is None else size[~np.isnan(column), j][where]
        steps = np.diff(distinct)
        steps = steps[steps > _ROUNDING * np.maximum(own[1:], own[:-1])]
        gaps[j] = steps.min() if len(steps) else 0.0
    return gaps


def _numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """numpy's, for distributions that torch draws from its global generator only."""
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return np.random.default_rng(int(seed))


def _mean(values, weight=None) -> np.ndarray:
    if sparse.issparse(values):
        w = np.ones(values.shape[0]) if weight is None else weight
        return np.asarray(values.T @ (w / w.sum())).ravel()
    there = ~np.isnan(values)
    w = there * (1.0 if weight is None else np.asarray(weight)[:, None])
    return (np.where(there, values, 0.0) * w).sum(0) / w.sum(0)


def moments(values: np.ndarray, weight=None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column's cells, the latter 0 where nothing varies.

    A power of two first, so that no square overflows or vanishes; then the mean, then the rest.
    """
    largest = np.max(np.abs(values), axis=0, initial=0.0, where=~np.isnan(values))
    exponent = np.frexp(largest)[1]
    y = np.ldexp(values, -exponent)
    mean = _mean(y, weight)
    y -= mean
    shift = _mean(y, weight)  # what rounding left in the mean
    y -= shift
    n = _count(values, weight)
    variance = _mean(np.square(y), weight) * n / np.maximum(n - 1, 1)
    sd = np.where(varies(values), np.ldexp(np.sqrt(variance), exponent), 0.0)
    return np.ldexp(mean + shift, exponent), sd


def _or_one(scale: np.ndarray) -> np.ndarray:
    """Scales that can be divided by."""
    return np.where(scale > 0, scale, 1.0)


def _count(values: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Cells of each column that are there; with weights as many as would say as much (Kish)."""
    w = np.ones(values.shape[0]) if weight is None else weight
    if sparse.issparse(values):
        return np.full(values.shape[1], w.sum() ** 2 / np.square(w).sum())
    there = ~np.isnan(values)
    return np.square(w @ there) / np.maximum(np.square(w) @ there, np.finfo(float).tiny)


def _quantiles(values: np.ndarray, shares, weight: np.ndarray | None) -> np.ndarray:
    """Quantiles of some numbers; between two they are interpolated, with weights as without."""
    if weight is None:
        return np.quantile(values, shares)
    order = values.argsort(kind="stable")
    middle = weight[order].cumsum() - 0.5 * weight[order]
    place = (middle - middle[0]) / max(middle[-1] - middle[0], np.finfo(float).tiny)
    return np.interp(shares, place, values[order])


def _median_and_scale(values: np.ndarray, weight) -> tuple[np.ndarray, np.ndarray]:
    """Weighted median of each column, and its scale by quartiles: a few far cells change neither.

    Where more than half of the cells are alike, the scale is that of how far the others are.
    """
    centers, scales = np.zeros((2, values.shape[1]))
    for j, column in enumerate(values.T):
        there = ~np.isnan(column)
        x, w = column[there], None if weight is None else weight[there]
        low, centers[j], high = _quantiles(x, [0.25, 0.5, 0.75], w)
        scales[j] = (high - low) / 1.349
        away = np.abs(x - centers[j])
        other = away > 0
        if scales[j] == 0 and other.any():
            scales[j] = _quantiles(away[other], 0.5, None if w is None else w[other]) / 0.6745
    return centers, scales


def _sum(values) -> np.ndarray:
    return np.asarray(values.sum(1) if sparse.issparse(values) else np.nansum(values, 1)).ravel()


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "gaussian": Gaussian,
    "gaussian_diag": GaussianDiag,
    "student_t": StudentT,
    "lognormal": LogNormal,
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "categorical": Categorical,
    "ordinal": Ordinal,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
}
