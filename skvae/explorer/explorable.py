"""What an estimator needs to be explored in a browser."""

from abc import ABC, abstractmethod
from os import PathLike
from typing import Any

from sklearn.base import BaseEstimator

from skvae.ambient import asking
from skvae.explorer.content import content_of
from skvae.explorer.page import Page


class Explorable(BaseEstimator, ABC):
    """An estimator whose codes and decoder `explore` shows."""

    @abstractmethod
    def _check_rows(self, X, method):
        """X as it was read, for a method of a fitted estimator."""

    @asking
    def explore(
        self,
        X: Any,
        y: Any = None,
        path: str | PathLike[str] | None = None,
        *,
        image_shape: Any = None,
    ) -> Page:
        """Make a page that shows rows and what the decoder makes, to be opened in a browser.

        One file of HTML that needs no server and no network: a map of any two codes, a click on
        which decodes that point; rows with their reconstruction and score; what codes do to
        columns; error and likelihood by the number of codes; the oddest rows; the course of the
        training. It holds rows of X, as many as fit in 10 MB: give it to nobody who must not see
        them. Needs `pip install 'skvae[explore]'`.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            Rows; of more than 50000 as many are drawn.
        y : array-like of shape (n_samples,), default=None
            What colours the rows at first: classes, numbers, or dates and times.
        path : str or path-like, default=None
            Where the page is written to; None writes none.
        image_shape : tuple of int, default=None
            Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w).

        Returns
        -------
        page : Page
            Shown in a notebook as it is; `save(path)` writes it, `to_html()` is its text.

        Raises
        ------
        ImportError
            If plotly is not installed.
        ValueError
            If X, y or `image_shape` cannot be used.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer
        >>> X, y = load_iris(return_X_y=True)
        >>> vae = VAETransformer(latent_dim=2, max_iter=0).fit(X)
        >>> vae.explore(X, y)
        <skvae page of 150 rows and 2 codes>
        """
        values = self._check_rows(X, "explore").values
        page = Page(content_of(self, X, values, y, image_shape))
        if path is not None:
            page.save(path)
        return page
