"""DaskVAETransformer: a VAETransformer that is fitted and asked where the rows are."""

import copy
import inspect
import uuid
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from distributed import Client, get_client
from sklearn.base import BaseEstimator

from skvae._sklearn import Interval, check_options
from skvae.ambient import warn
from skvae.dask.answering import Answering, seed_of
from skvae.dask.gang import fit_together
from skvae.dask.rows import checked, pieces
from skvae.estimator import VAETransformer
from skvae.limits import Limits

_OWN = {"client": None, "max_restarts": 3}  # parameters, and their defaults
_LEFT_OUT = ("distributed",)  # which goes without saying


def _signature() -> inspect.Signature:
    """That of VAETransformer, with the parameters of a cluster."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    theirs = inspect.signature(VAETransformer).parameters.values()
    kept = [parameter for parameter in theirs if parameter.name not in _LEFT_OUT]
    own = [inspect.Parameter(name, keyword, default=default) for name, default in _OWN.items()]
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature([itself, *kept, *own])


class DaskVAETransformer(Answering):
    """VAETransformer for rows that are spread over a cluster of Dask.

    `fit` takes arrays and DataFrames of Dask. Each partition holds whole rows. The workers that
    hold the partitions train together, as the processes of a `torch.distributed` group do. Rows
    stay on their workers, except for a sample of bounded size that all workers receive. The other
    methods are lazy and work by partitions. For rows in memory they compute the result at once.

    If a worker is lost, Dask recomputes its partitions, and the remaining workers restart the fit.
    With `checkpoint_dir` they resume from the last checkpoint.

    Parameters
    ----------
    latent_dim : int, float, "auto" or None, default=2
        Number of codes. All other parameters are those of `VAETransformer` too, except for
        `distributed`, which does not exist here. With `deterministic` the model is the same to the
        bit for any number of workers.
    client : distributed.Client or None, default=None
        Client of the cluster. None takes the current client. Pickles leave it out.
    max_restarts : int, default=3
        Largest number of restarts of a fit after lost workers, at least 0.

    Attributes
    ----------
    n_restarts_ : int
        Number of restarts of the fit.

    See Also
    --------
    VAETransformer : Has the same other fitted attributes.

    Examples
    --------
    >>> import dask.array
    >>> from distributed import Client, LocalCluster
    >>> from skvae.dask import DaskVAETransformer
    >>> cluster = LocalCluster(n_workers=2, threads_per_worker=1)  # doctest: +SKIP
    >>> client = Client(cluster)  # doctest: +SKIP
    >>> X = dask.array.random.default_rng(0).normal(size=(1000, 6), chunks=(250, 6))
    >>> vae = DaskVAETransformer(2, random_state=0).fit(X)  # doctest: +SKIP
    >>> vae.transform(X)  # doctest: +SKIP
    dask.array<_of_rows, shape=(1000, 2), dtype=float64, chunksize=(250, 2), ...>
    """

    client: Client | None
    max_restarts: int
    random_state: Any
    warm_start: bool
    limits: ClassVar[Limits] = Limits()  # of computing, read by fit
    _parameter_constraints = {"max_restarts": [Interval(Integral, 0, None, closed="left")]}

    def __init__(self, *args, client=None, max_restarts=3, **parameters):
        for name in parameters.keys() & set(_LEFT_OUT):
            raise TypeError(f"{type(self).__name__} has no parameter {name!r}: leave it out.")
        given = VAETransformer(*args, **parameters).get_params(deep=False)
        self.__dict__.update({name: given[name] for name in given if name not in _LEFT_OUT})
        self.client = client
        self.max_restarts = max_restarts

    __init__.__signature__ = _signature()  # type: ignore[attr-defined]  # which scikit-learn reads

    @classmethod
    def from_local(cls, vae, *, client=None, max_restarts=3):
        """Make an estimator for a cluster from a `VAETransformer`, fitted or not.

        Parameters
        ----------
        vae : VAETransformer
            The estimator.
        client : distributed.Client or None, default=None
            Client of the cluster. None takes the current client.
        max_restarts : int, default=3
            Largest number of restarts of a fit after lost workers.

        Returns
        -------
        vae : DaskVAETransformer
            An estimator with the same parameters. It is fitted if the given one is.

        Examples
        --------
        >>> from skvae import VAETransformer
        >>> from skvae.dask import DaskVAETransformer
        >>> vae = VAETransformer(1, max_iter=0).fit([[0.0, 1.0], [2.0, 3.0], [4.0, 6.0]])
        >>> DaskVAETransformer.from_local(vae).transform([[0.0, 1.0]]).shape
        (1, 1)
        """
        given = vae.get_params(deep=False)
        own = {name: given[name] for name in given if name not in _LEFT_OUT}
        made = cls(**own, client=client, max_restarts=max_restarts)
        if vae.__sklearn_is_fitted__():
            made._learn(copy.copy(vae), 0)
        return made

    def to_local(self):
        """Return the estimator without the cluster.

        Returns
        -------
        vae : VAETransformer
            An estimator with the same parameters. It is fitted if this one is. Its methods take
            rows in memory, and its `save` writes it to a file.

        Examples
        --------
        >>> from skvae.dask import DaskVAETransformer
        >>> DaskVAETransformer(3).to_local()
        VAETransformer(latent_dim=3)
        """
        vae = copy.copy(vars(self).get("_local")) or VAETransformer()
        vae.set_params(**self._parameters())
        return vae.set_output(transform=self._container)

    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to the rows of all partitions.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Training rows, as for `VAETransformer.fit`; blocks may be sparse. Chunk sizes may be
            unknown, and partitions may be empty.
        y : Ignored
            Present for API consistency.
        sample_weight : dask.array.Array, dask.dataframe.Series or array-like, default=None
            Weight of each row, of shape (n_samples,), with the partitions of X. Weights in memory
            need known chunk sizes.

        Returns
        -------
        self : DaskVAETransformer
            The fitted estimator.

        Raises
        ------
        TypeError
            If X is neither an array nor a DataFrame of Dask.
        ValueError
            If X or a parameter cannot be used, or partitions have different columns.
        DivergenceError
            If the loss is not finite.
        RuntimeError
            If there is no cluster.
        TeamError
            If workers were lost more than `max_restarts` times, or none is left.
        """
        check_options(self)
        vae = self.to_local() if self._goes_on() else VAETransformer(**self._parameters())
        vae.set_params(distributed="auto")
        if isinstance(self.random_state, np.random.RandomState):
            vae.set_params(random_state=seed_of(self.random_state))
        vae._validate_params()
        if "limits" in vars(self):
            vae.__dict__["limits"] = self.limits
        parts = pieces(checked(X), sample_weight)
        outcome, n_restarts = fit_together(self._connected(), vae, parts, self.max_restarts)
        for warning in outcome.warned:
            warn(warning)
        self._learn(outcome.vae, n_restarts)
        return self

    def _parameters(self) -> dict[str, Any]:
        """The parameters of the estimator without the cluster."""
        return {name: value for name, value in vars(self).items() if name in _theirs()}

    def _goes_on(self) -> bool:
        return self.warm_start and self.__sklearn_is_fitted__()

    def _connected(self) -> Client:
        if self.client is not None:
            return self.client
        try:
            return get_client()
        except ValueError as error:
            raise RuntimeError(
                "there is no Dask cluster; start one: from distributed import Client, "
                "LocalCluster; client = Client(LocalCluster(n_workers=2, threads_per_worker=1))."
            ) from error

    def _learn(self, vae: VAETransformer, n_restarts: int) -> None:
        self._local = vae.set_params(**self._parameters(), distributed=None)
        self._name, self.n_restarts_ = f"skvae-{uuid.uuid4().hex}", n_restarts

    def __getattr__(self, name: str) -> Any:
        """What was fitted is that of the estimator without the cluster."""
        local = vars(self).get("_local")
        if local is not None and name.endswith("_") and not name.startswith("_"):
            return getattr(local, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"client": None}

    def __sklearn_clone__(self):
        twin = BaseEstimator.__sklearn_clone__(copy.copy(self))  # which has no client to copy
        twin.client, twin._container = self.client, self._container
        if "limits" in vars(self):
            twin.__dict__["limits"] = self.limits
        return twin

    def __sklearn_is_fitted__(self) -> bool:
        return "_local" in vars(self)

    def __sklearn_tags__(self):
        return VAETransformer(**self._parameters()).__sklearn_tags__()


def _theirs() -> list[str]:
    """Names of the parameters of the estimator without the cluster."""
    return [name for name in inspect.signature(VAETransformer).parameters if name not in _LEFT_OUT]
