"""The progress bar."""

import pytest

from skvae import VAETransformer
from skvae.training.progress import SPLIT, TRAINING, Followers, Progress, progress_bar
from tests.samples import Followed, curve, fit_quietly


def progress(n_passes, last_pass, bounds):
    return Progress(n_passes, last_pass, loss=9.0, bounds=bounds, seconds=0.5)


def test_nothing_is_shown_by_default(capsys):
    with progress_bar(0) as followers:
        assert followers == []
    assert capsys.readouterr() == ("", "")


def test_bar_shows_passes_bound_gain_and_time(capsys):
    with progress_bar(1) as (bar,):
        bar.begin_training(TRAINING, 10)
        for each in (progress(4, 10, [-7.5, -6.5]), progress(6, 8, [-7.5, -6.5, -7.0])):
            bar.begin_pass()
            assert not bar.end_pass(each, None)
        assert not bar.end_training()
    last = capsys.readouterr().err.split("\r")[-1]
    assert "6/8" in last
    assert "bound -6.50, over PCA +1.00 nats" in last
    assert "<" in last  # elapsed<remaining
    assert "pass" in last  # per second


def test_the_end_of_a_fit_may_come_early(capsys):
    with progress_bar(1) as (bar,):
        bar.begin_training(TRAINING, 10)
        bar.end_pass(progress(4, 10, [-7.5, -6.5]), None)
        bar.end_pass(progress(6, 6, [-7.5, -6.5]), None)
    assert "6/6" in capsys.readouterr().err


def test_bar_is_of_the_training_alone(capsys):
    with progress_bar(1) as (bar,):
        bar.begin_training(TRAINING, 10)
        bar.end_pass(progress(10, 10, [-7.5]), None)
        bar.begin_training(SPLIT, 99)
        bar.end_pass(progress(3, 99, [-7.5]), None)
    assert "/99" not in capsys.readouterr().err


def test_the_best_bound_and_what_it_gains():
    found = progress(6, 8, [-7.5, -6.5, -7.0])
    assert (found.bound, found.gain) == (-6.5, 1.0)
    assert progress(1, 8, [-7.5]).gain == 0.0


def test_each_of_several_is_told_and_may_end_it():
    one, other = Followed(), Followed(lambda progress: progress.n_passes == 2)
    both = Followers([one, other])
    both.begin_training(TRAINING, 3)
    both.begin_pass()
    assert [both.end_pass(progress(n, 3, [-1.0]), None) for n in (1, 2)] == [False, True]
    assert not both.end_training()
    assert one.told == other.told


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
