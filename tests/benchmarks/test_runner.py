"""The runner: what a file holds is not run again, failures are, a plan may wait for lines."""

import json
import warnings
from dataclasses import dataclass, field

import pytest

from benchmarks import runner
from benchmarks.runner import Outcome, Task


@dataclass(frozen=True)
class Number(Task):
    """A task that says how often it was measured."""

    value: int
    measured: list = field(default_factory=list, compare=False)
    error: Exception | None = field(default=None, compare=False)

    suite = "numbers"

    def measure(self):
        self.measured.append(self.value)
        if self.error:
            raise self.error
        warnings.warn("a word", UserWarning, stacklevel=2)
        return Outcome({"twice": 2 * self.value}, Fitted())


class Fitted:
    n_iter_ = 3


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "numbers.jsonl"


def test_a_line_says_what_was_run_and_how(path):
    (line,) = runner.run([Number(4)], path)
    assert (line["suite"], line["task"], line["figures"]) == ("numbers", {"value": 4}, {"twice": 8})
    assert line["facts"] == {"n_iter_": 3}
    assert line["warnings"] == ["UserWarning"]
    assert {"python", "skvae", "torch"} <= set(line["versions"])
    assert line["processor"]
    assert json.loads(path.read_text()) == line


def test_a_run_goes_on_where_it_ended(path):
    measured = []
    first = runner.run([Number(1, measured)], path)
    again = runner.run([Number(n, measured) for n in (1, 2)], path)
    assert measured == [1, 2]
    assert again[0] == first[0]
    assert runner.read([path]) == again


def test_failures_are_recorded_and_tried_again(path):
    lines = runner.run([Number(1, error=RuntimeError("no\ntoday")), Number(2)], path)
    assert lines[0]["error"] == "RuntimeError: no"
    assert "figures" in lines[1]
    runner.run([Number(1), Number(2)], path)
    assert len(path.read_text().splitlines()) == 3
    assert "error" not in runner.read([path])[0]  # the last line of a task counts


@pytest.mark.parametrize("kind", runner.LEFT_OUT)
def test_what_cannot_be_done_here_is_left_out(kind, path, capsys):
    missing = kind("needs it")
    assert runner.run([Number(1, error=missing), Number(2, error=missing)], path) == []
    assert path.read_text() == ""
    assert capsys.readouterr()[0].count("left out: needs it") == 1


def test_a_plan_waits_for_its_lines(path):
    def plan():
        line = yield Number(1)
        while line["figures"]["twice"] < 10:
            line = yield Number(line["figures"]["twice"])

    for _ in range(2):  # the second time the file answers
        found = runner.run(plan(), path)
        assert [line["task"]["value"] for line in found] == [1, 2, 4, 8]
    assert len(path.read_text().splitlines()) == 4
