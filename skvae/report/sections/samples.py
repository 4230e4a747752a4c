"""The section on new rows: whether they look like real ones."""

import numpy as np

from skvae.amounts import counted
from skvae.report.frames import is_number
from skvae.report.markup import Markup, figure, joined, paragraphs, table, tag
from skvae.report.sections.section import Found, Section
from skvae.report.words import number

_FAR, _MOST_ADVISED = 0.2, 5  # distances that are told, and of how many columns
_MOST_MARGINALS, _MOST_PAIRS = 24, 20  # columns that are drawn


class Samples(Section):
    """Whether new rows look like real ones."""

    title = "New rows from the model"

    def body(self, found: Found) -> Markup:
        likeness = found.study.likeness
        names = list(likeness.real)
        told = (
            f"{counted(len(likeness.drawn), 'row')} drawn from the model (sample), beside the "
            "rows it learnt from. Grey is real; blue is drawn."
        )
        cut = ""
        if len(names) > _MOST_MARGINALS:
            cut = (
                f"The first {_MOST_MARGINALS} of {len(names)} columns are drawn; the table has all."
            )
        marginals = [
            figure(
                found.draughtsman.marginal(
                    likeness.real[name], likeness.drawn[name], found.entry(name).start
                )
            )
            for name in names[:_MOST_MARGINALS]
        ]
        rows = [(name, number(likeness.distances[name], 2)) for name in names]
        apart = (
            "Distance of the two distributions, from 0 (the same) to 1: the largest difference of "
            "the shares of rows below a number, and the share of rows that would have to change "
            "their level."
        )
        return joined(
            [
                paragraphs(told, cut),
                tag("div", *marginals, class_="grid"),
                tag("details", tag("summary", "How far apart, column by column"), paragraphs(apart),
                    table(["column", "distance"], rows, [1])),
                paragraphs(_advice(found)),
                _pairs(found),
            ]
        )  # fmt: skip


def _pairs(found: Found) -> Markup:
    """How strongly columns go together, among real rows and among drawn ones."""
    likeness = found.study.likeness
    names = list(likeness.real)
    ties = likeness.real_pairs.sum(axis=1)
    some = np.sort(np.argsort(-ties, kind="stable")[:_MOST_PAIRS])
    told = (
        "How strongly two columns go together, from 0 (no colour) to 1 (full colour). The two "
        f"pictures should look alike: the mean difference is {number(likeness.pair_error, 2)}."
    )
    if len(some) < len(names):
        told += f" Of {len(names)} columns the {len(some)} with the strongest ties are drawn."
    drawn = [
        figure(
            found.draughtsman.pairs(strengths[np.ix_(some, some)], [names[n] for n in some], title)
        )
        for title, strengths in (
            ("real rows", likeness.real_pairs), ("drawn rows", likeness.drawn_pairs),
        )
    ]  # fmt: skip
    return joined([paragraphs(told), tag("div", *drawn, class_="grid")])


def _advice(found: Found) -> str:
    """What to do about numbers that are drawn from a distribution of another shape."""
    distances = found.study.likeness.distances
    numbers = [name for name in distances.index if is_number(found.study.frame[name])]
    far = distances[numbers][distances[numbers] > _FAR].sort_values(ascending=False)
    if not len(far):
        return ""
    shown = ", ".join(map(repr, far.index[:_MOST_ADVISED]))
    return (
        f"Numbers are drawn as normal, which is far from the shape of {shown}. In Python, "
        f"VAETransformer(likelihood={{{far.index[0]!r}: 'empirical'}}) draws a column in its own "
        "shape: with its zeros, its bounds, its tail."
    )
