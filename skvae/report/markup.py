"""Pieces of a page: text is escaped when it becomes a piece, and pieces are put together."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template


class Markup(str):
    """Text that is markup: nothing in it is to be escaped."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as text on the page."""
    return value if isinstance(value, Markup) else Markup(escape(str(value), quote=True))


def joined(pieces: Iterable[object], between: str = "") -> Markup:
    """Pieces one after another."""
    return Markup(between.join(text(piece) for piece in pieces))


def tag(name: str, *pieces: object, **attributes: object) -> Markup:
    """An element; `class_` stands for `class`."""
    own = "".join(f' {key.rstrip("_")}="{text(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{own}>{joined(pieces)}</{name}>")


def paragraphs(*lines: object) -> Markup:
    """A paragraph of each."""
    return joined(tag("p", line) for line in lines if line)


def table(
    head: Sequence[object], rows: Iterable[Sequence[object]], numeric: Iterable[int] = ()
) -> Markup:
    """A table that scrolls where it is wider than the page; some columns are numbers."""
    right = set(numeric)

    def line(name: str, cells: Sequence[object]) -> Markup:
        return tag(
            "tr",
            *(
                tag(name, cell, **({"class_": "number"} if n in right else {}))
                for n, cell in enumerate(cells)
            ),
        )

    body = joined(line("td", cells) for cells in rows)
    inner = tag("table", tag("thead", line("th", head)), tag("tbody", body))
    return tag("div", inner, class_="wide", tabindex="0", role="region", **{"aria-label": "table"})


def figure(drawing: Markup, caption: object = "") -> Markup:
    """A drawing with what it says."""
    return tag("figure", drawing, tag("figcaption", caption) if caption else Markup(""))


def filled(name: str, **pieces: Markup) -> Markup:
    """A template of the package with its places filled."""
    folder = files("skvae.report") / "templates"
    return Markup(Template((folder / name).read_text("utf-8")).substitute(pieces))
