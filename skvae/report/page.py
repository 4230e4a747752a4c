"""The page of a report: the verdict first, then the sections, then how it was made."""

from pathlib import Path

import sklearn

from skvae.amounts import counted
from skvae.pickles import VERSION
from skvae.report.code import code_of
from skvae.report.markup import Markup, filled, joined, paragraphs, tag, text
from skvae.report.sections import SECTIONS
from skvae.report.sections.section import Found
from skvae.report.study import Study
from skvae.report.words import NONE, percent, signed

FEWEST_HELD_OUT = 50  # rows, for figures that other rows would hardly change


def page_of(path: str, found: Found) -> str:
    """The page, as HTML that needs nothing else."""
    parts = {name: (own.title, own.body(found)) for name, own in SECTIONS.items()}
    parts["made"] = ("How this was made", _made(path, found))
    shown = {name: (title, body) for name, (title, body) in parts.items() if body}
    sections = joined(
        tag("section", tag("h2", title), body, id=name) for name, (title, body) in shown.items()
    )
    contents = joined((tag("a", title, href=f"#{name}") for name, (title, _) in shown.items()), " ")
    name = Path(path).name
    return filled(
        "page.html",
        title=text(f"{name}: a report of skvae"),
        style=filled("page.css"),
        about=text(f"{name}, looked at by skvae {VERSION}"),
        headline=text(headline(found.study)),
        verdict=_verdict(found.study),
        contents=contents,
        sections=sections,
    )


def headline(study: Study) -> str:
    """The verdict in one line."""
    error, k = study.error, counted(study.vae.latent_dim_, "code")
    if study.vae.kept_ == 0:
        better = (
            " PCA of one-hot columns rebuilds them better." if error["skvae"] > error["PCA"] else ""
        )
        return (
            f"A linear model is enough: with {k}, curves gained nothing on rows held out.{better}"
        )
    if error["skvae"] < error["PCA"]:
        less = 1 - error["skvae"] / error["PCA"]
        return f"skvae keeps more than PCA: with {k}, {percent(less)} less error."
    return (
        f"Mixed: with {k}, skvae gives the rows a better likelihood, but rebuilds them no better "
        "than PCA."
    )


def _verdict(study: Study) -> Markup:
    error = study.error
    kept = (
        "Training was dropped: on held-out rows it was no better than the linear model it starts "
        "from, so you get that linear model, which is PCA for a table of mixed columns."
        if study.vae.kept_ == 0
        else f"Training was kept ({percent(study.vae.kept_)} of the way): on held-out rows it "
        "beat the linear model it starts from."
    )
    few = (
        " These are so few that another choice of them (--seed) may say something else."
        if len(study.test) < FEWEST_HELD_OUT
        else ""
    )
    told = (
        f"skvae reduces each row to a few numbers, its codes, as PCA does, but may bend the plane "
        f"that PCA fits. {kept} All figures here are of {counted(len(study.test), 'row')} held "
        f"out from learning, unless a section says otherwise.{few}"
    )
    cards = [
        (
            percent(error["skvae"]),
            "of a guess's error is left by skvae, the mean over columns",
        ),
        (percent(error["PCA"]), "is left by PCA of one-hot columns with as many numbers per row"),
        (f"{error['skvae'] / error['PCA']:.2f}" if error["PCA"] else NONE, "times PCA's error"),
        (
            signed(study.gain, 3),
            "nats per row of log-likelihood over the linear model; more is better",
        ),
    ]
    return joined(
        [
            tag("p", told, class_="verdict"),
            tag("div", *(tag("div", tag("b", value), tag("span", what), class_="card")
                         for value, what in cards), class_="cards"),
        ]
    )  # fmt: skip


def _made(path: str, found: Found) -> Markup:
    study = found.study
    vae = f"VAETransformer(latent_dim={study.vae.latent_dim_}, random_state={study.wishes.seed})"
    code = code_of(path, found.sheet, set(study.frame), vae)
    n_passes = counted(study.vae.n_iter_, "pass", "passes")
    told = (
        f"Models learnt from {counted(len(study.train), 'row')} ({n_passes} over them); "
        f"{counted(len(study.test), 'row')} were held out. The number of codes is the smallest "
        "that held-out rows cannot tell from the best for the linear model, at least two and at "
        "most half of the columns"
        if study.wishes.n_codes is None
        else f"Models learnt from {counted(len(study.train), 'row')} ({n_passes} over them); "
        f"{counted(len(study.test), 'row')} were held out. The number of codes was given"
    )
    versions = f"skvae {VERSION}, scikit-learn {sklearn.__version__}, seed {study.wishes.seed}."
    baseline = (
        "PCA of one-hot columns: numbers standardised, levels as columns of 0 and 1, gaps filled "
        "with means; the largest of the levels is what comes back."
    )
    return joined(
        [paragraphs(f"{told}.", baseline, versions, "The same in Python:"),
         tag("pre", code)]
    )  # fmt: skip
