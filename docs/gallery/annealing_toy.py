"""Simulated annealing where gradients get stuck: a spiral, one code, a network of eight units.

300 noisy points on a spiral of two turns in the plane are to be described by a single code through
MLP(hidden_layer_sizes=(8,)) from init="random", so that nothing tells the network in which order
the arms follow each other: there are many local optima. Four ways of looking for a good one, with
the same seeds: gradients once, gradients with the best of several restarts, "metropolis" on top of
gradients, and "randomwalk" instead of gradients. What counts is the log-likelihood of 2000 fresh
points; the generator's own is the ceiling.
"""

import argparse
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from skvae import MLP, Metropolis, RandomWalk, VAETransformer

TURNS, NOISE = 2, 0.06
METHODS = {
    "gradients": {},
    "gradients,\nbest of 4 starts": {"n_init": 4},
    "metropolis,\n12 proposals": {"annealing": Metropolis()},
    "randomwalk,\n4000 proposals": {"annealing": RandomWalk()},
}


def spiral(along):
    """Return points of the plane on the spiral, from its inner end, 0, to its outer end, 1."""
    angle = 2 * np.pi * TURNS * along
    return (0.2 + 0.8 * along)[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def draw(n, rng):
    """Return points beside the spiral."""
    return spiral(rng.uniform(size=n)) + NOISE * rng.normal(size=(n, 2))


def true_score(X):
    """Return the mean log-density of the points under the distribution they are drawn from."""
    squares = ((X[:, None] - spiral(np.linspace(0, 1, 2000))) ** 2).sum(-1)
    return np.mean(np.log(np.exp(-squares / (2 * NOISE**2)).mean(1) / (2 * np.pi * NOISE**2)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("gallery_annealing_toy.png"))
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X, X_test = draw(300, rng), draw(2000, rng)
    print("pca", PCA(1).fit(X).score(X_test), "true", true_score(X_test))
    for name, how in METHODS.items():
        for seed in range(options.seeds):
            start = perf_counter()
            vae = VAETransformer(1, architecture=MLP(hidden_layer_sizes=(8,)), init="random", random_state=seed, **how)
            vae.fit(X)
            print(repr(name), seed, round(perf_counter() - start,1), vae.score(X_test), vae.kept_, vae.n_iter_, vae.converged_, list(vae.history_), flush=True)

if __name__ == "__main__":
    main()
