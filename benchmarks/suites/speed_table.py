"""What fits beside peers come to: two tables, and with ``speed_pictures`` two pictures.

For a peer on a case and a seed two things are told. ``seconds to match`` is the time of our
quickest fit whose held-out R2 is at or above the peer's, over the peer's time: below 1 we are
faster to the same result, inf says that no fit of ours got there. ``our R2 at its time`` is that
of our best fit that took no longer than the peer; None says that even one pass takes longer.

Seeds are averaged: ratios and seconds geometrically, R2 plainly. Lines of other numbers of rows
than those of ``CASES`` are for trying things out and do not count.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.averages import geometric_mean
from benchmarks.datasets import DATASETS
from benchmarks.markdown import environments, failures, markdown
from benchmarks.peers import PEERS
from benchmarks.runner import Line, Shown, row_of
from benchmarks.suites import bars, speed_pictures

OURS = "VAETransformer"
KEY = ("case", "seed", "method", "passes")
COLUMNS = [*KEY, "n_train", "n_features", "latent_dim", "seconds", "r2", "environment", "failure"]
PAIRS = ["case", "peer", "seed", "seconds", "r2", "to_match", "at_time"]
SOON = 0.1  # of a peer's time
ROUNDING = 1e-6  # of R2, by which PCA and a fit that kept it may differ


class Case(NamedTuple):
    """A data set, its number of codes, and of training rows if there are to be fewer."""

    dataset: str
    latent_dim: int
    max_train_rows: int | None = None


CASES = {
    "mnist_10000": Case("mnist", 16, 10000),
    "mnist_60000": Case("mnist", 16, 60000),
    "usps": Case("usps", 16),
    "cifar10": Case("cifar10", 16),
    "bike": Case("bike", 4),
    # As many as its trials have.
    "donors": Case("donors", 4, DATASETS["donors"].max_train_rows),
    "isolet": Case("isolet", 16),
}


def collect(lines: list[Line]) -> pd.DataFrame:
    """Return a row per fit of as many rows as its case has, failed ones with their ``failure``."""
    rows = [row_of(line) for line in lines if line["suite"] == "speed" and _counts(line["task"])]
    return pd.DataFrame(rows, columns=COLUMNS)


def _counts(task):
    case = CASES.get(task["case"])
    return case is not None and case.max_train_rows == task["max_train_rows"]


def measured(fits: pd.DataFrame) -> pd.DataFrame:
    """Return the fits that did not fail, of cases that there are."""
    return fits[fits["failure"].isna() & fits["case"].isin([*CASES])]


def pairs(fits: pd.DataFrame) -> pd.DataFrame:
    """Return a row per fit of a peer beside ours: its figures, our time and R2 against them."""
    fits = measured(fits)
    ours = dict(iter(fits[fits["method"] == OURS].groupby(["case", "seed"])))
    rows = [
        {name: getattr(line, name) for name in ("case", "seed", "seconds", "r2")}
        | {"peer": line.method}
        | compared(line.seconds, line.r2, ours[line.case, line.seed])
        for line in fits.itertuples()
        if line.method in PEERS and (line.case, line.seed) in ours
    ]
    return pd.DataFrame(rows, columns=PAIRS)


def compared(seconds: float, r2: float, ours: pd.DataFrame) -> dict[str, float]:
    """Return our time to a peer's R2 over its own, and our best R2 within its time."""
    matching = ours.loc[ours["r2"] >= r2 - ROUNDING, "seconds"]
    in_time = ours.loc[ours["seconds"] <= seconds, "r2"]
    return {
        "to_match": matching.min() / seconds if len(matching) else np.inf,
        "at_time": in_time.max(),  # NaN without any
    }


def cells(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row per case and peer, averaged over seeds."""
    rows = [
        {
            "case": case,
            "peer": peer,
            "seeds": len(part),
            "seconds": geometric_mean(part["seconds"]),
            "r2": part["r2"].mean(),
            "to_match": geometric_mean(part["to_match"]),
            # Of some seeds alone it would be that of the slow ones.
            "at_time": part["at_time"].astype("float64").mean(skipna=False),
        }
        for (case, peer), part in found.groupby(["case", "peer"], sort=False)
    ]
    names = ["case", "peer", "seeds", "seconds", "r2", "to_match", "at_time"]
    return pd.DataFrame(rows, columns=names)


def summary(fits: pd.DataFrame) -> pd.DataFrame:
    """Return a row per peer over all cases: how often and how fast it is matched."""
    found = cells(pairs(fits))
    parts = {name: found[found["peer"] == name] for name in PEERS}
    return pd.DataFrame([_peer(name, part) for name, part in parts.items() if len(part)])


def _peer(name, part):
    gains = (part["at_time"] - part["r2"]).dropna()
    return {
        "peer": name,
        "": "neural" if PEERS[name].is_neural else "",
        "cases": len(part),
        "matched": int(np.isfinite(part["to_match"]).sum()),
        "seconds to match / its seconds: median": f"{part['to_match'].median():.3g}",
        "worst": f"{part['to_match'].max():.3g}",
        f"at most {SOON}": int((part["to_match"] <= SOON).sum()),
        "one pass takes no longer": len(gains),
        "our R2 at its time - its: median": f"{gains.median():+.3f}" if len(gains) else "",
        "lowest": f"{gains.min():+.3f}" if len(gains) else "",
    }


def cases_table(fits: pd.DataFrame) -> pd.DataFrame:
    """Return a row per case and method: seconds, R2, and for peers what ours has to say to them."""
    own = measured(fits)
    own = own[(own["method"] == OURS) & own["passes"].isna()].rename(columns={"method": "peer"})
    found = pd.concat([cells(own.reindex(columns=PAIRS)), cells(pairs(fits))])
    order = pd.MultiIndex.from_product([CASES, (OURS, *PEERS)])
    by_name = found.set_index(["case", "peer"], drop=False)
    return pd.DataFrame([_row(by_name.loc[name]) for name in order if name in by_name.index])


def _row(cell):
    ours = cell["peer"] == OURS
    in_time = "one pass takes longer" if np.isnan(cell["at_time"]) else f"{cell['at_time']:.3f}"
    return {
        "case": cell["case"],
        "method": cell["peer"],
        "seeds": cell["seeds"],
        "seconds": f"{cell['seconds']:.3g}",
        "R2": f"{cell['r2']:.3f}",
        "seconds to match / its seconds": "" if ours else f"{cell['to_match']:.3g}",
        "our R2 at its time": "" if ours else in_time,
    }


def verdict(fits: pd.DataFrame) -> str:
    """Return the sentence on how soon neural peers are matched."""
    found = pairs(fits)
    ratios = cells(found[[PEERS[peer].is_neural for peer in found["peer"]]])["to_match"]
    soon = f"in {(ratios <= SOON).sum()} of {len(ratios)} cases in at most {SOON} of its time"
    return f"A neural peer is matched {soon}; the worst is {ratios.max():.3g} of it.\n"


def _peers(fits):
    picture = "![Held-out R2 against seconds of fit](images/speed.png)\n"
    return f"{markdown(summary(fits))}\n{verdict(fits)}\n{picture}"


def _cases(fits):
    return markdown(cases_table(fits)) + failures(fits, [*KEY], "Fits")


def _figures(figures):
    return f"{bars.table(figures)}\n![Seconds against rows and columns](images/growth.png)\n"


def _picture(fits):
    titles = {name: case.dataset for name, case in CASES.items()}
    return speed_pictures.fits(measured(fits), titles, OURS)


FRAGMENTS = {
    "benchmark-speed:peers": Shown(_peers, ("speed",)),
    "benchmark-speed:cases": Shown(_cases, ("speed",)),
    "benchmark-speed:figures": Shown(_figures, ("speed_figures",)),
    "benchmark-speed:environment": Shown(environments, ("environments", "speed", "speed_figures")),
}

PICTURES = {
    "speed.png": Shown(_picture, ("speed",)),
    "growth.png": Shown(lambda rows: speed_pictures.growth(bars.ours(rows)), ("speed_figures",)),
}
