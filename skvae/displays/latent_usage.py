"""How much each code holds."""

import numpy as np

from skvae.colors import GREY, INK, OURS, PALE, THEIRS
from skvae.displays.display import Display
from skvae.displays.source import complete, fitted_pca, split_pipeline
from skvae.displays.style import note


class LatentUsageDisplay(Display):
    """Bar charts of the KL divergence and the explained variance of each code.

    Parameters
    ----------
    kl : array-like of shape (latent_dim,)
        Mean KL divergence of each code from the prior, nats per row.
    explained_variance_ratio : array-like of shape (latent_dim,)
        Share of the variance that each code adds, from 0 to 1.
    pca_explained_variance_ratio : array-like of shape (n_components,), default=None
        The same shares for the components of PCA. None draws none.
    is_active : array-like of bool of shape (latent_dim,), default=None
        Whether each code is active. None marks all as active.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The given or new axes; the panels take its place.
    axes_ : list of matplotlib Axes
        The panels: KL divergence, explained variance.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import LatentUsageDisplay, VAETransformer
    >>> X = load_iris().data
    >>> vae = VAETransformer(2, max_iter=0).fit(X)
    >>> LatentUsageDisplay.from_estimator(vae, X).is_active
    array([ True,  True])
    """

    def __init__(
        self,
        *,
        kl,
        explained_variance_ratio,
        pca_explained_variance_ratio=None,
        is_active=None,
    ):
        self.kl = kl
        self.explained_variance_ratio = explained_variance_ratio
        self.pca_explained_variance_ratio = pca_explained_variance_ratio
        self.is_active = is_active

    @classmethod
    def from_estimator(cls, estimator, X=None, *, ax=None, **kwargs):
        """Draw the KL divergence and the explained variance of a fitted model's codes.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted estimator, or a fitted Pipeline that ends in one.
        X : array-like or DataFrame of shape (n_samples, n_features), default=None
            Rows of numbers, to which PCA is fitted for comparison; preferably the training rows.
            None leaves PCA out.
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : LatentUsageDisplay
            The display, already drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is neither a VAETransformer nor a Pipeline that ends in one.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X has missing cells or columns that are not numbers. Also if X is given and the model
            has one scale per column, because PCA has not.
        """
        before, vae = split_pipeline(estimator)
        ratio = None
        if X is not None:
            if np.ndim(vae.scale_):
                raise ValueError(
                    "shares of variance can be compared with PCA only if all columns have one "
                    "scale (likelihood 'gaussian'); leave X out to draw the codes alone."
                )
            rows = complete(before(X), cls.__name__)
            ratio = fitted_pca(rows, vae.latent_dim_).explained_variance_ratio_
        kl = np.asarray(vae.kl_per_dim_)
        # A code is inactive if its posterior mean hardly varies: those of least divergence.
        is_active = np.argsort(np.argsort(-kl, kind="stable")) < vae.n_active_
        display = cls(
            kl=kl,
            explained_variance_ratio=np.asarray(vae.explained_variance_ratio_),
            pca_explained_variance_ratio=ratio,
            is_active=is_active,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **bar_kw):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **bar_kw : dict
            Passed to `Axes.bar`.

        Returns
        -------
        self : LatentUsageDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is not part of a grid, which several panels need. Axes of `plt.subplots` are.
        """
        self._open(ax, (7.2, 3.0))
        kl, ratio = np.asarray(self.kl), 100 * np.asarray(self.explained_variance_ratio)
        is_active = np.ones(len(kl), bool) if self.is_active is None else np.asarray(self.is_active)
        left, right = self._divide(1, 2, wspace=0.12)
        colors = [OURS if active else GREY for active in is_active]
        for panel, heights in ((left, kl), (right, ratio)):
            panel.bar(np.arange(len(kl)), heights, **{"color": colors, "width": 0.75} | bar_kw)
            panel.set_xlabel("code")
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(axis="y", color=PALE, linewidth=0.6)
            panel.set_axisbelow(True)
            panel.axhline(0, color=GREY, linewidth=0.8)
        self._mark_inactive(left, is_active)
        left.set_ylabel("KL divergence, nats per row", fontsize="small")
        right.set_ylabel("share of variance, %", fontsize="small")
        active = f"{is_active.sum()} of {len(kl)} active"
        left.set_title(active, loc="left", fontsize="small", color=INK)
        self._draw_shares(right, ratio)
        return self

    def _mark_inactive(self, panel, is_active):
        inactive = np.flatnonzero(~is_active)
        if len(inactive) == 0:
            return
        place = panel.get_xaxis_transform()
        panel.scatter(inactive, np.full(len(inactive), 0.03), marker="x", s=16, color=INK,
                      linewidths=1, transform=place, label="inactive", zorder=4)  # fmt: skip
        note(panel, 0.99, 0.9, "\N{MULTIPLICATION SIGN} inactive", ha="right")

    def _draw_shares(self, panel, ratio):
        """Draw PCA's spectrum and write the sums, in the colours of who has them."""
        note(panel, 0, 1.02, f"VAE {ratio.sum():.3g}%", color=OURS)
        if self.pca_explained_variance_ratio is None:
            return
        theirs = 100 * np.asarray(self.pca_explained_variance_ratio)
        panel.plot(np.arange(len(theirs)), theirs, color=THEIRS, linewidth=1, marker="o",
                   markersize=4, label="PCA", zorder=3)  # fmt: skip
        note(panel, 1, 1.02, f"PCA {theirs.sum():.3g}%", color=THEIRS, ha="right")
