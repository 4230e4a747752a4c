"""The suite of fits by several processes: what its table says of lines."""

import pytest

from benchmarks.suites.distributed import ALONE, ONE, collect, show


def line(way, n, score, codes):
    figures = {"score": score, "error": [2.0, 2.0], "seconds": [4.0, 4.0], "codes": codes}
    return {
        "suite": "distributed",
        "task": {"way": way, "n_processes": n, "seeds": [0, 1]},
        "figures": figures,
    }


LINES = [
    line(ALONE, 1, [-10.0, -10.0], ["a", "b"]),
    line(ONE, 1, [-9.0, -10.0], ["c", "d"]),
    line(ONE, 2, [-9.0, -10.0], ["c", "d"]),
    line(ONE, 3, [-9.0, -10.0], ["c", "e"]),
]


def test_ways_are_held_to_the_fit_of_no_group_and_bits_to_the_fewest_processes():
    table = collect(LINES).set_index(["sums", "processes"])
    assert table.loc[(ONE, 2), "score, %"] == pytest.approx(5.0)
    assert table["same bits as the fewest"].tolist() == [True, True, True, False]
    assert "| one order | 3 |" in show(LINES)


def test_lines_that_failed_are_left_out():
    assert len(collect([*LINES, {"suite": "distributed", "task": {}, "error": "gone"}])) == 4
