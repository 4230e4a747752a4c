"""The page: templates, the library that draws, and what it shows, in one file of HTML.

Its policy lets no request leave it and runs no script but its own, whatever the data hold.
"""

import base64
import hashlib
import html
import re
from functools import cache
from importlib.resources import files
from os import PathLike
from typing import Any

from skvae.amounts import counted
from skvae.explorer.pack import letters, packed
from skvae.persistence.writing import write_whole

# In the order in which they are read.
SCRIPTS = (
    "unpack.js",
    "decoder.js",
    "elements.js",
    "theme.js",
    "model.js",
    "plots.js",
    "map.js",
    "point.js",
    "selection.js",
    "charts.js",
    "main.js",
)
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_HEIGHT = 900  # pixels, in a notebook


class Page:
    """HTML page of `VAETransformer.explore`, in one file.

    Parameters
    ----------
    content : dict
        Data of the page. `explore` makes them.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content

    def to_html(self) -> str:
        """Return the page as text.

        Returns
        -------
        str
            HTML.

        Raises
        ------
        ImportError
            If plotly is not installed.
        """
        script = "\n".join(template(name) for name in SCRIPTS)
        parts = {
            "policy": _policy(script, _plotly()),
            "style": template("style.css"),
            "plotly": _plotly_letters(),
            "content": packed(self.content),
            "script": script,
        }
        return _PLACE.sub(lambda found: parts[found[1]], template("page.html"))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the page to a file.

        The file is complete or not written at all.

        Parameters
        ----------
        path : str or path-like
            The file. An existing file is replaced.

        Raises
        ------
        ImportError
            If plotly is not installed.
        OSError
            If the file cannot be written.
        """
        write_whole(path, self.to_html().encode())

    def _repr_html_(self) -> str:
        """The page in a frame of a notebook, which it can neither read nor leave."""
        return (
            f'<iframe title="skvae explorer" sandbox="allow-scripts allow-downloads" '
            f'style="width: 100%; height: {_HEIGHT}px; border: 0" '
            f'srcdoc="{html.escape(self.to_html())}"></iframe>'
        )

    def __repr__(self) -> str:
        facts = self.content["facts"]
        rows, codes = counted(facts["n_rows"], "row"), counted(facts["n_codes"], "code")
        return f"<skvae page of {rows} and {codes}>"


@cache
def template(name: str) -> str:
    """A file of the folder of templates."""
    return (files("skvae.explorer") / "templates" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ImportError(
            "explore needs plotly, which is not installed: pip install 'skvae[explore]'"
        ) from error
    return get_plotlyjs()


@cache
def _plotly_letters() -> str:
    return letters(_plotly().encode())


def _policy(*scripts: str) -> str:
    """These scripts alone, by their hashes, and no connection to anywhere.

    plotly compiles functions for the graphics card: without 'unsafe-eval' it draws no map of many
    rows.
    """
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return (
        f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
