"""
Filling missing cells
=====================

``impute`` fills gaps by what the other cells of the row say. Cells that are hidden on purpose tell
how well that works. Several draws tell how sure it is.
"""

# %%
# A tenth of the cells of the wine data are hidden.

import numpy as np
from sklearn.datasets import load_wine
from sklearn.impute import KNNImputer, SimpleImputer

from skvae import VAETransformer

X = load_wine(as_frame=True).data
hidden = np.random.default_rng(0).random(X.shape) < 0.1
holes = X.mask(hidden)

# %%
# Each column has a noise of its own, so that columns of different units need no scaler. The error
# is the root mean square over the hidden cells, in standard deviations of the columns.

vae = VAETransformer(3, likelihood="gaussian_diag", max_iter=0, random_state=0).fit(holes)
spread = X.to_numpy().std(0)


def error(filled):
    return np.sqrt(np.mean((((np.asarray(filled) - X.to_numpy()) / spread)[hidden]) ** 2))


print(f"column means        {error(SimpleImputer().fit_transform(holes)):.2f}")
scaled = KNNImputer().fit_transform(holes / spread) * spread
print(f"5 nearest neighbours {error(scaled):.2f}")
print(f"VAETransformer      {error(vae.impute(holes)):.2f}")

# %%
# A single guess hides that it is one. ``n_draws`` returns several tables whose gaps are drawn;
# their spread is the uncertainty. Most true values should be inside of the middle 90 %.

draws = np.stack([table.to_numpy() for table in vae.impute(holes, n_draws=40, random_state=0)])
low, high = np.quantile(draws, (0.05, 0.95), axis=0)
inside = (low <= X.to_numpy()) & (X.to_numpy() <= high)
print(f"true values inside: {inside[hidden].mean():.0%}")
