"""Values and options that cannot be are named."""

import numpy as np
import pytest
from scipy import sparse

from skvae._sklearn import check_options
from skvae.likelihoods import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    GaussianDiag,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
)

REFUSED = {
    "lognormal": (LogNormal(), -0.5, "not negative"),
    "bernoulli": (Bernoulli(), 2.0, "0 or 1"),
    "bernoulli, between": (Bernoulli(), 0.5, "0 or 1"),
    "continuous_bernoulli, above": (ContinuousBernoulli(), 1.5, r"\[0, 1\]"),
    "continuous_bernoulli, below": (ContinuousBernoulli(), -0.5, r"\[0, 1\]"),
    "poisson, negative": (Poisson(), -1.0, "whole numbers"),
    "poisson, broken": (Poisson(), 1.5, "whole numbers"),
    "negative_binomial": (NegativeBinomial(), 2.5, "whole numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_cannot_be_is_named_with_its_column(name):
    likelihood, value, what = REFUSED[name]
    values = np.array([[1.0, 0.0], [np.nan, 1.0], [1.0, value]])
    with pytest.raises(ValueError, match=rf"column 'b' holds {value:g} in row 2, .*{what}"):
        likelihood.check(values, ["a", "b"])
    likelihood.check(values[:2], ["a", "b"])


@pytest.mark.parametrize(
    "likelihood",
    [Poisson(), Bernoulli()],
)
def test_a_bad_value_of_sparse_rows_is_named(likelihood):
    values = sparse.csr_array(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2.5]]))
    with pytest.raises(ValueError, match=r"column 'c' holds 2\.5 in row 1"):
        likelihood.check(values, list("abc"))


@pytest.mark.parametrize(
    "likelihood",
    [
        StudentT(df=2.0),
        StudentT(df=-1.0),
        StudentT(df="four"),
        GaussianDiag(start_noise="mine"),
        Categorical(max_levels=0),
        Poisson(size_factor="yes"),
    ],
)
def test_an_option_that_cannot_be_is_named(likelihood):
    option = next(iter(likelihood.get_params()))
    with pytest.raises(ValueError, match=option):
        check_options(likelihood)
