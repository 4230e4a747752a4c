"""Normal numbers: with one noise for all columns, or one for each."""

import numpy as np

from skvae._sklearn import StrOptions
from skvae.likelihoods.base import Constants, Head
from skvae.likelihoods.numbers import NormalNumbers, normal_constants
from skvae.likelihoods.statistics import resolution, varies


class GaussianDiag(NormalNumbers):
    """Normal distribution with a noise variance for each column.

    The standard deviation of the noise has two lower limits. One is a thousandth of the column's
    standard deviation. The other is the standard deviation of rounding: the smallest difference
    between values, divided by the square root of 12.

    Parameters
    ----------
    start_noise : {"own", "shared"}, default="own"
        Noise in the linear start. With "own", each column has its own, as in factor analysis:
        codes hold what columns have in common. With "shared", all columns and levels have one, as
        in PCA: codes hold what varies most, each column divided by its standard deviation.
        Training gives each column its own noise either way.

    Examples
    --------
    >>> from skvae import GaussianDiag, VAETransformer
    >>> VAETransformer(likelihood="gaussian_diag")
    VAETransformer(likelihood='gaussian_diag')
    >>> VAETransformer(likelihood={"age": GaussianDiag(start_noise="shared")})
    VAETransformer(likelihood={'age': GaussianDiag(start_noise='shared')})
    """

    _parameter_constraints = {"start_noise": [StrOptions({"own", "shared"})]}
    is_gaussian = True

    def __init__(self, *, start_noise: str = "own") -> None:
        self.start_noise = start_noise

    @property
    def shares_noise(self) -> bool:
        return self.start_noise == "shared"

    def fit(
        self, values: np.ndarray, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        return normal_constants(values, weight, resolution(values), scale)

    def initial_head(
        self, constants: Constants, loadings: np.ndarray, center: np.ndarray, noise: np.ndarray
    ) -> Head:
        return Head(loadings, center, 0.5 * np.log(noise))


class Gaussian(NormalNumbers):
    """Normal distribution with one noise variance for all columns, as in probabilistic PCA.

    All columns are also divided by one common scale.

    Examples
    --------
    >>> from skvae import VAETransformer
    >>> VAETransformer(likelihood="gaussian")
    VAETransformer(likelihood='gaussian')
    """

    is_gaussian = True
    shares_scale = True

    @property
    def shares_noise(self) -> bool:
        return True

    def fit(
        self, values: np.ndarray, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        constants = normal_constants(values, weight, resolution(values), scale)
        # As in PCA, constant columns have the noise of the others.
        floor = np.where(varies(values), constants["floor"], 0.0)
        return constants | {"dispersion": np.zeros(1), "floor": floor}

    def initial_head(
        self, constants: Constants, loadings: np.ndarray, center: np.ndarray, noise: np.ndarray
    ) -> Head:
        least = (0.5 * np.log(noise)).min(keepdims=True)  # where it is not that of a floor
        return Head(loadings, center, least)
