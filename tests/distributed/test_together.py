"""Several processes fit one model: the same on all of them, and for any number of them."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skvae import VAETransformer
from tests.distributed.groups import grouped
from tests.distributed.together import CASES, SMALL, curve, found

OTHERS = ["matrix/uneven", "matrix, a sample known/uneven", "table/one has none"]


@pytest.fixture(scope="module")
def of_one():
    return grouped(1, found, "det", *CASES)[0]


@pytest.fixture(scope="module")
def of_three():
    return grouped(3, found, "det", *CASES, *OTHERS)


@pytest.fixture(scope="module")
def of_two():
    return grouped(2, found, "fast", "matrix", "matrix, a sample known/uneven", "refusals")


@pytest.mark.parametrize("name", [*CASES, *OTHERS])
def test_all_processes_have_the_same_model(of_three, name):
    assert len({own[name]["sha"] for own in of_three}) == 1
    assert len({own[name]["score"] for own in of_three}) == 1


@pytest.mark.parametrize("name", CASES)
def test_the_number_of_processes_changes_no_bit(of_one, of_three, name):
    assert of_one[name] == of_three[0][name]
    assert of_one[name]["n_iter"] > 1


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("last passes")])
def test_processes_have_last_passes_too(of_three, name):
    assert of_three[0][name]["kept"] > 0.0
    assert of_three[0][name]["n_last"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4, 8])
def test_any_number_of_processes_has_the_same_bits(together, of_one, size):
    names = ["matrix", "matrix, a sample known", "table", "iwae, vamp"]
    for own in together(size, "det", *names):
        assert own == {name: of_one[name] for name in names}


@pytest.mark.parametrize("name", OTHERS)
def test_how_rows_are_spread_changes_no_bit(of_one, of_three, name):
    assert of_one[name.split("/")[0]] == of_three[0][name]


def test_one_process_after_another_has_the_start_of_all_rows(of_one):
    X = curve(4000, 6)
    alone = VAETransformer(latent_dim=2, max_iter=0).fit(X)
    start = alone._model.start
    assert of_one["matrix, a sample known"]["variances"] == pytest.approx(
        start.code_unit, rel=1e-10
    )
    assert of_one["matrix, a sample known"]["n_samples"] == len(X)


@pytest.mark.parametrize("name", ["matrix", "matrix, a sample known/uneven"])
def test_without_one_order_the_model_is_as_good(of_one, of_two, name):
    exact, fast = of_one[name.split("/")[0]], of_two[0][name]
    gain = exact["score"] - exact["pca_score"]
    assert fast["score"] - fast["pca_score"] == pytest.approx(gain, rel=0.15)
    assert len({own[name]["sha"] for own in of_two}) == 1


REASONS = {
    "parameter": "the parameter beta is",
    "bad parameter": "process 1 of 2 cannot take part: InvalidParameterError",
    "number of columns": "the number of columns is",
    "names": "the names of the columns",
    "dtype": "the dtype of column 'whole' is Int64 in process 0 and Float64 in process 1",
    "kind": "the kind of table is",
    "infinite": "infinity",
    "seeds": "the parameter random_state is",
    "source of seeds": "a RandomState in process 1",
    "weights": "ValueError: sample_weight is not a number per row",
    "device": "process 1 of 2 cannot take part: ValueError: device='nowhere'",
    "limits": "the limit patience is 2 in process 0 and 3 in process 1",
    "warm start": "the model that warm_start goes on from is none in process 0",
    "nothing": "nothing",  # a function is told by its name, not by its place in memory
}
ONE_ALONE = {"bad parameter": "beta", "device": "nowhere"}


@pytest.mark.parametrize("reason", REASONS)
def test_processes_that_do_not_fit_together_are_told(of_two, reason):
    said = [own["refusals"][reason] for own in of_two]
    if reason in ONE_ALONE:
        assert ONE_ALONE[reason] in said[1]
        said = said[:1]
    assert all(REASONS[reason] in text for text in said), said


def test_outside_of_a_group_nothing_changes():
    X = curve(300, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        alone = VAETransformer(latent_dim=2, **SMALL).fit(X)
        auto = VAETransformer(latent_dim=2, distributed="auto", **SMALL).fit(X)
    assert np.array_equal(alone.transform(X), auto.transform(X))
