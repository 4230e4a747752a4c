"""Questions to a fitted model about rows of which cells may be missing."""

from collections.abc import Callable, Iterable

import numpy as np

from skvae.data.batches import Values
from skvae.data.columns import has_missing
from skvae.fitted.model import FittedModel


def ask(
    model: FittedModel, X: Values, question: Callable[[FittedModel, Values], Iterable[np.ndarray]]
) -> list[np.ndarray]:
    """Arrays that a model answers of rows; it needs help where fit had no missing cells."""
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
