"""What is better is kept, what is worse refused, and there is part of the way between."""

import pytest
import torch

from skvae.limits import Limits
from skvae.training.acceptance import Acceptance, Candidate, is_open, select
from skvae.training.evaluation import Verdict
from skvae.training.gain import Gain
from tests.samples import curve, gaussian
from tests.training.judged import beyond, error_of_codes, generator, set_up


def kept_of(evaluator, vae, origin, limits=None):
    return select([Candidate(evaluator, vae, origin)], limits or Limits())


def test_keep_accepts_a_better_model(better):
    vae, origin, evaluator = better
    kept = kept_of(evaluator, vae, origin)
    assert kept.share == 1.0
    assert 0.0099 < kept.start_weight < 0.5
    assert error_of_codes(vae, evaluator) < 0.2 * evaluator.start_error.mean().item()


def test_keep_refuses_a_worse_model(better):
    vae, _, evaluator = better
    with torch.no_grad():
        vae.decoder[0].weight.add_(
            5 * torch.randn(vae.decoder[0].weight.shape, generator=generator())
        )
        vae.decoder[-1].weight.mul_(-20)
    assert kept_of(evaluator, vae, None) == Acceptance(0.0, 1.0)


def test_keep_refuses_what_is_only_as_good():
    _, vae, _, evaluator = set_up(gaussian(300, 6), latent_dim=2)
    origin = {name: value.clone() for name, value in vae.state_dict().items()}
    assert kept_of(evaluator, vae, origin) == Acceptance(0.0, 1.0)


def test_keep_goes_back_part_of_the_way(better):
    vae, origin, evaluator = better
    good = error_of_codes(vae, evaluator)
    beyond(vae, origin, 4.0)
    assert error_of_codes(vae, evaluator) > evaluator.start_error.mean().item()
    kept = kept_of(evaluator, vae, origin)
    assert 0 < kept.share < 1
    assert error_of_codes(vae, evaluator) < evaluator.start_error.mean().item()
    assert good < evaluator.start_error.mean().item()


def test_where_nothing_is_kept_the_model_stays_as_it_was(better):
    vae, origin, evaluator = better
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    limits = Limits(n_standard_errors=float("inf"))
    assert kept_of(evaluator, vae, origin, limits) == Acceptance(0.0, 1.0)
    assert all(torch.equal(value, before[name]) for name, value in vae.state_dict().items())


def test_keep_without_an_origin_is_all_or_nothing(better):
    vae, origin, evaluator = better
    assert kept_of(evaluator, vae, None).share == 1.0
    beyond(vae, origin, 4.0)
    assert kept_of(evaluator, vae, None) == Acceptance(0.0, 1.0)


def test_keep_leaves_the_origin_as_it_is(better):
    vae, origin, evaluator = better
    before = {name: value.clone() for name, value in origin.items()}
    beyond(vae, origin, 4.0)
    kept_of(evaluator, vae, origin)
    with torch.no_grad():
        vae.observation.decoder_path.zero_()
    assert all(torch.equal(origin[name], before[name]) for name in origin)


def test_the_start_as_a_model_is_kept_for_nothing():
    start, _, _, evaluator = set_up(curve(500, 5))
    assert kept_of(evaluator, start.module().float(), None) == Acceptance(0.0, 1.0)


# Several splits.


def gains_of(shift, n_rows=30):
    """A candidate whose held-out rows gain so much on average, give or take one."""
    _, vae, _, evaluator = set_up(gaussian(300, 6), n_held_out=n_rows, latent_dim=2)
    candidate = Candidate(evaluator, vae, None)
    noise = torch.randn(n_rows, generator=generator())
    gain = Gain((noise - noise.mean()) / noise.std() + shift, None)
    candidate.verdicts[1.0] = Verdict(gain, gain)
    return candidate


def test_rows_of_several_splits_find_what_those_of_one_do_not():
    """Of 30 rows a mean of 0.3 is 1.6 standard errors, of 150 it is 3.7."""
    candidates = [gains_of(0.3) for _ in range(5)]
    assert select(candidates[:1], Limits()).share == 0.0
    assert select(candidates[:3], Limits()).share == 0.0
    assert select(candidates, Limits()).share == 1.0


def test_a_split_that_loses_counts_as_much_as_one_that_gains():
    candidates = [gains_of(0.9), gains_of(-0.9)]
    assert select(candidates[:1], Limits()).share == 1.0
    assert select(candidates, Limits()).share == 0.0


@pytest.mark.parametrize(
    ("shifts", "expected"),
    [((-0.1,), True), ((-0.3,), False), ((0.2, -0.04), True), ((0.2, -0.1), False)],
)
def test_it_is_open_while_all_splits_could_gain_enough(shifts, expected):
    """By a quarter of 3 standard errors: 0.061 on average over all five splits."""
    candidates = [gains_of(shift) for shift in shifts]
    select(candidates, Limits())
    assert is_open(candidates, Limits()) == expected
