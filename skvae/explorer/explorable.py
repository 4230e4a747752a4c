"""What an estimator needs to be explored in a browser."""

from abc import ABC, abstractmethod
from os import PathLike
from typing import Any

from sklearn.base import BaseEstimator

from skvae.ambient import asking
from skvae.explorer.content import content_of
from skvae.explorer.page import Page


class Explorable(BaseEstimator, ABC):
    """Estimator whose codes and decoder `explore` shows."""

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
        """Make a web page that shows rows, their codes and the decoder.

        The page is one HTML file that needs no server and no network. It shows

        - a map of any two codes; a click decodes the point;
        - rows with their reconstructions and log-likelihoods;
        - the effect of each code on the columns;
        - error and log-likelihood by the number of codes;
        - the 20 least likely rows;
        - the history of the training.

        The page contains rows of X, as many as fit into 10 MB. Give it only to people who may see
        these rows. It needs `pip install 'skvae[explore]'`.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            Rows. Of more than 50000 rows a random sample of 50000 is shown, or fewer with many
            codes.
        y : array-like of shape (n_samples,), default=None
            Classes, numbers, or dates and times that set the first colours of the map.
        path : str or path-like, default=None
            File to write the page to. None writes no file.
        image_shape : tuple of int, default=None
            Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w), in pixels.

        Returns
        -------
        page : Page
            The page. Notebooks display it, `save(path)` writes it, and `to_html()` returns its
            text.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If plotly is not installed and the page is written or displayed.
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
