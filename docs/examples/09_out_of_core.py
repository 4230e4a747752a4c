"""
Rows that do not fit into memory
================================

``fit`` reads a file mapped into memory a part at a time. ``partial_fit`` takes chunks as they
come.
"""

# %%
# 8000 rows in a file. ``mmap_mode="r"`` opens it without reading it.

import tempfile
from pathlib import Path

import numpy as np

from skvae import VAETransformer

rng = np.random.default_rng(0)
t = rng.uniform(-3, 3, (8_000, 1))
rows = np.hstack([t, np.sin(t), t**2 / 3]) + 0.1 * rng.standard_normal((8_000, 3))
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "rows.npy"
np.save(path, rows.astype("float32"))

X = np.load(path, mmap_mode="r")
vae = VAETransformer(1, max_iter=2, random_state=0).fit(X)
print(f"fit: {vae.score(X[:1000]):.2f} nats per row")

# %%
# Chunks, each seen once, in the order in which they arrive. Their rows should be mixed: a stream
# that is sorted teaches its end only.

online = VAETransformer(1, random_state=0)
for chunk in np.array_split(X, 4):
    online.partial_fit(chunk)
print(f"partial_fit: {online.score(X[:1000]):.2f} nats per row")

# %%
# Answers can be written a part at a time, too: rows are independent of each other.

codes = np.lib.format.open_memmap(Path(folder.name) / "codes.npy", "w+", "float32", (len(X), 1))
for start in range(0, len(X), 4096):
    codes[start : start + 4096] = vae.transform(X[start : start + 4096])
print(codes.shape)
del codes, X
folder.cleanup()
