"""Frames of the columns that are taken: numbers, booleans, levels."""

import numpy as np
import pandas as pd

from skvae.report.entry import Entry


def frame_of(account: list[Entry], without: str | None = None) -> pd.DataFrame:
    """The columns that take part, but for the target."""
    return pd.DataFrame({e.name: e.cells for e in account if e.is_taken and e.name != without})


def is_number(cells: pd.Series) -> bool:
    """Whether a column of such a frame holds numbers, and not levels or booleans."""
    return pd.api.types.is_float_dtype(cells)


def split(frame: pd.DataFrame, share: float, rng: np.random.RandomState) -> tuple[np.ndarray, ...]:
    """Positions of rows to learn from, and of rows that are held out.

    Two different values of each column are among the first, so that none of them is constant.
    """
    order = rng.permutation(len(frame))
    held_out = np.zeros(len(frame), dtype=bool)
    held_out[order[: round(share * len(frame))]] = True
    for _, cells in frame.items():
        known = cells.iloc[order].dropna()
        different = known[~known.duplicated()].index[:2]
        held_out[frame.index.get_indexer(different)] = False
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def guesses(frame: pd.DataFrame) -> pd.Series:
    """What is guessed without knowing a row: means of numbers, the most frequent of levels."""
    return pd.Series(
        {
            name: cells.mean() if is_number(cells) else cells.mode().iloc[0]
            for name, cells in frame.items()
        },
        dtype=object,
    )


def constant(row: pd.Series, like: pd.DataFrame) -> pd.DataFrame:
    """A frame of which each row is the one given."""
    columns = {name: pd.Series([row[name]] * len(like), dtype=object) for name in like}
    return pd.DataFrame(columns).set_index(like.index)


def losses(real: pd.DataFrame, guess: pd.DataFrame, at: np.ndarray | None = None) -> pd.Series:
    """Of each column the mean squared error of numbers, the share of levels that are wrong.

    Parameters
    ----------
    real, guess : DataFrame of shape (n, d)
        What is, and what is thought to be. Missing cells do not count.
    at : ndarray of bool of shape (n, d), default=None
        Cells that count.

    Returns
    -------
    losses : Series of shape (d,)
        NaN where no cell counts.
    """
    found = {}
    for n, (name, cells) in enumerate(real.items()):
        counts = cells.notna().to_numpy() & (True if at is None else at[:, n])
        own, other = cells[counts], guess[name][counts]
        if not counts.any():
            found[name] = np.nan
        elif is_number(cells):
            found[name] = float(np.mean((own.to_numpy(float) - other.to_numpy(float)) ** 2))
        else:
            found[name] = float(np.mean(own.to_numpy(object) != other.to_numpy(object)))
    return pd.Series(found)


def relative(losses: pd.Series, of_guess: pd.Series) -> pd.Series:
    """Losses as shares of what guessing loses; NaN where guessing loses nothing."""
    return losses / of_guess.where(of_guess > 0)


def with_one_hidden(rows: pd.DataFrame) -> pd.DataFrame:
    """Each row as often as there are columns, with another cell missing each time."""
    n, d = rows.shape
    copies = rows.iloc[np.repeat(np.arange(n), d)].reset_index(drop=True)
    for j, name in enumerate(rows):
        copies[name] = copies[name].mask(np.arange(n * d) % d == j)
    return copies
