"""Objects on a turntable: their views are a loop, and between the codes of two views lies a view.

20 objects were photographed every 5 degrees. PCA and the VAE reduce every second view, 10 degrees
apart, to 8 codes; the views between are kept from both. The codes of an object's views close to a
loop. Halfway between the codes of two neighbouring views that were seen lies another code; decoded,
it is compared with the photograph that was taken there.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from skvae import VAETransformer

N_OBJECTS, N_VIEWS, N_PIXELS, LATENT_DIM = 20, 72, 32 * 32, 8
FILE = "coil20.npz"


def main():
    """Fit both to every second view, guess those between, print the errors, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(), help=f"folder that holds {FILE}")
    parser.add_argument("--output", type=Path, default=Path("gallery_turntable.png"))
    options = parser.parse_args()
    if not (options.data / FILE).is_file():
        parser.exit(
            2, f"needs {FILE} (X: 1440 images of 32 x 32, y: object) in the --data folder\n"
        )

    views = read(options.data / FILE)
    seen, between = views[:, ::2], views[:, 1::2]
    X = seen.reshape(-1, N_PIXELS)
    pca = PCA(LATENT_DIM).fit(X)
    vae = VAETransformer(LATENT_DIM, random_state=0).fit(X)

    guesses = {name: halfway(model, seen) for name, model in {"VAE": vae, "PCA": pca}.items()}
    errors = {name: np.mean((guess - between) ** 2) for name, guess in guesses.items()}
    for name, error in errors.items():
        print(f"{name}: squared error of the views between {error:.4f}")
    pixels = (seen + np.roll(seen, -1, axis=1)) / 2
    print(f"mean of the two photographs, all pixels kept: {np.mean((pixels - between) ** 2):.4f}")

    figure = plt.figure(figsize=(12.6, 4.7), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.75))
    draw_loops(left, vae, views)
    draw_guesses(right, between, guesses, errors)
    figure.savefig(options.output, dpi=110)


def read(path):
    """Return pixels in [0, 1] of shape (objects, views, pixels); the file holds columns first."""
    with np.load(path) as arrays:
        order = np.argsort(arrays["y"], kind="stable")
        images = arrays["X"][order].reshape(-1, 32, 32).swapaxes(1, 2) / 255
    return images.reshape(N_OBJECTS, N_VIEWS, N_PIXELS)


def halfway(model, seen):
    """Return what decodes from the middle of the codes of each view and of the next."""
    codes = model.transform(seen.reshape(-1, N_PIXELS)).reshape(*seen.shape[:2], -1)
    middle = (codes + np.roll(codes, -1, axis=1)) / 2
    return model.inverse_transform(middle.reshape(-1, LATENT_DIM)).reshape(seen.shape)


def draw_loops(figure, vae, views):
    """Draw the codes of four objects, each in the plane in which they vary most."""
    panels = figure.subplots(2, 2)
    for ax, thing in zip(panels.flat, (0, 3, 9, 15), strict=True):
        plane = PCA(2).fit_transform(vae.transform(views[thing]))
        ax.plot(*plane[np.r_[0:N_VIEWS, 0]].T, color="0.8", linewidth=1, zorder=1)
        points = ax.scatter(*plane.T, c=5 * np.arange(N_VIEWS), cmap="twilight", s=18,
                            edgecolors="0.4", linewidths=0.4, zorder=2)  # fmt: skip
        ax.set(title=f"object {thing + 1}", xticks=[], yticks=[])
        ax.set_aspect("equal", "datalim")
    bar = figure.colorbar(points, ax=panels, location="bottom", aspect=40, ticks=range(0, 361, 90))
    bar.set_label("angle of the turntable, degrees")
    figure.suptitle("VAE: codes of one object's 72 views", fontsize="medium")


def draw_guesses(figure, between, guesses, errors):
    """Draw twelve views of two objects that no model has seen, and what was guessed."""
    names = ["photograph", *(f"{name}, halfway" for name in guesses)]
    for ax, thing in zip(figure.subplots(2, 1), (0, 3), strict=True):
        rows = [table[thing, ::3] for table in (between, *guesses.values())]
        tiles = [np.hstack(np.pad(row.reshape(-1, 32, 32), ((0, 0), (1, 1), (1, 1)),
                                  constant_values=1)) for row in rows]  # fmt: skip
        ax.imshow(np.vstack(tiles), cmap="gray", vmin=0, vmax=1)
        ax.set_yticks(34 * np.arange(3) + 17, names)
        ax.set_xticks(34 * np.arange(12) + 17, [f"{5 + 30 * n}°" for n in range(12)])
        ax.tick_params(length=0, labelsize="small")
        ax.spines[:].set_visible(False)
    text = ", ".join(f"{name} {error:.4f}" for name, error in errors.items())
    figure.suptitle(f"Views between those seen; squared error: {text}", fontsize="medium")


if __name__ == "__main__":
    main()
