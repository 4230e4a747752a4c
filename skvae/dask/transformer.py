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
    """A VAETransformer whose rows are spread over a cluster of Dask.

    `fit` takes arrays and dataframes of Dask whose partitions are whole rows. The workers that
    hold the partitions train together, as the processes of a group of `torch.distributed`; rows
    stay with them, but for a sample of bounded size that all of them know. Other methods answer
    lazily, partition by partition; about rows that are at hand they answer at once.

    Where a worker is lost, Dask makes its partitions again and the workers that are left begin
    the fit again, with `checkpoint_dir` where it was.

    Parameters
    ----------
    latent_dim : int, float, "auto" or None, default=2
        Number of codes. This and all further parameters are those of `VAETransformer`, but for
        `distributed`, which goes without saying. With `deterministic` the model is the same to
        the bit whatever the number of workers.
    client : distributed.Client or None, default=None
        The cluster. None is the client that is current or was made last. It does not go into
        pickles.
    max_restarts : int, default=3
        How often a fit begins again after a worker was lost.

    Attributes
    ----------
    n_restarts_ : int
        How often the fit began again.

    See Also
    --------
    VAETransformer : Its fitted attributes are those of this one, too.

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
        """The same estimator, fitted or not, over a cluster.

        Parameters
        ----------
        vae : VAETransformer
            The estimator.
        client : distributed.Client or None, default=None
            The cluster.
        max_restarts : int, default=3
            How often a fit begins again.

        Returns
        -------
        vae : DaskVAETransformer
            It has the parameters and what was fitted.
        """
        given = vae.get_params(deep=False)
        own = {name: given[name] for name in given if name not in _LEFT_OUT}
        made = cls(**own, client=client, max_restarts=max_restarts)
        if vae.__sklearn_is_fitted__():
            made._learn(copy.copy(vae), 0)
        return made

    def to_local(self):
        """The estimator without the cluster.

        Returns
        -------
        vae : VAETransformer
            With the parameters and, if this one is fitted, what was fitted. Its answers are
            computed at once, about rows that are at hand; `save` keeps it in a file.
        """
        vae = copy.copy(vars(self).get("_local")) or VAETransformer()
        vae.set_params(**self._parameters())
        return vae.set_output(transform=self._container)

    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to the rows of all partitions.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Training rows, as `VAETransformer.fit` takes them, blocks of sparse rows too. Sizes of
            chunks need not be known, and partitions may be empty.
        y : Ignored
            Present for API consistency.
        sample_weight : dask.array.Array, dask.dataframe.Series or array-like, default=None
            Weight of each row, in the partitions of X; at hand only where their sizes are known.

        Returns
        -------
        self : DaskVAETransformer
            The fitted estimator.

        Raises
        ------
        TypeError
            If X is no array and no dataframe of Dask.
        ValueError
            If X or a parameter cannot be used, or partitions do not have the same columns.
        DivergenceError
            If the loss is not finite.
        RuntimeError
            If there is no cluster, or workers were lost more than `max_restarts` times.
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
                "there is no cluster of Dask yet; make one: from distributed import Client, "
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
