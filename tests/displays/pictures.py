"""Data that every display can be made of, and what is read of what was drawn."""

import numpy as np

DATA = {
    "loss_curve": {
        "n_pass": [0, 1, 2, 3],
        "bound": [-9.0, -7.0, -6.0, -6.5],
        "reconstruction": [-7.0, -4.0, -2.0, -2.5],
        "kl": [2.0, 3.0, 4.0, 4.0],
        "learning_rate": [1e-3, 1e-3, 1e-3, 1e-4],
    },
    "latent": {
        "codes": [[0.0, 1.0], [2.0, -1.0], [1.0, 3.0]],
        "y": ["a", "b", "a"],
        "prior_mean": [0.0, 1.0],
        "prior_scale": [2.0, 1.0],
    },
    "reconstruction": {
        "rows": np.arange(12.0).reshape(3, 4),
        "reconstructions": {"VAE": np.ones((3, 4)), "PCA": np.zeros((3, 4))},
    },
    "traversal": {
        "rows": np.arange(24.0).reshape(2, 3, 4),
        "steps": [-2.0, 0.0, 2.0],
        "units": [0, 3],
    },
    "latent_usage": {
        "kl": [2.0, 1.0, 0.0],
        "explained_variance_ratio": [0.6, 0.2, 0.0],
        "pca_explained_variance_ratio": [0.5, 0.2, 0.1],
        "is_active": [True, True, False],
    },
    "loadings": {
        "loadings": [[0.9, -0.2, 0.0], [0.1, 0.6, -0.4]],
        "names": ["a", "b", "c=1"],
        "units": [0, 3],
    },
}


def line(panel, label):
    (found,) = [line for line in panel.lines if line.get_label() == label]
    return found


def texts(panel):
    return [text.get_text() for text in panel.texts]
