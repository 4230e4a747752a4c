"""Questions to a fitted model about rows of which cells may be missing.

Rows are asked about in blocks of `rows_at_once`, whatever their number: rounding hangs on the rows
that come together, so whoever has a part of the rows, and cuts it where blocks begin, gets the same
bits for it.
"""

from collections.abc import Callable, Iterable

import numpy as np

from skvae.data.batches import Values, batches
from skvae.data.columns import has_missing
from skvae.fitted.model import FittedModel

Question = Callable[[FittedModel, Values], Iterable[np.ndarray]]


def ask(model: FittedModel, X: Values, question: Question) -> list[np.ndarray]:
    """Arrays that a model answers of rows; it needs help where fit had no missing cells."""
    blocks = list(batches(*X.shape))
    if len(blocks) < 2:
        return _of_block(model, X, question)
    answers: list[np.ndarray] = []
    for block in blocks:
        own = _of_block(model, X[block], question)
        answers = answers or [np.empty((X.shape[0], *part.shape[1:]), part.dtype) for part in own]
        for answer, part in zip(answers, own, strict=True):
            answer[block] = part
    return answers


def _of_block(model: FittedModel, X: Values, question: Question) -> list[np.ndarray]:
    if model.representation.takes_gaps or not has_missing(X):
        answers = list(question(model, X))
    else:
        holed = np.isnan(X).any(1)
        answers = []
        some = X if holed.all() else X[holed]
        for theirs in question(model.of_cells(), some):
            answer = np.empty((len(X), *theirs.shape[1:]))
            answer[holed] = theirs
            answers.append(answer)
        if not holed.all():
            for answer, ours in zip(answers, question(model, X[~holed]), strict=True):
                answer[~holed] = ours
    return [answer.astype(X.dtype, copy=False) for answer in answers]
