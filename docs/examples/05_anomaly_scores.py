"""
Finding outliers
================

``score_samples`` is the log-likelihood of each row. The lowest values belong to the rows that the
model can explain least: outliers.
"""

# %%
# 970 rows on a curve in six dimensions, with noise, and 30 outliers. Every cell of an outlier is a
# value that its column often has; only the combination is wrong.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from skvae import VAETransformer

rng = np.random.default_rng(0)
place = rng.uniform(-1, 1, (1000, 1))
X = np.sin(3 * place @ rng.standard_normal((1, 6)) + rng.uniform(0, 6, 6))
X += 0.1 * rng.standard_normal(X.shape)
is_outlier = np.arange(1000) >= 970
X[is_outlier] = rng.permuted(X[is_outlier], axis=0)  # each column on its own

# %%
# The area under the ROC curve is the chance that an outlier has a lower score than a row that is
# none. The outliers are among the rows of ``fit``, as they are in practice.

scores = {
    "PCA": PCA(1).fit(X).score_samples(X),
    "IsolationForest": IsolationForest(random_state=0).fit(X).score_samples(X),
    "VAETransformer": VAETransformer(1, max_iter=60, random_state=0).fit(X).score_samples(X),
}
for name, score in scores.items():
    print(f"{name}: area under the ROC curve {roc_auc_score(is_outlier, -score):.2f}")

# %%
# Scores of both kinds of rows. A threshold is a choice: for instance the lowest 1 % of the
# training rows.

figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
score = scores["VAETransformer"]
bins = np.linspace(score.min(), score.max(), 60)
ax.hist([score[~is_outlier], score[is_outlier]], bins, label=["rows", "outliers"], log=True)
ax.axvline(np.quantile(score, 0.01), color="0.3", linestyle="--")
ax.set(xlabel="log-likelihood, nats", ylabel="rows")
ax.legend()
