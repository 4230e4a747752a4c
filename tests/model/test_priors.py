"""The contract of the priors, over the table of names."""

import copy
import math
import pickle
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import nn

from skvae.model.posterior import Posterior
from skvae.model.priors import PRIORS, Aggregate, ExPost, Mixture, Normals, Prior, Vamp

N_INPUTS = 3
TRAINED = sorted(name for name, prior in PRIORS.items() if prior.is_trained)
LEARNING = sorted(name for name in PRIORS if name != "normal")
COUNTED = sorted(name for name in PRIORS if "n_components" in PRIORS[name]().get_params())


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


class Encoder(nn.Module):
    """Of inputs, to independent normal units."""

    def __init__(self, latent_dim):
        super().__init__()
        self.weight = nn.Parameter(normal(latent_dim, N_INPUTS))

    def encode_inputs(self, inputs):
        # Sums instead of products of matrices, which autocast would round.
        mean = (inputs[:, None] * self.weight).sum(-1)
        return Posterior(mean, -1.0 - torch.tanh(mean).square())


def clusters(n, q, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(n, q))
    codes[:, 0] *= 0.2
    codes[::3] += 2.0
    return codes


def away_from_start(name, q):
    """A module as training or a fit may leave it, in float64."""
    prior = PRIORS[name]()
    if prior.is_fitted_after:
        return prior.fit(clusters(500, q), random_state=0)
    module = prior.module(q, N_INPUTS).double()
    prior.start(module, normal(40, N_INPUTS), seeded())
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter += 0.4 * normal(*parameter.shape, seed=number)
    return module


@pytest.fixture(params=LEARNING)
def name(request):
    """Of a prior with something to learn."""
    return request.param


@pytest.fixture(params=sorted(PRIORS))
def any_name(request):
    return request.param


def grid(limit=12.0, step=0.06):
    line = torch.arange(-limit, limit, step, dtype=torch.float64)
    return torch.cartesian_prod(line, line), step**2


@torch.no_grad()
def test_densities_integrate_to_one(any_name):
    z, cell = grid()
    density = away_from_start(any_name, 2).log_prob(z, Encoder(2)).exp()
    assert density.sum().item() * cell == pytest.approx(1.0, abs=1e-6)


@torch.no_grad()
def test_draws_follow_the_density(any_name):
    module, vae, n = away_from_start(any_name, 2), Encoder(2), 40_000
    z, cell = grid()
    log_density = module.log_prob(z, vae)
    drawn = module.sample(n, vae, seeded())
    assert drawn.shape == (n, 2)
    for value, found in [
        (log_density, module.log_prob(drawn, vae)),
        *((z[:, j] ** power, drawn[:, j] ** power) for j in (0, 1) for power in (1, 2)),
        (z.prod(-1), drawn.prod(-1)),
        (z.cos().prod(-1), drawn.cos().prod(-1)),
    ]:
        expected = (log_density.exp() * value).sum() * cell
        assert abs(found.mean() - expected) < 4.5 * found.std() / math.sqrt(n)


@torch.no_grad()
def test_draws_come_in_no_order(any_name):
    drawn = away_from_start(any_name, 2).sample(2000, Encoder(2), seeded())
    halves = drawn[:1000], drawn[1000:]
    error = drawn.std(0) * math.sqrt(2 / 1000)
    assert (abs(halves[0].mean(0) - halves[1].mean(0)) < 4 * error).all()


@torch.no_grad()
def test_the_divergence_is_the_mean_over_draws(any_name):
    """Of a posterior for every draw, all alike: one by one they are right on average."""
    module, vae, n = away_from_start(any_name, 2), Encoder(2), 40_000
    q = Posterior(torch.full((n, 2), 0.3).double(), torch.full((n, 2), -0.7).double())
    noise = normal(n, 2)
    z = q.sample(noise)
    kl = module.kl(q, z, noise, vae)
    points, cell = grid()
    one = Posterior(q.mean[:1], q.log_variance[:1])
    log_q = one.log_prob(points)
    expected = (log_q.exp() * (log_q - module.log_prob(points, vae))).sum() * cell
    assert kl.shape == (n,)
    error = 4.5 * kl.std().item() / math.sqrt(n)
    assert kl.mean().item() == pytest.approx(expected.item(), abs=error + 1e-6)
    assert (kl.std() < 1e-12) == (any_name == "normal")  # in closed form


def test_units_follow_the_codes_where_the_density_cannot():
    moves = {name: away_from_start(name, 2).is_standard for name in PRIORS}
    assert [name for name, follows in moves.items() if follows] == ["normal"]
    assert not list(PRIORS["normal"]().module(2, N_INPUTS).parameters())
    assert not PRIORS["normal"]().module(2, N_INPUTS).state_dict()


@pytest.mark.parametrize("q", [1, 2, 7])
def test_gradients_are_finite_and_reach_every_parameter(name, q):
    module = away_from_start(name, q)
    (-module.log_prob(normal(64, q), Encoder(q)).mean()).backward()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all()
        assert q == 1 or parameter.grad.any()


def test_gradients_are_finite_far_from_the_codes(name):
    module, vae = away_from_start(name, 2), Encoder(2)
    log_prob = module.log_prob(1e4 * normal(8, 2), vae)
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_of_draws_reach_the_components(name):
    module, vae = away_from_start(name, 2), Encoder(2)
    module.sample(200, vae, seeded()).sum().backward()
    for parameter in (getattr(module, n, None) for n in ("means", "factors", "pseudo_inputs")):
        assert parameter is None or parameter.grad.any()


@torch.no_grad()
def test_a_point_does_not_depend_on_those_beside_it(any_name):
    module, vae, z = away_from_start(any_name, 3), Encoder(3), normal(50, 3)
    log_prob = module.log_prob(z, vae)
    assert log_prob.shape == (50,)
    torch.testing.assert_close(module.log_prob(z[7:9], vae), log_prob[7:9])
    module.largest_array = 1
    torch.testing.assert_close(module.log_prob(z, vae), log_prob)


@torch.no_grad()
def test_has_the_module_s_dtype(name):
    double, vae, z = away_from_start(name, 3), Encoder(3), normal(20, 3)
    single = copy.deepcopy(double).float()
    log_prob = single.log_prob(z.float(), copy.deepcopy(vae).float())
    assert log_prob.dtype == torch.float32
    assert single.sample(5, copy.deepcopy(vae).float(), seeded()).dtype == torch.float32
    torch.testing.assert_close(log_prob.double(), double.log_prob(z, vae), atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_copies_are_equal(name):
    module, vae, z = away_from_start(name, 2), Encoder(2), normal(20, 2)
    for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(again.log_prob(z, vae), module.log_prob(z, vae))
        assert torch.equal(again.sample(9, vae, seeded()), module.sample(9, vae, seeded()))


@torch.no_grad()
def test_is_rebuilt_from_its_state(name):
    module, vae, z = away_from_start(name, 2), Encoder(2), normal(20, 2)
    with torch.device("meta"):
        again = PRIORS[name]().module(2, N_INPUTS)
    assert all(parameter.is_meta for parameter in again.parameters())
    again.load_state_dict(module.state_dict(), assign=True)
    assert torch.equal(again.log_prob(z, vae), module.log_prob(z, vae))
    assert torch.equal(again.sample(9, vae, seeded()), module.sample(9, vae, seeded()))


def test_draws_come_from_the_generator_alone(name):
    before, numpy_before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    module, vae = away_from_start(name, 2), Encoder(2)
    first = module.sample(9, vae, seeded(1))
    module.log_prob(first, vae)
    assert torch.equal(torch.get_rng_state(), before)
    assert str(np.random.get_state()) == numpy_before  # noqa: NPY002
    torch.testing.assert_close(module.sample(9, vae, seeded(1)), first)
    assert not torch.equal(module.sample(9, vae, seeded(2)), first)


@pytest.mark.parametrize("name", TRAINED)
def test_start_comes_from_the_generator_alone(name):
    def start(seed):
        prior = PRIORS[name]()
        module = prior.module(2, N_INPUTS)
        prior.start(module, normal(40, N_INPUTS, dtype=torch.float32), seeded(seed))
        return nn.utils.parameters_to_vector(module.parameters())

    before = torch.get_rng_state()
    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))
    assert torch.equal(torch.get_rng_state(), before)


def standard_normal(z):
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


@torch.no_grad()
@pytest.mark.parametrize("n_components", [1, 2, 10])
@pytest.mark.parametrize("q", [1, 8, 32])
def test_mixture_starts_near_the_standard_normal(n_components, q):
    prior = Mixture(n_components=n_components)
    module = prior.module(q, N_INPUTS).double()
    prior.start(module, normal(40, N_INPUTS), seeded())
    z = normal(20_000, q)
    lost = (standard_normal(z) - module.log_prob(z)).mean().item()
    assert abs(lost) < 0.01 * q
    if n_components > 1:
        assert len(module.means.unique(dim=0)) == n_components
    variance = module.means.square().mean(0) + (-2 * module.factors[0].diagonal()).exp()
    torch.testing.assert_close(module.means.mean(0), torch.zeros_like(module.means[0]))
    torch.testing.assert_close(variance, torch.ones_like(variance))


@torch.no_grad()
@pytest.mark.parametrize("n_rows", [1, 10, 200])
def test_vamp_starts_at_rows_and_with_half_a_standard_normal(n_rows):
    prior, rows, z = Vamp(), normal(n_rows, N_INPUTS), normal(1000, 4)
    module = prior.module(4, N_INPUTS).double()
    prior.start(module, rows, seeded())
    found = (module.pseudo_inputs[:, None] == rows).all(-1)
    assert found.any(1).all()
    assert found.any(0).sum() == min(n_rows, 50), "no row twice while others are left"
    assert module.logits.softmax(0)[0] == pytest.approx(0.5)
    lost = standard_normal(z) - module.log_prob(z, Encoder(4))
    assert (lost <= math.log(2) + 1e-9).all()


@torch.no_grad()
def test_vamp_is_the_mixture_of_posteriors():
    module, vae, z = away_from_start("vamp", 2), Encoder(2), normal(30, 2)
    weights = module.logits.softmax(0)
    density = weights[0] * standard_normal(z).exp()
    for weight, row in zip(weights[1:], module.pseudo_inputs, strict=True):
        density = density + weight * vae.encode_inputs(row[None]).log_prob(z).exp()
    torch.testing.assert_close(module.log_prob(z, vae).exp(), density)


def test_vamp_trains_the_encoder_too():
    module, vae = away_from_start("vamp", 2), Encoder(2)
    module.log_prob(normal(30, 2), vae).sum().backward()
    assert vae.weight.grad.any()


@torch.no_grad()
@pytest.mark.parametrize(("n_rows", "q", "n_fitted"), [(500, 2, 10), (60, 2, 4), (3, 5, 1)])
def test_ex_post_is_the_mixture_of_scikit_learn(n_rows, q, n_fitted):
    codes = clusters(n_rows, q)
    module = ExPost().fit(codes, random_state=3)
    expected = GaussianMixture(n_fitted, reg_covar=1e-3, random_state=3).fit(codes)
    z = 2.0 * normal(200, q)
    found = module.log_prob(z).numpy()
    np.testing.assert_allclose(found, expected.score_samples(z.numpy()), rtol=0, atol=1e-8)
    assert len(module.logits) == 10
    assert (module.logits.softmax(0) > 0).sum() == n_fitted
    assert torch.isfinite(module.logits).all()


@torch.no_grad()
def test_ex_post_knows_weights():
    codes = np.concatenate([clusters(400, 2) - 4.0, clusters(400, 2) + 4.0])
    weight = np.repeat(np.float32([0.0, 3.0]), 400)
    module = ExPost(n_components=2).fit(codes, random_state=0, weight=weight)
    drawn = module.sample(1000, None, seeded()).numpy()
    np.testing.assert_allclose(drawn.mean(0), codes[400:].mean(0), atol=0.25)


def test_ex_post_counts_rows_that_weights_leave():
    weight = np.repeat([1.0, 0.0], [40, 960])
    module = ExPost().fit(clusters(1000, 2), random_state=0, weight=weight)
    assert (module.logits.softmax(0) > 0).sum() == 2


@torch.no_grad()
def test_ex_post_fits_codes_that_are_all_the_same():
    module = ExPost().fit(np.ones((100, 2)), random_state=0)
    z = torch.ones(1, 2, dtype=torch.float64)
    assert torch.isfinite(module.log_prob(z)).all()


def test_no_warning_of_em_escapes(monkeypatch):
    hasty, codes = partial(GaussianMixture, max_iter=1), clusters(500, 2)
    with pytest.warns(ConvergenceWarning):
        hasty(10, random_state=0).fit(codes)
    monkeypatch.setattr("sklearn.mixture.GaussianMixture", hasty)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ExPost().fit(codes, random_state=0)


@pytest.mark.parametrize("prior", PRIORS.values())
def test_components_are_estimators(prior):
    component = prior()
    assert isinstance(component, Prior)
    assert repr(clone(component)) == repr(component)
    assert clone(component).get_params() == component.get_params()
    assert pickle.loads(pickle.dumps(component)).get_params() == component.get_params()
    assert not (prior.is_trained and prior.is_fitted_after)


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("n", [0, -1, 2.5, 10.0, "10", None])
def test_a_wrong_number_of_components_is_refused(name, n):
    prior = PRIORS[name](n_components=n)
    message = rf"n_components={n!r} must be a whole number from 1 up"
    for use in (prior.check, lambda: prior.module(2, N_INPUTS)):
        with pytest.raises(ValueError, match=message):
            use()


def test_ex_post_refuses_a_wrong_number_of_components():
    with pytest.raises(ValueError, match="n_components=0 must be"):
        ExPost(n_components=0).fit(clusters(50, 2), random_state=0)


@pytest.mark.parametrize("name", COUNTED)
@pytest.mark.parametrize("n", [1, np.int64(4)])
def test_whole_numbers_of_every_kind_are_taken(name, n):
    PRIORS[name](n_components=n).module(2, N_INPUTS)


@pytest.mark.gpu
def test_works_on_a_gpu(name):
    module, vae, z = away_from_start(name, 2), Encoder(2), normal(20, 2)
    expected = module.log_prob(z, vae).detach()
    module, vae = module.cuda(), vae.cuda()
    torch.testing.assert_close(module.log_prob(z.cuda(), vae).cpu().detach(), expected)
    assert module.sample(9, vae, torch.Generator("cuda").manual_seed(0)).is_cuda


@pytest.mark.gpu
@pytest.mark.parametrize("name", TRAINED)
def test_starts_on_a_gpu(name):
    prior, rows = PRIORS[name](), normal(40, N_INPUTS).cuda()
    module = prior.module(2, N_INPUTS).to(rows)
    prior.start(module, rows, torch.Generator("cuda").manual_seed(0))
    assert torch.isfinite(module.log_prob(normal(20, 2).cuda(), Encoder(2).cuda())).all()


def posteriors_of(n, q, seed=0):
    """Codes of clusters with what they were drawn from."""
    means = clusters(n, q, seed)
    variances = np.random.default_rng(seed).uniform(0.05, 0.3, (n, q))
    noise = np.random.default_rng(seed + 1).normal(size=(n, q))
    return means + np.sqrt(variances) * noise, Normals(means, variances)


@torch.no_grad()
def test_the_aggregate_has_the_mean_and_the_variance_of_its_posteriors():
    codes, posteriors = posteriors_of(300, 2)
    module = Aggregate(n_components=300).fit(codes, 0, None, posteriors)
    w = module.logits.softmax(0)[1:].numpy()
    w = w / w.sum()
    means, variances = module.means[1:].numpy(), module.log_variances[1:].exp().numpy()
    center = w @ means
    np.testing.assert_allclose(center, posteriors.means.mean(0), atol=1e-9)
    spread = w @ (variances + np.square(means - center))
    expected = posteriors.variances.mean(0) + posteriors.means.var(0)
    np.testing.assert_allclose(spread, expected, rtol=1e-9)


@torch.no_grad()
def test_the_aggregate_is_likelier_than_a_normal_where_codes_are_in_clusters():
    module = Aggregate(n_components=400).fit(*_fitting(posteriors_of(800, 2)))
    others = torch.from_numpy(posteriors_of(800, 2, seed=5)[0])
    normal_of_all = torch.distributions.MultivariateNormal(others.mean(0), others.T.cov())
    assert module.log_prob(others).mean() > normal_of_all.log_prob(others).mean() + 0.1


def _fitting(codes_and_posteriors):
    codes, posteriors = codes_and_posteriors
    return codes, 0, None, posteriors


@torch.no_grad()
def test_the_aggregate_is_smoothed_the_more_the_fewer_rows_it_is_made_of():
    codes, posteriors = posteriors_of(3000, 4)
    widths = []
    for n in (30, 3000):
        module = Aggregate(n_components=n).fit(codes, 0, None, posteriors)
        own = module.log_variances[1 : n + 1].exp().numpy() - posteriors.variances[:n]
        widths.append((own / posteriors.means[:n].var(0)).mean())
    assert widths[0] > 2 * max(widths[1], 0.001)


@torch.no_grad()
def test_the_aggregate_of_fewer_rows_than_components_is_made_of_all():
    codes, posteriors = posteriors_of(40, 2)
    module = Aggregate(n_components=100).fit(codes, 0, None, posteriors)
    assert (module.logits.softmax(0) > 0).sum() == 41
    assert torch.isfinite(module.log_prob(torch.from_numpy(codes))).all()
    assert torch.isfinite(module.sample(50, None, seeded())).all()


@torch.no_grad()
def test_rows_of_no_weight_are_no_part_of_the_aggregate():
    codes, posteriors = posteriors_of(200, 2)
    weight = np.repeat(np.float32([0.0, 3.0]), 100)
    module = Aggregate(n_components=200).fit(codes, 0, weight, posteriors)
    shares = module.logits.softmax(0)[1:]
    assert not shares[:100].any()
    assert shares[100:].min() > 0


@torch.no_grad()
def test_the_aggregate_is_the_mixture_that_it_says():
    module = away_from_start("aggregate", 3)
    z = 2.0 * normal(50, 3)
    components = torch.distributions.Independent(
        torch.distributions.Normal(module.means, (0.5 * module.log_variances).exp()), 1
    )
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=module.logits), components
    )
    torch.testing.assert_close(module.log_prob(z), mixture.log_prob(z))
