"""
Pipeline and search
===================

Replace PCA by ``VAETransformer`` in a Pipeline, and let ``GridSearchCV`` choose a parameter.
"""

# %%
# The digits of scikit-learn: 1797 images of 8 x 8 pixels. The classifier sees four numbers per
# image.

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from skvae import VAETransformer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)

# %%
# The two Pipelines differ in one step. ``max_iter=10`` limits the training to 10 epochs, that is,
# 10 passes over the training rows; the default goes on as long as held-out rows gain.

vae = VAETransformer(latent_dim=4, max_iter=10, random_state=0)
for reducer in (PCA(n_components=4), vae):
    model = make_pipeline(reducer, LogisticRegression(max_iter=2000)).fit(X_train, y_train)
    print(f"{type(reducer).__name__}: accuracy {model.score(X_test, y_test):.3f}")

# %%
# Parameters of the step are searched as in any Pipeline. Two candidates, two folds; more in
# earnest.

search = GridSearchCV(
    make_pipeline(vae.set_params(max_iter=5), LogisticRegression(max_iter=2000)),
    {"vaetransformer__latent_dim": [2, 8]},
    cv=2,
)
search.fit(X_train, y_train)
print(search.best_params_, f"accuracy {search.score(X_test, y_test):.3f}")
