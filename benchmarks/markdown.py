"""Tables as the pages show them: numbers, markdown, and the sentences on versions."""

import numpy as np
import pandas as pd

from benchmarks.runner import Line


def markdown(table: pd.DataFrame) -> str:
    """Return a table as markdown, numbers to the right."""
    lines = [
        "| " + " | ".join(table.columns) + " |",
        "|" + "|".join("---" if n == 0 else "---:" for n in range(len(table.columns))) + "|",
    ]
    cells = table.astype(str).itertuples(index=False)
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in cells)]) + "\n"


def number(value: float | None, shown: str) -> str:
    """Return a number in a format, and nothing where there is none."""
    return "" if value is None or np.isnan(value) else f"{value:{shown}}"


def failures(table: pd.DataFrame, columns: list[str], what: str) -> str:
    """Return the rows that hold an error as a table with a heading, "" without any."""
    failed = table.loc[table["failure"].notna(), [*columns, "failure"]].fillna("")
    return f"\n{what} that failed:\n\n{markdown(failed)}" if len(failed) else ""


def environment(line: Line) -> str:
    """Return the versions, threads and processor of a line."""
    versions = ", ".join(f"{name} {version}" for name, version in line["versions"].items())
    threads = f"{line['threads']} thread{'s' * (line['threads'] > 1)}"
    processor = line.get("processor", "a processor that is not known")
    return f"{versions}; {threads} of {processor}"


def environments(known: pd.DataFrame, *tables: pd.DataFrame) -> str:
    """Return the versions and threads behind the rows of tables, a line for each."""
    numbers = {int(n) for table in tables for n in table["environment"].dropna()}
    return "".join(f"- {text}\n" for text in sorted(known["text"].iloc[[*numbers]]))
