"""
Watching a fit, and ending it
=============================

A callback hears of every pass over the rows. This one writes down what a fit has gained over PCA,
and ends it when that is enough. Callbacks need scikit-learn 1.9 or newer.
"""

# %%
# Four methods make a callback. What ``on_fit_task_end`` returns decides whether the fit ends. While
# a fit runs, ``progress_`` of the estimator tells how far it is.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skvae import VAETransformer

X = load_digits().data / 16


class EnoughGain:
    """Writes down the gain over PCA in nats per row; ends a fit that has gained so many."""

    max_propagation_depth = None  # a Pipeline or a search hands the callback on

    def __init__(self, nats):
        self.nats = nats
        self.gains = []

    def setup(self, estimator, context):
        self.gains.clear()

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name != "pass":
            return False
        self.gains.append(estimator.progress_.gain)
        return self.gains[-1] > self.nats

    def teardown(self, estimator, context):
        pass


# %%
# ``set_callbacks`` of a Pipeline or a search would hand it on to the steps that know callbacks.

watch = EnoughGain(nats=15)
vae = VAETransformer(2, random_state=0).set_callbacks(watch).fit(X)
print(f"ended after {len(watch.gains)} passes, {watch.gains[-1]:.1f} nats above PCA")

# %%
# A fit that is ended this way keeps the best weights so far. They are still judged by the rows
# held out: the model is better than PCA, or it is PCA.

print(f"kept_ {vae.kept_}, score above the linear start: {vae.score(X) - vae.pca_score_:.1f}")

fig, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot(range(1, len(watch.gains) + 1), watch.gains)
ax.axhline(watch.nats, color="grey", linestyle=":")
ax.set(xlabel="passes", ylabel="nats per row over PCA")
plt.show()
