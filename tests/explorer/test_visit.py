"""A visit to the page in Chromium: what a person does, by pointer and by keys."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from skvae import VAETransformer
from tests.explorer.browser import CHROMIUM, Browser
from tests.explorer.conftest import HOSTILE

pytest.importorskip("plotly")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

N_ROWS = 50_000


@pytest.fixture(scope="module")
def table():
    """As many rows as the page takes, of numbers, levels, booleans and gaps, with hostile names."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(N_ROWS, 2))
    X = pd.DataFrame({HOSTILE[n]: z[:, n % 2] * (n + 1) + rng.normal(size=N_ROWS) for n in range(4)})
    X[HOSTILE[4]] = np.array(HOSTILE, dtype=object)[np.digitize(z[:, 0], [-1.5, -1, -0.5, 0, 1, 2])]
    X[HOSTILE[5]] = z[:, 1] > rng.normal(size=N_ROWS)
    X.iloc[::7, 1] = np.nan
    return X


@pytest.fixture(scope="module")
def page(table, tmp_path_factory):
    vae = VAETransformer(3, max_iter=0).fit(table.head(2000))
    path = tmp_path_factory.mktemp("page") / "page.html"
    vae.explore(table, table[HOSTILE[4]], path)
    return vae, path


@pytest.fixture(scope="module")
def visit(page, tmp_path_factory):
    """The page, opened once for all tests of this file, which look at it in turn."""
    folder = tmp_path_factory.mktemp("browser")
    browser = Browser(folder)
    browser.folder = folder
    browser.open(page[1])
    yield browser
    browser.close()


def place(browser, row):
    """Where a row is on the screen."""
    browser.centre("#map")
    return browser.run(
        f"(() => {{ const f = mapFrame(), c = codesOfRow({row}); "
        "return [f.left + (c[state.across] - f.x[0]) * f.perX, "
        "f.bottom - (c[state.up] - f.y[0]) * f.perY]; })()"
    )


def lonely(browser):
    """A row that has the place around it for itself."""
    return browser.run(
        "(() => { const x = codesOf(state.across); "
        "return x.reduce((best, value, row) => (value > x[best] ? row : best), 0); })()"
    )


def words(browser, selector):
    return browser.run(f"document.querySelector({json.dumps(selector)}).textContent")


def choose(browser, name, value):
    browser.run(
        f"(() => {{ const e = byId('{name}'); e.value = '{value}'; "
        "e.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )


def lasso(browser):
    browser.run("document.querySelector('input[value=lasso]').click()")
    x, y = place(browser, lonely(browser))
    browser.drag([(x - 25, y - 25), (x + 20, y - 25), (x + 20, y + 25), (x - 25, y + 25), (x - 25, y - 25)])  # fmt: skip
    browser.wait("state.chosen.length > 0")
    return browser.run("state.chosen")


def test_fifteen_actions(visit, page, table):
    vae, path = page
    assert path.stat().st_size < 10_000_000
    assert "50000 rows" in words(visit, "#facts")

    # 1. Hover over a row: its score, class, cells and reconstruction.
    row = lonely(visit)
    x, y = place(visit, row)
    visit.move(x - 3, y)
    visit.move(x, y)
    visit.wait("!byId('tooltip').hidden")
    assert f"Row {row}," in words(visit, "#tooltip")
    assert "decoder" in words(visit, "#tooltip")

    # 2. Click on it: all of its cells beside what the decoder makes of its codes.
    visit.click(x, y)
    visit.wait(f"state.row === {row}")
    shown = visit.run("Array.from(document.querySelectorAll('#cells tbody tr'), (r) => r.cells[1].textContent)")  # fmt: skip
    assert float(shown[0].replace("\u2212", "-")) == pytest.approx(table.iloc[row, 0], rel=1e-3)

    # 3. Click where no row is: the decoder makes what inverse_transform makes.
    corner = visit.run("(() => { const f = mapFrame(); return [f.left + 4, f.bottom - 4]; })()")
    visit.click(*corner)
    visit.wait("state.row === null")
    codes = np.array([visit.run("Array.from(state.point)")])
    made = visit.run("decodedAt(state.point).map(({value}) => value)")
    expected = vae.inverse_transform(codes).iloc[0]
    assert made[0] == pytest.approx(expected.iloc[0], rel=1e-5)
    assert visit.run(f"content.columns[4].levels[{made[4]}]")[:100] == expected.iloc[4][:100]

    # 4. Move a slider by a key.
    visit.run("byId('slider-2').focus()")
    before = visit.run("state.point[2]")
    visit.press("ArrowRight")
    visit.wait(f"state.point[2] > {before}")

    # 5. All codes at their mean.
    visit.run("byId('mean').click()")
    assert visit.run("Array.from(state.point)") == pytest.approx(list(visit.run("Array.from(meanCodes())")))  # fmt: skip

    # 6. to 8. Colour by the score, by a column of numbers with gaps, by levels.
    for choice in ("score", "column-1", "column-4"):
        choose(visit, "color", choice)
        colors = visit.run("new Set(byId('map').data[0].marker.color).size")
        assert colors > 3, choice
    assert len(visit.run("Array.from(document.querySelectorAll('#legend .dot'), (d) => 1)")) == 7

    # 9. Other axes: map, point and biplot follow.
    choose(visit, "across", 2)
    assert visit.run("byId('map').layout.xaxis.title.text") == "code 2"
    assert visit.run("byId('biplot').layout.xaxis.title.text") == "on code 2"

    # 10. A lasso, 11. the table of its rows, 12. saved as a file.
    chosen = lasso(visit)
    assert words(visit, "#chosen-words").startswith(f"{len(chosen)} row")
    assert len(visit.run("Array.from(document.querySelectorAll('#chosen tbody tr'), () => 1)")) == min(len(chosen), 200)  # fmt: skip
    visit.click(*visit.centre("#save"))
    saved = visit.folder / "saved" / "rows.csv"
    end = time.monotonic() + 30
    while not (saved.exists() and saved.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    check_saved(saved, chosen, table)

    # 13. Keys alone: to the map, move, go to the nearest row, drop it from the chosen, drop all.
    visit.run("byId('map').focus()")
    before = visit.run("Array.from(state.point)")
    visit.press("ArrowUp")
    after = visit.run("Array.from(state.point)")
    assert after[1] > before[1]
    assert after[2] == before[2]
    visit.press("Enter")
    nearest = visit.run("state.row")
    visit.press(" ")
    assert (nearest in visit.run("state.chosen")) != (nearest in chosen)
    visit.press("Escape")
    assert visit.run("state.chosen") == []

    # 14. An odd row is shown on the map.
    visit.click(*visit.centre("#oddest button"))
    assert visit.run("content.scores[state.row] === Math.min(...content.scores)")

    # 15. Dark, as the browser asks, and by the button.
    light = visit.run("getComputedStyle(document.body).backgroundColor")
    visit.set_dark(True)
    visit.wait(f"getComputedStyle(document.body).backgroundColor !== '{light}'")
    visit.click(*visit.centre("#theme"))
    visit.wait(f"getComputedStyle(document.body).backgroundColor === '{light}'")


def check_saved(saved, chosen, table):
    found = pd.read_csv(saved)
    assert found["row"].tolist() == chosen
    own = table.iloc[chosen]
    np.testing.assert_allclose(found[HOSTILE[0]], own[HOSTILE[0]], rtol=1e-6)
    np.testing.assert_allclose(found[HOSTILE[1]], own[HOSTILE[1]], rtol=1e-6)
    levels = found[HOSTILE[4]].iloc[:, 0] if found.columns.duplicated().any() else found[HOSTILE[4]]
    short = own[HOSTILE[4]].str.len() < 100
    got = levels.fillna("").to_numpy()[short.to_numpy()]
    assert [each.replace("\r\n", "\n") for each in got] == [
        each.replace("\r\n", "\n") for each in own[HOSTILE[4]][short]
    ]


def test_the_console_is_silent_and_nothing_is_asked(visit, page):
    assert visit.run("1") == 1  # what happened before has been told by now
    assert visit.problems == []
    assert {url.split(":")[0] for url in visit.requests} <= {"file", "blob", "data"}
    assert [url for url in visit.requests if url.startswith("file:")] == [page[1].as_uri()]


def test_no_name_or_cell_became_an_element(visit):
    assert visit.run("document.querySelectorAll('main img, main svg[onload], main a, main b').length") == 0  # fmt: skip
    names = visit.run("Array.from(document.querySelectorAll('#cells th .word'), (w) => w.title || w.textContent)")  # fmt: skip
    assert HOSTILE[0] in names


def test_a_script_that_others_bring_in_does_not_run(visit):
    """The policy is the second wall."""
    visit.run("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hurt = 1'}))")  # fmt: skip
    visit.run("document.body.insertAdjacentHTML('beforeend', '<b hidden onclick=\"window.hurt = 1\" id=b></b>')")  # fmt: skip
    visit.run("byId('b').click()")
    refused = "fetch('https://example.org/').then(() => 'sent', () => 'refused')"
    assert visit.run("window.hurt === undefined")
    assert visit.run(refused) == "refused"
    visit.problems.clear()  # which tell of this
