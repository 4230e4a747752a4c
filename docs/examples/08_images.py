"""
Images with convolutions
========================

``architecture="conv"`` takes rows as square images. ``Conv`` has the options, also for other
shapes.
"""

# %%
# The digits once more. Twelve epochs keep the example short.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from skvae import Conv, VAETransformer

X = load_digits().data / 16
X_train, X_test = X[:1200], X[1200:]
vae = VAETransformer(8, architecture=Conv(image_shape=(8, 8)), max_iter=12, random_state=0)
vae.fit(X_train)
pca = PCA(8).fit(X_train)

# %%
# Squared errors of images that neither model has seen.

restored = {m: m.inverse_transform(m.transform(X_test)) for m in (pca, vae)}
for model, images in restored.items():
    print(f"{type(model).__name__}: squared error {np.mean((images - X_test) ** 2):.4f}")

# %%
# Originals, PCA, VAETransformer, and new images.

lines = {
    "original": X_test[:10],
    "PCA": restored[pca][:10],
    "VAETransformer": restored[vae][:10],
    "drawn": vae.sample(10, random_state=0),
}
figure, axes = plt.subplots(4, 10, figsize=(8, 3.6), layout="constrained")
for line, (name, images) in zip(axes, lines.items(), strict=True):
    for ax, image in zip(line, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
