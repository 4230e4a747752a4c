"""Spoken digits as images: reconstructions, a map of the codes, and spectrograms that nobody spoke.

3000 recordings of the digits 0 to 9 by six speakers, each a log-mel spectrogram of 32 moments by 32
bands. A fifth of them is kept from PCA and from the VAE, whose network is convolutional because
neighbouring moments and bands belong together. Both have 16 codes. The map is the plane of the
codes in which the digits lie farthest apart: classes choose the plane, not the codes.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skvae import Conv, LatentDisplay, ReconstructionDisplay, VAETransformer

FILE, LATENT_DIM, SHAPE = "spoken_digits.npz", 16, (32, 32)
N_ROWS, N_COLUMNS = 3, 8


def main():
    """Fit both, print how held-out recordings fare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(), help=f"folder that holds {FILE}")
    parser.add_argument("--output", type=Path, default=Path("gallery_spoken_digits.png"))
    parser.add_argument("--max-iter", type=int, default=30, help="passes over the rows")
    options = parser.parse_args()
    if not (options.data / FILE).is_file():
        parser.exit(2, f"needs {FILE} (X: 3000 spectrograms of 32 x 32, y) in the --data folder\n")

    with np.load(options.data / FILE) as arrays:
        X, y = arrays["X"].astype("float32"), arrays["y"]
    X = X.reshape(-1, *SHAPE).swapaxes(1, 2)[:, ::-1].reshape(len(X), -1)  # high bands on top
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    pca = PCA(LATENT_DIM, random_state=0).fit(X_train)
    network = Conv(image_shape=SHAPE, channels=(16, 32))
    vae = VAETransformer(
        LATENT_DIM, architecture=network, max_iter=options.max_iter, random_state=0
    )
    vae.fit(X_train)
    for name, model in {"PCA": pca, "VAE": vae}.items():
        neighbours = KNeighborsClassifier(5).fit(model.transform(X_train), y_train)
        accuracy = neighbours.score(model.transform(X_test), y_test)
        error = np.mean((model.inverse_transform(model.transform(X_test)) - X_test) ** 2)
        print(f"{name}: squared error {error:.3f}, {model.score(X_test):.0f} nats per row,"
              f" 5-neighbour accuracy {accuracy:.3f}")  # fmt: skip

    figure = plt.figure(figsize=(12.6, 7.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    ReconstructionDisplay.from_estimator(
        vae, X_test, n_rows=10, image_shape=SHAPE, pca=pca, random_state=0, ax=top.subplots()
    ).ax_.images[0].set_cmap("magma")
    top.suptitle("Held-out recordings, 16 codes: time to the right, frequency upwards")
    left, right = bottom.subplots(1, 2, width_ratios=(1, 1.6))
    plane = LinearDiscriminantAnalysis(n_components=2).fit(vae.transform(X_train), y_train)
    LatentDisplay(codes=plane.transform(vae.transform(X_test)), y=y_test).plot(left)
    left.set(
        title="VAE: digits in a plane of the codes", xlabel="direction 1", ylabel="direction 2"
    )
    draw_samples(right, vae.sample(N_ROWS * N_COLUMNS, random_state=0), X_test)
    figure.savefig(options.output, dpi=110)


def draw_samples(ax, rows, X):
    """Draw spectrograms that the VAE made, on the colours of the recordings."""
    images = rows.reshape(N_ROWS, N_COLUMNS, *SHAPE)
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    mosaic = np.vstack([np.hstack(line) for line in framed])
    image = ax.imshow(mosaic, cmap="magma", vmin=X.min(), vmax=X.max())
    ax.set(title="VAE: sampled, spoken by nobody", xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, pad=0.02, shrink=0.8, label="log energy")


if __name__ == "__main__":
    main()
