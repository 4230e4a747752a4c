"""Limits: every budget is described, and a fit keeps to those of its estimator."""

import dataclasses
import re

import pytest

from skvae import Limits, VAETransformer
from tests.samples import curve, fit_quietly, options


def test_every_field_is_described_with_its_default():
    described = dict(re.findall(r"^    (\w+) : .*, default=(.+)$", Limits.__doc__, re.MULTILINE))
    fields = {field.name: field.default for field in dataclasses.fields(Limits)}
    assert list(described) == list(fields)
    for name, default in described.items():
        given = eval(default)
        assert given == fields[name], name
        assert type(given) is type(fields[name]), name


def test_limits_stay_as_they_are():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().patience = 5
    assert options(limits=Limits(patience=5)).limits.patience == 5


def test_a_fit_keeps_to_the_limits_of_its_estimator():
    vae = VAETransformer(1, max_iter=5, random_state=0)
    vae.limits = Limits(min_training_rows=1000)
    X = curve(300, 5)
    assert vae.fit(X).kept_ == 0.0
    assert VAETransformer.limits == Limits()
    few, many = (VAETransformer(1, random_state=0) for _ in range(2))
    few.limits = Limits(steps=(20, 20))
    many.limits = Limits(steps=(80, 80))
    assert fit_quietly(few, X).n_iter_ < fit_quietly(many, X).n_iter_
