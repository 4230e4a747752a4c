"""What is measured for a report: three models of the same rows, and what they are worth."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skvae.amounts import counted
from skvae.data.excerpts import label
from skvae.estimator import VAETransformer
from skvae.report.entry import Entry
from skvae.report.frames import (
    constant,
    frame_of,
    guesses,
    losses,
    relative,
    split,
    with_one_hidden,
)
from skvae.report.likeness import Likeness, likeness_of
from skvae.report.oddities import OddRow, odd_rows
from skvae.report.onehot import OneHotPCA
from skvae.report.prediction import Prediction, predict

FEWEST_ROWS = 30
HELD_OUT = 0.25  # of the rows
MOST_HELD_OUT = 1000
HIDDEN = 0.2  # of the cells of held-out rows
MOST_CELLS = 1200  # of held-out rows with one cell hidden
_EXACT = 9  # decimals of a share of error; what is below is rounding
_MOST_TOLD = 5  # columns that are left out


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person asks a report for.

    Parameters
    ----------
    target : str or None
        The column that is to be predicted from codes, and is none of the model's.
    color : str or None
        The column that colours the map.
    n_codes : int or None
        Number of codes; None: as many as held-out rows say, from two to half of the columns.
    n_rows : int
        Rows that are used, at most: of more, some drawn at random.
    seed : int
        Of all that is random.
    """

    target: str | None = None
    color: str | None = None
    n_codes: int | None = None
    n_rows: int = 3000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Study:
    """What was found.

    Parameters
    ----------
    wishes : Wishes
        What was asked for.
    rows : ndarray of int
        Positions in the file of the rows that were used.
    frame : DataFrame
        The columns of the model.
    train, test : ndarray of int
        Positions in `frame` of rows that models learnt from, and of those held out.
    vae, linear : VAETransformer
        The model, and its linear start alone.
    codes, scores : ndarray of shape (n, k)
        Codes of all rows, and scores of PCA of one-hot columns.
    errors : DataFrame
        Of each column the share of the error of guessing that is left, by model.
    losses : DataFrame
        The same as the mean squared error, or the share that is wrong.
    nats : Series
        Of each model the log-likelihood of held-out rows, nats per row.
    given : DataFrame
        Of each column the log-likelihood of its cells given the others of their rows, in nats, by
        model.
    hidden : DataFrame
        Of each column the error of `impute` on hidden cells, and that of guessing.
    loadings : DataFrame
        Of the codes.
    color : Series or None
        What colours the map.
    prediction, likeness : Prediction or None, Likeness
        Of the target; of samples.
    median : float
        Log-likelihood that half of the rows exceed, nats.
    odd : list of OddRow
        The oddest rows.
    """

    wishes: Wishes
    rows: np.ndarray
    frame: pd.DataFrame
    train: np.ndarray
    test: np.ndarray
    vae: VAETransformer
    linear: VAETransformer
    codes: np.ndarray
    scores: np.ndarray
    errors: pd.DataFrame
    losses: pd.DataFrame
    nats: pd.Series
    given: pd.DataFrame
    hidden: pd.DataFrame
    loadings: pd.DataFrame
    color: pd.Series | None
    prediction: Prediction | None
    likeness: Likeness
    median: float
    odd: list[OddRow]

    @property
    def plane(self) -> tuple[int, int]:
        """Positions of the two codes that explain most."""
        return plane_of(self.vae)

    @property
    def gain(self) -> float:
        """Nats per held-out row beyond the linear model."""
        return float(self.nats["skvae"] - self.nats["linear"])

    @property
    def error(self) -> pd.Series:
        """Of each model the mean over columns of the share of error that is left."""
        return self.errors.mean().round(_EXACT)


def study(
    account: list[Entry], wishes: Wishes, report: Callable[[str], None] = lambda what: None
) -> Study:
    """Fit and measure.

    Raises
    ------
    ValueError
        If there are too few rows or columns.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of columns, which the account tells, and of convergence
        return _Work(account, wishes, report).done()


class _Work:
    """The work on one table."""

    def __init__(self, account: list[Entry], wishes: Wishes, report: Callable[[str], None]) -> None:
        self._account, self._wishes, self._report = account, wishes, report
        self._rng = np.random.RandomState(wishes.seed)
        everything = frame_of(account)
        own = everything.drop(columns=[wishes.target] if wishes.target in everything else [])
        _check(own, account)
        filled = np.flatnonzero(own.notna().any(axis=1))
        if wishes.n_rows < FEWEST_ROWS:
            raise ValueError(f"a report needs {FEWEST_ROWS} rows: --rows {wishes.n_rows} is less.")
        chosen = np.sort(self._rng.permutation(filled)[: wishes.n_rows])
        self._rows = chosen
        self._all = everything.iloc[chosen].reset_index(drop=True)
        self._frame = own.iloc[chosen].reset_index(drop=True)
        varying = self._frame.columns[self._frame.nunique() > 1]
        self._frame = self._frame[varying]
        n = len(self._frame)
        share = min(HELD_OUT, MOST_HELD_OUT / n)
        self._train, self._test = split(self._frame, share, self._rng)

    def done(self) -> Study:
        """All of it."""
        train, test = self._frame.iloc[self._train], self._frame.iloc[self._test]
        self._report("linear model")
        linear = self._linear(train)
        self._report("fit")
        vae = VAETransformer(linear.latent_dim_, random_state=self._wishes.seed).fit(train)
        self._report("measures")
        baseline = OneHotPCA(vae.latent_dim_).fit(train)
        own = [_back(vae, test), baseline.reconstruct(test), _back(linear, test)]
        names = ["skvae", "PCA", "linear"]
        guess = losses(test, constant(guesses(train), test))
        lost = pd.DataFrame(
            {name: losses(test, back) for name, back in zip(names, own, strict=True)}
        ).assign(guess=guess)
        errors = lost[names].apply(relative, of_guess=guess)
        codes, scores = np.asarray(vae.transform(self._frame)), baseline.transform(self._frame)
        drawn = vae.set_output(transform="pandas").sample(
            len(train), random_state=self._wishes.seed
        )
        given = self._given({"skvae": vae, "linear": linear}, test)
        likely = np.asarray(vae.score_samples(self._frame))
        odd = odd_rows(vae, self._frame, likely, self._rows, given["skvae"].median().to_numpy())
        return Study(
            self._wishes, self._rows, self._frame, self._train, self._test, vae, linear, codes,
            scores, errors, lost,
            pd.Series({"skvae": vae.score(test), "linear": linear.score(test)}),
            pd.DataFrame({name: own.mean() for name, own in given.items()}),
            self._hidden(vae, train, test), vae.loadings(train),
            self._color(codes[:, list(plane_of(vae))]), self._prediction(codes, baseline),
            likeness_of(train, drawn), float(np.median(likely)), odd,
        )  # fmt: skip

    def _linear(self, train: pd.DataFrame) -> VAETransformer:
        seed, n_codes = self._wishes.seed, self._wishes.n_codes
        linear = VAETransformer(n_codes or "auto", max_iter=0, random_state=seed).fit(train)
        if n_codes is not None:
            _check_codes(n_codes, linear)
        least, most = 2, max(2, train.shape[1] // 2)
        bounded = min(max(linear.latent_dim_, least), most)
        if n_codes is None and bounded != linear.latent_dim_:
            linear = VAETransformer(bounded, max_iter=0, random_state=seed).fit(train)
        return linear

    def _given(self, models: dict[str, Any], test: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Log-likelihood of cells given the others of their rows, by model; NaN where missing."""
        some = test.iloc[: max(20, MOST_CELLS // test.shape[1])]
        hidden, known = with_one_hidden(some), some.notna().to_numpy()
        found = {}
        for name, model in models.items():
            whole = np.asarray(model.score_samples(some))[:, None]
            rest = np.asarray(model.score_samples(hidden)).reshape(known.shape)
            found[name] = pd.DataFrame(np.where(known, whole - rest, np.nan), columns=test.columns)
        return found

    def _hidden(self, vae: VAETransformer, train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
        """Errors on cells of held-out rows that were hidden, and filled in."""
        at = (self._rng.random_sample(test.shape) < HIDDEN) & test.notna().to_numpy()
        holes = test.copy()
        for n, name in enumerate(holes):
            holes[name] = holes[name].mask(at[:, n])
        vae.set_output(transform="default")
        filled = pd.DataFrame(vae.impute(holes), columns=test.columns, index=test.index)
        guess = losses(test, constant(guesses(train), test), at)
        own = losses(test, filled, at)
        return pd.DataFrame(
            {"impute": own, "guess": guess, "share": relative(own, guess), "n": at.sum(axis=0)}
        )

    def _color(self, codes: np.ndarray) -> pd.Series | None:
        name = self._wishes.color or self._wishes.target
        if name is not None and name in self._all:
            return self._all[name]
        found = {own: _told_by(codes, cells) for own, cells in self._frame.items()}
        return self._frame[max(found, key=found.__getitem__)] if found else None

    def _prediction(self, codes: np.ndarray, baseline: OneHotPCA) -> Prediction | None:
        target = self._wishes.target
        if target is None:
            return None
        if target not in self._all:
            reason = next(entry.how for entry in self._account if entry.name == target)
            return Prediction(target, reason=reason)
        self._report("prediction")
        features = {
            "codes of skvae": codes,
            "scores of PCA": baseline.transform(self._frame),
            "all columns, one-hot": baseline.encode(self._frame),
        }
        return predict(self._all[target], features, self._wishes.seed)


def plane_of(vae: VAETransformer) -> tuple[int, int]:
    """Positions of the two codes that explain most, in their order."""
    first, second = sorted(np.argsort(-vae.explained_variance_ratio_, kind="stable")[:2].tolist())
    return first, second


def _check(own: pd.DataFrame, account: list[Entry]) -> None:
    n_rows = int(own.notna().any(axis=1).sum()) if own.shape[1] else 0
    if own.shape[1] >= 2 and n_rows >= FEWEST_ROWS:
        return
    out = [f"{label(entry.name)}: {entry.how}" for entry in account if not entry.is_taken]
    rest = f"; {len(out) - _MOST_TOLD} more" if len(out) > _MOST_TOLD else ""
    raise ValueError(
        f"{counted(n_rows, 'row')} of {counted(own.shape[1], 'column')} can be used, and a report "
        f"needs {FEWEST_ROWS} rows of 2 columns beside the target."
        + (f" Left out: {'; '.join(out[:_MOST_TOLD])}{rest}." if out else "")
    )


def _check_codes(n_codes: int, linear: VAETransformer) -> None:
    most = max(2, int(np.count_nonzero(linear.explained_variance_ratio_ > 0)))
    if n_codes > most:
        raise ValueError(
            f"--codes {n_codes} is too many for this table: all but {most} would always be 0. Use "
            f"--codes {most} or fewer."
        )


def _back(vae: VAETransformer, rows: pd.DataFrame) -> pd.DataFrame:
    back = vae.set_output(transform="pandas").inverse_transform(np.asarray(vae.transform(rows)))
    return back.set_index(rows.index)


def _told_by(codes: np.ndarray, cells: pd.Series) -> float:
    """Share of the variance of two codes that lies between values of a column."""
    known = cells.notna().to_numpy()
    own: Any = cells[known]
    groups = pd.qcut(own, 5, labels=False, duplicates="drop") if own.dtype == float else own
    within = pd.DataFrame(codes[known]).groupby(np.asarray(groups, dtype=object)).transform("mean")
    total = codes[known].var(axis=0)
    return float(np.mean(within.to_numpy().var(axis=0) / np.where(total > 0, total, 1)))
