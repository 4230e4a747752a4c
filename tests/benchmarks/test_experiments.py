"""Experiments: options and limits are there to be changed, variants are held to the default."""

import pytest

import skvae
from benchmarks.suites import experiments
from benchmarks.suites.experiments import EXPERIMENTS, Variant
from tests.benchmarks.rows import line

VARIANTS = [(name, variant) for name in EXPERIMENTS for variant in EXPERIMENTS[name]]


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_variants_change_what_is_there(name, variant):
    changed = EXPERIMENTS[name][variant]
    default = skvae.VAETransformer(2, random_state=0)
    model = changed.estimator(2, 0)
    assert set(changed.options) <= set(default.get_params(deep=False))
    assert changed != Variant()
    assert (model.limits != default.limits) == bool(changed.limits)


@pytest.mark.usefixtures("one_split")
@pytest.mark.usefixtures("one_split")
def test_a_variant_is_fitted_with_its_limits(command):
    arguments = ["--datasets", "iris", "--seeds", "0", "--max-train-rows", "60"]
    default, two, four = command("experiments", "--only", "patience", *arguments)
    assert [line["task"]["variant"] for line in (default, two, four)] == [
        "default", "2 evaluations", "4 evaluations",
    ]  # fmt: skip
    assert two["facts"]["n_iter_"] < four["facts"]["n_iter_"]


def trial(variant, seed, ratio):
    task = {"experiment": "start", "variant": variant, "dataset": "digits", "seed": seed}
    return line("experiments", task, {"ratio": ratio, "gain": 3.0, "seconds": 2.0})


def test_only_tasks_that_the_default_has_count():
    lines = [
        trial("default", 0, 0.5), trial("random", 0, 0.6), trial("random", 1, 0.1),
        trial("default", 2, 0.5), trial("random", 2, 0.9),
    ]  # fmt: skip
    text = experiments.text(experiments.collect(lines))
    assert text.startswith("### start\n\n| variant |")
    assert "| default | 0.5000 | 0.500 | 1.0000 | 0 / 0 | 3.00 | 1.00 |" in text
    assert "| random | 0.7348 | 0.900 | 1.4697 | 0 / 2 | 3.00 | 1.00 |" in text
