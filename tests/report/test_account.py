"""Every column is accounted for, once, with a reason."""

import csv
import decimal
import io
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skvae.report.account import FEWEST_CELLS, OTHER, account_of
from skvae.report.entry import BOOLEAN, CATEGORY, LEFT_OUT, NUMBER
from skvae.report.objects import plain
from skvae.report.sheet import Sheet, read_sheet
from tests.generated import WITHOUT_A_FIT

N = 60
CELLS = st.one_of(
    st.just(""),
    st.sampled_from(["NA", "1,5", "25,707", "$3", "9%", "2024-01-02", "3/4/2024", "true", "007"]),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
)
COLUMNS = st.one_of(
    st.lists(CELLS, min_size=FEWEST_CELLS + 2, max_size=FEWEST_CELLS + 2),
    CELLS.map(lambda cell: [cell] * (FEWEST_CELLS + 2)),
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def sheet_of(**columns):
    cells = [
        own if isinstance(own, pd.Series) else pd.Series(own, dtype=object)
        for own in columns.values()
    ]
    return Sheet(tuple(columns), tuple(cells), (), tuple(Counter() for _ in cells), ",")


def entry_of(cells, **options):
    (entry,) = account_of(sheet_of(own=cells), None, **options)
    return entry


def numbered(pattern):
    return [pattern.format(k) for k in range(N)]


@WITHOUT_A_FIT
@given(st.data(), st.sampled_from(",;\t|"))
def test_every_column_of_any_table_is_in_the_account_once(tmp_path_factory, data, separator):
    columns = data.draw(st.lists(COLUMNS, min_size=1, max_size=5))
    head = data.draw(st.lists(NAMES, min_size=len(columns), max_size=len(columns)))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(
        [["first", *head], *([str(k), *row] for k, row in enumerate(zip(*columns, strict=True)))]
    )
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    sheet = read_sheet(str(path), separator)
    account = account_of(sheet, None)
    assert [entry.name for entry in account] == list(sheet.names)
    assert len(set(sheet.names)) == len(head) + 1
    for entry in account:
        assert entry.how
        assert entry.is_taken == (entry.role != LEFT_OUT)
        if entry.is_taken:
            assert len(entry.cells) == sheet.n_rows
            assert entry.cells.dropna().nunique() > 1
            assert entry.n_missing == entry.cells.isna().sum()
            assert entry.cells.dtype == {NUMBER: "float64", BOOLEAN: "boolean"}.get(
                entry.role, object
            )


@pytest.mark.parametrize(
    ("cells", "role", "reason"),
    [
        ([None] * N, LEFT_OUT, "no cell is filled"),
        ([*"123456789", *[None] * N], LEFT_OUT, "only 9 of 69 cells"),
        (["x"] * N, LEFT_OUT, "never varies"),
        (["1,0", "1,00"] * N, LEFT_OUT, "never vary"),
        (numbered("{}"), LEFT_OUT, "count up, from 0 to 59"),
        (numbered("{}")[::-1], LEFT_OUT, "count up"),
        (numbered("id-{}"), LEFT_OUT, "as identifiers do"),
        (numbered("so many words in cell {}"), LEFT_OUT, "free text"),
        (numbered("{}.5"), NUMBER, "numbers"),
        (numbered("{}.9%"), NUMBER, "'10.9%' is read as 10.9"),
        (numbered("$1,{:03}")[:20] * 2, NUMBER, "'\\$1,000' is read as 1000"),
        (numbered("20{:02}-01-01"), NUMBER, "as days since 2000-01-01"),
        (numbered("{}:30")[:20] * 2, NUMBER, "times of day"),
        (["0", "1"] * N, BOOLEAN, "0 or 1"),
        (["true", "FALSE"] * N, BOOLEAN, "true or false"),
        (["yes", "No", None] * N, BOOLEAN, "yes or no"),
        (["Y", "n"] * N, BOOLEAN, "y or n"),
        (["true", "TRUE"] * N, LEFT_OUT, "says 'true'"),
        (["n", "N"] * N, LEFT_OUT, "says 'n'"),
        (["yes", "false"] * N, CATEGORY, "2 different texts"),
        ([*numbered("{}.5"), *["k.A."] * 20], NUMBER, "20 cells are none .* missing: .*'k.A.'"),
        ([*numbered("20{:02}-01-01"), *["unknown"] * 30], NUMBER, "dates .* missing: .*'unknown'"),
        ([*numbered("{}.5"), *["k.A."] * 20, *["?!"] * 20], CATEGORY, "most frequent"),
        (["1", "2", "3", "many"] * N, CATEGORY, "4 different"),
        (numbered("90071992547409930{:02}"), LEFT_OUT, r"beyond 2\^53"),
        (numbered("00:00:01.{:03}")[:20] * 2, NUMBER, "times of day"),
        (numbered("2024-01-01 00:00:01.{:06}")[:20] * 2, NUMBER, "as days since 2024-01-01"),
        (numbered("{}:75"), LEFT_OUT, "as identifiers do"),
        (["1e200", "2", "3"] * N, LEFT_OUT, "squares"),
        ([True, "yes", 3, 2.5] * N, CATEGORY, "4 different"),
        (["007", "012"] * N, CATEGORY, "leading zeros"),
        (["$1", "€2", "€3"] * N, CATEGORY, "several currencies, \\$ and €"),
        ([*numbered("{}.5"), "x"], NUMBER, "1 cell is none and taken as missing: .*'x'"),
        ([(1, 2), (3, 4)] * N, LEFT_OUT, "no numbers or text"),
    ],
)  # fmt: skip
def test_ways(cells, role, reason):
    entry = entry_of(cells)
    assert entry.role == role
    assert pd.Series([entry.how]).str.contains(reason).all(), entry.how


def test_many_levels_are_merged_where_the_frequent_ones_cover_the_cells():
    frequent = [f"f{k % 30}" for k in range(600)]
    entry = entry_of([*frequent, *(f"r{k % 100}" for k in range(200))])
    assert entry.role == CATEGORY
    assert entry.cells.nunique() == 50
    assert (entry.cells == OTHER).any()
    assert "130 different texts" in entry.how
    entry = entry_of([f"t{k % 300}" for k in range(900)])
    assert entry.role == LEFT_OUT
    assert "too many" in entry.how


def test_typed_columns_are_taken_by_their_type():
    columns = (
        pd.Series([1.5, np.inf, 2.5, np.nan] * 5),
        pd.Series(pd.to_datetime(["2024-01-01", "2024-02-01"] * 10)),
        pd.Series([True, False] * 10),
        pd.Series(["a", "b"] * 10, dtype="category"),
    )
    sheet = Sheet(tuple("abcd"), columns, (), tuple(Counter() for _ in columns))
    account = account_of(sheet, None)
    assert [entry.role for entry in account] == [NUMBER, NUMBER, BOOLEAN, CATEGORY]
    assert "infinite" in account[0].how
    assert account[1].cells.max() == 31


@pytest.mark.parametrize(
    ("cells", "role", "reason"),
    [
        ([2**63 + k for k in range(N)], LEFT_OUT, "as identifiers are"),
        (pd.Series([k % 7 for k in range(N)], dtype="uint64"), NUMBER, "from 0 to 6"),
        (np.arange(N, dtype=np.float16) / 2, NUMBER, "from 0 to 29.5"),
        (pd.Series(pd.to_timedelta([*range(N - 1), None], "h")), NUMBER, "durations, in days"),
        (pd.Categorical([1.5, 2.5] * (N // 2)), CATEGORY, "2 different"),
        (np.array(["0001-01-01", "9999-12-31"] * 30, dtype="datetime64[s]"), NUMBER, "0001-01-01"),
        (pd.date_range("2024", periods=N, tz="Asia/Tokyo"), NUMBER, "since 2023-12-31"),
    ],
)
def test_types_of_frames(cells, role, reason):
    entry = entry_of(pd.Series(cells))
    assert entry.role == role, entry.how
    assert reason in entry.how
    if role == NUMBER:
        assert entry.cells.nunique() == pd.Series(cells).nunique()


LONG = [2**60 + 1000003 * k for k in range(N)]
BESIDE = {
    "all": LONG,
    "negative": [-number for number in LONG],
    "some negative": [number if k % 3 else -number for k, number in enumerate(LONG)],
    "one short": [*LONG[:-1], 7],
    "one zero": [0, *LONG[:-1]],
    "that floats merge": [2**53 + k % 20 for k in range(N)],
    "beyond 64 bits": [10 * number for number in LONG],
}
CONTAINERS = {
    "text": lambda cells: [*map(str, cells)],
    "thousands": lambda cells: [f"{cell:,}" for cell in cells],
    "a word": lambda cells: [*map(str, cells), *["unknown"] * 20],
    "int64": lambda cells: pd.Series(cells, dtype="int64"),
    "Int64": lambda cells: pd.Series([*cells, None], dtype="Int64"),
    "decimals": lambda cells: plain(pd.Series([*map(decimal.Decimal, cells)], dtype=object)),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("beside", BESIDE)
def test_whole_numbers_that_doubles_do_not_tell_apart_are_left_out(beside, container):
    if "64" in container and beside == "beyond 64 bits":
        pytest.skip("they do not fit")
    entry = entry_of(CONTAINERS[container](BESIDE[beside]))
    assert entry.role == LEFT_OUT
    assert f"as long as {max(BESIDE[beside], key=abs)}, as identifiers are" in entry.how


@pytest.mark.parametrize("container", CONTAINERS)
def test_whole_numbers_that_doubles_tell_apart_are_taken(container):
    numbers = [(-1) ** k * (2**53 - k * k) for k in range(N)]
    entry = entry_of(CONTAINERS[container](numbers))
    assert entry.role == NUMBER
    assert entry.cells.dropna().tolist() == numbers


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_within_a_second_differ(unit):
    times = np.datetime64("2024-01-01", unit) + np.arange(N) * np.timedelta64(1000, unit)
    entry = entry_of(pd.Series(times))
    assert entry.role == NUMBER
    assert entry.cells.nunique() == N


@pytest.mark.parametrize(
    ("name", "told"), [("Price", "do you mean 'price'"), (" colour", "do you mean 'colour'")]
)
def test_names_that_are_nearly_right_are_told(name, told):
    with pytest.raises(ValueError, match=told):
        account_of(sheet_of(price=["1"], colour=["2"]), name)


def test_a_target_is_not_left_out():
    with pytest.raises(ValueError, match="'a' is both the target"):
        account_of(sheet_of(a=["1"], b=["2"]), "a", ("a",))


def test_asked_columns_are_left_out_and_targets_taken_as_they_are():
    sheet = sheet_of(a=numbered("{}.5"), y=numbered("{}"))
    account = account_of(sheet, "y", ("a",))
    assert account[0].role == LEFT_OUT
    assert "--drop" in account[0].how
    assert account[1].role == NUMBER


@pytest.mark.parametrize("options", [{"target": "z"}, {"target": None, "dropped": ("z",)}])
def test_unknown_names_are_refused_with_the_columns(options):
    with pytest.raises(ValueError, match=r"no column 'z'; the columns are .'a', 'b'"):
        account_of(sheet_of(a=["1"], b=["2"]), **options)


def test_a_decimal_mark_that_is_given_is_no_doubt():
    cells = [f"{41 - k},5{k:02}" for k in range(1, 41)]
    doubtful, given_one = entry_of(cells), entry_of(cells, decimal=",")
    assert doubtful.is_doubtful
    assert "--decimal says it" in doubtful.how
    assert not given_one.is_doubtful
    assert given_one.cells[0] == 40.501
