"""Simulated annealing beside gradients: a spiral, one code, a network of eight units.

1000 noisy points on a spiral of one turn in the plane are to be described by a single code through
MLP(hidden_layer_sizes=(8,)) from init="random", where nothing tells the network how to lay the code
along the curve. Four ways of looking, each from the same seeds and for at most 250 passes:
gradients once, gradients with the best of three starts, "metropolis" on top of gradients,
"randomwalk" instead of them. A dot is the best held-out bound of a fit, in nats per row above
PCA's; where reconstructions are no closer, fit ends as PCA all the same. Both annealings have a
better median than gradients once; three starts have the best one, for a little more time than
"metropolis". "metropolis" has the best single fit. None comes near the spiral.
The first choice, two turns, left all four at PCA; one turn was then chosen by gradients alone.
"""

import argparse
import warnings
from pathlib import Path
from time import process_time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from skvae import MLP, Metropolis, RandomWalk, VAETransformer

TURNS, NOISE = 1, 0.06
METHODS = {
    "gradients": {},
    "gradients, best of 3": {"n_init": 3},
    "metropolis, 12 jumps": {"annealing": Metropolis()},
    "randomwalk, 4000 moves": {"annealing": RandomWalk()},
}
COLORS = ("#717581", "#3f90da", "#e76300", "#832db6")


def main():
    """Fit by every method from every seed, print the spread, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("gallery_annealing_toy.png"))
    parser.add_argument("--seeds", type=int, default=5, help="fits per method")
    parser.add_argument("--max-iter", type=int, default=250, help="passes of gradients at most")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X, X_test = draw(1000, rng), draw(2000, rng)
    floor, ceiling = PCA(1).fit(X).score(X_test), true_score(X_test)
    print(f"fresh points: PCA {floor:.2f}, the spiral itself {ceiling:.2f} nats per row")

    gains, fits = {}, {}
    for name, how in METHODS.items():
        start = process_time()
        fits[name] = [fit(X, seed, options.max_iter, how) for seed in range(options.seeds)]
        seconds = (process_time() - start) / options.seeds
        gains[name] = [gain(vae) for vae in fits[name]]
        low, middle, high = np.quantile(gains[name], (0, 0.5, 1))
        kept = [vae.score(X_test) for vae in fits[name] if vae.kept_ > 0]
        print(f"{name}: held-out bound above PCA, worst {low:.2f}, median {middle:.2f},"
              f" best {high:.2f}; {len(kept)} of {options.seeds} kept, fresh points at best"
              f" {max(kept, default=floor):.2f}; {seconds:.1f} s each")  # fmt: skip

    figure = plt.figure(figsize=(12.6, 4.4), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.4, 0.9, 1.1))
    draw_gains(left.subplots(), gains)
    best = max(METHODS, key=lambda name: max(gains[name]))
    draw_curve(middle.subplots(), X, fits[best][int(np.argmax(gains[best]))], best)
    draw_course(right.subplots(2, 1, sharex=True), fits)
    figure.savefig(options.output, dpi=110)


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


def fit(X, seed, max_iter, how):
    """Return a fit from random weights; that the passes ran out is said in the text."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    network = MLP(hidden_layer_sizes=(8,))
    vae = VAETransformer(1, architecture=network, init="random", random_state=seed, **how)
    return vae.set_params(max_iter=max_iter).fit(X)


def gain(vae):
    """Return by how much the best evaluation on held-out rows lies above that at PCA."""
    bounds = vae.history_["bound"]
    return np.nanmax(bounds[1:]) - bounds[0]


def draw_gains(ax, gains):
    """Draw a dot per seed and a bar at the median, method by method."""
    for n, (name, color) in enumerate(zip(gains, COLORS, strict=True)):
        ax.scatter(gains[name], [n] * len(gains[name]), color=color, alpha=0.7, zorder=3)
        ax.plot([np.median(gains[name])] * 2, [n - 0.25, n + 0.25], color=color, linewidth=3)
    ax.axvline(0, color="0.6", linestyle="--", linewidth=1)
    ax.annotate("PCA", (0, -0.55), (3, 0), textcoords="offset points", fontsize="small")
    ax.set_yticks(range(len(gains)), [name.replace(", ", ",\n") for name in gains])
    ax.set(ylim=(len(gains) - 0.5, -0.75), title="A dot per seed, a bar at the median",
           xlabel="held-out bound above PCA, nats per row")  # fmt: skip


def draw_curve(ax, X, vae, name):
    """Draw the points and the curve that the code decodes to."""
    codes = vae.transform(X)[:, 0]
    curve = vae.inverse_transform(np.linspace(codes.min(), codes.max(), 400)[:, None])
    ax.plot(*X.T, ".", color="0.75", markersize=3)
    ax.plot(*curve.T, color=COLORS[list(METHODS).index(name)], linewidth=2.5)
    ax.set(title=f"{name}: best fit", xlabel="x", ylabel="y", aspect="equal")


def draw_course(panels, fits):
    """Draw the temperature and the share of accepted proposals in the first fit of each kind."""
    for name, color in list(zip(fits, COLORS, strict=True))[2:]:
        history = fits[name][0].history_
        evaluated = np.flatnonzero(np.isfinite(history["temperature"]))
        share = np.arange(1, len(evaluated) + 1) / len(evaluated)
        panels[0].semilogy(share, history["temperature"][evaluated], color=color, label=name)
        panels[1].plot(share, history["accepted"][evaluated], "o-", color=color, markersize=3)
    panels[0].set(title="Annealing, seed 0", ylabel="temperature, nats")
    panels[0].legend(frameon=False, fontsize="small")
    panels[1].set(xlabel="share of the proposals", ylabel="accepted", ylim=(-0.05, 1.05))


if __name__ == "__main__":
    main()
