"""What an estimator needs to be kept in a file."""

from abc import ABC, abstractmethod
from os import PathLike
from typing import Any, Self

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skvae._sklearn import OF_CALLBACKS, check_parameters
from skvae.ambient import asking, undisturbed
from skvae.devices import is_available
from skvae.fitted.doubts import on_cpu
from skvae.persistence.container import read
from skvae.persistence.estimators import Content, estimator_of, packed, takes_own, unpacked
from skvae.persistence.states import check_state
from skvae.persistence.tables import LEARNED, OPTIONAL, PRIVATE
from skvae.persistence.writing import write_whole
from skvae.pickles import VERSION, opened, signed

_REMEMBERED = ("_spectra",)  # what is found again when it is needed
_OF_A_FIT = ("progress_", *OF_CALLBACKS)  # who follows it, and how far it is
_OF_THE_MACHINE = {"checkpoint_dir": None}  # a file names no folders, and chooses none


class Keepable(BaseEstimator, ABC):
    """Estimator that `save` writes to a file and `load` reads."""

    @abstractmethod
    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is something to be saved."""

    @asking
    def save(self, path: str | PathLike[str]) -> None:
        """Save the fitted estimator to a file that contains no code.

        The file is a safetensors file. Its metadata contain parameters, columns and versions as
        JSON. The loaded estimator gives the same results, to the bit on the same machine. The file
        is complete or not written at all. After an error, such as a full disk, the previous file is
        unchanged.

        Parameters
        ----------
        path : str or path-like
            The file, usually with the ending ".skvae". An existing file is replaced.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If JSON cannot represent a parameter, such as a function as architecture. Also if the
            estimator is a subclass of your own. The message names it.
        OSError
            If the file cannot be written.

        See Also
        --------
        load : Reads the file.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer, load
        >>> X = load_iris().data
        >>> vae = VAETransformer(latent_dim=2, max_iter=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vae.save(Path(folder) / "iris.skvae")
        ...     loaded = load(Path(folder) / "iris.skvae")
        >>> bool((loaded.transform(X) == vae.transform(X)).all())
        True
        """
        check_is_fitted(self)
        kind = type(self)
        if Keepable not in kind.__bases__:
            raise TypeError(
                f"{kind.__name__} is your own class, which a file cannot contain: save a "
                f"{kind.__mro__[1].__name__}, or pickle it."
            )
        write_whole(path, packed(self._content(), VERSION))

    def _content(self) -> Content:
        """What is kept; a TypeError names what is not known."""
        parameters: dict[str, Any] = self.get_params(deep=False) | _OF_THE_MACHINE
        learned = {
            name: value
            for name, value in vars(self).items()
            if name not in (*parameters, *_REMEMBERED, *_OF_A_FIT)
        }
        known = LEARNED | PRIVATE | OPTIONAL
        for name in learned:
            if name not in known:
                raise TypeError(
                    f"the attribute {name} does not come from a fit and cannot be saved: delete "
                    "it first, and store it elsewhere."
                )
        return Content(type(self).__name__, parameters, learned, takes_own(self))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Load an estimator from a file that `save` wrote.

        The file contains no code. It is checked before the estimator is built: sizes, names, types,
        parameters and a checksum. Then the results of the loaded model for a few rows are compared
        with those in the file.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        estimator : VAETransformer
            The fitted estimator. If its device is not available, it is on the CPU, with a warning.

        Raises
        ------
        LoadError
            If the file was not written by `save`, or is damaged. The message says what is wrong.
        OSError
            If the file cannot be read.

        See Also
        --------
        VAETransformer.save : Writes the file.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from skvae import VAETransformer, load
        >>> vae = VAETransformer(1, max_iter=0).fit([[0.0, 1.0], [2.0, 3.0], [4.0, 6.0]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vae.save(Path(folder) / "model.skvae")
        ...     load(Path(folder) / "model.skvae").n_samples_
        3
        """
        with undisturbed():
            made: Self = estimator_of(unpacked(read(path)), cls)
        return made

    def __copy__(self):
        # Not by its state, which is taken for one that others have made.
        twin = object.__new__(type(self))
        twin.__dict__ = {name: own for name, own in vars(self).items() if name != "progress_"}
        return twin

    def __getstate__(self):
        state = super().__getstate__()
        # What is remembered stays here; that there is something tells a clone.
        return signed(state | {name: None for name in state if name in _REMEMBERED})

    def __setstate__(self, state):
        needed = list(self._parameter_constraints)
        if isinstance(state, dict) and "_model" in state:
            needed += [*LEARNED, *PRIVATE]
        own = opened(state, type(self).__name__, needed)
        if "_model" in own:
            check_state(own, type(self))
        super().__setstate__(own)
        if "_model" in own:
            check_parameters(self)
        model = getattr(self, "_model", None)
        if model is not None and not is_available(torch.device(model.device)):
            self._model, self.device_ = on_cpu(model), "cpu"
