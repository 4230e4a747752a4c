"""Models in files, and the command without a process of its own."""

import numpy as np
import pandas as pd
import pytest

from skvae import VAETransformer
from skvae.command.main import main

N = 60
CITIES = ["10", "007", "NA", "Oslo"]  # levels that look like numbers, or like nothing


def people(n=N, seed=0):
    """A table with a column of every kind."""
    rng = np.random.default_rng(seed)
    one = rng.standard_normal(n)
    return pd.DataFrame(
        {
            "age": np.round(40 + 10 * one).astype(np.int64),
            "income": 1000 * np.exp(one),
            "city": np.array(CITIES, dtype=object)[np.digitize(one, [-1, 0, 1])],
            "size": pd.Categorical.from_codes(
                np.digitize(one, [-0.5, 0.5]), ["s", "m", "l"], ordered=True
            ),
            "member": one > 0,
        }
    )


def with_gaps(frame, share=0.2, seed=1):
    """The table with missing cells, in dtypes that can hold them."""
    rng = np.random.default_rng(seed)
    frame = frame.astype({"age": "Int64", "member": "boolean"})
    return frame.mask(rng.random(frame.shape) < share)


@pytest.fixture(scope="session")
def vae():
    return VAETransformer(2, max_iter=0).fit(people())


@pytest.fixture(scope="session")
def model(vae, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "people.skvae"
    vae.save(path)
    return str(path)


@pytest.fixture(scope="session")
def array_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "array.skvae"
    X = np.random.default_rng(0).standard_normal((40, 3))
    VAETransformer(1, max_iter=0).fit(X).save(path)
    return str(path)


@pytest.fixture
def run(capfd):
    """What the command says: its status, stdout and stderr."""

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return status, out, err

    return call


@pytest.fixture
def fails(run):
    """The one line in which the command says what is wrong."""

    def call(*arguments):
        status, _, err = run(*arguments)
        assert status == 1
        assert err.count("skvae: error: ") == 1
        last = err.splitlines()[-1]
        assert last.startswith("skvae: error: ")
        return last

    return call
