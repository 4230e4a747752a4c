"""Small files of every kind of model, which later versions have to load.

python -m tests.persistence.golden writes those of this version that are not there yet; what is
there is never written again.
"""

import warnings
from pathlib import Path

import numpy as np
from scipy import sparse

import skvae
from skvae import MLP, Conv, VAETransformer
from skvae.likelihoods import LIKELIHOODS
from skvae.model.priors import PRIORS
from tests.generated import to_polars, to_pyarrow
from tests.samples import curve
from tests.tables import rows_of
from tests.test_components import SMALL, images, mixed

FOLDER = Path(__file__).parent.parent / "golden"
MOST_BYTES = 30_000
OPTIONS = {
    "architecture": MLP(hidden_layer_sizes=(4,)),
    "max_iter": 20,
    "batch_size": 16,
    "store_rows": False,
    "random_state": 0,
}


def fitted(X, latent_dim=1, **options):
    return VAETransformer(latent_dim, **OPTIONS | options).fit(X)


def in_batches(X):
    vae = VAETransformer(1, **OPTIONS)
    return vae.partial_fit(X[:60]).partial_fit(X[60:])


KINDS = {
    "linear": lambda: fitted(curve(60, 5), max_iter=0),
    "matrix": lambda: fitted(curve(300, 5)),
    "single": lambda: fitted(curve(300, 5).astype(np.float32), whiten=True),
    "sparse": lambda: fitted(sparse.csr_array(np.maximum(curve(300, 5), 0))),
    "gaps": lambda: fitted(np.where(curve(300, 5) > 1.5, np.nan, curve(300, 5))),
    "conv": lambda: fitted(images(150), architecture=Conv(**SMALL["conv"]), max_iter=3),
    "linear-architecture": lambda: fitted(curve(300, 5), architecture="linear"),
    "autoencoder": lambda: fitted(curve(300, 5), objective="autoencoder"),
    "warm-start": lambda: fitted(curve(300, 5), warm_start=True),
    "stored": lambda: fitted(curve(120, 5), store_rows=True),
    "batches": lambda: in_batches(curve(120, 5)),
    "pandas": lambda: fitted(mixed(60), 2),
    "polars": lambda: fitted(to_polars(mixed(60)), 2),
    "pyarrow": lambda: fitted(to_pyarrow(mixed(60)), 2),
    **{
        f"prior-{name}": lambda name=name: fitted(
            curve(300, 5), prior=PRIORS[name](**SMALL.get(name, {}))
        )
        for name in PRIORS
    },
    **{
        f"likelihood-{name}": lambda name=name: fitted(rows_of(name), likelihood=name)
        for name in LIKELIHOODS
    },
}


def main():
    folder = FOLDER / skvae.__version__
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    for name, make in KINDS.items():
        path = folder / f"{name}.skvae"
        if not path.exists():
            make().save(path)


if __name__ == "__main__":
    main()
