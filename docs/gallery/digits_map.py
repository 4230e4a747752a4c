"""The digits of scikit-learn in two codes: PCA's map, the VAE's map, and what its plane decodes to.

Both reduce 64 pixels to two numbers per image. The maps show images that neither has seen; how well
five neighbours on the map tell the digit says how far apart it keeps them. The grid at the right
is the plane of the two codes read backwards, from codes to images.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skvae import LatentDisplay, VAETransformer

N_GRID = 12


def main():
    """Fit both, print how they do on held-out digits, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("gallery_digits_map.png"))
    parser.add_argument("--max-iter", type=int, help="passes over the rows; else as many as help")
    options = parser.parse_args()

    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.25, random_state=0)
    pca = PCA(2).fit(X_train)
    vae = VAETransformer(2, max_iter=options.max_iter or "auto", random_state=0).fit(X_train)

    titles = {}
    for name, model in {"PCA": pca, "VAE": vae}.items():
        neighbours = KNeighborsClassifier(5).fit(model.transform(X_train), y_train)
        accuracy = neighbours.score(model.transform(X_test), y_test)
        error = np.mean((model.inverse_transform(model.transform(X_test)) - X_test) ** 2)
        titles[name] = f"{name}: 5-neighbour accuracy {accuracy:.0%}"
        print(f"{name}: 5-neighbour accuracy {accuracy:.3f}, squared error {error:.4f},"
              f" log-likelihood {model.score(X_test):.1f} nats per row")  # fmt: skip

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.4, 4.3), layout="constrained")
    LatentDisplay(codes=pca.transform(X_test), y=y_test).plot(left)
    left.set_title(titles["PCA"])
    LatentDisplay.from_estimator(vae, X_test, y_test, ax=middle)
    middle.set_title(titles["VAE"])
    draw_plane(right, vae, vae.transform(X_test))
    figure.savefig(options.output, dpi=110)


def draw_plane(ax, vae, codes):
    """Draw the images that a grid over the middle 98 % of each code decodes to."""
    (x_low, y_low), (x_high, y_high) = np.quantile(codes, (0.01, 0.99), axis=0)
    x, y = np.meshgrid(np.linspace(x_low, x_high, N_GRID), np.linspace(y_high, y_low, N_GRID))
    images = vae.inverse_transform(np.column_stack([x.ravel(), y.ravel()]))
    images = np.pad(images.reshape(N_GRID, N_GRID, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    mosaic = np.vstack([np.hstack(line) for line in images])
    extent = (x_low, x_high, y_low, y_high)
    ax.imshow(mosaic, cmap="gray_r", vmin=0, vmax=1, extent=extent, aspect="auto")
    ax.set(title="VAE: the plane, decoded", xlabel="code 0", ylabel="code 1")


if __name__ == "__main__":
    main()
