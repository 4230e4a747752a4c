"""The page holds what public methods say, as data alone, and asks nothing of a network."""

import base64
import gzip
import html
import re
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError

from skvae import VAETransformer
from skvae.explorer import content as content_module
from skvae.explorer.pack import packed
from skvae.explorer.page import SCRIPTS, template
from skvae.explorer.table import LONGEST, column_of
from skvae.extents import extent_of
from tests.explorer.evaluated import evaluated
from tests.processes import apart
from tests.samples import fit_quietly

pytest.importorskip("plotly")


def test_numbers_are_those_of_public_methods(trained, curve):
    content = trained.explore(curve, curve[:, 0]).content
    np.testing.assert_array_equal(content["rows"], np.arange(len(curve)))
    np.testing.assert_allclose(content["codes"], trained.transform(curve), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(content["scores"], trained.score_samples(curve))
    for column, values in zip(content["columns"], curve.T, strict=True):
        np.testing.assert_allclose(column["values"], values, rtol=1e-6, atol=1e-6)
    assert content["facts"]["pca_score"] == trained.pca_score_
    bound = content["training"]["bound"]
    np.testing.assert_array_equal(bound, trained.history_["bound"])


def test_error_by_codes_ends_with_that_of_inverse_transform(trained, curve):
    by_codes = trained.explore(curve).content["by_codes"]
    made = trained.inverse_transform(trained.transform(curve))
    expected = np.square(curve - made).sum() / np.square(curve - curve.mean(0)).sum()
    assert by_codes["unexplained"][-1] == pytest.approx(expected)
    assert len(by_codes["likelihood"]) == trained.latent_dim_ + 1
    assert by_codes["wrong"] == [None] * 3


def test_likelihood_by_codes_is_the_normal_density_of_pca(linear, curve):
    """Of the linear start it is that of noise around the reconstruction, in closed form."""
    by_codes = linear.explore(curve).content["by_codes"]
    codes, noise = linear.transform(curve), linear.noise_variance_
    for n, found in enumerate(by_codes["likelihood"]):
        partial = np.where(np.arange(codes.shape[1]) < n, codes, codes.mean(0))
        error = np.square(curve - linear.inverse_transform(partial)).sum(1)
        log_density = -0.5 * (error / noise + curve.shape[1] * np.log(2 * np.pi * noise))
        assert found == pytest.approx(log_density.mean())


def test_loadings_are_scaled(linear, curve):
    found = linear.explore(curve).content["loadings"]
    codes, spread = linear.transform(curve).std(0), np.sqrt(curve.var(0).mean())
    expected = linear.loadings(curve).to_numpy() * codes[:, None] / spread
    np.testing.assert_allclose(found["values"], expected, rtol=1e-5)


@pytest.mark.parametrize("container", [pd.DataFrame, pl.DataFrame, sparse.csr_array, np.asarray])
def test_containers_hold_the_same(container, curve):
    rows = container(curve)
    vae = VAETransformer(2, max_iter=0).fit(rows)
    content = vae.explore(rows).content
    for column, values in zip(content["columns"], curve.T, strict=True):
        np.testing.assert_allclose(column["values"], values, rtol=1e-6)


BITS = np.random.default_rng(0).random((40, 5)) < 0.5
OF_BITS = {
    "booleans": BITS,
    "sparse booleans": sparse.csr_array(BITS),
    "lists": BITS.tolist(),
    "objects": BITS.astype(object),
    "short integers": BITS.astype(np.int8),
    "short floats": BITS.astype(np.float16),
    "decimals": np.vectorize(Decimal, otypes=[object])(BITS.astype(int)),
    "booleans of pandas": pd.DataFrame(BITS),
    "booleans of pandas with gaps": pd.DataFrame(BITS).astype("boolean"),
    "booleans of polars": pl.DataFrame(BITS),
    "objects of pandas": pd.DataFrame(BITS).astype(object),
}


@pytest.mark.parametrize("of_fit", ["numbers", "the same"])
@pytest.mark.parametrize("name", OF_BITS)
def test_rows_that_transform_takes_are_drawn(name, of_fit):
    X = OF_BITS[name]
    fitted = X
    if of_fit == "numbers":
        is_frame = hasattr(X, "columns")
        fitted = type(X)(BITS * 1.0) if is_frame else BITS * 1.0
    content = VAETransformer(2, max_iter=0).fit(fitted).explore(X).content
    for column, values in zip(content["columns"], BITS.T, strict=True):
        np.testing.assert_array_equal(column["values"], values)
    assert content["loadings"]["values"].shape[0] == 2


def test_missing_cells_and_new_levels_are_shown_as_they_are(hostile, of_hostile):
    X = hostile.head(6).copy()
    X.iloc[0, 0] = np.nan
    X.iloc[1, 3] = None
    X.iloc[2, 3] = "a new one"
    with pytest.warns(UserWarning, match="levels that fit has not seen"):
        columns = of_hostile.explore(X).content["columns"]
    assert np.isnan(columns[0]["values"][0])
    words = columns[3]
    assert words["values"][1] == words["missing"]
    assert words["levels"][words["values"][2]] == "a new one"


def test_rows_have_their_names(of_hostile, hostile):
    named = hostile.head(3).set_axis(["a", "b", "</script>"])
    assert of_hostile.explore(named).content["labels"] == ["a", "b", "</script>"]
    assert of_hostile.explore(hostile).content["labels"] is None


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_few_rows_make_a_page(n_rows, trained, curve):
    content = trained.explore(curve[:n_rows], ["a"] * n_rows).content
    assert len(content["rows"]) == n_rows
    packed(content)


def test_more_rows_than_fit_are_drawn_and_the_oddest_keep_their_cells(linear, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, linear.n_features_in_))
    page = linear.explore(X, rng.integers(3, size=len(X)))
    content = page.content
    assert len(content["rows"]) == content_module.ROWS
    assert (np.diff(content["rows"]) > 0).all()
    np.testing.assert_allclose(content["codes"], linear.transform(X[content["rows"]]), atol=1e-5)
    oddest = np.argsort(content["scores"])[:20]
    assert np.isin(oddest, content["kept"]).all()
    assert len(page.to_html()) < 10_000_000


def test_wide_rows_stay_below_the_limit():
    X = np.random.default_rng(0).normal(size=(4000, 1500))
    vae = VAETransformer(2, max_iter=0).fit(X[:200])
    page = vae.explore(X)
    assert len(page.content["rows"]) == 4000
    assert len(page.content["kept"]) < 4000
    assert len(page.to_html()) < 10_000_000


def test_the_file_is_the_page_and_the_same_each_time(tmp_path, trained, curve):
    first, second = (tmp_path / name for name in ("first.html", "second.html"))
    page = trained.explore(curve, path=first)
    trained.explore(curve, path=second)
    assert first.read_bytes() == second.read_bytes() == page.to_html().encode()


def test_nothing_of_the_data_is_html(of_hostile, hostile):
    text = of_hostile.explore(hostile, hostile.iloc[:, 3]).to_html()
    for sign in ('onerror="console', "onload=console", "example.org", "\u202e", "x" * 300):
        assert sign not in text
    assert re.findall(r"(?:src|href)\s*=", text) == []
    assert len(re.findall(r"</script", text)) == 3
    (letters,) = re.findall(r'id="content">([\w+/=]*)<', text)
    assert b"onerror" in gzip.decompress(base64.b64decode(letters))


def test_a_notebook_shows_it_in_a_frame_of_its_own(trained, curve):
    page = trained.explore(curve)
    shown = page._repr_html_()
    assert 'sandbox="allow-scripts allow-downloads"' in shown
    (inner,) = re.findall(r'srcdoc="([^"]*)"', shown)
    assert html.unescape(inner) == page.to_html()
    assert repr(page) == f"<skvae page of {len(curve)} rows and 2 codes>"


@pytest.mark.parametrize("name", [*SCRIPTS, "page.html", "style.css"])
def test_templates_are_short_and_ask_nothing(name):
    text = template(name)
    assert text.count("\n") <= 400
    assert max(map(len, text.splitlines())) < 180
    assert not re.search(
        r"https?:|fetch\(|innerHTML|insertAdjacentHTML|document\.write|eval\(", text
    )
    assert not re.search(r"\._\w", text)  # nothing private of a library


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=20), st.none()), min_size=1, max_size=12))
def test_columns_of_text_say_what_cells_are(cells):
    column = column_of("name", np.array(cells, dtype=object), ())
    if column["kind"] == "number":  # nothing but missing cells
        assert set(cells) == {None}
        return
    told = [
        None if place == column["missing"] else column["levels"][place]
        for place in column["values"].tolist()
    ]
    assert told == cells


@pytest.mark.parametrize("of", [list, np.array, pd.Series, pl.Series, lambda y: [*y, None][1:]])
def test_booleans_that_colour_rows_are_classes(of, linear, curve):
    y = of([bool(n % 2) for n in range(len(curve))])
    column = linear.explore(curve, y).content["target"]
    assert (column["kind"], set(column["levels"])) == ("level", {"False", "True"})


def test_long_cells_are_cut_in_the_middle():
    column = column_of("name", np.array(["x" * 5000 + "y"], dtype=object))
    assert len(column["levels"][0]) <= LONGEST
    assert column["levels"][0].endswith("y")


def test_trees_come_through_unharmed(tmp_path):
    tree = {
        "words": ["</script>", "\u2028\u202e", "x" * 1000, None, True, 1.5, float("nan")],
        "whole": np.array([0, 255], np.uint8),
        "pairs": np.array([1, 65535], np.uint16),
        "signed": np.array([-1, 2**30], np.int32),
        "single": np.array([0.1, np.nan], np.float32),
        "double": np.array([0.1, 1e300]),
        "none": np.array([]),
    }
    found = evaluated(
        tree,
        "Object.entries(tree).map(([k, v]) => [k, v.constructor.name, Array.from(v)])",
        tmp_path,
    )
    kinds = {name: kind for name, kind, _ in found}
    values = {name: own for name, _, own in found}
    assert kinds["single"] == "Float32Array"
    assert values["words"] == [*tree["words"][:-1], None]
    assert values["double"] == [0.1, 1e300]
    assert values["single"] == [float(np.float32(0.1)), None]
    assert values["signed"] == [-1, 2**30]
    assert values["whole"] == [0, 255]
    assert values["none"] == []


def test_mistakes_are_named(trained, curve):
    with pytest.raises(NotFittedError):
        VAETransformer().explore(curve)
    with pytest.raises(ValueError, match=r"y has shape \(2, 2\): give one value"):
        trained.explore(curve, [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="y has 2 values, but X has"):
        trained.explore(curve, [1, 2])
    with pytest.raises(ValueError, match="image_shape=6 must be"):
        trained.explore(curve, image_shape=6)
    with pytest.raises(ValueError, match="has 49 values, but a row has"):
        trained.explore(curve, image_shape=(7, 7))


@pytest.mark.parametrize("of", [list, np.array, pd.Series, lambda y: np.array(y)[:, None]])
def test_one_value_for_each_row_in_any_form(trained, curve, of):
    y = ["<b>", "é"] * (len(curve) // 2)
    target = trained.explore(curve[: len(y)], of(y)).content["target"]
    assert target["classes"]["names"] == ["<b>", "é"]


@pytest.mark.parametrize(
    ("unit", "letters", "shown"),
    [
        ("D", 10, "2024-03-05"),
        ("m", 16, "2024-03-05 10:20"),
        ("s", 19, "2024-03-05 10:20:30"),
        ("ns", 23, "2024-03-05 10:20:30.125"),
    ],
)
def test_dates_are_told_as_far_as_they_go(unit, letters, shown):
    cells = np.array(["2024-03-05T10:20:30.125", "NaT"], f"datetime64[{unit}]")
    column = column_of("when", cells)
    assert (column["kind"], column["letters"], column["classes"]) == ("date", letters, None)
    milliseconds = np.datetime64(shown.replace(" ", "T"), "ms").astype(int)
    np.testing.assert_array_equal(column["values"], [milliseconds, np.nan])


def test_dates_of_any_library_are_dates_and_no_classes(trained, curve):
    days = pd.Series(pd.date_range("2024-03-05", periods=len(curve), tz="Europe/Berlin"))
    forms = [days, days.dt.date, pl.Series(days), days.dt.tz_localize(None).dt.to_period("D")]
    forms += [pd.DataFrame({"when": days})]
    found = [trained.explore(curve, form).content["target"] for form in forms]
    for target in found:
        assert target["kind"] == "date"
        np.testing.assert_array_equal(target["values"], found[0]["values"])
    assert np.diff(found[0]["values"][:2]) == 86_400_000


def test_few_far_rows_are_outside_of_the_first_view(linear, curve):
    far = np.vstack([curve, curve[:1] * 1e4])
    extents = linear.explore(far).content["extents"]["codes"]
    codes = linear.transform(far)
    for code, extent in zip(codes.T, extents, strict=True):
        assert extent == extent_of(code)._asdict()
    assert any(extent["first"] != extent["whole"] for extent in extents)


def without_plotly():
    sys.modules["plotly"] = sys.modules["plotly.offline"] = None
    X = load_iris().data
    page = VAETransformer(2, max_iter=0).fit(X).explore(X)
    with pytest.raises(ImportError, match=re.escape("skvae[explore]")):
        page.to_html()


def test_without_plotly_it_says_what_to_install():
    apart(without_plotly)


def test_training_that_was_dropped_and_images_make_pages(curve):
    vae = fit_quietly(VAETransformer(2, max_iter=1, random_state=0), curve)
    shape = (2, curve.shape[1] // 2)
    picture = vae.explore(curve, image_shape=shape).content["picture"]
    assert (picture["height"], picture["width"]) == shape
    assert picture["low"] == curve.min()


def test_text_is_no_image_and_booleans_may_be_one():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((40, 4)) < 0.5).rename(columns=str)
    vae = VAETransformer(1, max_iter=0).fit(frame)
    assert vae.explore(frame, image_shape=(2, 2)).content["picture"]["height"] == 2
    text = frame.assign(c=["on", "off"] * 20, d=rng.normal(size=40))
    with pytest.raises(ValueError, match=r"image_shape=\(2, 3\) .* 'c' holds text"):
        VAETransformer(1, max_iter=0).fit(text).explore(text, image_shape=(2, 3))


def test_a_page_says_how_much_it_has(curve):
    vae = VAETransformer(1, max_iter=0).fit(curve)
    assert repr(vae.explore(curve[:1])) == "<skvae page of 1 row and 1 code>"
    assert repr(vae.explore(curve[:2])) == "<skvae page of 2 rows and 1 code>"
