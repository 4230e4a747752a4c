"""The bounds and their relatives: exact at the linear start, in the right order elsewhere."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch

from skvae.model.first_weights import build, start_at_zero
from skvae.model.networks import MLP
from skvae.model.posterior import Posterior
from skvae.model.priors import Mixture
from skvae.model.rows import ScoreRows
from skvae.start.ppca import fit_linear
from skvae.training.objective import (
    OBJECTIVES,
    POINT_WEIGHT,
    Autoencoder,
    Denoising,
    Elbo,
    Iwae,
    Mmd,
    TotalCorrelation,
    mmd,
    shrinkage_undone,
    total_correlation,
)
from tests.samples import SMALL, gaussian, noise_of, projected, with_networks


@pytest.fixture
def perturbed(start_and_rows):
    """A model whose posterior is not exact, and which knows its columns."""
    start = start_and_rows[0]
    networks = build(SMALL, start.network_sizes(SMALL), seed=0)
    return with_networks(start, *networks, knows_columns=True).double()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Given:
    """Rows whose noise is given."""

    def __init__(self, rows, noise):
        self.rows, self.noise = rows, noise

    def __getattr__(self, name):
        return getattr(self.rows, name)

    def draw_noise(self, latent_dim, generator):
        return self.noise

    def unmasked(self, n):
        return self


def elbo(vae, rows, noise, **changes):
    """Terms of the plain bound with this noise."""
    return Elbo(**changes)(vae, Given(rows, noise), seeded())


def bound_of_draws(vae, rows, noise):
    """Terms where every row is decoded from a draw."""
    return elbo(vae, rows, noise, point_share=0.0)


def test_the_starts_density_holds_that_of_the_model(start_and_rows, start_log_prob):
    """It is the model's own, or, with fewer rows than columns, its mixture with another."""
    start, rows = start_and_rows
    reported = torch.from_numpy(start.log_density(rows.scores.numpy(), rows.residual.numpy()))
    if start.n_rows > start.n_features:
        torch.testing.assert_close(reported, start_log_prob, rtol=1e-10, atol=0)
    else:
        assert (reported >= start_log_prob - math.log(2)).all()
        assert (reported > start_log_prob).any()


def test_elbo_at_the_start_is_the_log_likelihood(start_and_rows, start_log_prob):
    """The bound is quadratic in the noise: the corners of a cube give its expectation exactly."""
    start, rows = start_and_rows
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    bounds = [
        bound_of_draws(start.module(), rows, corner.expand(rows.n_rows, 3)).elbo
        for corner in corners
    ]
    torch.testing.assert_close(
        torch.stack(bounds).mean(), start_log_prob.mean(), rtol=1e-10, atol=0
    )


def test_weights_are_repetitions_of_rows(start_and_rows, perturbed):
    _, rows = start_and_rows
    times = torch.arange(rows.n_rows) % 3 + 1
    noise = noise_of(rows.n_rows, 3)
    weight = times / times.double().mean()
    weighted = bound_of_draws(perturbed, replace(rows, weight=weight), noise)
    repeated = bound_of_draws(
        perturbed,
        ScoreRows(*(a.repeat_interleave(times, 0) for a in (rows.scores, rows.residual))),
        noise.repeat_interleave(times, 0),
    )
    for name in ("elbo", "log_likelihood"):
        torch.testing.assert_close(getattr(weighted, name), getattr(repeated, name))


def parts(vae, rows, noise):
    """Log-likelihoods from point codes and from draws, and the divergence, per row."""
    q = vae.encode(rows)
    points = vae.decode(q.mean * shrinkage_undone(rows.mean(q.log_variance.detach().exp())))
    draws = vae.decode(q.sample(noise))
    likelihoods = (vae.log_likelihood(rows, z) for z in (points, draws))
    return *likelihoods, q.kl().sum(-1)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_that_of_draws_and_of_points(start_and_rows, perturbed, weighted):
    _, rows = start_and_rows
    n, noise = rows.n_rows, noise_of(rows.n_rows, 3)
    weight = torch.arange(1.0, n + 1).double() if weighted else None
    rows = replace(rows, weight=weight)
    terms = elbo(perturbed, rows, noise)
    times = torch.ones(n).double() if weight is None else weight
    points, draws, kl = (part.detach() for part in parts(perturbed, rows, noise))
    n_points = n // 4
    watched = (times * draws)[n_points:].sum() / times[n_points:].sum()
    torch.testing.assert_close(terms.log_likelihood, watched)
    torch.testing.assert_close(terms.elbo, watched - (times * kl).sum() / times.sum())
    expected = POINT_WEIGHT * (times * points)[:n_points].mean()
    expected += (times * draws)[n_points:].mean() - (times * kl).mean()
    torch.testing.assert_close(terms.loss.detach(), -expected)
    assert not terms.elbo.requires_grad


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_watched_is_in_nats_per_row_whatever_a_batch_weighs(start_and_rows, name):
    """The loss of a batch grows with its weights; noise and curves are those of its rows."""
    start, rows = start_and_rows
    objective = OBJECTIVES[name]()
    vae = start.module(knows_columns=objective.needs_columns).double()
    weight = torch.linspace(0.1, 3.0, rows.n_rows).double()
    light, heavy = (
        objective(vae, replace(rows, weight=weight * factor), torch.Generator().manual_seed(0))
        for factor in (0.2, 5.0)
    )
    torch.testing.assert_close(heavy.elbo, light.elbo)
    torch.testing.assert_close(heavy.log_likelihood, light.log_likelihood)


def test_few_rows_have_no_points(start_and_rows, perturbed):
    _, rows = start_and_rows
    terms = elbo(perturbed, rows.take(torch.arange(3)), noise_of(3, 3))
    torch.testing.assert_close(terms.loss, -terms.elbo)


def test_the_point_codes_pull_no_variance(start_and_rows, perturbed):
    """With the draws held still, only the divergence and they are left."""
    _, rows = start_and_rows
    bias = perturbed.encoder[-1].bias
    points, _, _ = parts(perturbed, rows, noise_of(rows.n_rows, 3))
    (gradient,) = torch.autograd.grad(points.mean(), bias)
    assert gradient[3:].abs().max() == 0
    assert gradient[:3].abs().max() > 0


def test_the_start_is_stationary(start_and_rows):
    """The gradient vanishes in the linear path: the start is a maximum of the likelihood."""
    start, rows = start_and_rows
    n = rows.n_rows
    # The mean over rows divides by n, variances by n - 1.
    rows = replace(rows, scores=rows.scores * (n / (n - 1)) ** 0.5)
    vae = start.module()
    q = vae.encode(rows)
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    likelihoods = torch.stack([vae.log_likelihood(rows, vae.decode(q.sample(c))) for c in corners])
    (likelihoods.mean() - q.kl().sum(-1).mean()).backward()
    for path in (vae.inference.encoder_path, vae.observation.decoder_path):
        assert path.grad.abs().max() < 1e-8 / start.noise_variance


def test_shrinkage_undone_at_the_start(start_and_rows):
    start, rows = start_and_rows
    vae = start.module()
    expected = start.variances[:3] / (start.variances[:3] - start.noise_variance)
    mean_variance = vae.encode(rows).log_variance.exp().mean(0)
    torch.testing.assert_close(shrinkage_undone(mean_variance), torch.from_numpy(expected))
    torch.testing.assert_close(vae.scale.code_scale, torch.from_numpy(expected))


def test_shrinkage_undone_of_an_inactive_unit_is_bounded():
    assert shrinkage_undone(torch.ones(2)).tolist() == pytest.approx([100, 100])


def close(ours, theirs, **tolerance):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


@pytest.mark.parametrize("kl_weight", [0.0, 0.3, 2.0])
def test_the_kl_is_weighed_in_the_loss_and_not_in_what_is_watched(
    start_and_rows, perturbed, kl_weight
):
    _, rows = start_and_rows
    for objective in (Elbo(point_share=0.0), Mmd(alpha=0.0, weight=1.0), Iwae(n_draws=1)):
        plain, weighed = (
            objective(perturbed, rows, seeded(), weight) for weight in (1.0, kl_weight)
        )
        close(plain[1:], weighed[1:])
    plain, weighed = (
        Elbo(point_share=0.0)(perturbed, rows, seeded(), weight) for weight in (1.0, kl_weight)
    )
    kl = perturbed.encode(rows).kl().sum(-1).mean()
    torch.testing.assert_close(weighed.loss, plain.loss + (kl_weight - 1.0) * kl)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_says_what_it_watches(start_and_rows, perturbed, name):
    """Scalars in nats per row; weights of rows count in all."""
    _, rows = start_and_rows
    objective = OBJECTIVES[name]()
    objective.check()
    terms = objective(perturbed, rows, seeded())
    assert [term.shape for term in terms] == [()] * 3
    assert terms.loss.requires_grad
    assert not terms.elbo.requires_grad
    assert not terms.log_likelihood.requires_grad
    assert terms.elbo <= terms.log_likelihood
    terms.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in perturbed.parameters())
    ones = objective(perturbed, replace(rows, weight=torch.ones(rows.n_rows).double()), seeded())
    # Where pairs of rows are compared, weights choose the rows.
    is_paired = name in ("tc", "mmd")
    close(ones[is_paired:], terms[is_paired:])
    twos = torch.full((rows.n_rows,), 2.0).double()
    heavy = objective(perturbed, replace(rows, weight=twos), seeded())
    close(heavy[1:], terms[1:])  # in nats per row, whatever they weigh
    if not is_paired:
        torch.testing.assert_close(heavy.loss, 2.0 * terms.loss)


@pytest.mark.parametrize("weighted", [False, True])
def test_free_bits_cost_nothing(start_and_rows, perturbed, weighted):
    _, rows = start_and_rows
    weight = torch.arange(1.0, rows.n_rows + 1).double() if weighted else None
    rows = replace(rows, weight=None if weight is None else weight / weight.mean())
    noise = noise_of(rows.n_rows, 3)
    plain = bound_of_draws(perturbed, rows, noise)
    each = rows.mean(perturbed.encode(rows).kl())
    for free_bits in (0.0, each.median().item(), 100.0):
        free = elbo(perturbed, rows, noise, point_share=0.0, free_bits=free_bits)
        close(free[1:], plain[1:])
        paid = each.clamp(min=free_bits).sum() - each.sum()
        torch.testing.assert_close(free.loss, plain.loss + paid)
    kl_gradient = torch.autograd.grad(free.loss, perturbed.encoder[-1].bias, retain_graph=True)
    likelihood = -free.loss + 300.0
    torch.testing.assert_close(
        kl_gradient[0], -torch.autograd.grad(likelihood, perturbed.encoder[-1].bias)[0]
    )
    assert not Elbo(free_bits=0.1).has_plain_kl
    assert Elbo().has_plain_kl


def test_denoising_nothing_is_the_plain_bound(start_and_rows, perturbed):
    _, rows = start_and_rows
    plain = Elbo()(perturbed, rows, seeded())
    close(Denoising(noise=0.0, masking=0.0)(perturbed, rows, seeded()), plain)
    assert not Denoising(masking=0.0).needs_columns
    assert Denoising().needs_columns
    assert Denoising()(perturbed, rows, seeded()).elbo < plain.elbo


def test_a_denoising_bound_is_that_of_the_whole_rows(start_and_rows, perturbed):
    """Encoded as they were spoilt, explained as they were."""
    _, rows = start_and_rows
    objective = Denoising(noise=0.5, masking=0.3, point_share=0.0)
    terms = objective(perturbed, rows, seeded())
    generator = seeded()
    corrupted = perturbed.observation.corrupt(rows, 0.5, 0.3, generator)
    assert not torch.allclose(corrupted.scores, rows.scores)
    q = perturbed.encode(corrupted)
    decoded = perturbed.decode(q.sample(corrupted.draw_noise(3, generator)))
    expected = (perturbed.log_likelihood(rows, decoded) - q.kl().sum(-1)).mean()
    torch.testing.assert_close(terms.loss, -expected)


def test_spoilt_rows_are_as_far_off_as_they_should_be():
    X = gaussian(2000, 8)
    start = fit_linear(X, 3)
    rows, vae = projected(start, X), start.module(knows_columns=True)
    away = vae.observation.corrupt(rows, 0.5, 0.0, seeded()).scores - rows.scores
    assert away.std().item() == pytest.approx(0.5, rel=0.05)
    generator = seeded()
    hidden = torch.stack(
        [vae.observation.corrupt(rows, 0.0, 0.3, generator).scores for _ in range(200)]
    )
    error = 5 * (hidden.std(0) / len(hidden) ** 0.5).max().item()
    torch.testing.assert_close(hidden.mean(0), 0.7 * rows.scores, rtol=0, atol=error)
    assert hidden.std(0).mean() > 0.1


@torch.no_grad()
def test_the_bound_of_iwae_rises_with_the_draws(start_and_rows, perturbed):
    _, rows = start_and_rows
    few = ScoreRows(rows.scores[:10], rows.residual[:10])

    def mean_loss(n_draws):
        # The loss is the weighted mean of the log-weights: the bound itself needs their sum.
        generator, q = seeded(), perturbed.encode(few)
        noise = torch.empty(400, n_draws, 10, 3).double().normal_(generator=generator)
        z = q.sample(noise)
        weights = (
            perturbed.log_likelihood(few, perturbed.decode(z))
            + perturbed.log_prior(z.flatten(0, -2)).view(noise.shape[:-1])
            - q.log_density(noise)
        )
        return (torch.logsumexp(weights, 1) - math.log(n_draws)).mean().item()

    bounds = [mean_loss(n_draws) for n_draws in (1, 5, 25)]
    assert bounds == sorted(bounds)
    many = [Iwae(n_draws=n)(perturbed, few, seeded(seed)) for n in (1, 25) for seed in range(20)]
    elbos = torch.stack([terms.elbo for terms in many])
    assert elbos.mean().item() == pytest.approx(bounds[0], abs=4 * elbos.std().item())
    # Weighted by their share, draws explain the row better than on the average.
    for terms in many[20:]:
        assert terms.log_likelihood > terms.elbo


@pytest.fixture
def tiny():
    """A small model whose posterior is not exact, and four rows."""
    X = gaussian(60, 5)
    start = fit_linear(X, 2)
    branches = build(MLP(hidden_layer_sizes=(6,)), start.network_sizes(None), seed=1)
    vae = with_networks(start, *branches).double()
    rows = projected(start, X).take(torch.arange(4))
    return vae, rows


def encoder_of(vae):
    return [vae.inference.encoder_path, *vae.encoder.parameters()]


def decoder_of(vae):
    return [vae.observation.decoder_path, *vae.decoder.parameters()]


def gradient(loss, parameters):
    parts = torch.autograd.grad(loss, parameters, retain_graph=True)
    return torch.cat([part.flatten() for part in parts])


def plain_iwae(vae, rows, generator, n_draws):
    """Minus the importance-weighted bound, every part of it reparametrised."""
    q = vae.encode(rows)
    noise = q.mean.new_empty(n_draws, rows.n_rows, vae.latent_dim).normal_(generator=generator)
    z = q.sample(noise)
    joint = vae.log_likelihood(rows, vae.decode(z)) - 0.5 * (
        z.square() + math.log(2 * math.pi)
    ).sum(-1)
    return math.log(n_draws) - torch.logsumexp(joint - q.log_prob(z), 0).mean()


def test_the_gradient_of_iwae_is_that_of_its_bound(tiny):
    """Of the decoder exactly, with the same draws; of the encoder in expectation."""
    vae, rows = tiny
    many = rows.take(torch.arange(4).repeat(100))
    ours, theirs = [], []
    for seed in range(60):
        loss = Iwae(n_draws=4)(vae, many, seeded(seed)).loss
        plain = plain_iwae(vae, many, seeded(seed), 4)
        torch.testing.assert_close(
            gradient(loss, decoder_of(vae)), gradient(plain, decoder_of(vae))
        )
        ours.append(gradient(loss, encoder_of(vae)))
        theirs.append(gradient(plain, encoder_of(vae)))
    ours, theirs = torch.stack(ours), torch.stack(theirs)
    difference = ours - theirs
    error = difference.std(0) / len(difference) ** 0.5
    assert (difference.mean(0).abs() <= 5 * error + 1e-12).all()
    assert (ours.mean(0).abs() > 10 * error).any()  # there is something to estimate


def test_iwae_of_one_draw_lets_nothing_flow_through_the_density(tiny):
    """Sticking the landing (Roeder et al., 2017)."""
    vae, rows = tiny
    terms = Iwae(n_draws=1)(vae, rows, seeded())
    q = vae.encode(rows)
    z = q.sample(q.mean.new_empty(1, 4, 2).normal_(generator=seeded()))[0]
    joint = vae.log_likelihood(rows, vae.decode(z)) + vae.log_prior(z)
    loss = -(joint - q.detach().log_prob(z)).mean()
    torch.testing.assert_close(terms.loss, loss)
    torch.testing.assert_close(terms.elbo, -loss.detach())
    for parameters in (encoder_of(vae), decoder_of(vae)):
        torch.testing.assert_close(gradient(terms.loss, parameters), gradient(loss, parameters))


def test_iwae_leaves_the_exact_posterior_alone(start_and_rows):
    """At the linear start all weights are equal: no draw tells the encoder anything."""
    start, rows = start_and_rows
    branches = build(SMALL, start.network_sizes(None), seed=0)
    for branch, (n_in, _) in zip(branches, start.network_sizes(None), strict=True):
        start_at_zero(branch, n_in)
    vae = with_networks(start, *branches).double()
    loss = Iwae(n_draws=5)(vae, rows, seeded()).loss
    scale = gradient(loss, decoder_of(vae)).abs().max().item()
    assert scale > 1e-3
    assert gradient(loss, encoder_of(vae)).abs().max() < 1e-10 * max(scale, 1.0)


def test_total_correlation_of_weight_one_is_the_plain_bound(start_and_rows, perturbed):
    _, rows = start_and_rows
    plain = Elbo(point_share=0.0)(perturbed, rows, seeded())
    close(TotalCorrelation(weight=1.0)(perturbed, rows, seeded()), plain)
    close(TotalCorrelation(weight=4.0)(perturbed, rows, seeded())[1:], plain[1:])
    assert not TotalCorrelation().has_plain_kl


def test_the_loss_of_total_correlation_is_the_formula(start_and_rows, perturbed):
    _, rows = start_and_rows
    q = perturbed.encode(rows)
    z = q.sample(rows.draw_noise(3, seeded()))
    terms = TotalCorrelation(weight=4.0)(perturbed, rows, seeded(), 0.5)
    kl = q.kl().sum(-1).mean()
    expected = 0.5 * (kl + 3.0 * total_correlation(q.mean, q.variance, z)) - terms.log_likelihood
    torch.testing.assert_close(terms.loss, expected)


def correlated_codes(correlation, n=256):
    """Posteriors whose means are normal with this correlation; a draw of each."""
    factor = torch.tensor([[1.0, 0.0], [correlation, (1 - correlation**2) ** 0.5]]).double()
    mean = 0.9 * noise_of(n, 2) @ factor.T
    q = Posterior(mean, torch.full_like(mean, math.log(0.19)))
    return q.mean, q.variance, q.sample(noise_of(n, 2, seed=1))


def test_total_correlation_rises_with_the_dependence():
    """Of independent units only the constant is left, which all batches of a size share."""
    found = [total_correlation(*correlated_codes(r)).item() for r in (0.0, 0.5, 0.8, 0.95)]
    assert found == sorted(found)
    constant = -math.log(256)  # log n of the whole, less that of each unit
    for value, r in zip(found, (0.0, 0.5, 0.8), strict=False):
        exact = -0.5 * math.log(1 - (0.81 * r) ** 2)
        assert value - constant == pytest.approx(exact, abs=0.2)


def test_total_correlation_of_one_unit_is_none():
    q = Posterior(noise_of(50, 1), noise_of(50, 1, seed=1))
    z = q.sample(noise_of(50, 1, seed=2))
    assert total_correlation(q.mean, q.variance, z).abs() < 1e-12


def test_mmd_is_zero_on_the_average_for_equal_distributions():
    found = torch.stack([
        mmd(noise_of(40, 3, seed=2 * seed), noise_of(50, 3, seed=2 * seed + 1))
        for seed in range(300)
    ])  # fmt: skip
    assert found.mean().abs() < 4 * found.std() / len(found) ** 0.5
    assert found.min() < 0 < found.max()


def test_mmd_is_above_zero_for_others():
    standard, other = noise_of(300, 3), noise_of(300, 3, seed=1)
    near, far, narrow = (mmd(standard, z) for z in (other + 0.5, other + 2.0, 0.3 * other))
    assert 0.01 < near < far
    assert narrow > 0.01


def test_mmd_against_pairs_one_by_one():
    a, b = noise_of(5, 2), noise_of(4, 2, seed=1)

    def kernel(x, y):
        return math.exp(-(x - y).square().sum().item() / 4)

    within_a = sum(kernel(a[i], a[j]) for i in range(5) for j in range(5) if i != j) / 20
    within_b = sum(kernel(b[i], b[j]) for i in range(4) for j in range(4) if i != j) / 12
    between = sum(kernel(x, y) for x in a for y in b) / 20
    assert mmd(a, b).item() == pytest.approx(within_a + within_b - 2 * between)


def test_the_loss_of_mmd_is_the_formula(start_and_rows, perturbed):
    _, rows = start_and_rows
    terms = Mmd(alpha=0.25, weight=5.0)(perturbed, rows, seeded(), 0.5)
    generator = seeded()
    q = perturbed.encode(rows)
    z = q.sample(rows.draw_noise(3, generator))
    discrepancy = mmd(z, perturbed.sample_prior(rows.n_rows, generator))
    kl = q.kl().sum(-1).mean()
    torch.testing.assert_close(
        terms.loss, 0.5 * (0.75 * kl + 4.25 * discrepancy) - terms.log_likelihood
    )
    torch.testing.assert_close(terms.elbo, (terms.log_likelihood - kl).detach())


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_an_autoencoder_is_the_likelihood_at_the_codes(
    start_and_rows, perturbed, weighted
):
    _, rows = start_and_rows
    weight = torch.arange(1.0, rows.n_rows + 1).double() if weighted else None
    rows = replace(rows, weight=None if weight is None else weight / weight.mean())
    generator = seeded()
    terms = Autoencoder()(perturbed, rows, generator, 0.0)
    expected = perturbed.log_likelihood(rows, perturbed.decode(perturbed.codes(rows)))
    torch.testing.assert_close(terms.loss, -rows.mean(expected))
    close(terms[1:], [-terms.loss.detach()] * 2)
    assert torch.equal(generator.get_state(), seeded().get_state())


def test_a_prior_of_many_components_is_met_by_one_draw(start_and_rows, perturbed):
    """Unbiased: on the average it is the KL that very many draws give."""
    _, rows = start_and_rows
    rows = rows.take(torch.arange(8))
    perturbed.prior = Mixture(n_components=3).module(3, 0).double()
    with torch.no_grad():
        for parameter in perturbed.prior.parameters():
            parameter.copy_(noise_of(*parameter.shape))
        q = perturbed.encode(rows)
        noise = noise_of(20_000, 8, 3)
        z = q.sample(noise).flatten(0, 1)
        log_ratio = q.log_density(noise) - perturbed.log_prior(z).view(-1, 8)
        exact = log_ratio.mean()
        found = []
        for seed in range(400):
            terms = Elbo(point_share=0.0)(perturbed, rows, seeded(seed))
            found.append(terms.log_likelihood - terms.elbo)
    found = torch.stack(found)
    error = (found.var() / len(found) + log_ratio.mean(1).var() / len(noise)).sqrt()
    assert (found.mean() - exact).abs() < 4 * error
    assert (exact - q.kl().sum(-1).mean()).abs() > 20 * error  # to the standard normal


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        (Elbo(free_bits=-1.0), "free_bits"),
        (Elbo(point_share=1.0), "point_share"),
        (Denoising(noise=-0.1), "noise"),
        (Denoising(masking=1.0), "masking"),
        (Denoising(point_share=-0.1), "point_share"),
        (Iwae(n_draws=0), "n_draws"),
        (Iwae(n_draws=2.5), "n_draws"),
        (TotalCorrelation(weight=-1.0), "weight"),
        (Mmd(alpha=1.5), "alpha"),
        (Mmd(weight=0.5), "weight"),
        (Elbo(free_bits=math.nan), "free_bits"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused_by_name(objective, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        objective.check()
