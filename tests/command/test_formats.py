"""What is written in a file comes back, whatever text is in its cells, and no row is lost."""

import gzip
import io

import numpy as np
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
        frames = [own if isinstance(own, pd.DataFrame) else own.to_pandas() for own in parts]
        return source.names, pd.concat(frames).to_numpy().tolist()


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


KINDS = {  # the cells of a column, and whether they come back as text
    "sparse": (pd.arrays.SparseArray([0.0, 1.5, 0.0] * 20), False),
    "sparse with gaps": (pd.arrays.SparseArray([np.nan, 1.5, 2.0] * 20), False),
    "sparse, whole": (pd.arrays.SparseArray([0, 1, 0] * 20), False),
    "sparse, boolean": (pd.arrays.SparseArray([True, False, False] * 20), False),
    "mixed levels": (pd.Categorical(["a", 1, 2.5] * 20), True),
    "levels alike": (pd.Categorical(["1", 1, True] * 20), True),
    "levels of text": (pd.Categorical(["a", "b", "c"] * 20), True),
    "whole levels": (pd.Categorical([1, 2, 3] * 20), False),
    "mixed objects": (np.array(["a", 1, 2.5] * 20, dtype=object), True),
    "wide floats": (np.array([1.5, 2.5, 3.5] * 20, dtype=np.longdouble), False),
    "nullable": (pd.array([1, None, 3] * 20, dtype="Int64"), False),
}


@pytest.mark.parametrize("command", ["sample", "inverse"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_every_kind_of_column_go_into_parquet(kind, command, tmp_path, run):
    parquet = pytest.importorskip("pyarrow.parquet")
    cells, is_text = KINDS[kind]
    rows = pd.DataFrame({0: cells, 1: np.random.default_rng(0).normal(size=60)})
    vae = VAETransformer(1, max_iter=0).fit(rows)
    vae.save(tmp_path / "m.skvae")
    pd.DataFrame(vae.transform(rows), columns=vae.get_feature_names_out()).to_parquet(
        tmp_path / "codes.parquet"
    )
    options = [tmp_path / "codes.parquet"] if command == "inverse" else ["-n", 60, "--seed", 0]
    answers = []
    for ending in (".csv", ".parquet"):
        path = tmp_path / f"answer{ending}"
        assert run(command, tmp_path / "m.skvae", *options, "-o", path)[0] == 0
        answers.append(path)
    found = parquet.read_table(answers[1])
    assert found.column_names == ["0", "1"]
    expected = pd.read_csv(answers[0], dtype={"0": str} if is_text else None)
    assert [*map(str, found["0"].to_pylist())] == [*map(str, expected["0"].tolist())]


@pytest.mark.parametrize("ending", FORMATS)
def test_names_of_several_levels_are_one_text_each(ending, tmp_path, run):
    pytest.importorskip("pyarrow")
    z = np.random.default_rng(0).normal(size=60)
    rows = pd.DataFrame({("a", "x"): z, ("a", "y"): ["u", "v"] * 30, ("b", "x"): z**2})
    vae = VAETransformer(1, max_iter=0).fit(rows)
    model, drawn = tmp_path / "m.skvae", tmp_path / f"drawn{ending}"
    vae.save(model)
    told = ["--given", "('a', 'y')=v"]
    assert run("sample", model, "-n", 5, "--seed", 0, *told, "-o", drawn)[0] == 0
    for command in ("transform", "score", "impute"):
        assert run(command, model, drawn, "-o", tmp_path / f"{command}{ending}")[0] == 0
    codes, back = tmp_path / f"transform{ending}", tmp_path / f"back{ending}"
    assert run("inverse", model, codes, "-o", back)[0] == 0
    expected = vae.sample(5, random_state=0, given={("a", "y"): "v"})
    found = pd.DataFrame(cells_of(codes)[1]).astype(float).to_numpy()
    assert np.array_equal(found, vae.transform(expected))
    for path in (drawn, back, tmp_path / f"impute{ending}"):
        assert cells_of(path)[0] == [str(name) for name in rows.columns]
