"""Columns get their likelihoods by kind, or as a person chose; what does not fit is named."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from skvae.data.columns import Columns, blocks, coded_columns, has_missing, is_plain
from skvae.data.input import Input
from skvae.likelihoods import LIKELIHOODS, Categorical, Gaussian, GaussianDiag, Poisson, StudentT

KINDS = ["number", "boolean", "category", "ordered"]
NAMES = ["age", "member", "city", "grade"]


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "age": [1.0, 2.5, 4.0, 8.0],
            "member": [True, False, True, True],
            "city": ["Rome", "Oslo", None, "Rome"],
            "grade": pd.Categorical(
                ["low", "mid", "mid", "high"], ["low", "mid", "high"], ordered=True
            ),
            "visits": [0, 1, 2, 5],
        }
    )


def chosen(likelihood="auto", names=NAMES, kinds=KINDS):
    """The name of the likelihood of every column."""
    found = [None] * len(names)
    by_class = {value: key for key, value in LIKELIHOODS.items()}
    for each, where in blocks(likelihood, names, kinds):
        for j in where:
            found[j] = by_class[type(each)]
    return found


def test_every_kind_has_its_likelihood():
    assert chosen() == ["gaussian_diag", "bernoulli", "categorical", "ordinal"]


def test_numbers_alone_share_their_noise_as_in_pca():
    assert chosen(names=["a", "b"], kinds=["number"] * 2) == ["gaussian"] * 2
    assert is_plain("auto", ["number"] * 2)
    assert not is_plain("auto", KINDS)


OVERRIDES = {
    "by name": {"age": "student_t", "city": "categorical"},
    "a component": {"age": StudentT(df=4.0)},
    "auto": {"age": "student_t", "member": "auto"},
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_what_a_person_chose_takes_the_place_of_the_kinds(case):
    assert chosen(OVERRIDES[case]) == ["student_t", "bernoulli", "categorical", "ordinal"]


@pytest.mark.parametrize("likelihood", [*LIKELIHOODS, Poisson(), Categorical(max_levels=3)])
def test_one_choice_is_for_all_columns(likelihood):
    found = blocks(likelihood, ["a", "b"], ["number"] * 2)
    assert len(found) == 1
    assert_array_equal(found[0][1], [0, 1])


def test_columns_are_chosen_by_position_where_they_have_no_names():
    found = chosen({1: "poisson"}, names=range(3), kinds=["number"] * 3)
    assert found == ["gaussian_diag", "poisson", "gaussian_diag"]


def test_numbers_beside_a_choice_have_a_noise_of_their_own():
    names, kinds = ["a", "b"], ["number"] * 2
    assert chosen({"a": "poisson"}, names, kinds) == ["poisson", "gaussian_diag"]
    assert chosen({"a": "gaussian"}, names, kinds) == ["gaussian"] * 2


def test_equal_components_share_a_block():
    names, kinds = list("abcde"), ["number"] * 5
    likelihood = {
        "a": StudentT(df=3.0),
        "b": StudentT(df=5.0),
        "c": StudentT(df=3.0),
        "d": "poisson",
    }
    found = blocks(likelihood, names, kinds)
    assert [where.tolist() for _, where in found] == [[0, 2], [1], [3], [4]]
    assert sorted(j for _, where in found for j in where) == list(range(5))


def test_components_are_copied():
    mine = Poisson()
    ((theirs, _),) = blocks(mine, list("ab"), ["number"] * 2)
    assert theirs is not mine
    assert mine.size_factor == "auto"


@pytest.mark.parametrize(("n", "sized"), [(2, False), (19, False), (20, True)])
def test_counts_of_many_columns_have_a_size_factor(n, sized):
    for name in ("poisson", "negative_binomial"):
        ((likelihood, _),) = blocks(name, range(n), ["number"] * n)
        assert likelihood.size_factor is sized
    likelihood = blocks(dict.fromkeys(range(n - 1), "poisson"), range(n), ["number"] * n)[0][0]
    assert likelihood.size_factor is False
    assert blocks(Poisson(size_factor=True), range(n), ["number"] * n)[0][0].size_factor is True


WRONG_KIND = [
    ("city", "gaussian"),
    ("city", "bernoulli"),
    ("city", "ordinal"),
    ("city", "poisson"),
    ("member", "gaussian"),
    ("member", "student_t"),
    ("grade", "lognormal"),
]


@pytest.mark.parametrize(("name", "likelihood"), WRONG_KIND)
def test_a_likelihood_of_another_kind_names_the_column(name, likelihood):
    kind = dict(zip(NAMES, KINDS, strict=True))[name]
    other = LIKELIHOODS[likelihood].__name__
    with pytest.raises(ValueError, match=rf"column '{name}' is of kind '{kind}'.*{other} is for"):
        blocks({name: likelihood}, NAMES, KINDS)


def test_unknown_columns_are_named():
    with pytest.raises(ValueError, match=r"the column 'aeg', which X does not have.*'age'"):
        blocks({"aeg": "student_t"}, NAMES, KINDS)
    with pytest.raises(ValueError, match="the column 7"):
        blocks({7: "student_t"}, range(3), ["number"] * 3)


@pytest.mark.parametrize(
    "likelihood", ["students_t", {"age": "students_t"}, {"age": 3}, {"age": StudentT}]
)
def test_unknown_likelihoods_are_named(likelihood):
    wrong = likelihood["age"] if isinstance(likelihood, dict) else likelihood
    start = "likelihood " + (repr(wrong) if not isinstance(wrong, type) else "<class")
    with pytest.raises(ValueError, match=f"{start}.* is unknown; use 'auto', one of .*'student_t'"):
        blocks(likelihood, NAMES, KINDS)


def test_numbers_become_levels_where_a_person_asks(frame):
    assert coded_columns({"visits": "categorical"}, list(frame.columns)) == {4}
    assert coded_columns("auto", list(frame.columns)) == set()
    columns = Columns.of(Input.of(frame), {"visits": "categorical"})
    assert_array_equal(columns.n_levels, [0, 0, 2, 3, 4])
    assert_array_equal(columns.encode(Input.of(frame), "", 1)[:, 4], [0, 1, 2, 3])


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_frame_becomes_cells(frame, kind):
    if kind == "polars":
        frame = pl.DataFrame(
            {
                name: frame[name].astype(object).where(frame[name].notna(), None).tolist()
                for name in frame
            },
            schema_overrides={"grade": pl.Enum(["low", "mid", "high"])},
        )
    columns = Columns.of(Input.of(frame), "auto")
    expected = [
        [1.0, 1, 1, 0, 0],
        [2.5, 0, 0, 1, 1],
        [4.0, 1, np.nan, 1, 2],
        [8.0, 1, 1, 2, 5],
    ]
    assert_array_equal(columns.encode(Input.of(frame), "", 1), expected)
    assert columns.has_codes
    assert not columns.is_plain


def test_numbers_stay_as_they_are():
    cells = np.ones((3, 2))
    for X in (cells, pd.DataFrame(cells, columns=list("ab")), sparse.csr_array(cells)):
        columns = Columns.of(Input.of(X), "auto")
        assert columns.is_plain
        assert not columns.has_codes


def test_levels_of_sparse_rows_are_refused():
    with pytest.raises(ValueError, match="sparse rows cannot have columns with levels"):
        Columns.of(Input.of(sparse.csr_array(np.eye(3))), "categorical")


@pytest.mark.parametrize(
    "likelihood",
    [
        "student_t",
        "lognormal",
        "continuous_bernoulli",
    ],
)
def test_sparse_rows_of_other_likelihoods_are_refused(likelihood):
    X = sparse.csr_array(np.eye(3))
    with pytest.raises(ValueError, match="sparse rows cannot have"):
        Columns.of(Input.of(X), likelihood).check(X, range(3))


def test_a_column_never_observed_is_named(frame):
    with pytest.raises(ValueError, match="column 'age' has no observed cell"):
        Columns.of(Input.of(frame.assign(age=np.nan)), "auto")
    with pytest.raises(ValueError, match="column 1 has no observed cell"):
        Columns.of(Input.of(np.array([[1.0, np.nan], [2.0, np.nan]])), "auto")


def test_bad_values_are_named_with_their_column(frame):
    columns = Columns.of(Input.of(frame), {"age": "lognormal", "visits": "poisson"})
    values = columns.encode(Input.of(frame), "", 1)
    columns.check(values, list(frame.columns))
    for j, value, name in ((0, -1.0, "age"), (4, 1.5, "visits"), (0, np.inf, "age")):
        wrong = values.copy()
        wrong[2, j] = value
        with pytest.raises(ValueError, match=rf"column '{name}'.*row 2"):
            columns.check(wrong, list(frame.columns))


def test_unseen_levels_are_counted_once_for_every_column(frame):
    columns = Columns.of(Input.of(frame), "auto")
    new = frame.assign(city=["Rome", "Bern", "Bonn", None])
    with pytest.warns(UserWarning, match="2 in column 'city'") as record:
        values = columns.encode(Input.of(new), "", 1)
    assert len(record) == 1
    assert_array_equal(values[:, 2], [1, -1, -1, np.nan])


def test_too_few_rows_are_refused(frame):
    with pytest.raises(ValueError, match="minimum of 5 is required by Me"):
        Columns.of(Input.of(frame), "auto").encode(Input.of(frame), "Me", 5)


# The row of a condition


def test_a_row_has_the_given_values_and_nothing_else(frame):
    columns = Columns.of(Input.of(frame), "auto")
    row = columns.row(
        {"city": "Oslo", "age": 3, "member": True, "grade": "mid"}, list(frame.columns)
    )
    assert_array_equal(row, [3.0, 1.0, 0.0, 1.0, np.nan])


GIVEN_WRONG = {
    "column": ({"town": "Rome"}, "given names column 'town'"),
    "level": ({"city": "Bern"}, "'city'='Bern' has no support.*Oslo"),
    "text": ({"age": "old"}, "'age'='old' must be a number"),
    "missing": ({"age": np.nan}, "'age'=nan is a missing cell"),
    "infinite": ({"age": np.inf}, "'age'=inf must be a number"),
    "no boolean": ({"member": 2}, "column 'member' holds 2"),
    "no count": ({"visits": 1.5}, "'visits'=1.5 .*whole numbers; give 1 or 2"),
}


@pytest.mark.parametrize("case", GIVEN_WRONG)
def test_a_condition_that_cannot_be_names_what_is_wrong(frame, case):
    given, message = GIVEN_WRONG[case]
    columns = Columns.of(Input.of(frame), {"visits": "poisson"})
    with pytest.raises(ValueError, match=message):
        columns.row(given, list(frame.columns))


def test_missing_cells_are_seen():
    X = np.ones((3, 2))
    assert not has_missing(X)
    assert not has_missing(sparse.csr_array(X))
    X[1, 1] = np.nan
    assert has_missing(X)


def test_the_likelihood_of_pca_is_that_of_all_columns_or_of_none():
    kinds = ["number"] * 2
    assert is_plain("gaussian", kinds)
    assert is_plain(Gaussian(), kinds)
    assert is_plain({0: "gaussian"}, kinds)
    assert not is_plain(GaussianDiag(), kinds)
    assert not is_plain({0: "gaussian_diag"}, kinds)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2.5, "whole numbers; give 2 or 3"),
        (2**53 + 1, f"={2**53 + 1} cannot be kept to the last digit.*; give {2**53}"),
        (-(2**60) - 1, f"cannot be kept to the last digit.*; give {-(2**60)}"),
        (10**400, "must be a number"),
        (None, "missing cell"),
        (np.nan, "missing cell"),
        (pd.NA, "missing cell"),
        (pd.NaT, "missing cell"),
        (np.array([1, 2]), "single value"),
        ([1, 2], "single value"),
        ("x", "must be a number"),
    ],
)
def test_what_cannot_be_given_is_refused_with_its_column(value, words):
    frame = pd.DataFrame({"i": [1, 2, 3], "k": ["a", "b", "a"], "b": [True, False, True]})
    columns = Columns.of(Input.of(frame), "auto")
    with pytest.raises(ValueError, match=f"'i'.*{words}"):
        columns.row({"i": value}, ["i", "k", "b"])
    if "missing" in words or "single value" in words:
        for name in ("k", "b"):
            with pytest.raises(ValueError, match=f"'{name}'.*{words}"):
                columns.row({name: value}, ["i", "k", "b"])


def test_whole_numbers_that_floats_have_can_be_given():
    columns = Columns.of(Input.of(pd.DataFrame({"i": [1, 2, 3]})), "auto")
    for value in (2**53 - 1, 2**53 + 2, -(2**63), 2.0**60):
        assert columns.row({"i": value}, ["i"]).tolist() == [float(value)]


@pytest.mark.parametrize("given", [(np.int8(2), np.str_("b"), np.bool_(True)), (2.0, "b", 1)])
def test_scalars_of_numpy_can_be_given(given):
    frame = pd.DataFrame({"i": [1, 2, 3], "k": ["a", "b", "a"], "b": [True, False, True]})
    names = ["i", "k", "b"]
    row = Columns.of(Input.of(frame), "auto").row(dict(zip(names, given, strict=True)), names)
    assert row.tolist() == [2.0, 1.0, 1.0]
