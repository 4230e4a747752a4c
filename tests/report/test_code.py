"""The Python of a report reads the columns that the report took."""

import numpy as np
import pandas as pd
import pytest

from skvae.report.code import code_of
from skvae.report.sheet import read_sheet

ROWS = pd.DataFrame(
    {
        "é; x": np.arange(12) * 1.5,
        "void": np.nan,
        'y"': ["a", "ü"] * 6,
        "k": np.arange(12) % 5,
    }
)


def run(path, sheet, columns, monkeypatch):
    """What the code makes of a file, up to the model."""
    monkeypatch.chdir(path.parent)
    names = {}
    exec(code_of(str(path), sheet, columns, "None").replace("vae.fit_transform(X)", "X"), names)
    return names["codes"]


def cells_of(sheet, name):
    return [None if c is None else str(c) for c in sheet.columns[sheet.names.index(name)]]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sep": ";"},
        {"sep": "\t", "encoding": "utf-16"},
        {"sep": "|", "encoding": "cp1252"},
        {"encoding": "utf-8-sig", "index": False},
        {"header": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("first", ["", "sep={}\n"], ids=["", "sep="])
def test_text_is_read_to_the_same_columns(options, first, tmp_path, monkeypatch):
    path, own = tmp_path / "it's.csv", dict(options)
    encoding = own.pop("encoding", "utf-8")
    text = ROWS.set_axis(["é; x", "void", "y", "y"], axis=1).to_csv(**own)
    path.write_bytes((first.format(own.get("sep", ",")) + text).encode(encoding))
    sheet = read_sheet(str(path), None, own.get("header", True))
    filled = [cells.notna().any() for cells in sheet.columns]
    columns = [name for name, is_taken in zip(sheet.names, filled, strict=True) if is_taken]
    found = run(path, sheet, columns, monkeypatch)
    assert found.shape == (len(ROWS), len(columns))
    for n, name in enumerate(columns):
        assert found.iloc[:, n].map(str).tolist() == cells_of(sheet, name)


def test_parquet_is_read_to_the_same_columns(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    path = tmp_path / "rows.parquet"
    ROWS.set_index("k").to_parquet(path)  # an index, which is a column of the report
    sheet = read_sheet(str(path))
    found = run(path, sheet, ["é; x", "k"], monkeypatch)
    assert found.columns.tolist() == ["é; x", "k"]
    assert found["k"].tolist() == ROWS["k"].tolist()
