"""What is written in a file comes back, whatever text is in its cells, and no row is lost."""

import gzip
import io

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skvae import VAETransformer
from skvae.command.formats import FORMATS
from tests.command.conftest import people
from tests.generated import WITHOUT_A_FIT

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
# What cells and lines may be told apart by, and what may be lost at their ends.
SIGNS = st.text(st.sampled_from("\r\n\",;\t '|ab#"), max_size=6)
TEXT_ENDINGS = [ending for ending in FORMATS if ending != ".parquet"]


def written(path, *tables):
    with path.open("wb") as file:
        FORMATS["".join(path.suffixes)].write(file, iter(tables))
    return path


def cells_of(path, **options):
    """The names and cells of a file, as the command reads them."""
    with FORMATS["".join(path.suffixes)].read(str(path), **options) as source:
        parts = [part.rows for part in source.parts(3)]
        return source.names, pd.concat(parts).to_numpy().tolist()


@pytest.mark.parametrize("ending", TEXT_ENDINGS)
@WITHOUT_A_FIT
@given(rows=st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[SIGNS] * n), min_size=1)))
@example(rows=[("d\re", "x"), ("\r", "\r\n")])
@example(rows=[("d\re",), (" ",), ("",), ("\t",)])
def test_any_text_comes_back(tmp_path_factory, ending, rows):
    path = tmp_path_factory.getbasetemp() / f"any{ending}"
    names = [f" {n}\r" for n in range(len(rows[0]))]
    frame = pd.DataFrame(rows, columns=names, dtype=object)
    written(path, frame, frame)
    assert cells_of(path) == (names, [list(row) for row in rows] * 2)
    sep = "\t" if ".tsv" in ending else ","
    theirs = pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(theirs.astype(object), pd.concat([frame] * 2, ignore_index=True))


@pytest.mark.parametrize("ending", TEXT_ENDINGS)
@pytest.mark.parametrize("has_header", [True, False], ids=["names", "cells"])
@WITHOUT_A_FIT
@given(cells=st.lists(st.sampled_from(["", "1", " ", '""', "x"]), min_size=1))
def test_an_empty_line_is_a_row_of_one_column(tmp_path_factory, ending, has_header, cells):
    if not has_header and not any(map(str.strip, cells)):
        return  # a file that is blank is empty
    path = tmp_path_factory.getbasetemp() / f"one{ending}"
    lines = "".join(f"{cell}\n" for cell in (["a", *cells] if has_header else cells)).encode()
    path.write_bytes(gzip.compress(lines) if ending.endswith(".gz") else lines)
    names, found = cells_of(path, has_header=has_header)
    assert names == (["a"] if has_header else ["0"])
    assert found == [[cell.strip('"')] for cell in cells]


@pytest.mark.parametrize("keep", [[], ["--keep", "id"]], ids=["alone", "kept"])
def test_levels_with_ends_of_lines_keep_their_rows(keep, tmp_path, run):
    rows = people(30).assign(city=["a\rb", "c\n", " d\r\n"] * 10, id=['x\r"y'] * 30)
    VAETransformer(1, max_iter=0).fit(rows.drop(columns="id")).save(tmp_path / "m.skvae")
    written(tmp_path / "rows.csv", rows if keep else rows.drop(columns="id"))
    status, out, _ = run("impute", tmp_path / "m.skvae", tmp_path / "rows.csv", *keep)
    assert status == 0
    found = pd.read_csv(io.BytesIO(out.encode()), dtype=str)
    for name in ["city", *keep[1:]]:
        assert found[name].tolist() == rows[name].tolist()


def test_rows_of_one_column_without_a_cell_are_answered(tmp_path, run):
    rows = people(30)[["income"]]
    VAETransformer(1, max_iter=0).fit(rows).save(tmp_path / "m.skvae")
    (tmp_path / "rows.csv").write_text("income\n1\n\n2\n\n")
    status, out, _ = run("transform", tmp_path / "m.skvae", tmp_path / "rows.csv")
    assert status == 0
    assert len(out.splitlines()) == 5
