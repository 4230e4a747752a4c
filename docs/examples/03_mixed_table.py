"""
A table of mixed types, end to end
==================================

Text, an ordered category, a boolean, a count, numbers and missing cells go in as they are. The
same columns come out.
"""

# %%
# A made table of 800 people.

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skvae import VAETransformer

rng = np.random.default_rng(0)
n = 800
age = rng.normal(40, 12, n).clip(18, 80).round()
level = (rng.normal(1.2, 0.9, n) + 0.02 * (age - 40)).round().clip(0, 3).astype(int)
people = pd.DataFrame(
    {
        "age": age,
        "school": pd.Categorical.from_codes(level, ["none", "school", "college", "doctor"], True),
        "work": np.where(rng.normal(level, 1.2) > 1.8, "state", "private"),
        "visits": rng.poisson(np.exp(0.4 + 0.02 * (age - 40))),
        "married": rng.normal(age, 8) > 38,
        "income": np.exp(rng.normal(7 + 0.3 * level, 0.4)).round(),
    }
)
people.loc[rng.random(n) < 0.1, "work"] = None
people.loc[rng.random(n) < 0.1, "income"] = np.nan
people.head()

# %%
# The likelihood of a column follows from its dtype. Two columns get a better one by name.

likelihood = {"visits": "poisson", "income": "lognormal"}
vae = VAETransformer(3, likelihood=likelihood, max_iter=10, random_state=0).fit(people)
print("how much of the training is kept:", vae.kept_)
vae.set_output(transform="pandas").transform(people).head()

# %%
# Codes lead back to rows, with the dtypes of the table.

vae.inverse_transform(vae.transform(people)).head()

# %%
# In a Pipeline it replaces the encoder, the imputer, the scaler and PCA. The target stays out of
# X.

X, y = people.drop(columns="married"), people["married"]
reducer = VAETransformer(5, likelihood=likelihood, max_iter=0, random_state=0)
accuracy = cross_val_score(make_pipeline(reducer, LogisticRegression()), X, y, cv=3)
print(f"accuracy {accuracy.mean():.2f}, most frequent class {max(y.mean(), 1 - y.mean()):.2f}")
