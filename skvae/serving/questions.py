"""What can be asked of a model about the rows of a table, with answers in kind.

A frame of pandas, polars or Arrow goes in, and one of the same library comes out, with as many rows
in the same order and, of pandas, the same index. To add a question, enter it in the table that ends
the module.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.base import BaseEstimator

from skvae._sklearn import output_container
from skvae.data.arrow import arrow_of
from skvae.data.containers import library, name_of
from skvae.data.excerpts import excerpt
from skvae.data.input import Input
from skvae.data.schema import matrix_of
from skvae.serving.selection import Carried, Needed, Selection

SCORE = "log_likelihood"  # the column of scores


@dataclass(frozen=True)
class Question:
    """What is asked: a method of the estimator, whose output is a frame."""

    needed: Callable[[BaseEstimator], Needed]
    answer: Callable[[BaseEstimator, Any], Any]
    of_no_rows: Callable[[BaseEstimator], Any]  # an answer of which the columns matter
    keeps_columns: bool = False  # whether the answer has the columns of the rows
    averaged: str | None = None  # a column of the answer of which the mean says something


class Asker:
    """One question to one model, about tables that have the same columns.

    Parameters
    ----------
    vae : VAETransformer
        The fitted estimator.
    method : str
        A name of the table of questions.
    carried : Carried
        What happens to columns that are none of the model's.
    """

    def __init__(self, vae: BaseEstimator, method: str, carried: Carried) -> None:
        self.question, self._carried = QUESTIONS[method], carried
        self.needed = self.question.needed(vae)
        self._vae = {
            container: copy.copy(vae).set_output(transform=container)
            for container in ("pandas", "polars")
        }

    def __call__(self, table: Any) -> Any:
        """The answer about a frame, in kind, beside the columns that are kept.

        Raises
        ------
        TypeError
            If it is no frame of pandas, polars or Arrow.
        ValueError
            If its columns, or its cells, are none that the model takes.
        """
        frame = _frame(table)
        container, names = name_of(frame), frame.columns
        selection = Selection.of(names, self.needed, self._carried)
        rows = frame[:, selection.own].to_native()
        answer = self._answer(rows, container)
        answer = nw.from_native(answer, eager_only=True)
        if self.question.keeps_columns:  # as the table has them, in its order
            kept = [n for n in selection.kept if n not in selection.own]
            answer = answer.rename(
                dict(zip(answer.columns, (names[n] for n in selection.own), strict=True))
            )
        else:
            kept = selection.kept
        _refuse_shared([names[n] for n in kept], answer.columns)
        joined = answer.to_native()
        if kept:
            joined = _JOINS[container](frame[:, kept].to_native(), joined)
        if container == "pandas":
            joined.index = frame.to_native().index
        if not self.question.keeps_columns:
            return joined
        places = np.argsort([*kept, *selection.own]).tolist()
        return nw.from_native(joined, eager_only=True)[:, places].to_native()

    def _answer(self, rows: Any, container: str) -> Any:
        """What the model says of rows with its columns and no others."""
        vae = self._vae["polars" if container == "polars" else "pandas"]
        if len(rows) == 0 and self.question.keeps_columns:
            return rows
        if len(rows) == 0:
            answer = self.question.of_no_rows(vae)[:0]
        else:
            answer = self.question.answer(vae, self._as_fitted(rows))
        if container != "pyarrow":
            return answer
        if self.question.keeps_columns:  # whose types are those of the rows
            return nw.from_native(answer, eager_only=True).to_arrow()
        return arrow_of(answer, [str(name) for name in answer.columns])

    def _as_fitted(self, rows: Any) -> Any:
        """Rows with the names of fit, or as the array that fit had."""
        needed = self.needed
        if not needed.is_named:
            return matrix_of(Input.of(rows))
        if _frame(rows).columns == needed.names:
            return rows
        # Names that are no text, which only pandas has.
        own = _frame(rows).to_pandas()
        own.columns = needed.names if needed.labels is None else needed.labels
        return own


def _frame(table: Any) -> nw.DataFrame:
    try:
        return nw.from_native(table, eager_only=True)
    except TypeError:
        raise TypeError(
            f"rows have the type {type(table).__name__}; pass a DataFrame of pandas or polars, a "
            "table or record batch of Arrow, or an iterator of these."
        ) from None


def _refuse_shared(kept: list[Any], names: list[str]) -> None:
    shared = [name for name in kept if name in names]
    if shared:
        raise ValueError(
            f"the column {excerpt(shared[0])} cannot be kept, because the result has a column of "
            "that name; rename it."
        )


def _join_pandas(left: Any, right: Any) -> Any:
    parts = [left.reset_index(drop=True), right.reset_index(drop=True)]
    return library("pandas").concat(parts, axis=1)


def _join_arrow(left: Any, right: Any) -> Any:
    columns = [*left.columns, *right.columns]
    return library("pyarrow").table(columns, names=[*left.column_names, *right.column_names])


_JOINS: dict[str, Callable[[Any, Any], Any]] = {
    "pandas": _join_pandas,
    "polars": lambda left, right: left.hstack(right),
    "pyarrow": _join_arrow,
}


def _codes_of_none(vae: BaseEstimator) -> Any:
    return _like_output(vae, np.zeros((1, vae.latent_dim_), vae._dtype), _code_names(vae))


def _scores(vae: BaseEstimator, X: Any) -> Any:
    return _like_output(vae, np.asarray(vae.score_samples(X))[:, None], [SCORE])


def _code_names(vae: BaseEstimator) -> list[str]:
    return vae.get_feature_names_out().tolist()


def _like_output(vae: BaseEstimator, values: np.ndarray, names: list[str]) -> Any:
    backend: Any = output_container(vae)
    return nw.from_numpy(values, schema=names, backend=backend).to_native()


# Methods of the estimator that answer row by row.
QUESTIONS: dict[str, Question] = {
    "transform": Question(Needed.rows_of, lambda vae, X: vae.transform(X), _codes_of_none),
    "score_samples": Question(
        Needed.rows_of,
        _scores,
        lambda vae: _like_output(vae, np.zeros((1, 1)), [SCORE]),
        averaged=SCORE,
    ),
    "impute": Question(
        Needed.rows_of, lambda vae, X: vae.impute(X), lambda vae: None, keeps_columns=True
    ),
    "inverse_transform": Question(
        Needed.codes_of,
        lambda vae, X: vae.inverse_transform(X),
        lambda vae: vae.inverse_transform(_codes_of_none(vae)),
    ),
}
