"""Log-densities of rows by importance sampling: proposals for z, weights, what they add up to.

All in nats per row. A row's value does not depend on the rows beside it, and is a lower bound on
its log-density in expectation, which rises with the draws.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from skvae.model.mode import mended
from skvae.model.posterior import Posterior
from skvae.model.rows import Rows
from skvae.model.vae import BRIDGED, VAE

N_DRAWS = 32  # of the importance-weighted bound that diagnostics report
_DRAWS_SEED = 0  # bounds of two models differ by the models alone
# Of the first twelve, that of the points whose variances are nearest 1.
_SOBOL_SEED = 1
_HALF_STEP = 2.0**-31  # of the grid that Sobol points lie on


class Proposals:
    """Where draws of z for each row come from: its posterior, the prior, bridges.

    A bridge at t has a density proportional to q(z|x)^t N(z; 0, I)^(1 - t), which is normal. One
    t per draw; the density of all of them together counts for each draw (Veach & Guibas, 1995),
    so that a posterior which is too narrow, or beside the point, does no harm.

    Parameters
    ----------
    vae : VAE
        The model, whose prior has narrow parts where it is none of N(0, I).
    q : Posterior
        Of the rows.
    places : sequence of float
        From 0, the prior, to 1, the posterior; one per draw.
    generator : torch.Generator or None
        Source of draws from a prior that is not N(0, I), for each row; None: all rows share them.
    """

    def __init__(
        self,
        vae: VAE,
        q: Posterior,
        places: Sequence[float],
        generator: torch.Generator | None = None,
    ) -> None:
        self.vae, self.q, self.places = vae, q, places
        of_prior = [number for number, t in enumerate(places) if t == 0.0]
        self.of_prior: dict[int, Tensor] = {}
        if of_prior and not vae.prior.is_standard:
            n = 1 if generator is None else len(q.mean)
            generator = generator or torch.Generator(q.mean.device).manual_seed(_DRAWS_SEED)
            points = vae.sample_prior(len(of_prior) * n, generator).to(q.mean).split(n)
            self.of_prior = dict(zip(of_prior, points, strict=True))
        normal = set(places) - ({0.0} if self.of_prior else set())
        self.bridges = {t: q.bridge(t) for t in sorted(normal)}
        self.offsets = {t: self._log_share(t) - self._log_mass(t) for t in self.bridges}

    def _log_share(self, t: float) -> float:
        return math.log(self.places.count(t) / len(self.places))

    def _log_mass(self, t: float) -> Tensor:
        """Log of the integral of q^t N^(1 - t), per row: from any point, such as the mean."""
        bridge = self.bridges[t]
        own = t * self.q.log_prob(bridge.mean) + (1.0 - t) * _standard(bridge.mean)
        return own - bridge.log_prob(bridge.mean)

    def draw(self, number: int, noise: Tensor) -> Tensor:
        """Points of one draw of all rows, by standard normal noise of shape (q,) or (n, q)."""
        if number in self.of_prior:
            return self.of_prior[number].expand_as(self.q.mean)
        return self.bridges[self.places[number]].sample(noise)

    def log_prob(self, z: Tensor, log_prior: Tensor) -> Tensor:
        """Log-density of the proposals together, per row, for z of shape (n, q) and its prior's."""
        own, free = self.q.log_prob(z), _standard(z)
        parts = [t * own + (1.0 - t) * free + offset for t, offset in self.offsets.items()]
        if self.of_prior:
            parts.append(log_prior + self._log_share(0.0))
        return reduce(torch.logaddexp, parts)

    def log_weight(self, rows: Rows, z: Tensor) -> Tensor:
        """Log p(x, z) less that density, per row, for z of shape (n, q)."""
        vae, log_prior = self.vae, self.vae.log_prior(z)
        return vae.log_likelihood(rows, vae.decode(z)) + log_prior - self.log_prob(z, log_prior)


def importance_bound(vae: VAE, rows: Rows, noise: Tensor, *, is_mended: bool = False) -> Tensor:
    """Importance-weighted bound on log p(x) per row (Burda, Grosse & Salakhutdinov, 2016).

    noise has shape (n_draws, q) and is shared by the rows. One draw gives the ELBO. Whether all
    draws are from the posterior, the model knows (`vae.proposals`); where posteriors are exact,
    every draw has the same weight, which is the density. Posteriors that are mended by the decoder
    before need fewer draws to bound as tightly.
    """
    q = vae.encode(rows)
    if vae.is_exact:
        return log_weight(vae, rows, q, noise[0])
    if is_mended:
        q = mended(vae, rows, q)
    if set(vae.proposals) == {1.0}:
        weights = (log_weight(vae, rows, q, draw) for draw in noise)
    else:
        proposals = Proposals(vae, q, places(vae, len(noise)))
        weights = (
            proposals.log_weight(rows, proposals.draw(i, draw)) for i, draw in enumerate(noise)
        )
    return reduce(torch.logaddexp, weights) - math.log(len(noise))


def places(vae: VAE, n_draws: int) -> tuple[float, ...]:
    """Where so many draws come from."""
    cycle = vae.proposals
    return tuple(cycle[i % len(cycle)] for i in range(n_draws))


def log_weight(vae: VAE, rows: Rows, q: Posterior, draw: Tensor) -> Tensor:
    """Log p(x, z) - log q(z|x) per row for z of one draw."""
    z = q.sample(draw)
    return vae.log_likelihood(rows, vae.decode(z)) + vae.log_prior(z) - q.log_density(draw)


def weigher(rows: Rows, proposals: Proposals) -> Callable[[Tensor], Tensor]:
    """Log-weights of points; where posteriors are exact all have one, which is found once."""
    vae, q = proposals.vae, proposals.q
    if vae.is_exact:
        weight = log_weight(vae, rows, q, torch.zeros_like(q.mean))
        return lambda z: weight
    return partial(proposals.log_weight, rows)


def mixture(log_prob: Tensor, start_log_prob: Tensor, start_weight: Tensor) -> Tensor:
    """log((1 - w) p + w p_start) per row: the defensive mixture (Hesterberg, 1995)."""
    return torch.logaddexp(
        log_prob + torch.log1p(-start_weight), start_log_prob + torch.log(start_weight)
    )


def _standard(z: Tensor) -> Tensor:
    """Log-density of the standard normal but for its constant, of which all masses are free."""
    return -0.5 * z.square().sum(-1)


def even_draws(latent_dim: int, n_draws: int) -> Tensor:
    """Standard normal draws, shape (n_draws, q), that leave smaller holes than independent ones.

    Points of a Sobol sequence, scrambled by a fixed seed: each alone is as good as uniform, so
    that a mean over them is unbiased (Owen, 1995), and together they are even. So are those that
    come from one place, which are neighbours in the sequence: every other one would have the same
    half of a coordinate. Of more dimensions than such sequences are known for, draws are
    independent.
    """
    if not 1 <= latent_dim <= SobolEngine.MAXDIM:
        return shared_draws(latent_dim, n_draws)
    engine = SobolEngine(latent_dim, scramble=True, seed=_SOBOL_SEED)
    # Past the first point, which torch rounds to the default dtype; any block is as even.
    engine.fast_forward(1 << n_draws.bit_length())
    uniform = engine.draw(n_draws, dtype=torch.float64) + _HALF_STEP  # middles of the grid's cells
    order = sorted(range(n_draws), key=lambda i: (i % len(BRIDGED), i))
    draws = torch.empty_like(uniform)
    draws[order] = torch.special.ndtri(uniform)
    return draws


def shared_draws(latent_dim: int, n_draws: int = N_DRAWS) -> Tensor:
    """Standard normal draws that all rows and all models share, shape (n_draws, q)."""
    generator = torch.Generator("cpu").manual_seed(_DRAWS_SEED)
    # Drawn in single precision, which gives the numbers that scores have always had.
    draws = torch.empty(n_draws, latent_dim, dtype=torch.float32, device="cpu")
    return draws.normal_(generator=generator).double()
