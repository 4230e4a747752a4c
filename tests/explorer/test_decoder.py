"""The decoder of the page makes what `inverse_transform` makes, for every layer and likelihood."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from skvae import MLP, Conv, VAETransformer
from skvae.explorer.decoder import decoder_of
from skvae.explorer.layers import LAYERS, UnknownLayerError, layers_of
from skvae.explorer.links import LINKS
from skvae.explorer.table import values_of
from skvae.likelihoods import LIKELIHOODS
from skvae.model.networks import ACTIVATIONS, NORMALIZATIONS
from tests.explorer.evaluated import evaluated
from tests.samples import OneSplit, fit_quietly
from tests.tables import MIXED, NAMES, rows_of

TOLERANCE = 1e-5


def drawn(network):
    """The network in evaluation mode, with statistics of its own."""
    torch.manual_seed(0)
    for layer in network.modules():
        if getattr(layer, "running_mean", None) is not None:
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return network.double().eval().requires_grad_(False)


NETWORKS = {
    **{name: MLP(hidden_layer_sizes=(7, 7), activation=name) for name in ACTIVATIONS},
    **{
        f"{name}, residual": MLP(hidden_layer_sizes=(7, 7), normalization=name, residual=True)
        for name in NORMALIZATIONS
    },
    "dropout": MLP(hidden_layer_sizes=(7,), dropout=0.5),
}
IMAGES = {
    "grey": Conv(image_shape=(8, 8), channels=(5, 6), hidden_units=None),
    "odd": Conv(image_shape=(3, 5, 7), channels=(4, 6), kernel_size=5, normalization="layer"),
    "batch": Conv(image_shape=(6, 5), channels=(4, 6), normalization="batch"),
}


@pytest.mark.parametrize("name", [*NETWORKS, *IMAGES])
def test_layers_are_those_of_torch(name, tmp_path):
    sizes = {"grey": 64, "odd": 105, "batch": 30}
    maker = (NETWORKS | IMAGES)[name]
    network = drawn(maker(3, sizes.get(name, 4)))
    x = np.random.default_rng(0).normal(size=(5, 3))
    tree = {"layers": layers_of(network, (3,)), "x": [list(row) for row in x]}
    expression = "tree.x.map((row) => Array.from(through(tree.layers, Float64Array.from(row))))"
    found = np.array(evaluated(tree, expression, tmp_path))
    expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE * np.abs(expected).max())


def test_every_layer_of_networks_is_known():
    networks = [maker(3, 105 if name == "odd" else 64) for name, maker in NETWORKS.items()]
    networks += [IMAGES["grey"](3, 64), IMAGES["odd"](3, 105), IMAGES["batch"](3, 30)]
    inside = {type(layer) for network in networks for layer in network.modules()}
    assert inside - {nn.Sequential} <= set(LAYERS)


def test_a_layer_that_is_not_known_is_named():
    with pytest.raises(UnknownLayerError, match="Bilinear"):
        layers_of(nn.Sequential(nn.Bilinear(1, 1, 1)), (1,))


def of_page(estimator, codes, folder):
    """Values and shares of levels that the page makes of codes."""
    tree = {"decoder": decoder_of(estimator, codes), "codes": [list(row) for row in codes]}
    n_columns = estimator.n_features_in_
    expression = (
        f"tree.codes.map((row) => decoded(tree.decoder, row, [0, 1], Array({n_columns}).fill(0)))"
    )
    rows = evaluated(tree, expression, folder)
    values = np.array([[cell["value"] for cell in row] for row in rows], dtype=float)
    return tree["decoder"], values, rows


def check(estimator, X, folder, tolerance=TOLERANCE):
    """Codes of rows and some beyond them are decoded as `inverse_transform` does."""
    own = np.asarray(estimator.transform(X), dtype=float)[:20]
    codes = np.concatenate([own, 1.5 * own[:5], np.zeros((1, own.shape[1]))])
    decoder, values, rows = of_page(estimator, codes, folder)
    expected = values_of(estimator, estimator.inverse_transform(codes))
    scale = np.nanstd(values_of(estimator, X), 0) + np.abs(expected).max(0)
    far = np.abs(values - expected) / np.maximum(scale, 1e-9)  # also of what never varies
    assert far.max() <= tolerance, np.unravel_index(far.argmax(), far.shape)
    return decoder, rows, expected


@pytest.mark.parametrize("name", [*NAMES, "mixed"])
def test_columns_are_those_of_inverse_transform(name, tmp_path):
    likelihood = MIXED if name == "mixed" else name
    X = rows_of(likelihood)
    vae = fit_quietly(OneSplit(2, max_iter=3, likelihood=likelihood, random_state=0), X)
    is_curve = name in ("empirical", "mixed")
    decoder, _, _ = check(vae, X, tmp_path, 1e-3 if is_curve else TOLERANCE)
    kinds = {link["kind"] for link in decoder["columns"]}
    assert ("curve" in kinds) == is_curve


def test_every_likelihood_has_a_link_or_a_curve():
    without = {name for name, kind in LIKELIHOODS.items() if kind not in LINKS}
    assert without == {"empirical"}


@pytest.mark.parametrize("architecture", ["mlp", "linear"])
@pytest.mark.parametrize("whiten", [False, True])
def test_trained_networks_are_those_of_inverse_transform(architecture, whiten, curve, tmp_path):
    vae = VAETransformer(2, architecture=architecture, whiten=whiten, max_iter=30, random_state=0)
    vae = fit_quietly(vae, curve)
    decoder, _, _ = check(vae, curve, tmp_path)
    if architecture == "mlp":
        assert vae.kept_ > 0
        assert [each["kind"] for each in decoder["layers"]].count("silu") >= 2


def test_numbers_far_from_zero_lose_nothing(curve, tmp_path):
    X = curve + 1e9
    vae = fit_quietly(VAETransformer(2, max_iter=0), X)
    codes = vae.transform(X)[:5]
    _, values, _ = of_page(vae, codes, tmp_path)
    np.testing.assert_allclose(values - 1e9, vae.inverse_transform(codes) - 1e9, atol=1e-5)


def test_whole_numbers_are_those_that_are_rounded_after(curve, tmp_path):
    X = pd.DataFrame(np.round(3.0 * curve).astype(int)).rename(columns=str)
    X = X.assign(high=curve[:, 0] > 0)
    vae = fit_quietly(VAETransformer(2, max_iter=0), X)
    codes = vae.transform(X)[:20]
    decoder, values, _ = of_page(vae, codes, tmp_path)
    assert decoder["kind"] == "network"
    assert (values[:, :-1] % 1 != 0).any()
    np.testing.assert_array_equal(np.rint(values), vae.inverse_transform(codes))


def test_shares_of_levels_sum_to_one_and_tell_the_likeliest(hostile, of_hostile, tmp_path):
    _, rows, expected = check(of_hostile, hostile, tmp_path)
    for cells, values in zip(rows, expected, strict=True):
        for column in (3, 4):
            shares = np.array(cells[column]["shares"], dtype=float)
            assert shares.sum() == pytest.approx(1.0)
            assert shares.argmax() == values[column]


def test_rare_levels_share_an_output(tmp_path):
    rng = np.random.default_rng(0)
    levels = np.array([f"level {n}" for n in range(90)])
    X = pd.DataFrame({"many": levels[np.minimum(rng.geometric(0.03, 600) - 1, 89)],
                      "one": rng.normal(size=600), "same": "constant"})  # fmt: skip
    vae = VAETransformer(2, max_iter=0).fit(X)
    decoder, rows, _ = check(vae, X, tmp_path)
    assert decoder["columns"][2]["kind"] == "fixed"
    assert decoder["columns"][0]["n"] < len(decoder["columns"][0]["levels"])
    assert sum(share or 0 for share in rows[0][0]["shares"]) == pytest.approx(1.0)


def bilinear(n_in, n_out):
    """An architecture of a person's own, which the page does not know."""
    return nn.Sequential(nn.Linear(n_in, 8), nn.Softplus(), nn.Linear(8, n_out))


def test_other_decoders_have_grids(curve, tmp_path):
    vae = VAETransformer(2, architecture=bilinear, max_iter=30, random_state=0)
    vae = fit_quietly(vae, curve)
    codes = vae.transform(curve)
    decoder = decoder_of(vae, codes)
    assert decoder["kind"] == "grid"
    assert "Softplus" in decoder["why"]
    side = decoder["side"]
    low, high = codes.min(0), codes.max(0)
    corners = np.array([low, [high[0], low[1]], [low[0], high[1]], high])
    _, values, _ = of_page(vae, corners, tmp_path)
    # The grid is of the rows that it was made for: here these are the corners themselves.
    np.testing.assert_allclose(values, vae.inverse_transform(corners), rtol=1e-5, atol=1e-5)
    assert len(decoder["planes"][0]["values"]) == side * side
