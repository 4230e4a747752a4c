"""Cells are read to the last digit, with the decimal mark that is given, and errors say why not."""

import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skvae import VAETransformer
from skvae.command.main import main
from tests.command.conftest import people, with_gaps
from tests.generated import WITHOUT_A_FIT

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


WHOLE = {np.int64: (-(2**63), 2**63 - 1), np.uint64: (0, 2**64 - 1)}


@pytest.fixture(scope="module", params=WHOLE)
def whole(request, tmp_path_factory):
    """A model of whole numbers of a dtype, what it is in, and the ends of that dtype."""
    path = tmp_path_factory.mktemp("whole") / "m.skvae"
    rows = pd.DataFrame({"k": np.arange(40, dtype=request.param), "x": np.arange(40.0) % 7})
    VAETransformer(1, max_iter=0).fit(rows).save(path)
    return path, WHOLE[request.param]


def spelled(number):
    """A whole number as files may have it, to the last digit."""
    return [str(number), f"{number}.0", f" {number}00e-2"]


@WITHOUT_A_FIT
@given(data=st.data())
def test_whole_numbers_in_range_stay_to_the_last_digit(tmp_path_factory, whole, data):
    model, (least, most) = whole
    numbers = [*data.draw(st.lists(st.integers(least, most))), least, most]
    cells = [data.draw(st.sampled_from(spelled(number))) for number in numbers]
    folder = tmp_path_factory.getbasetemp()
    pd.DataFrame({"k": cells, "x": 1.0}).to_csv(folder / "rows.csv", index=False)
    read, filled = folder / "rows.csv", folder / "filled.csv"
    assert main(["impute", str(model), str(read), "-o", str(filled), "--quiet"]) == 0
    found = pd.read_csv(filled, dtype=str)["k"].tolist()
    assert found == [str(number) for number in numbers]


@pytest.mark.parametrize("spelling", range(3))
@pytest.mark.parametrize("beyond", [-(10**40), -1, 1, 10**5])
def test_whole_numbers_out_of_range_are_told(beyond, spelling, whole, tmp_path, fails):
    model, ends = whole
    cell = spelled(ends[beyond > 0] + beyond)[spelling]
    (tmp_path / "rows.csv").write_text(f"k,x\n1,1\n{cell},1\n")
    said = f"is out of range: whole numbers go from {ends[0]} to {ends[1]} there"
    told = fails("impute", model, tmp_path / "rows.csv")
    assert "rows.csv, row 2, column 'k': '" in told
    assert said in told
    assert said in fails("sample", model, "--given", f"k={cell}")
    assert main(["transform", str(model), str(tmp_path / "rows.csv")]) == 0


@pytest.mark.parametrize("cell", ["9007199254740993", "9007199254740993.0"])
def test_a_given_whole_number_is_kept_to_the_last_digit_or_refused(cell, tmp_path, run, fails):
    near = 2**53 + 100 * np.random.default_rng(0).standard_normal(40)
    rows = pd.DataFrame({"k": near.astype(np.int64), "x": np.arange(40.0)})
    VAETransformer(1, max_iter=0).fit(rows).save(tmp_path / "m.skvae")
    told = fails("sample", tmp_path / "m.skvae", "--given", f"k={cell}")
    assert "'k'=9007199254740993 cannot be kept to the last digit" in told
    [other] = re.findall(r"give (\d+)\.", told)
    status, out, _ = run("sample", tmp_path / "m.skvae", "--given", f"k={other}")
    assert (status, out.splitlines()[1].split(",")[0]) == (0, other)


@pytest.mark.parametrize("cell", ["99999999999999999999999", "1e19", "9007199254740993.0", "-1"])
def test_whole_levels_that_fit_has_not_seen_may_be_of_any_size(cell, tmp_path, run):
    rows = pd.DataFrame({"k": pd.Categorical([1, 2] * 20), "x": np.arange(40.0)})
    VAETransformer(1, max_iter=0).fit(rows).save(tmp_path / "m.skvae")
    (tmp_path / "rows.csv").write_text(f"k,x\n{cell},1\n")
    status, out, _ = run("impute", tmp_path / "m.skvae", tmp_path / "rows.csv")
    assert (status, out.splitlines()[1]) == (0, f"{int(Decimal(cell))},1.0")


@pytest.mark.parametrize("command", ["transform", "score"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "Float32", "int8", "uint64"])
@pytest.mark.parametrize("beside", ["float32", "float64", "object"])
def test_numbers_are_as_precise_as_those_of_the_frame(beside, dtype, command, tmp_path, run):
    z = np.random.default_rng(0).normal(size=60)
    rows = pd.DataFrame({"k": np.abs(10 * z) if dtype == "uint64" else 10 * z, "x": z})
    rows["k"] = (rows["k"] if "loat" in dtype else rows["k"].round()).astype(dtype)
    rows["x"] = ["a", "b"] * 30 if beside == "object" else rows["x"].astype(beside)
    vae = VAETransformer(1, max_iter=0).fit(rows)
    vae.save(tmp_path / "m.skvae")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    options = [tmp_path / "rows.csv", "-o", tmp_path / "answer.csv"]
    assert run(command, tmp_path / "m.skvae", *options)[0] == 0
    expected = vae.transform(rows)[:, 0] if command == "transform" else vae.score_samples(rows)
    found = pd.read_csv(tmp_path / "answer.csv", dtype=expected.dtype).iloc[:, 0]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("dtype", "cell"), [("float16", "7e4"), ("float32", "1e39")])
def test_numbers_beyond_those_of_the_frame_are_told(dtype, cell, tmp_path, fails):
    rows = pd.DataFrame({"k": np.arange(40, dtype=dtype), "x": np.arange(40.0) % 7})
    VAETransformer(1, max_iter=0).fit(rows).save(tmp_path / "m.skvae")
    (tmp_path / "rows.csv").write_text(f"k,x\n1,1\n{cell},1\n")
    told = fails("transform", tmp_path / "m.skvae", tmp_path / "rows.csv")
    assert f"row 2, column 'k': '{cell}' is too large for numbers of {dtype}" in told
