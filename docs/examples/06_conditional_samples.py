"""
New rows with given values
==========================

``sample`` draws new rows. With ``given``, some of their cells have the values you ask for, and the
others are drawn to fit them.
"""

# %%
# The iris data, with the species as a column of text.

import matplotlib.pyplot as plt
from sklearn.datasets import load_iris

from skvae import VAETransformer

iris = load_iris(as_frame=True)
flowers = iris.data.set_axis(["sepal length", "sepal width", "petal length", "petal width"], axis=1)
flowers["species"] = iris.target_names[iris.target]
vae = VAETransformer(3, max_iter=0, random_state=0).fit(flowers)
vae.sample(5, random_state=0)

# %%
# Rows of one species, and rows of one petal length.

vae.sample(5, given={"species": "virginica"}, random_state=0)

# %%
long = vae.sample(300, given={"petal length": 5.5}, random_state=0)
print(long["species"].value_counts(normalize=True).round(2).to_dict())

# %%
# Samples of each species beside the flowers that were measured.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), sharex=True, sharey=True, layout="constrained")
for species in iris.target_names:
    drawn = vae.sample(50, given={"species": species}, random_state=0)
    for ax, rows in zip(axes, (flowers[flowers["species"] == species], drawn), strict=True):
        ax.plot(rows["sepal length"], rows["petal length"], "o", markersize=4, label=species)
axes[0].set(title="measured", xlabel="sepal length", ylabel="petal length")
axes[1].set(title="drawn", xlabel="sepal length")
axes[1].legend()
