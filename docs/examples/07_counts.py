"""
Counts
======

Numbers of visits, words or molecules are whole, never negative, and scatter more where they are
larger. ``likelihood="poisson"`` and ``"negative_binomial"`` say so.
"""

# %%
# 600 documents of 30 words from three topics. They differ in length.

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from skvae import VAETransformer

rng = np.random.default_rng(0)
topic = rng.integers(3, size=600)
words = rng.dirichlet(np.full(30, 0.5), 3)[topic]
X = rng.poisson(words * rng.gamma(2, 20, (600, 1))).astype(float)
X_train, X_test = X[:400], X[400:]

# %%
# The two likelihoods of counts are probabilities, so their scores can be compared with each other.
# A score of ``"gaussian"`` is a density and can not. Here they are equal: once the codes tell
# topic and length, counts scatter as Poisson counts do. Where they scatter more,
# ``"negative_binomial"`` is ahead.

for likelihood in ("poisson", "negative_binomial"):
    vae = VAETransformer(2, likelihood=likelihood, max_iter=20, random_state=0).fit(X_train)
    accuracy = cross_val_score(LogisticRegression(), vae.transform(X), topic, cv=3).mean()
    score = vae.score(X_test)
    print(f"{likelihood}: {score:.1f} nats per row, topics found {accuracy:.2f}")

# %%
# Samples are counts, too.

vae.sample(2, random_state=0).astype(int)
