"""Sections on what a model is good for: to predict, to fill, to find odd rows."""

from skvae.report.markup import Markup, figure, joined, paragraphs, table, tag
from skvae.report.sections.section import Found, Section, loss_text
from skvae.report.words import cell, nats, number, percent


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
                *(_spread(line[name, "mean"], line[name, "std"]) for name in measures),
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


def _spread(mean: float, deviation: float) -> str:
    return f"{mean:.3f} ± {deviation:.3f}".replace("-", "\N{MINUS SIGN}")


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
        return joined(
            [paragraphs(told, f"Half of the rows are above {number(study.median, 4)} nats."),
             table(head, rows, [0, 1])]
        )  # fmt: skip

    @staticmethod
    def _cell(found: Found, name: str, value: object, expected: object, surprise: float) -> Markup:
        entry = found.entry(name)
        return joined(
            [tag("b", name), f" is {cell(value, entry)}, expected {cell(expected, entry)} "
             f"({nats(surprise, 2)} less likely than usual)"]
        )  # fmt: skip
