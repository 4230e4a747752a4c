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
    """Estimator that `to_onnx` exports to ONNX."""

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
        """Write the fitted model as an ONNX graph, which onnxruntime runs without Python.

        The graph does all that `transform` does with its current parameters, including the steps
        that refine codes. It contains no training data beyond the fitted model. The number of rows
        is free. The file is complete or not written at all. It needs `pip install 'skvae[onnx]'`.

        A matrix is one input, "X", with NaN for missing cells. In a frame with text, categories or
        booleans, or with a dict of likelihoods, each column is an input of shape (n, 1). Its name
        is that of the column. Characters other than ASCII letters, digits and underscores become
        underscores. Its dtype depends on the column:

        - floats, with NaN for missing cells;
        - integers or booleans, if no cell of the column was missing in `fit`, otherwise floats;
        - text or numbers for columns with levels. A level that `fit` has not seen counts as
          missing.

        The graph does not check its input. Where `transform` raises an error, such as for a
        negative count, the codes of the graph are meaningless.

        Parameters
        ----------
        path : str or path-like
            The file, usually with the ending ".onnx". An existing file is replaced.
        outputs : sequence of str, default=("codes",)
            Outputs of the graph. "codes" are those of `transform`. "reconstruction" is
            `inverse_transform` of these codes. If columns are separate inputs, each has an output
            "reconstruction_NAME" instead. "mean" and "std" are those of `encode`. "score" is that
            of `score_samples`, of shape (n, 1), only for matrices whose linear start was kept.
        dtype : {"float32", "float64"}, default=None
            Dtype of "X" and of codes, means, standard deviations and scores. None takes the dtype
            of the training rows.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If onnx is not installed.
        TypeError
            If a part of the model has no ONNX form, such as a layer of your own architecture. The
            message names it.
        ValueError
            If `outputs` or `dtype` is invalid, or the model has no score in ONNX.
        OSError
            If the file cannot be written.

        See Also
        --------
        save : Writes the whole estimator to a file.

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
        """Register the converter of this estimator with skl2onnx.

        `skl2onnx.to_onnx` then converts Pipelines that contain it. Call this once per process. The
        step takes a matrix of floats and returns codes of the same dtype. It needs
        `pip install 'skvae[onnx]'`.

        Raises
        ------
        ImportError
            If skl2onnx is not installed.

        See Also
        --------
        to_onnx : Exports the estimator alone, also for tables.
        """
        register(cls)
