"""The progress bar."""

import pytest

from skvae import VAETransformer
from skvae.training.progress import progress_bar
from skvae.training.record import Progress
from tests.samples import curve, fit_quietly


def test_nothing_is_shown_by_default(capsys):
    with progress_bar(0) as report:
        assert report is None
    assert capsys.readouterr() == ("", "")


def test_bar_shows_passes_bound_gain_and_time(capsys):
    with progress_bar(1) as report:
        report(Progress(4, 10, [-7.5, -6.5]))
        report(Progress(6, 8, [-7.5, -6.5, -7.0]))
    last = capsys.readouterr().err.split("\r")[-1]
    assert "6/8" in last
    assert "bound -6.50, over PCA +1.00 nats" in last
    assert "<" in last  # elapsed<remaining
    assert "pass" in last  # per second


def test_the_end_of_a_fit_may_come_early(capsys):
    with progress_bar(1) as report:
        report(Progress(4, 10, [-7.5, -6.5]))
        report(Progress(6, 6, [-7.5, -6.5]))
    assert "6/6" in capsys.readouterr().err


def test_bar_is_closed_after_an_error(capsys):
    with pytest.raises(RuntimeError, match="stop"), progress_bar(1):
        raise RuntimeError("stop")
    assert capsys.readouterr().err.endswith("\n")


@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose(verbose, capsys):
    fit_quietly(VAETransformer(1, max_iter=4, verbose=verbose, random_state=0), curve(200))
    out, err = capsys.readouterr()
    assert out == ""
    assert ("4/4" in err) == bool(verbose)
