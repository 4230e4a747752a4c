"""
Choosing the number of codes
============================

``score`` is a log-likelihood in the units of the data. So models with different numbers of codes
can be compared on held-out rows, and so can PCA.
"""

# %%
# 1000 rows on a curved surface of two dimensions in a space of ten, with noise.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from skvae import VAETransformer

rng = np.random.default_rng(0)
place = rng.uniform(-1, 1, (1500, 2))
X = np.sin(2 * place @ rng.standard_normal((2, 10))) + 0.1 * rng.standard_normal((1500, 10))
X_train, X_test = X[:1000], X[1000:]

# %%
# PCA needs a direction for every bend. Two codes of the VAE, which may curve, are enough.

dims = [1, 2, 3, 5]
pca = [PCA(k).fit(X_train).score(X_test) for k in dims]
fits = [VAETransformer(k, max_iter=30, random_state=0).fit(X_train) for k in dims]
vae = [fit.score(X_test) for fit in fits]

figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(dims, pca, "o-", color="0.5", label="PCA")
ax.plot(dims, vae, "o-", label="VAETransformer")
ax.set(xlabel="latent_dim", ylabel="held-out log-likelihood, nats per row")
ax.legend()
best = dims[int(np.argmax(vae))]
print(f"best by held-out likelihood: {best} codes")

# %%
# ``latent_dim="auto"`` costs no training: it takes the number that probabilistic PCA needs. That
# is an upper limit where the data are curved, and a start for a search.

print("auto:", VAETransformer("auto", max_iter=0).fit(X_train).latent_dim_)
