"""The demo: a tour of the digits."""

import sys

import numpy as np

import skvae
from benchmarks import demo


def test_the_tour(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "LATENT_DIMS", (2, 4))
    monkeypatch.setattr(demo, "load_digits", few_digits(demo.load_digits))
    quick = lambda latent_dim: skvae.VAETransformer(latent_dim, max_iter=0)  # noqa: E731
    monkeypatch.setitem(demo.REDUCERS, "VAETransformer", (quick, "latent_dim"))
    picture = tmp_path / "demo.png"
    monkeypatch.setattr(sys, "argv", ["demo", "--output", str(picture)])
    demo.main()
    shown = capsys.readouterr().out
    for part in ("latent_dim", "Pipeline, latent_dim 4", "GridSearchCV, 3 folds", "picture:"):
        assert part in shown
    assert picture.stat().st_size > 1000


def few_digits(load):
    """The first digits alone."""
    return lambda **options: tuple(np.asarray(part)[:300] for part in load(**options))
