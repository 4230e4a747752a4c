"""Sections on what a model is good for: to predict, to fill, to draw, to find odd rows."""

import numpy as np

from skvae.report.markup import Markup, figure, joined, paragraphs, table, tag
from skvae.report.sections.section import Found, Section, loss_text
from skvae.report.words import cell, counted, number, percent

_MOST_MARGINALS, _MOST_PAIRS = 24, 40  # columns that are drawn


class Target(Section):
    """What the codes say of a target."""

    title = "Predicting the target"

    def body(self, found: Found) -> Markup | None:
        own = found.study.prediction
        if own is None:
            return None
        if own.reason:
            return paragraphs(f"The target {own.target!r} is not predicted: {own.reason}.")
        measures = list(dict.fromkeys(name for name, _ in own.scores.columns))
        rows = [
            (
                what,
                *(f"{line[name, 'mean']:.3f} ± {line[name, 'std']:.3f}" for name in measures),
            )
            for what, line in own.scores.iterrows()
        ]
        model = "ridge regression" if "R2" in measures else "logistic regression"
        told = (
            f"The target {own.target!r} has {own.told} It is predicted by {model} from the codes "
            f"alone, and from as many components of PCA, in five folds: each row is predicted by a "
            "model that did not see its target. More is better; ± is the standard deviation over "
            "the folds, so smaller differences say little. The codes themselves were found without "
            "the target."
        )
        meaning = {
            "accuracy": "Accuracy is the share of rows that are right.",
            "area under the ROC curve": "The area under the ROC curve is 0.5 for guessing, 1 for "
            "perfect order.",
            "R2": "R2 is the share of the target's variance that is foreseen: 0 for its mean.",
        }
        return joined(
            [
                paragraphs(told, " ".join(meaning[name] for name in measures)),
                table(["predicted from", *measures], rows, range(1, 1 + len(measures))),
            ]
        )


class Gaps(Section):
    """How well missing cells are filled."""

    title = "Filling missing cells"

    def body(self, found: Found) -> Markup:
        study = found.study
        hidden = study.hidden.dropna(subset=["share"]).sort_values("share")
        told = (
            f"{int(study.hidden['n'].sum()):,} cells of rows that the model had not seen were "
            "hidden, filled in by impute, and compared with what they were. 0 is perfect, 1 is as "
            "good as filling in the mean or the most frequent level."
        )
        mean = study.hidden["share"].mean()
        verdict = (
            f"Over the columns, {percent(mean)} of the error of such filling is left."
            if mean < 1
            else "On this table that is no better than the mean or the most frequent level."
        )
        drawn = found.draughtsman.dots(
            hidden, {"share": "impute of skvae"}, "error of filled cells, by column"
        )
        rows = [
            (
                name,
                int(line["n"]),
                loss_text(line["impute"], study.frame[name]),
                loss_text(line["guess"], study.frame[name]),
                percent(line["share"]),
            )
            for name, line in study.hidden.iterrows()
        ]
        head = ["column", "cells hidden", "error of impute", "error of a guess", "left"]
        return joined(
            [
                paragraphs(told, verdict),
                figure(drawn, "Left is better. A column of few hidden cells says little."),
                tag("details", tag("summary", "All figures"), table(head, rows, range(1, 5))),
            ]
        )


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
        marginals = [
            figure(
                found.draughtsman.marginal(
                    likeness.real[name], likeness.drawn[name], found.entry(name).start
                )
            )
            for name in names[:_MOST_MARGINALS]
        ]
        some = names[:_MOST_PAIRS]
        pairs = [
            figure(found.draughtsman.pairs(strengths[: len(some), : len(some)], some, title))
            for title, strengths in (
                ("real rows", likeness.real_pairs), ("drawn rows", likeness.drawn_pairs),
            )
        ]  # fmt: skip
        between = (
            "How strongly two columns go together, from 0 (no colour) to 1 (full colour). "
            " The two pictures should look alike: the mean difference is "
            f"{number(likeness.pair_error, 2)}."
        )
        rows = [(name, number(likeness.distances[name], 2)) for name in names]
        apart = (
            "Distance of the two distributions, from 0 (the same) to 1: the largest difference of "
            "the shares of rows below a number, and the share of rows that would have to change "
            "their level."
        )
        cut = ""
        if len(names) > _MOST_MARGINALS:
            cut = (
                f"The first {_MOST_MARGINALS} of {len(names)} columns are drawn; the table has all."
            )
        return joined(
            [
                paragraphs(told, cut),
                tag("div", *marginals, class_="grid"),
                tag("details", tag("summary", "How far apart, column by column"), paragraphs(apart),
                    table(["column", "distance"], rows, [1])),
                paragraphs(between),
                tag("div", *pairs, class_="grid"),
            ]
        )  # fmt: skip


class Odd(Section):
    """Rows that do not fit."""

    title = "The oddest rows"

    def body(self, found: Found) -> Markup:
        study = found.study
        told = (
            "The rows that the model finds least likely, with the cells that surprise it most "
            "given the rest of the row, and what it would have expected there. They may be "
            "errors, or your most interesting rows. Rows are counted from 1, after the line of "
            "names. A row with many missing cells has fewer that can surprise."
        )
        rows = [
            (
                f"{odd.row:,}",
                number(odd.score, 4),
                joined((self._cell(found, *each) for each in odd.cells), "; ")
                or "no cell by itself: it is the whole row that lies far from the others",
            )
            for odd in study.odd
        ]
        head = ["row", "log-likelihood", "most surprising cells"]
        usual = float(np.median(study.vae.score_samples(study.frame)))
        return joined(
            [paragraphs(told, f"Half of the rows have a log-likelihood above {number(usual, 4)}."),
             table(head, rows, [0, 1])]
        )  # fmt: skip

    @staticmethod
    def _cell(found: Found, name: str, value: object, expected: object, surprise: float) -> Markup:
        entry = found.entry(name)
        return joined(
            [tag("b", name), f" is {cell(value, entry)}, expected {cell(expected, entry)} "
             f"({number(surprise, 2)} nats less likely than usual)"]
        )  # fmt: skip
