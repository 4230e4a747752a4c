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
    X = pd.DataFrame(
        {HOSTILE[n]: z[:, n % 2] * (n + 1) + rng.normal(size=N_ROWS) for n in range(4)}
    )
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


def count(browser, selector):
    return browser.run(f"document.querySelectorAll({json.dumps(selector)}).length")


def hover_over_a_row(visit, vae, table):
    row = lonely(visit)
    x, y = place(visit, row)
    end = time.monotonic() + 30
    while visit.run("byId('tooltip').hidden") and time.monotonic() < end:  # plotly skips some moves
        visit.move(x - 3, y)
        time.sleep(0.2)
        visit.move(x, y)
        time.sleep(0.2)
    assert f"Row {row}," in words(visit, "#tooltip")
    assert "decoder" in words(visit, "#tooltip")


def click_a_row(visit, vae, table):
    row = lonely(visit)
    visit.click(*place(visit, row))
    visit.wait(f"state.row === {row}")
    shown = words(visit, "#cells tbody td")
    assert float(shown.replace("\u2212", "-")) == pytest.approx(table.iloc[row, 0], rel=1e-3)


def click_where_no_row_is(visit, vae, table):
    frame = visit.run("mapFrame()")
    visit.click(frame["left"] + 4, frame["bottom"] - 4)
    visit.wait("state.row === null")
    made = visit.run("decodedAt(state.point).map(({value}) => value)")
    expected = vae.inverse_transform(np.array([visit.run("Array.from(state.point)")])).iloc[0]
    assert made[0] == pytest.approx(expected.iloc[0], rel=1e-5)
    assert visit.run(f"content.columns[4].levels[{made[4]}]")[:100] == expected.iloc[4][:100]


def move_a_slider_by_a_key(visit, vae, table):
    visit.run("byId('slider-2').focus()")
    before = visit.run("state.point[2]")
    visit.press("ArrowRight")
    visit.wait(f"state.point[2] > {before}")


def put_codes_at_their_mean(visit, vae, table):
    visit.run("byId('mean').click()")
    mean = visit.run("Array.from(meanCodes())")
    assert visit.run("Array.from(state.point)") == pytest.approx(mean)


def color_by_score(visit, vae, table):
    choose(visit, "color", "score")
    assert visit.run("new Set(byId('map').data[0].marker.color).size") > 3
    assert count(visit, "#legend .ramp") == 1


def color_by_numbers_with_gaps(visit, vae, table):
    choose(visit, "color", "column-1")
    assert visit.run("byId('map').data[0].marker.color[0] === shade('line')")  # row 0 has none


def color_by_levels(visit, vae, table):
    choose(visit, "color", "column-4")
    assert count(visit, "#legend .dot") == len(HOSTILE)


def choose_axes(visit, vae, table):
    choose(visit, "across", 2)
    assert visit.run("byId('map').layout.xaxis.title.text") == "code 2"
    assert visit.run("byId('biplot').layout.xaxis.title.text") == "on code 2"


def draw_a_lasso(visit, vae, table):
    visit.run("document.querySelector('input[value=lasso]').click()")
    x, y = place(visit, lonely(visit))
    corners = [(-25, -25), (20, -25), (20, 25), (-25, 25), (-25, -25)]
    visit.drag([(x + dx, y + dy) for dx, dy in corners])
    visit.wait("state.chosen.length > 0")
    chosen = visit.run("state.chosen")
    assert lonely(visit) in chosen
    assert words(visit, "#chosen-words").startswith(f"{len(chosen)} row")
    assert count(visit, "#chosen tbody tr") == min(len(chosen), 200)


def save_the_chosen(visit, vae, table):
    visit.click(*visit.centre("#save"))
    saved = visit.folder / "saved" / "rows.csv"
    end = time.monotonic() + 30
    while not (saved.exists() and saved.stat().st_size) and time.monotonic() < end:
        time.sleep(0.05)
    check_saved(saved, visit.run("state.chosen"), table)


def move_by_keys(visit, vae, table):
    visit.run("byId('map').focus()")
    before = visit.run("Array.from(state.point)")
    visit.press("ArrowUp")
    after = visit.run("Array.from(state.point)")
    assert after[1] > before[1]
    assert after[2] == before[2]
    visit.press("Enter")
    assert visit.run("state.row !== null")


def choose_by_keys(visit, vae, table):
    chosen, row = visit.run("state.chosen"), visit.run("state.row")
    visit.press(" ")
    assert (row in visit.run("state.chosen")) != (row in chosen)
    visit.press("Escape")
    assert visit.run("state.chosen") == []


def show_an_odd_row(visit, vae, table):
    visit.click(*visit.centre("#oddest button"))
    assert visit.run("content.scores[state.row] === Math.min(...content.scores)")


def turn_dark_and_light(visit, vae, table):
    background = "getComputedStyle(document.body).backgroundColor"
    light = visit.run(background)
    visit.set_dark(True)
    visit.wait(f"{background} !== '{light}'")
    visit.click(*visit.centre("#theme"))
    visit.wait(f"{background} === '{light}'")


ACTIONS = (
    hover_over_a_row,
    click_a_row,
    click_where_no_row_is,
    move_a_slider_by_a_key,
    put_codes_at_their_mean,
    color_by_score,
    color_by_numbers_with_gaps,
    color_by_levels,
    choose_axes,
    draw_a_lasso,
    save_the_chosen,
    move_by_keys,
    choose_by_keys,
    show_an_odd_row,
    turn_dark_and_light,
)


def test_fifteen_actions(visit, page, table):
    vae, path = page
    assert path.stat().st_size < 10_000_000
    assert f"{N_ROWS} rows" in words(visit, "#facts")
    for act in ACTIONS:
        act(visit, vae, table)


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
    assert count(visit, "main img, main svg[onload], main a, main b, main svg a") == 0
    assert HOSTILE[0] in words(visit, "#cells")


def test_a_script_that_others_bring_in_does_not_run(visit):
    """The policy is the second wall."""
    script = "Object.assign(document.createElement('script'), {text: 'window.hurt = 1'})"
    visit.run(f"document.body.append({script})")
    inside = "<b hidden onclick='window.hurt = 1' id=bold></b>"
    visit.run(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(inside)})")
    visit.run("byId('bold').click()")
    refused = "fetch('https://example.org/').then(() => 'sent', () => 'refused')"
    assert visit.run("window.hurt === undefined")
    assert visit.run(refused) == "refused"
    visit.problems.clear()  # which tell of this


def test_a_code_alone_is_drawn_against_the_score(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3)) * [3, 1, 1]
    page, browser = tmp_path / "page.html", Browser(tmp_path)
    VAETransformer(1, max_iter=0).fit(X).explore(X, path=page)
    try:
        browser.open(page)
        heights = browser.run("Array.from(byId('map').data[0].y)")
        np.testing.assert_allclose(heights, browser.run("Array.from(content.scores)"))
        assert browser.run("byId('map').layout.yaxis.title.text") == "score, nats"
        assert browser.run("byId('biplot-section').hidden")
        browser.run("byId('map').focus()")
        before = browser.run("state.point[0]")
        for key in ("ArrowUp", "ArrowRight"):
            browser.press(key)
        assert browser.run("state.point[0]") > before
        browser.press("Enter")
        row = browser.run("state.row")
        assert browser.run("byId('map').data[1].y") == [heights[row]]
        assert browser.problems == []
    finally:
        browser.close()


def test_a_training_of_no_step_is_told_and_not_drawn(visit):
    assert visit.run("byId('training').hidden") is True
    assert "Nothing was trained" in visit.run("byId('training-words').textContent")


@pytest.fixture
def of_dates(browser, tmp_path):
    """A page of rows with dates, of which two are far from the others."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(200, 4))
    X[[7, 20]] *= [[1000], [-500]]
    days = pd.Series(pd.date_range("2024-03-05", periods=200, tz="Europe/Berlin"), name="joined")
    days[3] = pd.NaT
    VAETransformer(2, max_iter=0).fit(X).explore(X, days, tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    return browser


def test_dates_have_a_scale_and_are_told_as_dates(of_dates):
    assert words(of_dates, "#legend") == "joined2024-03-072024-09-18"
    assert count(of_dates, "#legend .ramp") == 1
    assert of_dates.run("new Set(byId('map').data[0].marker.color).size") > 100
    assert of_dates.run("byId('map').data[0].marker.color[3] === shade('line')")
    of_dates.run("showTooltip(1, 0, 0)")
    assert "joined: 2024-03-06" in words(of_dates, "#tooltip")
    lines = of_dates.run("csvOf([0, 3])").splitlines()
    assert [line.split(",")[4] for line in lines] == ["joined", "2024-03-05", ""]
    assert of_dates.problems == []


def test_far_rows_are_counted_and_can_be_reached(of_dates):
    outside = "rowsOutside(mapRanges())"
    assert of_dates.run(outside) == 2
    assert words(of_dates, "#outside").startswith("2 rows lie far from the others, outside of the")
    assert not of_dates.run("byId('outside').hidden")
    of_dates.click(*of_dates.centre("#whole"))
    assert of_dates.run(outside) == 0
    of_dates.click(*of_dates.centre("#most"))
    assert of_dates.run(outside) == 2
    of_dates.run("goToRow(7)")
    assert of_dates.run(outside) == 0
    choose(of_dates, "across", 1)
    assert of_dates.run(outside) > 0
    assert of_dates.problems == []


def test_where_no_row_is_far_nothing_is_said(visit):
    assert visit.run("byId('outside').hidden && byId('most').hidden")
