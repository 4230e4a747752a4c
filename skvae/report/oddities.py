"""The rows that a model finds hardest to explain, and which of their cells are to blame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skvae.report.frames import with_one_hidden

N_ROWS = 8
N_CELLS = 3  # of a row that are told
LEAST_SURPRISE = 1.0  # nats, of a cell that is told


@dataclass(frozen=True, eq=False)
class OddRow:
    """One of them.

    Parameters
    ----------
    row : int
        Its number in the file, the first row after the names being 1.
    score : float
        Log-likelihood, nats.
    cells : list of (str, object, object, float)
        The most surprising cells: column, value, what the others make expect, and how many nats
        less likely than usual the cell is given the others.
    """

    row: int
    score: float
    cells: list[tuple[str, Any, Any, float]]


def odd_rows(
    vae: Any, frame: pd.DataFrame, scores: np.ndarray, places: np.ndarray, usual: np.ndarray
) -> list[OddRow]:
    """The rows of the lowest log-likelihood, the oddest first.

    Parameters
    ----------
    vae : VAETransformer
        Fitted.
    frame : DataFrame of shape (n, d)
        Rows.
    scores : ndarray of shape (n,)
        Their log-likelihoods.
    places : ndarray of shape (n,)
        Their positions in the file.
    usual : ndarray of shape (d,)
        Of each column the usual log-likelihood of a cell given the others: what a cell has less
        than that is its surprise.
    """
    oddest = np.argsort(scores, kind="stable")[:N_ROWS]
    rows = frame.iloc[oddest].reset_index(drop=True)
    hidden = with_one_hidden(rows)
    d = frame.shape[1]
    rest = np.asarray(vae.score_samples(hidden)).reshape(len(rows), d)
    vae.set_output(transform="default")
    filled = pd.DataFrame(vae.impute(hidden), columns=frame.columns).reset_index(drop=True)
    found = []
    for i, place in enumerate(oddest):
        surprise = np.where(rows.iloc[i].notna(), scores[place] - rest[i] - usual, np.inf)
        worst = np.argsort(surprise, kind="stable")[: min(N_CELLS, d)]
        cells = [
            (frame.columns[j], rows.iloc[i, j], filled.iloc[i * d + j, j], -float(surprise[j]))
            for j in worst
            if surprise[j] < -LEAST_SURPRISE
        ]
        found.append(OddRow(int(places[place]) + 1, float(scores[place]), cells))
    return found
