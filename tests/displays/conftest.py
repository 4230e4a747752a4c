"""Figures are drawn to memory; a table with a column of text and a model of it."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from skvae import VAETransformer


@pytest.fixture(autouse=True)
def figures():
    """Figures are drawn to memory and closed."""
    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


@pytest.fixture
def ax():
    return plt.subplots()[1]


@pytest.fixture(scope="module")
def table(curve):
    X = pd.DataFrame(curve[:, :3], columns=list("abc"))
    return X.assign(kind=np.where(curve[:, 0] > 0, "up", "down"))


@pytest.fixture(scope="module")
def of_table(table):
    return VAETransformer(2, max_iter=0).fit(table)
