"""VAETransformer among the other parts of scikit-learn: pipelines, searches, memory, routing.

Numbers after "checklist" count the lines of the project's checklist of the contract.
"""

import pickle
from contextlib import ExitStack

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skvae import MLP, DivergenceError, VAETransformer
from skvae.start import spectrum
from tests.samples import HTML_HAS_PARAMETERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COLUMNS = list("abcdef")


def quick(latent_dim=2, **params):
    return VAETransformer(
        latent_dim, **{"batch_size": 16, "max_iter": 3, "random_state": 0} | params
    )


@pytest.fixture(scope="module")
def shuffled(curve):
    """The curve as a frame whose index is shuffled and not unique."""
    index = np.random.default_rng(0).permutation(len(curve)) // 2
    return pd.DataFrame(curve, columns=COLUMNS, index=index)


@pytest.fixture(scope="module")
def labels(curve):
    return (curve[:, 0] > 0).astype(int)


class Broken(nn.Module):
    """A body whose output is not finite as soon as a step has changed it."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    def forward(self, x):
        out = self.layer(x)
        return out / 0.0 if self.layer.weight.any() else out


# Pipelines, unions, columns


def test_a_pipeline_with_a_classifier(curve, labels):
    pipeline = make_pipeline(StandardScaler(), quick(), LogisticRegression()).fit(curve, labels)
    assert pipeline.score(curve, labels) > 0.9
    assert pipeline[:-1].transform(curve).shape == (200, 2)
    assert pipeline[:-1].get_feature_names_out().tolist() == ["vaetransformer0", "vaetransformer1"]


# checklist 34
@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_a_pipeline_goes_back(curve, output):
    pipeline = make_pipeline(StandardScaler(), quick()).set_output(transform=output)
    codes = pipeline.fit(curve).transform(curve)
    rows = pipeline.inverse_transform(codes)
    assert rows.shape == curve.shape
    scaler = StandardScaler().fit(curve)
    vae = quick().fit(scaler.transform(curve))
    reconstructed = vae.inverse_transform(vae.transform(scaler.transform(curve)))
    np.testing.assert_allclose(rows, scaler.inverse_transform(reconstructed), atol=1e-6)
    assert np.square(rows - curve).mean() < curve.var(0).mean()


# checklist 52
def test_a_pipeline_scores_by_its_last_step(curve):
    pipeline = make_pipeline(StandardScaler(), quick()).fit(curve)
    scaled = StandardScaler().fit_transform(curve)
    assert pipeline.score(curve) == pytest.approx(quick().fit(scaled).score(scaled), rel=1e-6)
    assert pipeline.score_samples(curve).shape == (200,)


# checklist 33
def test_a_union_beside_pca(curve, shuffled):
    union = FeatureUnion([("pca", PCA(2)), ("vae", quick())]).set_output(transform="pandas")
    codes = union.fit_transform(shuffled)
    assert list(codes) == ["pca__pca0", "pca__pca1", "vae__vaetransformer0", "vae__vaetransformer1"]
    pd.testing.assert_index_equal(codes.index, shuffled.index)
    expected = quick().fit(curve).transform(curve)
    np.testing.assert_allclose(codes.iloc[:, 2:], expected, rtol=1e-6)


# checklist 33
def test_columns_of_a_frame_stay_with_their_rows(shuffled):
    columns = ColumnTransformer(
        [("bent", quick(), COLUMNS[:3]), ("other", quick(1), COLUMNS[3:5])], remainder="passthrough"
    ).set_output(transform="pandas")
    table = columns.fit_transform(shuffled)
    assert list(table) == [
        "bent__vaetransformer0",
        "bent__vaetransformer1",
        "other__vaetransformer0",
        "remainder__f",
    ]
    pd.testing.assert_index_equal(table.index, shuffled.index)
    np.testing.assert_array_equal(table["remainder__f"], shuffled["f"])
    clipped = quick().fit(shuffled[COLUMNS[:3]]).transform(shuffled[COLUMNS[:3]])
    np.testing.assert_allclose(table.iloc[:, :2], clipped, rtol=1e-9)
    pd.testing.assert_frame_equal(columns.transform(shuffled), table, rtol=1e-7)


# checklist 6
def test_html_of_a_pipeline(curve):
    pipeline = make_pipeline(StandardScaler(), quick(architecture=MLP()))
    for estimator in (pipeline, pipeline.fit(curve)):
        html = estimator._repr_html_()
        assert "VAETransformer" in html
        assert "hidden_layer_sizes" in html or not HTML_HAS_PARAMETERS


# Searches


# checklist 49
@pytest.mark.parametrize("with_labels", [False, True])
def test_a_search_needs_no_scoring(curve, labels, with_labels):
    search = GridSearchCV(quick(), {"latent_dim": [1, 2, 3]}, cv=2)
    search.fit(curve, labels if with_labels else None)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_score_ == scores.max()
    assert search.best_estimator_.latent_dim_ == search.best_params_["latent_dim"]
    assert search.score(curve) == search.best_estimator_.score(curve)
    assert search.transform(curve).shape == (200, search.best_estimator_.latent_dim_)


# checklist 49
def test_a_search_prefers_what_fits():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(200, 8))
    search = GridSearchCV(quick(max_iter=0), {"latent_dim": [1, 3, 7]}, cv=3).fit(X)
    assert search.best_params_ == {"latent_dim": 3}


def test_candidates_of_a_search_find_the_directions_of_their_rows_once(curve, monkeypatch):
    found, find = [], spectrum.find_spectrum

    def counted(*args):
        found.append(args[0].shape)
        return find(*args)

    monkeypatch.setattr(spectrum, "find_spectrum", counted)
    vae = quick(max_iter=0)
    for estimator, grid in (
        (vae, {"latent_dim": [1, 2, 3]}),
        (Pipeline([("vae", vae)]), {"vae__latent_dim": [1, 2, 3]}),
    ):
        found.clear()
        search = GridSearchCV(estimator, grid, cv=2).fit(curve)
        assert sorted(found) == [(100, 6), (100, 6), (200, 6)]
        best = search.best_estimator_
        for each in (vae, best["vae"] if estimator is not vae else best):
            assert "_spectra" not in vars(each)  # which would hold them beyond the search
    twin = pickle.loads(pickle.dumps(clone(vae)))
    assert vars(twin)["_spectra"] is None  # which still tells that it is a clone


# checklist 48, 49
def test_a_search_inside_a_pipeline(curve, labels):
    pipeline = Pipeline([("vae", quick()), ("clf", LogisticRegression())])
    search = GridSearchCV(pipeline, {"vae__latent_dim": [1, 2]}, cv=2).fit(curve, labels)
    best = search.best_estimator_["vae"]
    assert best.latent_dim_ == search.best_params_["vae__latent_dim"]
    assert b"_parent_callback_ctx" not in pickle.dumps(best)
    assert b"torch" not in pickle.dumps(best)


# checklist 49
def test_a_halving_search(curve):
    search = HalvingGridSearchCV(
        quick(), {"latent_dim": [1, 2, 3]}, resource="max_iter", max_resources=4, cv=2, factor=2
    ).fit(curve)
    assert search.best_estimator_.n_iter_ <= 4
    assert np.isfinite(search.best_score_)


# checklist 49
def test_a_search_reaches_the_options_of_a_component(curve):
    grid = {"architecture__hidden_layer_sizes": [(4,), (8, 8)], "architecture": [MLP()]}
    search = GridSearchCV(quick(), grid, cv=2).fit(curve)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    vae = quick(1, architecture=MLP(), batch_size=8, max_iter=5)
    grid = {"architecture__hidden_layer_sizes": [(64,), (64, 64)]}
    search = GridSearchCV(vae, grid, cv=2).fit(curve)
    best = search.best_params_["architecture__hidden_layer_sizes"]
    assert search.best_estimator_.architecture.hidden_layer_sizes == best
    assert len(set(search.cv_results_["mean_test_score"])) == 2


def test_cross_validation_returns_fitted_models(curve):
    result = cross_validate(quick(), curve, cv=3, return_estimator=True, return_train_score=True)
    assert np.isfinite(result["test_score"]).all()
    for vae, score in zip(result["estimator"], result["train_score"], strict=True):
        assert vae.n_samples_ in (133, 134)
        assert np.isfinite(score)
        assert vae.transform(curve).shape == (200, 2)


# checklist 50
@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_workers_give_the_same_scores(curve, backend):
    expected = cross_validate(quick(), curve, cv=4)["test_score"]
    with joblib.parallel_config(backend=backend, n_jobs=2):
        scores = cross_validate(quick(), curve, cv=4)["test_score"]
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


# checklist 50
def test_workers_do_not_share_threads_out_twice():
    with joblib.parallel_config(backend="loky", n_jobs=2, inner_max_num_threads=1):
        counts = joblib.Parallel()(joblib.delayed(torch.get_num_threads)() for _ in range(2))
    assert counts == [1, 1]


# checklist 51
def test_divergence_is_recorded_and_the_search_goes_on(curve):
    grid = {"architecture": ["mlp", Broken]}
    search = GridSearchCV(quick(), grid, cv=2)
    with (
        pytest.warns(FitFailedWarning, match="DivergenceError"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(curve)
    good, bad = search.cv_results_["mean_test_score"]
    assert np.isfinite(good)
    assert np.isnan(bad)
    assert search.best_params_ == {"architecture": "mlp"}
    with pytest.raises(DivergenceError, match="standard deviations"):
        GridSearchCV(quick(), grid, cv=2, error_score="raise").fit(curve)


# Memory


# checklist 53
def test_memory_is_hit(curve, labels, tmp_path):
    steps = [("vae", quick()), ("clf", LogisticRegression())]
    fresh = Pipeline(steps).fit(curve, labels)
    cached = [
        Pipeline(sklearn.base.clone(Pipeline(steps)).steps, memory=str(tmp_path)).fit(curve, labels)
        for _ in range(2)
    ]
    assert len(list(tmp_path.rglob("output.pkl"))) == 1  # one fit, found again by the second
    for pipeline in cached:
        codes = pipeline["vae"].transform(curve)
        np.testing.assert_array_equal(codes, fresh["vae"].transform(curve))
    Pipeline([("vae", quick(3)), steps[1]], memory=str(tmp_path)).fit(curve, labels)
    assert len(list(tmp_path.rglob("output.pkl"))) == 2


# Metadata


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


# checklist 54
@pytest.mark.usefixtures("routing")
def test_weights_reach_a_step_in_the_middle(curve, labels):
    weight = np.where(curve[:, 0] > 0, 5.0, 1.0)
    vae = quick().set_fit_request(sample_weight=True)
    classifier = LogisticRegression().set_fit_request(sample_weight=False)
    pipeline = Pipeline([("vae", vae), ("clf", classifier)])
    pipeline.fit(curve, labels, sample_weight=weight)
    expected = quick().fit(curve, sample_weight=weight).transform(curve)
    np.testing.assert_array_equal(pipeline["vae"].transform(curve), expected)
    assert not np.allclose(expected, quick().fit(curve).transform(curve))


# checklist 54
@pytest.mark.usefixtures("routing")
def test_weights_reach_the_folds_of_a_search(curve):
    vae = quick().set_fit_request(sample_weight=True)
    weight = np.ones(len(curve))
    search = GridSearchCV(vae, {"latent_dim": [1, 2]}, cv=2).fit(curve, sample_weight=weight)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# checklist 54
def test_weights_without_routing_are_refused(curve):
    with pytest.raises(ValueError, match="sample_weight"):
        make_pipeline(StandardScaler(), quick()).fit(curve, sample_weight=np.ones(len(curve)))


# Arrays of other libraries


@pytest.fixture
def dispatch():
    with ExitStack() as stack:
        try:
            stack.enter_context(sklearn.config_context(array_api_dispatch=True))
        except ImportError as error:  # older scikit-learn asks for packages of its own
            pytest.skip(str(error))
        yield


def check_tensors(curve, dtype, device):
    X = torch.tensor(curve, dtype=dtype, device=device)
    vae = quick().fit(X)
    codes = vae.transform(X)
    outputs = {
        "codes": codes,
        "rows": vae.inverse_transform(codes),
        "mean": vae.encode(X)[0],
        "decoded": vae.decode(codes),
        "scores": vae.score_samples(X),
        "sample": vae.sample(3, random_state=0),
    }
    for name, tensor in outputs.items():
        assert isinstance(tensor, torch.Tensor), name
        assert (tensor.dtype, tensor.device) == (X.dtype, X.device), name
        assert not tensor.requires_grad, name
    assert isinstance(vae.score(X), float)
    return vae, outputs


# checklist 59
@pytest.mark.usefixtures("dispatch")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_in_tensors_out(curve, dtype):
    vae, outputs = check_tensors(curve, dtype, "cpu")
    X = torch.tensor(curve, dtype=dtype).numpy()
    expected = quick().fit(X)
    assert vae.kept_ == expected.kept_ > 0
    np.testing.assert_array_equal(outputs["codes"].numpy(), expected.transform(X))
    np.testing.assert_array_equal(outputs["scores"].numpy(), expected.score_samples(X))
    weight = torch.ones(len(curve), dtype=dtype)
    assert isinstance(quick().fit(torch.tensor(X), sample_weight=weight).mean_, torch.Tensor)


# checklist 59
@pytest.mark.gpu
@pytest.mark.usefixtures("dispatch")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_tensors_stay_there(curve, dtype):
    vae, _ = check_tensors(curve, dtype, "cuda")
    assert vae.device_.startswith("cuda")
    assert vae.mean_.device.type == "cuda"


# checklist 59
@pytest.mark.usefixtures("dispatch")
def test_another_library_is_refused_after_fit(curve):
    if not hasattr(sklearn.utils._array_api, "check_same_namespace"):
        pytest.skip("this scikit-learn does not ask for it")
    vae = quick().fit(torch.tensor(curve))
    for method in ("transform", "encode", "score", "score_samples"):
        with pytest.raises(ValueError, match="namespace"):
            getattr(vae, method)(curve)


# checklist 59
def test_a_model_moves_between_libraries(curve):
    move = getattr(sklearn.utils._array_api, "move_estimator_to", None)
    if move is None:
        pytest.skip("this scikit-learn cannot move estimators")
    with sklearn.config_context(array_api_dispatch=True):
        vae = quick().fit(torch.tensor(curve))
        expected = vae.transform(torch.tensor(curve)).numpy()
        moved = move(vae, np, None)
        codes = moved.transform(curve)
    assert isinstance(codes, np.ndarray)
    np.testing.assert_array_equal(codes, expected)


# checklist 59
@pytest.mark.usefixtures("dispatch")
def test_a_pipeline_of_tensors(curve):
    X = torch.tensor(curve)
    pipeline = make_pipeline(StandardScaler(), quick())
    codes = pipeline.fit_transform(X)
    assert isinstance(codes, torch.Tensor)
    assert isinstance(pipeline.inverse_transform(codes), torch.Tensor)
