"""The Python that reads the file of a report to the same columns and fits the same model."""

from collections.abc import Container
from pathlib import Path

from skvae.report.sheet import Sheet


def code_of(path: str, sheet: Sheet, columns: Container[str], model: str) -> str:
    """Lines of Python.

    Parameters
    ----------
    path : str
        The file.
    sheet : Sheet
        What was read of it.
    columns : container of str
        Names of the columns that the model has. They are taken by their positions: a name may be
        one that the report made up.
    model : str
        The call that makes the model.
    """
    reading, reader = _reading(Path(path).name, sheet)
    places = [n for n, name in enumerate(sheet.names) if name in columns]
    return "\n".join(
        [
            f"import {reading}",
            "from skvae import VAETransformer",
            "",
            f"table = {reader}",
            "# the columns that are taken; make numbers and dates of them, as their table says",
            f"X = table.iloc[:, {places}]",
            f"vae = {model}",
            "codes = vae.fit_transform(X)",
        ]
    )


def _reading(name: str, sheet: Sheet) -> tuple[str, str]:
    """What is imported, and the call that reads the file."""
    if sheet.separator is None:  # without what pandas noted there of its index
        call = f"parquet.read_table({name!r}).replace_schema_metadata().to_pandas()"
        return "pyarrow.parquet as parquet", call
    options = "".join(f", {own}={value!r}" for own, value in sheet.options.items())
    return "pandas as pd", f"pd.read_csv({name!r}{options})"
