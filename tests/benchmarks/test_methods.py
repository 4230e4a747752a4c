"""Methods and peers: what they take, that they reconstruct, and PCA's densities."""

import logging
import sys
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.decomposition import PCA

from benchmarks import methods
from benchmarks.loop import Scale
from benchmarks.methods import METHODS
from benchmarks.metrics import pca_log_densities, squared_error
from benchmarks.peers import PEERS
from benchmarks.suites.trials_table import LABELS
from tests.samples import curve, gaussian

FROM_SCIKIT_LEARN = ("MLPRegressor", "PCA", "IncrementalPCA", "KernelPCA", "FactorAnalysis")
QUICK = ("tutorial loop", *FROM_SCIKIT_LEARN)
EXTRA = {"pythae VAE": "pythae", "pyod VAE": "pyod", "pyod AutoEncoder": "pyod"}


@pytest.mark.parametrize("name", [name for name in METHODS if name != "umap"])
def test_methods(name):
    method = METHODS[name]
    X = np.abs(gaussian(40, 6))
    model = method.build(X, 2, 0)
    assert all(hasattr(model, part) for part in ("fit", "transform"))
    assert method.accepts(X)
    assert method.accepts(-X) == (not method.nonnegative)
    assert method.accepts(sparse.csr_matrix(X)) == method.sparse
    assert name in LABELS


def test_umap_is_left_out_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    methods._warm_up_umap.cache_clear()
    with pytest.raises(ImportError, match=r"umap is missing: pip install 'skvae\[peers\]'"):
        METHODS["umap"].build(curve(40, 5), 2, 0)


@pytest.mark.slow
def test_umap_reconstructs_and_leaves_threads_alone():
    pytest.importorskip("umap")
    X, before = curve(200, 5, noise=0.05).astype("float32"), torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = methods.fit("umap", X, 2, seed=0)[0]
        error = np.square(X - model.inverse_transform(model.transform(X))).mean()
    assert error < X.var(axis=0).mean()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("name", "latent_dim", "expected"), [("umap", 4, 100), ("umap", 8, 0), ("pca", 64, None)]
)
def test_how_many_rows_are_brought_back(name, latent_dim, expected):
    assert METHODS[name].n_restored(latent_dim) == expected


def fitted(name, X, latent_dim=2):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, and what the libraries say on import
        if name in EXTRA:
            pytest.importorskip(EXTRA[name])
        return PEERS[name].build(latent_dim, 0).fit(X)


@pytest.mark.parametrize("name", [*QUICK, *EXTRA])
def test_peers_reconstruct_in_the_units_of_the_rows(name, capfd):
    X = 50 + 20 * curve(120, 6, noise=0.05)
    X[:, 5] = 7.0  # a column that does not vary
    model = fitted(name, X)
    found = model.reconstruct(X[:40])
    assert found.shape == (40, 6)
    np.testing.assert_allclose(found.mean(0), X[:40].mean(0), atol=10)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", EXTRA)
def test_peers_leave_nothing_behind(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = (curve(80, 5, noise=0.05).clip(-2, 2) + 2) / 4
    assert fitted(name, X.astype("float32")).reconstruct(X.astype("float32")).shape == X.shape
    assert not [*tmp_path.iterdir()]
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize("name", ["pythae VAE", "pyod VAE"])
def test_a_missing_library_is_named_with_its_extra(name, monkeypatch):
    for module in ("pythae.pipelines", "pyod.models.vae"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'skvae\[peers\]'"):
        PEERS[name].build(2, 0).fit(curve(40, 5))


def test_the_tutorial_loop_learns():
    X = curve(1500, 5)
    error = np.square(X - fitted("tutorial loop", X).reconstruct(X)).mean()
    assert error < 0.8 * X.var(axis=0).mean()
    assert fitted("tutorial loop", (X - X.min()) / np.ptp(X)).model.scale.is_unit


def test_kernel_pca_gets_fewer_rows():
    model = fitted("KernelPCA", curve(2100, 3))
    assert model.model.model.X_fit_.shape[0] == 2000


def test_scales_are_invertible():
    X = curve(30, 5)
    scale = Scale.of(X)
    np.testing.assert_allclose(scale.apply(X).std(0), 1, rtol=1e-5)
    np.testing.assert_allclose(scale.undo(scale.apply(X)), X, atol=1e-5)


def test_every_method_has_a_label():
    assert set(LABELS) == set(METHODS)


def test_log_densities_of_pca_are_scikit_learns():
    X = gaussian(60, 8)
    pca = PCA(3).fit(X)
    np.testing.assert_allclose(pca_log_densities(pca, X), pca.score_samples(X), rtol=1e-9)
    error = np.square(X - pca.inverse_transform(pca.transform(X))).mean()
    assert squared_error(pca, X) == pytest.approx(error)
    assert squared_error(pca, sparse.csr_matrix(X)) == pytest.approx(error)
