"""Spoken digits as images: reconstructions, a map of the codes, and spectrograms that nobody spoke.

3000 recordings of the digits 0 to 9 by six speakers, each a log-mel spectrogram of 32 moments by 32
bands. A fifth of them is kept from PCA and from the VAE, whose body is convolutional because
neighbouring moments and bands belong together. What both make of those is shown with 16 codes;
the map is a second VAE of two codes.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from skvae import Conv, LatentDisplay, ReconstructionDisplay, VAETransformer

FILE, LATENT_DIM = "spoken_digits.npz", 16
SHAPE = (32, 32)


def main():
    """Fit, print how held-out recordings fare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(), help=f"folder that holds {FILE}")
    parser.add_argument("--output", type=Path, default=Path("gallery_spoken_digits.png"))
    parser.add_argument("--max-iter", type=int, default=40, help="passes over the rows")
    options = parser.parse_args()
    if not (options.data / FILE).is_file():
        parser.exit(2, f"needs {FILE} (X: 3000 spectrograms of 32 x 32, y) in the --data folder\n")

    with np.load(options.data / FILE) as arrays:
        X, y = arrays["X"].astype("float32"), arrays["y"]
    X = X.reshape(-1, *SHAPE).swapaxes(1, 2)[:, ::-1].reshape(len(X), -1)  # high bands on top
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, random_state=0)
    from time import perf_counter
    s = perf_counter()
    for arch in ("mlp", Conv(image_shape=SHAPE)):
      for k in (LATENT_DIM, 2):
        pca=PCA(k).fit(X_train)
        vae = VAETransformer(k, architecture=arch, max_iter=options.max_iter, random_state=0)
        vae.fit(X_train)
        print(arch, k, perf_counter()-s, vae.kept_, vae.n_iter_)
        for n,m in (("pca",pca),("vae",vae)):
            e=((m.inverse_transform(m.transform(X_test))-X_test)**2).mean()
            kn=KNeighborsClassifier(5).fit(m.transform(X_train),y_train).score(m.transform(X_test),y_test)
            print(n,e,kn,m.score(X_test),flush=True)

if __name__ == "__main__":
    main()
