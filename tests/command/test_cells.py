"""Cells of text are read with the decimal mark that is given, and errors name the other one."""

import numpy as np
import pandas as pd
import pytest

from skvae import VAETransformer
from skvae.command.main import main
from tests.command.conftest import people, with_gaps

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def with_decimal_commas(frame):
    """Its text, as spreadsheets of many countries write it."""
    return frame.to_csv(index=False, sep=";", decimal=",")


@pytest.mark.parametrize("command", ["transform", "score", "impute"])
def test_decimal_commas_are_told_and_can_be_read(command, model, tmp_path, run, fails):
    pytest.importorskip("pyarrow")
    frame = with_gaps(people(50, seed=5)).astype({"size": object})
    frame.to_csv(tmp_path / "points.csv", index=False)
    (tmp_path / "commas.csv").write_text(with_decimal_commas(frame))
    told = fails(command, model, tmp_path / "commas.csv", "--separator", ";")
    assert "column 'income': '" in told
    assert "where ',' is the decimal mark, give --decimal ',', else correct the cell" in told
    options = ["--separator", ";", "--decimal", ",", "-o", tmp_path / "commas.parquet"]
    assert run(command, model, tmp_path / "commas.csv", *options)[0] == 0
    assert run(command, model, tmp_path / "points.csv", "-o", tmp_path / "points.parquet")[0] == 0
    found, expected = (
        pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("commas", "points")
    )
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    told = fails(command, model, tmp_path / "points.csv", "--decimal", ",")
    assert "where '.' is the decimal mark, give --decimal '.'" in told


def test_codes_with_decimal_commas_come_back_as_rows(model, tmp_path, run):
    people(5).to_csv(tmp_path / "rows.csv", index=False)
    run("transform", model, tmp_path / "rows.csv", "-o", tmp_path / "codes.csv")
    (tmp_path / "commas.csv").write_text(with_decimal_commas(pd.read_csv(tmp_path / "codes.csv")))
    _, expected, _ = run("inverse", model, tmp_path / "codes.csv")
    options = ["--separator", ";", "--decimal", ","]
    status, out, _ = run("inverse", model, tmp_path / "commas.csv", *options)
    assert (status, out) == (0, expected)


def test_decimal_commas_of_a_file_without_names(array_model, tmp_path, run, fails):
    rows = pd.DataFrame(np.eye(3) + 0.5)
    path, options = tmp_path / "rows.csv", ["--separator", ";", "--decimal", ","]
    path.write_text("\n".join(with_decimal_commas(rows).splitlines()[1:]))
    assert "--separator ';'" in fails("transform", array_model, path)
    told = fails("transform", array_model, path, *options[:2], "--no-header")
    assert "row 1, column '0': '1,5' is no number" in told
    assert "numbers '1,5' and so on" in fails("transform", array_model, path, *options)
    assert run("transform", array_model, path, *options, "--no-header")[0] == 0


def test_decimal_commas_of_levels_that_are_numbers_and_of_booleans(tmp_path, run, fails):
    rows = pd.DataFrame(
        {"k": pd.Categorical([1.5, 2.5] * 20), "b": [True, False] * 20, "t": ["1,5", "1.5"] * 20}
    )
    VAETransformer(1, max_iter=0).fit(rows).save(tmp_path / "m.skvae")
    text = "k;b;t\n1,5;1,0;1,5\n2,5;0;1.5\n7,25;no;1,5\n"
    (tmp_path / "rows.csv").write_text(text)
    options = ["--separator", ";", "--decimal", ","]
    status, out, _ = run("impute", tmp_path / "m.skvae", tmp_path / "rows.csv", *options)
    assert status == 0
    assert out.splitlines()[1:] == ['1.5,True,"1,5"', "2.5,False,1.5", '7.25,False,"1,5"']
    told = fails("impute", tmp_path / "m.skvae", tmp_path / "rows.csv", "--separator", ";")
    assert "give --decimal ','" in told


def test_a_decimal_mark_is_a_point_or_a_comma(model, capsys):
    with pytest.raises(SystemExit):
        main(["transform", model, "rows.csv", "--decimal", "'"])
    assert "argument --decimal: " in capsys.readouterr().err
