"""What an estimator needs to go to ONNX."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from os import PathLike
from typing import Any

from sklearn.base import BaseEstimator

from skvae.ambient import asking
from skvae.export.converter import register
from skvae.export.questions import exported
from skvae.persistence.writing import write_whole


class Exportable(BaseEstimator, ABC):
    """An estimator that `to_onnx` writes as a graph of ONNX."""

    @abstractmethod
    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is something to be written."""

    @asking
    def to_onnx(
        self,
        path: str | PathLike[str],
        outputs: Sequence[str] = ("codes",),
        *,
        dtype: Any = None,
    ) -> None:
        """Write the fitted model as a graph that onnxruntime runs, without Python.

        Centring, principal scores, networks, the steps that refine codes, their order and units
        are all in it, as `transform` does them at the moment; it holds no other data of the
        training than `fit` has learnt. The number of rows is free. The file is there as a whole
        or not at all. Needs `pip install 'skvae[onnx]'`.

        A matrix is one input, "X", NaN where a cell is missing. Of a frame with text, categories,
        booleans or likelihoods of its own every column is an input of shape (n, 1), named as the
        column, with an underscore for what is no letter, digit or underscore: floats, NaN where
        missing; whole numbers and booleans, if fit saw no gaps in them, else floats; levels as
        text or numbers, of which anything that is no level of fit counts as missing, which tells
        as little of the codes. A graph refuses nothing: what `transform` would refuse, such as a
        negative count, has codes that mean nothing.

        Parameters
        ----------
        path : str or path-like
            Where to; a file that is there is replaced. The usual ending is ".onnx".
        outputs : sequence of str, default=("codes",)
            What it answers: "codes", as `transform`; "reconstruction", as `inverse_transform` of
            these, of frames with columns of their own "reconstruction_" and the name of each;
            "mean" and "std", as `encode`; "score", as `score_samples`, in shape (n, 1), of
            matrices where the linear start was kept.
        dtype : {"float32", "float64"}, default=None
            Type of "X" and of codes, means, deviations and scores. None: that of the rows of fit.

        Raises
        ------
        NotFittedError
            If there is nothing to be written yet.
        ImportError
            If onnx is not installed.
        TypeError
            If a part of the model has no form in ONNX, such as a layer of an architecture of your
            own; the message names it.
        ValueError
            If there is no such output, or the model has no such score.
        OSError
            If the file cannot be written.

        See Also
        --------
        save : A file that holds the estimator as a whole.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import onnxruntime
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer
        >>> X = load_iris().data
        >>> vae = VAETransformer(latent_dim=2, max_iter=0).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vae.to_onnx(Path(folder) / "iris.onnx")
        ...     session = onnxruntime.InferenceSession(Path(folder) / "iris.onnx")
        >>> (codes,) = session.run(["codes"], {"X": X})
        >>> bool(abs(codes - vae.transform(X)).max() < 1e-12)
        True
        """
        write_whole(path, exported(self, dtype).proto(outputs).SerializeToString())

    @classmethod
    def register_onnx_converter(cls) -> None:
        """Tell skl2onnx how a Pipeline with such a step goes to ONNX.

        Once in a process, before `skl2onnx.to_onnx` is called with the Pipeline. The step answers
        its codes, in the type that comes to it: a matrix of floats. Needs
        `pip install 'skvae[onnx]'`.

        Raises
        ------
        ImportError
            If skl2onnx is not installed.

        See Also
        --------
        to_onnx : The estimator by itself, also one of tables.
        """
        register(cls)
