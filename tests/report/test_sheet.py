"""Files as people have them."""

import csv
import gzip
import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skvae.report.account import FEWEST_CELLS, account_of
from skvae.report.sheet import SEPARATORS, read_sheet
from tests.generated import WITHOUT_A_FIT

ROWS = [["a", "b"], ["1", "x, y"], ["", "z; |"]]


@pytest.fixture
def sheet_of(tmp_path):
    def read(data, **options):
        path = tmp_path / "table.csv"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return read_sheet(str(path), **options)

    return read


@pytest.mark.parametrize("separator", SEPARATORS, ids=SEPARATORS.get)
def test_separators_are_found(sheet_of, separator):
    lines = [separator.join(f'"{cell}"' for cell in row) for row in ROWS]
    sheet = sheet_of("\r\n".join(lines))
    assert sheet.separator == separator
    assert sheet.names == ("a", "b")
    assert sheet.columns[0].tolist() == ["1", None]
    assert sheet.columns[1].tolist() == ["x, y", "z; |"]


def test_decimal_commas_do_not_separate(sheet_of):
    assert sheet_of("a;b\n1,5;2,5\n3,5;4,25\n").columns[1].tolist() == ["2,5", "4,25"]


def test_spreadsheets_may_say_what_separates(sheet_of):
    assert sheet_of("sep=;\na;b,c\n1;2,3\n").names == ("a", "b,c")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_found(sheet_of, encoding):
    assert sheet_of("größe,b\n1,é\n".encode(encoding)).names[0] == "größe"


def test_packed_files_are_read(sheet_of):
    assert sheet_of(gzip.compress(b"a,b\n1,2\n")).names == ("a", "b")


def test_parquet_is_read_with_its_types(sheet_of):
    pytest.importorskip("pyarrow")
    data = io.BytesIO()
    pd.DataFrame({"a": [1.5, None], "b": ["x", "y"]}).to_parquet(data)
    sheet = sheet_of(data.getvalue())
    assert sheet.columns[0].dtype == float
    assert sheet.columns[1].tolist() == ["x", "y"]


def parquet_of(frame):
    data = io.BytesIO()
    frame.to_parquet(data)
    return data.getvalue()


TEXT = st.one_of(
    st.sampled_from(["", "NA", " ? ", "-", "null", "2024-01-02", "1.5", "yes", " 007 "]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)


@pytest.mark.parametrize("kind", ["object", "string", "category", "large text"])
@WITHOUT_A_FIT
@given(cells=st.lists(TEXT, min_size=FEWEST_CELLS, max_size=FEWEST_CELLS + 5))
def test_text_of_parquet_is_read_as_that_of_other_files(tmp_path_factory, kind, cells):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": cells, "b": 1.5}, dtype=object).astype({"b": float})
    dtype = "large_string[pyarrow]" if kind == "large text" else kind
    folder = tmp_path_factory.getbasetemp()
    (folder / "own.parquet").write_bytes(parquet_of(frame.astype({"a": dtype})))
    lines = io.StringIO(newline="")
    csv.writer(lines, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *([c, "1.5"] for c in cells)])
    (folder / "own.csv").write_text(lines.getvalue(), encoding="utf-8", newline="")
    found, expected = (read_sheet(str(folder / f"own.{ending}")) for ending in ("parquet", "csv"))
    assert found.columns[0].tolist() == expected.columns[0].tolist()
    assert found.gaps[0] == expected.gaps[0]
    one, other = (account_of(sheet, None)[0] for sheet in (found, expected))
    assert (one.role, one.how) == (other.role, other.how)


def test_cells_of_parquet_that_are_no_text_stay(sheet_of):
    pytest.importorskip("pyarrow")
    own = pd.DataFrame({"a": [1, None, 3], "b": [[1], [], None]})
    own["c"] = pd.Categorical([1.5, None, 2.5])
    sheet = sheet_of(parquet_of(own))
    assert sheet.columns[0].isna().tolist() == [False, True, False]
    assert [list(cell) for cell in sheet.columns[1][:2]] == [[1], []]
    assert sheet.columns[2].tolist()[::2] == [1.5, 2.5]
    assert all(not gaps for gaps in sheet.gaps)


def test_names_differ_and_what_was_made_is_told(sheet_of):
    sheet = sheet_of("a,a,,a (2)\n1,2,3,4\n")
    assert sheet.names == ("a", "a (3)", "column 3", "a (2)")
    assert sum("column" in line for line in sheet.told) == 2


def test_words_for_nothing_are_counted(sheet_of):
    sheet = sheet_of("a,b\nNA,1\n?,2\nNA,3\nx,4\n")
    assert sheet.columns[0].tolist() == [None, None, None, "x"]
    assert sheet.gaps[0] == {"NA": 2, "?": 1}


def test_short_lines_are_told_and_long_ones_refused(sheet_of):
    sheet = sheet_of("a,b\n1\n2,3\n")
    assert sheet.columns[1].tolist() == [None, "3"]
    assert any("line 2" in line for line in sheet.told)
    with pytest.raises(ValueError, match=r"line 3: 3 cells, but the first line has 2"):
        sheet_of("a,b\n1,2\n3,4,5\n")


@pytest.mark.parametrize("empty", [",", " , ", '"",'])
def test_rows_keep_their_places_where_some_have_no_cell(sheet_of, empty):
    sheet = sheet_of(f"\n\na,b\n1,2\n{empty}\n\n3,4\n{empty}\n{empty}\n  \n\n")
    assert sheet.columns[0].tolist() == ["1", None, "3"]
    assert any("2 lines without a cell at the end" in line for line in sheet.told)


def test_cells_may_hold_lines(sheet_of):
    assert sheet_of('a,b\n"1\n2",3\n').columns[0].tolist() == ["1\n2"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b" \n,,\n", "is empty"),
        (b"PK\x03\x04rest", "save the sheet as CSV"),
        (b"a,b\n\0,1\n", "not a text table"),
        (b'a,b\n"1,2\n', "line"),
        (b"\x1f\x8bno", "is not a gzip file"),
        (b"PAR1noPAR1", "is not a readable Parquet file"),
    ],
)
def test_other_files_are_refused(sheet_of, data, reason):
    with pytest.raises(ValueError, match=reason):
        sheet_of(data)


def test_without_names_columns_are_counted(sheet_of):
    sheet = sheet_of("1,2\n3,4\n", has_header=False)
    assert sheet.names == ("column 1", "column 2")
    assert sheet.n_rows == 2
    assert any("--no-header" in line for line in sheet_of("1,2\n3,4\n").told)
