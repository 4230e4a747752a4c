"""The page of a hostile table."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np

from skvae.report.drawings import Draughtsman
from skvae.report.page import FEWEST_HELD_OUT, headline, page_of
from skvae.report.sections import SECTIONS
from skvae.report.words import NONE
from tests.report.conftest import HOSTILE


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.ids, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(page):
    tags = Tags()
    tags.feed(page)
    return tags


def test_nothing_of_the_table_is_markup(page):
    tags = read(page)
    assert not tags.open
    names = {tag for tag, _ in tags.found}
    assert not names & {"script", "link", "iframe", "object", "img"}
    assert not any(name.startswith("on") for _, own in tags.found for name in own)


def test_nothing_is_loaded(page):
    for _, own in read(page).found:
        for name in ("href", "src", "xlink:href", "action"):
            assert own.get(name, "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import", page)


def test_parts_have_names_of_their_own(page):
    ids = read(page).ids
    assert len(ids) == len(set(ids))
    for target in re.findall(r'(?:href="|url\()#([^")]+)', page):
        assert target in ids


def test_every_column_and_section_is_there(page, found):
    shown = unescape(page)
    for name in HOSTILE:
        assert name in shown
    for section in SECTIONS.values():
        assert section.title in shown
    cells = re.search(r'id="columns".*?<tbody>(.*?)</tbody>', page, re.DOTALL).group(1)
    assert cells.count("<tr>") == len(found.account) == len(HOSTILE)


def test_colours_follow_light_and_dark(page):
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert "var(--ink)" in drawn
    assert not re.search(r"(fill|stroke): ?#(202124|ffffff|000000)", drawn)


def test_the_same_table_gives_the_same_page(page, found):
    from skvae.report.page import page_of
    from skvae.report.sections.section import Found

    again = Found(found.sheet, found.account, found.study)
    assert page_of("<b>.csv", again) == page


def test_errors_of_rounding_are_none(found):
    tiny = found.study.errors.assign(skvae=2e-16, PCA=1e-16)
    own = replace(found.study, errors=tiny)
    assert (own.error[["skvae", "PCA"]] == 0).all()
    assert "PCA of one-hot columns rebuilds them better" not in headline(own)
    assert f"<b>{NONE}</b><span>times PCA&#x27;s error" in page_of(
        "t.csv", replace(found, study=own)
    )


def test_few_rows_held_out_are_told(page, found):
    assert len(found.study.test) < FEWEST_HELD_OUT
    assert "another choice of them (--seed)" in unescape(page)


def test_figures_are_of_rows_held_out(found):
    own = found.study
    assert not set(own.train) & set(own.test)
    assert len(own.train) + len(own.test) == len(own.frame)
    assert HOSTILE[0] not in own.frame
    assert own.nats["skvae"] == own.vae.score(own.frame.iloc[own.test])
    assert np.isfinite(own.errors["skvae"]).any()


def map_of(found, **changes):
    """The section of maps, of another study."""
    own = replace(found, study=replace(found.study, **changes), draughtsman=Draughtsman())
    return SECTIONS["map"].body(own)


def test_few_far_rows_are_counted_and_drawn_below(found):
    assert "far from the others" not in map_of(found)
    codes = found.study.codes.copy()
    codes[[3, 8]] *= [[1e4], [-1e4]]
    shown = map_of(found, codes=codes)
    assert "skvae: 2 rows lie far from the others, outside of this picture" in shown
    assert "<figcaption>PCA of one-hot columns</figcaption>" in shown
    first, whole = shown.split("<details><summary>The maps of all rows</summary>")
    assert first.count("<svg") == whole.count("<svg") == 2


def test_dates_colour_a_map_on_a_scale_of_dates(found):
    days = found.study.frame[HOSTILE[4]].copy()
    days[2] = np.nan
    shown = map_of(found, color=days)
    for year in (2004, 2008, 2012, 2016):
        assert f">{year}</text>" in shown
