"""How like the real rows the rows are that a model draws: column by column, and pair by pair."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp, rankdata

from skvae.report.frames import is_number


@dataclass(frozen=True, eq=False)
class Likeness:
    """Real and drawn rows.

    Parameters
    ----------
    real, drawn : DataFrame
        Rows.
    distances : Series
        Of each column how far the two distributions are apart, from 0 to 1: the largest
        difference of the shares below a number, half the sum of the differences of levels' shares.
    real_pairs, drawn_pairs : ndarray of shape (d, d)
        Strength of the association of pairs of columns, from 0 to 1.
    """

    real: pd.DataFrame
    drawn: pd.DataFrame
    distances: pd.Series
    real_pairs: np.ndarray
    drawn_pairs: np.ndarray

    @property
    def pair_error(self) -> float:
        """Mean difference of the association of two columns."""
        upper = np.triu_indices(len(self.real_pairs), 1)
        return float(np.mean(np.abs(self.real_pairs - self.drawn_pairs)[upper]))


def likeness_of(real: pd.DataFrame, drawn: pd.DataFrame) -> Likeness:
    """Compare."""
    distances = {name: _distance(real[name].dropna(), drawn[name].dropna()) for name in real}
    return Likeness(real, drawn, pd.Series(distances), associations(real), associations(drawn))


def _distance(real: pd.Series, drawn: pd.Series) -> float:
    if is_number(real):
        return float(
            ks_2samp(real.to_numpy(float), drawn.to_numpy(float), method="asymp").statistic
        )
    shares = pd.concat(
        [own.astype(object).value_counts(normalize=True) for own in (real, drawn)], axis=1
    ).fillna(0.0)
    return float(0.5 * np.abs(shares.iloc[:, 0] - shares.iloc[:, 1]).sum())


def associations(frame: pd.DataFrame) -> np.ndarray:
    """How strongly two columns go together, from 0 to 1, shape (d, d).

    Of two numbers the absolute rank correlation; of a number and levels the square root of the
    share of the ranks' variance between levels; of levels Cramér's V.
    """
    columns = [cells for _, cells in frame.items()]
    found = np.eye(len(columns))
    for i, a in enumerate(columns):
        for j, b in enumerate(columns[:i]):
            both = (a.notna() & b.notna()).to_numpy()
            found[i, j] = found[j, i] = _association(a[both], b[both]) if both.sum() > 2 else 0.0
    return found


def _association(a: pd.Series, b: pd.Series) -> float:
    if is_number(b) and not is_number(a):
        a, b = b, a
    if not is_number(a):
        return _cramers_v(a, b)
    ranks = rankdata(a)
    if not np.ptp(ranks):
        return 0.0
    if is_number(b):
        other = rankdata(b)
        return float(abs(np.corrcoef(ranks, other)[0, 1])) if np.ptp(other) else 0.0
    groups = pd.Series(ranks).groupby(b.to_numpy(object)).transform("mean")
    return float(np.sqrt(groups.var(ddof=0) / ranks.var()))


def _cramers_v(a: pd.Series, b: pd.Series) -> float:
    counts = pd.crosstab(a.to_numpy(object), b.to_numpy(object)).to_numpy(float)
    least = min(counts.shape) - 1
    if least < 1:
        return 0.0
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    return float(np.sqrt(((counts - expected) ** 2 / expected).sum() / counts.sum() / least))
