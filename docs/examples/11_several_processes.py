"""
A saved model on many batches
=============================

``batch_function`` makes a saved model a function of batches of rows. It pickles as a path, so
Dask, Spark, Ray and joblib can send it to their workers; each loads the file once.
"""

# %%
# A model of a mixed table, and more rows in five partitions.

import tempfile
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

import skvae
from skvae import VAETransformer

rng = np.random.default_rng(0)
town = rng.choice(["north", "south"], 1000)
frame = pd.DataFrame(
    {"id": np.arange(1000), "town": town, "rain": rng.normal(5 * (town == "north"), 1, 1000)}
)
vae = VAETransformer(1, max_iter=0, random_state=0).fit(frame.drop(columns="id"))
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "towns.skvae"
vae.save(path)

# %%
# ``keep`` carries the column of identifiers through. ``meta`` tells Dask what comes back.

codes_of = skvae.batch_function(path, keep=["id"])
parts = dd.from_pandas(frame, npartitions=5)
with dask.config.set(scheduler="threads", num_workers=2):
    codes = parts.map_partitions(codes_of, meta=codes_of(frame.head(0))).compute()
codes.head()

# %%
# The answers are those of the model on the whole table.

whole = vae.transform(frame.drop(columns="id"))
print(np.array_equal(codes.drop(columns="id").to_numpy(), whole))
folder.cleanup()
