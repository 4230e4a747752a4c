"""Standard streams are bytes in UTF-8, and one that is closed is told in one line."""

import io
import sys

import pandas as pd
import pytest

from skvae import VAETransformer
from skvae.command.main import SUBCOMMANDS, main
from tests.command.conftest import people

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
NO_ROWS = {"inspect", "sample", "report"}  # which take none on standard input


def arguments(name, folder, rows=None):
    """A call whose answer goes to standard output."""
    model, own = folder / "m.skvae", folder / "rows.csv"
    vae = VAETransformer(2, max_iter=0).fit(people().rename(columns={"city": "größe"}))
    vae.save(model)
    people().rename(columns={"city": "größe"}).to_csv(own, index=False)
    if name == "inverse":
        codes = pd.DataFrame([[0.0, 0.0]], columns=vae.get_feature_names_out())
        codes.to_csv(own, index=False)
    if name == "report":
        return [name, str(own), "-o", "-"]
    return [name, str(model), *([] if name in NO_ROWS else [rows or str(own)])]


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_a_closed_output_is_told(name, tmp_path, monkeypatch, capfd):
    call = arguments(name, tmp_path)
    monkeypatch.setattr(sys, "stdout", None)
    assert main([*call, "--quiet"]) == 1
    said = "skvae: error: standard output is closed: redirect it to a file.\n"
    assert capfd.readouterr().err == said


@pytest.mark.parametrize("name", sorted(SUBCOMMANDS.keys() - NO_ROWS))
def test_a_closed_input_is_told(name, tmp_path, monkeypatch, fails):
    call = arguments(name, tmp_path, "-")
    monkeypatch.setattr(sys, "stdin", None)
    assert fails(*call) == "skvae: error: standard input is closed: name a file of rows."


@pytest.mark.parametrize("name", sorted(SUBCOMMANDS.keys() - {"report"}))
def test_nothing_is_said_where_nobody_can_hear(name, tmp_path, monkeypatch, capfd):
    call = arguments(name, tmp_path)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(call) == 0
    assert capfd.readouterr().out
    assert main([name, str(tmp_path / "none.skvae"), *call[2:]]) == 1


@pytest.mark.parametrize("name", sorted(SUBCOMMANDS.keys() - {"report"}))
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_answers_are_in_utf_8_whatever_the_terminal_has(name, encoding, tmp_path, monkeypatch):
    call = arguments(name, tmp_path)
    answers = []
    for own in ("utf-8", encoding):
        file = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, own))
        assert main([*call, *(["--seed", "0"] if name == "sample" else [])]) == 0
        answers.append(file.getvalue().decode())
    assert answers[0] == answers[1]
    if name not in ("transform", "score"):
        assert "größe" in answers[0]
