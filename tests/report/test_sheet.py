"""Files as people have them."""

import gzip
import io

import pandas as pd
import pytest

from skvae.report.sheet import SEPARATORS, read_sheet

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
