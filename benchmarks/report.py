"""Report: lines of results -> small tables of figures (CSV) -> the pages and their pictures.

``benchmarks/tables`` holds a table per suite: what the pages say, and no more. Lines that a person
measured replace the rows of the same key; all other rows stay. What stands between
``<!-- marker:start -->`` and ``<!-- marker:end -->`` of a page is written from the tables; where
they have nothing to say on it, it is left alone. ``PAGES`` says which marker is on which page.
"""

import re
from pathlib import Path

import pandas as pd

from benchmarks import figures
from benchmarks.markdown import environment
from benchmarks.runner import Line, Tables, read
from benchmarks.suites import SUITES

TABLES = Path("benchmarks") / "tables"
ENVIRONMENTS = "environments"  # the table of versions and threads that rows of others point to


def write(paths: list[Path], root: Path) -> list[Path]:
    """Take lines into the tables below root, fill its pages, draw; return what was written."""
    take_in(paths, root)
    return [*fill_pages(root), *draw(root)]


def take_in(paths: list[Path], root: Path) -> None:
    """Put what the lines of files come to into the tables, in place of rows of the same key."""
    if lines := read(paths):
        save(merged(load(root / TABLES), lines), root / TABLES)


def fill_pages(root: Path) -> list[Path]:
    """Write what the tables say between the markers of the pages."""
    tables = load(root / TABLES)
    fragments = {name: text for suite in SUITES.values() for name, text in suite.fragments.items()}
    for page, markers in PAGES.items():
        text = (root / page).read_text()
        for marker in markers:
            text = fill(text, marker, fragments[marker].of(tables))
        (root / page).write_text(text)
    return [root / page for page in PAGES]


def draw(root: Path) -> list[Path]:
    """Draw what the tables show."""
    tables, folder = load(root / TABLES), root / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name: shown for suite in SUITES.values() for name, shown in suite.pictures.items()}
    drawn = {name: shown.of(tables) for name, shown in pictures.items()}
    return [figures.save(drawn[name], folder / name) for name in drawn if drawn[name] is not None]


def load(folder: Path) -> Tables:
    """Return the tables of a folder by the names of their files."""
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def save(tables: Tables, folder: Path) -> None:
    """Write the tables as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.7g")


def merged(tables: Tables, lines: list[Line]) -> Tables:
    """Return the tables with the rows that lines come to, in place of those of the same key."""
    known = list(tables[ENVIRONMENTS]["text"]) if ENVIRONMENTS in tables else []
    for line in lines:
        if (text := environment(line)) not in known:
            known.append(text)
        line["environment"] = known.index(text)
    found = dict(tables)
    for suite in SUITES.values():
        for name, table in suite.tables.items():
            rows = table.collect(lines)
            if len(rows):
                found[name] = _replaced(tables.get(name), rows, list(table.key))
    return found | {ENVIRONMENTS: pd.DataFrame({"text": known})}


def fill(text: str, marker: str, content: str | None) -> str:
    """Return a page with other content between two markers; None leaves it as it is."""
    parts = re.split(f"(<!-- {marker}:(?:start|end) -->)", text)
    if len(parts) != 5:
        raise ValueError(f"the page must hold <!-- {marker}:start --> and its end, once each")
    if content is not None:
        parts[2] = f"\n{content.strip()}\n"
    return "".join(parts)


def _replaced(table, rows, key):
    """Return a table with other rows in place of those of the same key; new ones stand last."""
    if table is None:
        return rows
    # Rows that lack a figure would leave its column without a type, written in another way.
    both = pd.concat([table, rows], ignore_index=True).infer_objects()
    places = both.groupby(key, sort=False, dropna=False).ngroup()
    last = both.drop_duplicates(key, keep="last")
    return last.loc[places[last.index].sort_values().index].reset_index(drop=True)


PAGES: dict[str, tuple[str, ...]] = {
    "README.md": ("benchmark",),
    "docs/benchmarks.md": (
        "benchmark:verdict",
        "benchmark:methods",
        "benchmark:datasets",
        "benchmark:bars",
        "benchmark:environment",
        "benchmark-tables",
    ),
    "docs/likelihoods.md": ("benchmark:levels",),
    "docs/speed.md": (
        "benchmark-speed:peers",
        "benchmark-speed:cases",
        "benchmark-speed:figures",
        "benchmark-speed:environment",
    ),
    "docs/strategies.md": ("benchmark-strategies",),
    "docs/theory.md": ("benchmark:experiments", "benchmark:recipes"),
}
