"""Sections on codes: where they put rows, what they keep, what they mean."""

import numpy as np
import pandas as pd

from skvae.amounts import counted
from skvae.extents import Ends, extent_of, outside
from skvae.report.drawings import Draughtsman
from skvae.report.frames import is_number
from skvae.report.markup import Markup, figure, joined, paragraphs, table, tag
from skvae.report.sections.section import Found, Section, loss_text
from skvae.report.words import number, percent, signed

_DAY = 86400  # seconds
_MOST_DOTS = 2000  # rows on a map
_MOST_CODES, _MOST_EFFECTS = 6, 10


class Map(Section):
    """Where rows lie."""

    title = "A map of your rows"

    def body(self, found: Found) -> Markup:
        study = found.study
        rng = np.random.RandomState(study.wishes.seed)
        some = np.sort(rng.permutation(len(study.codes))[:_MOST_DOTS])
        color = None if study.color is None else _dated(study.color.iloc[some], found)
        name = "" if study.color is None else f", coloured by {study.color.name!r}"
        if study.color is not None and not (study.wishes.color or study.wishes.target):
            name += " (the column that this map separates best; --color chooses another)"
        planes = [
            _Plane("skvae", study.codes[some][:, list(study.plane)], "code", study.plane),
            _Plane("PCA of one-hot columns", study.scores[some][:, :2], "component", (0, 1)),
        ]
        shown = counted(len(some), "row")
        told = (
            f"Every dot is a row, {shown} in all{name}. Rows that are alike lie together. "
            f"The model has {counted(study.vae.latent_dim_, 'code')}, of which the two that "
            "explain most are drawn, beside the first two components of PCA."
        )
        return joined([paragraphs(told), _maps(planes, color, found.draughtsman)])


class _Plane:
    """Rows in the plane of two codes or components, by their positions."""

    def __init__(self, name: str, places: np.ndarray, what: str, units: tuple[int, int]) -> None:
        self.name, self.places = name, places
        self.axes = [f"{what} {unit + 1}" for unit in units]
        extents = [extent_of(own) for own in places.T]
        self.whole = [each.whole for each in extents]
        self.first = [each.first for each in extents]
        self.n_outside = outside(places, self.first)


def _maps(planes: list[_Plane], color: pd.Series | None, draughtsman: Draughtsman) -> Markup:
    """Maps of most rows; where a few lie too far to be on them, those of all rows below."""

    def drawn(own: _Plane, ends: list[Ends], caption: str) -> Markup:
        return figure(draughtsman.map(own.places, color, own.axes, ends), caption)

    first = [drawn(own, own.first, f"{own.name}{_outside_text(own.n_outside)}") for own in planes]
    most = tag("div", *first, class_="grid")
    if not any(own.n_outside for own in planes):
        return most
    whole = tag("div", *(drawn(own, own.whole, own.name) for own in planes), class_="grid")
    return joined([most, tag("details", tag("summary", "The maps of all rows"), whole)])


def _outside_text(n: int) -> str:
    if not n:
        return ""
    return f": {counted(n, 'row lies', 'rows lie')} far from the others, outside of this picture"


def _dated(cells: pd.Series, found: Found) -> pd.Series:
    """A column that colours a map; days as the dates that they are."""
    start = found.entry(str(cells.name)).start
    if start is None:
        return cells
    days = cells.to_numpy(np.float64) + start
    seconds = np.where(np.isnan(days), 0, days * _DAY).round().astype("datetime64[s]")
    seconds[np.isnan(days)] = np.datetime64("NaT")
    return pd.Series(seconds, name=cells.name)


class Errors(Section):
    """What is lost."""

    title = "What the codes keep of each column"

    def body(self, found: Found) -> Markup:
        study = found.study
        told = (
            f"Each row was squeezed into {counted(study.vae.latent_dim_, 'number')} and rebuilt. "
            f"This was done with {counted(len(study.test), 'row')} that no model had seen. An "
            "error of 0 means that the column comes back as it was; 1 is the error of a guess that "
            "knows nothing of the row: the mean of a number, the most frequent of levels."
        )
        names = {"skvae": "skvae", "PCA": "PCA of one-hot"}
        order = study.errors["skvae"].sort_values(na_position="last").index
        drawn = found.draughtsman.dots(
            study.errors.loc[order].dropna(), names, "error of each column, skvae and PCA"
        )
        caption = (
            "Left is better. Numbers: squared error. Levels: how often the wrong one comes back. "
            "Errors above 1.5 are drawn at 1.5."
        )
        head = [
            "column", "error, skvae", "error, PCA", "a guess", "log-likelihood, skvae",
            "linear model", "gain",
        ]  # fmt: skip
        rows = [
            (
                name,
                *(
                    loss_text(study.losses.loc[name, own], study.frame[name])
                    for own in ("skvae", "PCA", "guess")
                ),
                number(study.given.loc[name, "skvae"]),
                number(study.given.loc[name, "linear"]),
                signed(study.given.loc[name, "skvae"] - study.given.loc[name, "linear"], 2),
            )
            for name in order
        ]
        likelihood = (
            "The log-likelihood says how well a cell is foreseen from the others of its row, in "
            "nats: the more the better. One nat more means that the cell was e = 2.7 times as "
            "likely. Of numbers it depends on their unit, so compare along a line, not down a "
            "column. The linear model is the start of skvae, which stands for PCA here: PCA of "
            "one-hot columns has no likelihood for levels."
        )
        return joined(
            [
                paragraphs(told),
                figure(drawn, caption),
                tag("details", tag("summary", "All figures, and the log-likelihood of each column"),
                    paragraphs(likelihood), table(head, rows, range(1, 7))),
            ]
        )  # fmt: skip


class Meaning(Section):
    """What codes do to columns."""

    title = "What the codes mean"

    def body(self, found: Found) -> Markup:
        study = found.study
        told = (
            "Each code is a direction in which rows differ, as a component of PCA is. A bar says "
            "how a column changes when the code rises by one standard deviation: to the right "
            "(blue) it rises, to the left (orange) it falls. column=level is how frequent a level "
            "is. "
            "What a code explains is the share of the variance that it adds to the others."
        )
        drawn = []
        spread = study.codes[study.train].std(axis=0)
        shares = study.vae.explained_variance_ratio_
        for n in range(min(_MOST_CODES, study.vae.latent_dim_)):
            effects = study.loadings.iloc[n] * spread[n] / _spreads(found)
            largest = effects.abs().sort_values(ascending=False).index[:_MOST_EFFECTS]
            title = f"code {n + 1}: explains {percent(float(shares[n]))} of the variance"
            drawn.append(figure(found.draughtsman.effects(effects[largest], title)))
        more = study.vae.latent_dim_ - len(drawn)
        rest = f"The other {counted(more, 'code')} are not drawn." if more else ""
        return joined([paragraphs(told, rest), tag("div", *drawn, class_="grid")])


def _spreads(found: Found) -> pd.Series:
    """Standard deviations of what loadings have a cell for."""
    study = found.study
    train = study.frame.iloc[study.train]
    spreads = []
    for _, cells in train.items():
        if is_number(cells):
            spreads.append([cells.std()])
            continue
        levels = sorted(cells.dropna().unique(), key=str)
        if cells.dtype == "boolean":
            spreads.append([cells.astype(float).std()])
        else:
            spreads.append([(cells.dropna() == level).astype(float).std() for level in levels])
    flat = np.concatenate(spreads)
    return pd.Series(np.where(flat > 0, flat, 1.0), index=study.loadings.columns)
