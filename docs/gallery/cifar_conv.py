"""Colour photographs in 64 codes: where PCA is hard to beat, and fit says so.

4000 photographs of CIFAR-10, three colours of 32 x 32 pixels; a fifth is kept from both models. The
held-out bound of the convolutional VAE lies above PCA's after the first pass and falls from there,
twice; its reconstructions of held-out photographs are no closer than PCA's. So fit drops the
training and hands back PCA: `kept_` is 0. The codes are then principal components; moving along
one of the strongest shows what it stands for.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skvae import Conv, LossCurveDisplay, ReconstructionDisplay, TraversalDisplay, VAETransformer

FILE, LATENT_DIM, SHAPE = "cifar10.npz", 64, (3, 32, 32)


def main():
    """Fit both, print how held-out photographs fare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(), help=f"folder that holds {FILE}")
    parser.add_argument("--output", type=Path, default=Path("gallery_cifar_conv.png"))
    parser.add_argument("--max-iter", type=int, default=20, help="passes over the rows")
    options = parser.parse_args()
    if not (options.data / FILE).is_file():
        parser.exit(2, f"needs {FILE} (X: 4000 images of 3 x 32 x 32, 0 to 255) in --data\n")

    with np.load(options.data / FILE) as arrays:
        X = arrays["X"].astype("float32") / 255
    X_train, X_test = train_test_split(X, test_size=0.2, random_state=0)
    pca = PCA(LATENT_DIM, svd_solver="full").fit(X_train)
    network = Conv(image_shape=SHAPE, channels=(16, 32))
    vae = VAETransformer(
        LATENT_DIM, architecture=network, max_iter=options.max_iter, random_state=0
    )
    vae.fit(X_train)
    for name, model in {"PCA": pca, "VAE": vae}.items():
        error = np.mean((model.inverse_transform(model.transform(X_test)) - X_test) ** 2)
        print(f"{name}: squared error {error:.5f}, {model.score(X_test):.1f} nats per row")
    bounds = vae.history_["bound"]
    best = np.nanmax(bounds[1:])
    print(f"kept_ {vae.kept_:.2f}; held-out bound {bounds[0]:.1f}, best in training {best:.1f}")

    figure = plt.figure(figsize=(12.6, 4.6), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.15, 1.2, 1))
    LossCurveDisplay(n_pass=vae.history_["n_pass"], bound=bounds).plot(left.subplots())
    ReconstructionDisplay.from_estimator(
        vae, X_test, n_rows=5, image_shape=SHAPE, pca=pca, random_state=1, ax=middle.subplots()
    ).ax_.set_title(f"Held-out photographs; kept_ = {vae.kept_:.2g}", fontsize="medium")
    TraversalDisplay.from_estimator(
        vae, X_test, units=range(5), n_steps=5, image_shape=SHAPE, ax=right.subplots()
    ).ax_.set_title("Along the strongest codes", fontsize="medium")
    figure.savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
