"""
Was the training worth it?
==========================

``fit`` keeps of the training only what helps rows that it has not seen. Some attributes and a
display show what it decided.
"""

# %%
# Data on which PCA is already right, and data that are curved.

import matplotlib.pyplot as plt
import numpy as np

from skvae import LossCurveDisplay, VAETransformer

rng = np.random.default_rng(0)
t = rng.uniform(-3, 3, (1500, 1))
curved = np.hstack([t, np.sin(t), t**2 / 3]) + 0.1 * rng.standard_normal((1500, 3))
straight = rng.standard_normal((1500, 3)) @ rng.standard_normal((3, 3))

fits = {
    name: VAETransformer(1, max_iter=40, random_state=0).fit(X)
    for name, X in {"straight": straight, "curved": curved}.items()
}
for name, vae in fits.items():
    print(f"{name}: kept_ {vae.kept_}, n_iter_ {vae.n_iter_}, converged_ {vae.converged_}")

# %%
# ``kept_`` is 0 where the result is PCA, 1 where all of the training is kept. A score above that
# of the linear start (``pca_score_``) is what the training gained.

vae = fits["curved"]
print(f"gain over PCA: {vae.score(curved) - vae.pca_score_:.2f} nats per row")
LossCurveDisplay.from_estimator(vae)

# %%
# The curve that one code describes.

along = np.linspace(*np.quantile(vae.transform(curved), (0, 1)), 200)[:, None]
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.plot(curved[:, 0], curved[:, 1], ".", color="0.7", markersize=3)
ax.plot(*vae.inverse_transform(along)[:, :2].T, linewidth=2)
ax.set(xlabel="column 0", ylabel="column 1")
