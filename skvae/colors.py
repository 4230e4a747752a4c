"""Colours of pictures and pages, and which class has which: the same everywhere."""

from typing import Any

import numpy as np

INK, GREY, PALE = "#202124", "#80868b", "#d0d3d7"
OURS, THEIRS = "#1f6fb4", "#d9731a"  # a blue and an orange that colour-blind eyes tell apart
# Ten colours chosen for colour-blind eyes (Petroff, 2021), the greys last.
PALETTE = ("#3f90da", "#e76300", "#832db6", "#b9ac70", "#bd1f01", "#ffa90e", "#92dadd", "#a96b59",
           "#717581", "#94a4a2")  # fmt: skip
BESIDE = {"other": PALE, "missing": INK}  # what is no class
N_LARGEST = 8  # classes that are told apart where there are more than colours


def classes_of(y: Any) -> Any:
    """Names of classes, one per value, or None if y is numbers.

    Text, booleans and at most ten whole numbers are classes; of more than ten the eight largest
    are told apart.
    """
    import pandas as pd  # where it is needed: it takes longer to import than all of skvae

    y = pd.Series(np.asarray(y)).infer_objects()
    numeric = pd.api.types.is_numeric_dtype(y) and not pd.api.types.is_bool_dtype(y)
    if numeric:
        present = y.dropna()
        if present.nunique() > len(PALETTE) or (present % 1 != 0).any():
            return None
        y = y.astype("Int64")
    counts = y.value_counts()
    if len(counts) > len(PALETTE):
        y = y.where(y.isna() | y.isin(counts.index[:N_LARGEST]), "other")
    return y.astype(object).where(y.notna(), "missing").reset_index(drop=True)


def colors_of(classes: Any) -> dict[Any, str]:
    """The colour of every class, in their order: numbers, text, then what is no class."""
    names = sorted(classes.unique(), key=_place)
    colors = dict(zip((n for n in names if n not in BESIDE), PALETTE, strict=False))
    return colors | {name: BESIDE[name] for name in names if name in BESIDE}


def _place(name: Any) -> tuple[bool, bool, Any]:
    """A key that sorts names of classes."""
    is_number = isinstance(name, int | np.integer) and not isinstance(name, bool)
    return name in BESIDE, not is_number, name if is_number else str(name)
