"""One column for each likelihood, and blocks of columns asked in the user's units."""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from skvae.likelihoods import (
    Bernoulli,
    Block,
    Categorical,
    ContinuousBernoulli,
    Empirical,
    Gaussian,
    GaussianDiag,
    LogNormal,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
)

RNG = np.random.RandomState(0)
N = 400
SKEWED = 0.6 ** np.arange(12)
RARE = np.r_[RNG.choice(12, N - 12, p=SKEWED / SKEWED.sum()), np.arange(12)].astype(float)
NORMAL = 30.0 + 5.0 * RNG.standard_normal(N)
POSITIVE = np.exp(1.0 + 0.7 * RNG.standard_normal(N))
GRADES = RNG.choice(5, N, p=[0.1, 0.2, 0.4, 0.2, 0.1]).astype(float)
COUNTS = RNG.poisson(4.0, N).astype(float)
AMOUNTS = np.where(RNG.uniform(size=N) < 0.6, 0.0, POSITIVE)
SHARES = np.clip(RNG.normal(0.4, 0.5, N), 0.0, 1.0)
HOURS = np.where(RNG.uniform(size=N) < 0.5, 40.0, RNG.binomial(60, 0.6, N))
COUNTED = (Poisson, NegativeBinomial)
MODERATE = (-3.0, -0.5, 0.0, 0.005, 2.0)


class Case(NamedTuple):
    """A likelihood with values of one column, and where its outputs are looked at."""

    likelihood: object
    values: np.ndarray
    etas: tuple = MODERATE
    log_noise: float | None = None


CASES = {
    "gaussian": Case(Gaussian(), NORMAL),
    "gaussian, precise": Case(Gaussian(), NORMAL, log_noise=-30.0),
    "gaussian_diag": Case(GaussianDiag(), NORMAL, log_noise=-1.0),
    "gaussian_diag, far": Case(GaussianDiag(), 1e6 * NORMAL, etas=(-1e4, 1e4), log_noise=3.0),
    "student_t": Case(StudentT(), NORMAL),
    "student_t, df 4.5": Case(StudentT(df=4.5), NORMAL, log_noise=-1.0),
    "student_t, df 40": Case(StudentT(df=40.0), NORMAL, log_noise=-30.0),
    "lognormal": Case(LogNormal(), POSITIVE, log_noise=-0.5),
    "lognormal, small": Case(LogNormal(), 1e-6 * POSITIVE, log_noise=-30.0),
    "lognormal, zeros": Case(LogNormal(), AMOUNTS, log_noise=-0.5),
    "empirical": Case(Empirical(), AMOUNTS),
    "empirical, bounded": Case(Empirical(), SHARES, log_noise=-2.0),
    "empirical, rounded": Case(Empirical(), HOURS, log_noise=-1.0),
    "empirical, without points of mass": Case(Empirical(), POSITIVE, log_noise=-1.0),
    "bernoulli": Case(Bernoulli(), (GRADES > 2) * 1.0, etas=(-40.0, *MODERATE, 40.0)),
    "continuous_bernoulli": Case(
        ContinuousBernoulli(),
        RNG.uniform(size=N),
        etas=(-60.0, -3.0, -0.0101, -0.0099, -1e-6, 0.0, 1e-6, 0.0099, 0.0101, 3.0, 60.0),
    ),
    "categorical": Case(Categorical(), GRADES),
    "categorical, rare levels": Case(Categorical(max_levels=6), RARE),
    "categorical, two slots": Case(Categorical(max_levels=2), RARE),
    "categorical, weights of columns": Case(Categorical(max_levels=6, weight="columns"), RARE),
    "ordinal": Case(Ordinal(), GRADES, (-300.0, *MODERATE, 300.0)),
    "ordinal, a level that never occurs": Case(Ordinal(), np.where(GRADES == 2, 3, GRADES)),
    "poisson": Case(Poisson(), COUNTS, etas=(-20.0, -3.0, 0.0, 2.0, 6.0)),
    "negative_binomial": Case(NegativeBinomial(), COUNTS, etas=(-20.0, -3.0, 0.0, 2.0, 5.0)),
    "negative_binomial, spread out": Case(
        NegativeBinomial(), COUNTS, etas=(-3.0, 0.0, 2.0), log_noise=-0.5
    ),
    "negative_binomial, nearly Poisson": Case(
        NegativeBinomial(), COUNTS, etas=(-3.0, 0.0, 5.0), log_noise=11.0
    ),
}


class InUsersUnits:
    """A block of columns, shape (n, c) or (n,), asked in the user's units."""

    def __init__(self, likelihood, values, scale=None):
        values = values.reshape(len(values), -1)
        self.likelihood = likelihood
        self.constants = likelihood.fit(values, None, scale)
        columns = np.arange(values.shape[1])
        self.cells = Block(likelihood, columns, self.constants).requires_grad_(False)

    def __getattr__(self, name):
        """What has no unit, or is told in that of the cells."""
        return getattr(self.cells, name)

    def to(self, dtype):
        self.cells.to(dtype)
        return self

    def requires_grad_(self, wanted):
        self.cells.requires_grad_(wanted)
        return self

    def of(self, name):
        """A number that is known of the only column."""
        return self.constants[name].item()

    def standardised(self, x):
        cells = self.likelihood.standardised(self.constants, x.double().numpy())
        return torch.from_numpy(np.array(cells)).to(x)

    def restored(self, cells):
        cells = cells.detach().double().numpy()
        return torch.from_numpy(self.likelihood.restored(self.constants, cells))

    def log_prob(self, x, eta):
        gain = self.likelihood.log_jacobian(self.constants, x.double().numpy())
        return self.cells.log_prob(self.standardised(x), eta) + torch.tensor(gain).to(x)

    def features(self, x):
        return self.cells.features(self.standardised(x))

    def expectation(self, eta):
        found = self.cells.expectation(eta)
        return found if self.likelihood.is_coded else self.restored(found)

    def sample(self, eta, generator):
        return self.restored(self.cells.sample(eta, generator))

    def decided(self, eta):
        return self.restored(self.cells.decide(self.cells.expectation(eta)))


def block_of(likelihood, values):
    return InUsersUnits(likelihood, values)


def outputs(block, eta):
    """One row of decoder outputs: those of categories differ between slots."""
    return eta * torch.linspace(1.0, -1.0, block.width, dtype=torch.float64)[None]


def log_prob(block, x, eta):
    x = torch.as_tensor(x, dtype=torch.float64)[:, None]
    return block.log_prob(x, eta.expand(len(x), -1))[:, 0].numpy()


def support(case, block, eta):
    """Values of a column and the mass or the length that each stands for."""
    likelihood = case.likelihood
    if likelihood.is_coded:
        x = np.r_[-1.0, np.unique(case.values)]  # all that fit has not seen are one event
        return x, np.ones(len(x))
    if isinstance(likelihood, COUNTED):
        x = np.arange(60_000.0)
        return x, np.ones(len(x))
    if isinstance(likelihood, Bernoulli):
        return np.array([0.0, 1.0]), np.ones(2)
    if isinstance(likelihood, ContinuousBernoulli):
        nodes, weights = np.polynomial.legendre.leggauss(200)
        return (nodes + 1) / 2, weights / 2
    if isinstance(likelihood, Empirical):
        return of_curve(block, eta.item())
    u = np.linspace(-30.0, 30.0, 60_001)
    noise = np.exp(block.dispersion[0].item())
    noise = max(noise, block.floor.item()) * block.of("scale")
    middle = block.of("center") + block.of("scale") * eta.item()
    x, length = middle + noise * np.sinh(u), noise * np.cosh(u) * (u[1] - u[0])
    if isinstance(likelihood, LogNormal):
        x = middle + noise * np.linspace(-20.0, 20.0, 60_001)
        length = np.exp(x) * (x[1] - x[0])
        x = np.exp(x)
        if shift := block.of("shift"):  # zero is one event, and all else above it
            low, high = np.log(shift), middle + noise * 20.0
            step = (high - low) / 60_000
            x = np.exp(low + (np.arange(60_000) + 0.5) * step)
            x, length = np.r_[0.0, x - shift], np.r_[1.0, x * step]
    return x, length


def known_parts(block, x, p):
    """Values that fit has seen the like of, and their shares of the probability."""
    if isinstance(block.likelihood, Empirical):
        u, known = block.constants["knots"][0], block.constants["is_known"][0] > 0
        scores = block.standardised(torch.from_numpy(x)[:, None])[:, 0].numpy()
        p = p * known[np.searchsorted(u, scores, side="right").clip(1, len(known)) - 1]
    return x, p / p.sum()


def of_curve(block, eta):
    """Points of mass, and points of lines with the lengths of values that they stand for."""
    knots, values = block.constants["knots"][0], block.constants["values"][0]
    noise = max(np.exp(block.dispersion[0].item()), block.floor.item())
    slopes = np.diff(values) / np.diff(knots)
    ends = np.r_[min(knots[0], eta) - 30 * noise - 1, knots[1:-1], max(knots[-1], eta) + 30 * noise]
    x, length = [values[:-1][slopes == 0]], [np.ones((slopes == 0).sum())]
    nodes, weights = np.polynomial.legendre.leggauss(40)
    for low, high, slope, u, value in zip(
        ends[:-1], ends[1:], slopes, knots[:-1], values[:-1], strict=True
    ):
        near = np.clip(np.linspace(eta - 12 * noise, eta + 12 * noise, 25), low, high)
        for left, right in itertools.pairwise(np.unique(np.r_[low, near, high])):
            if slope > 0:
                at = 0.5 * (left + right) + 0.5 * (right - left) * nodes
                x.append(value + slope * (at - u))
                length.append(0.5 * (right - left) * slope * weights)
    return np.concatenate(x), np.concatenate(length)
