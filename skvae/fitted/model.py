"""What fit leaves behind: numpy arrays and plain values, and what can be asked of them.

Codes are what a person sees, t = spread * code_scale * posterior mean, in order of explained
variance (docs/theory.md); z are the prior's own coordinates, in the same order. Units past the
rank of the data are inactive: their codes are 0. Everything here is in the user's units.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skvae.data.batches import batches
from skvae.devices import room_for_rows, send
from skvae.model.bounds import importance_bound, mixture
from skvae.model.diagnostics import COLLAPSED, START_USE, CodeUse, Diagnosis, diagnose
from skvae.model.priors import Prior
from skvae.model.vae import VAE, Rows, branch_sizes
from skvae.start.ppca import FINE_TAIL, fit_linear
from skvae.start.spectrum import Spectra

N_DRAWS = 32  # of the importance-weighted bound that scores report
DRAWS_SEED = 0  # scores of two models differ by the models alone
_DERIVATIVE_STEP = 1e-4  # in the prior's coordinates
HELD_BYTES = 2**29  # of scores that training keeps; where they are more, they are made as needed
ROUNDING = 1e-4  # noise, per column of variance 1, beside which that of single precision is none
N_HELD = 8  # arrays of the width of the rows that a question makes of them at once, about
HIDDEN_CELLS = 1024  # columns that a row may take inside the networks, at a guess


class Stream:
    """Rows whose scores are made when they are asked for: of many rows, or of a mapped file."""

    def __init__(self, start: Any, X, weight: Tensor | None, dtype, device) -> None:
        self.start, self.X, self.weight, self.dtype, self.device = start, X, weight, dtype, device

    @property
    def is_fixed_shape(self) -> bool:
        """Whether all batches of so many rows are tensors of the same shapes."""
        return True

    @property
    def n_rows(self) -> int:
        return self.X.shape[0]

    @property
    def n_inputs(self) -> int:
        """Numbers per row that a model is fitted to."""
        return self.start.n_directions

    def take(self, index: Tensor) -> Rows:
        """Some of the rows, by now with their scores."""
        chosen = index.numpy(force=True)
        weight = None if self.weight is None else self.weight[index]
        return self._made(len(chosen), lambda part: self.X[chosen[part]], weight)

    def everything(self) -> Rows:
        """All of the rows."""
        return self._made(self.n_rows, lambda part: self.X[part], self.weight)

    def _made(self, n: int, rows_of: Callable[[slice], Any], weight: Tensor | None) -> Rows:
        """Rows with their scores, which go to the device part by part."""
        dtype = _torch_dtype(np.dtype(self.dtype))
        scores = torch.empty(n, self.n_inputs, dtype=dtype, device=self.device)
        residual = torch.empty(n, dtype=dtype, device=self.device)
        for part in batches(n, self.X.shape[1]):
            made, left = self.start.project(rows_of(part), self.dtype)
            send(torch.from_numpy(made), scores[part])
            send(torch.from_numpy(left), residual[part])
        return Rows(scores, residual, weight)

    def load(self, index: Tensor) -> tuple[Rows, Tensor]:
        """Those of the index, read in the order of the file, and where each is among them."""
        ordered, place = index.sort()
        return self.take(ordered), place.argsort()

    def batches(self, index: Tensor, size: int, generator: torch.Generator) -> Iterator[Rows]:
        """Rows as the steps of the training see them."""
        return map(self.take, index.split(size))


@dataclass(frozen=True)
class Model:
    """A fitted model; weights is the state of its VAE."""

    start: Any  # ProbabilisticPCA; of tables a MixedStart
    latent_dim: int  # as asked for, inactive units included
    architecture: Callable | None  # None: the linear start was kept
    prior: Prior | None  # None: standard normal
    weights: dict[str, np.ndarray]
    use: CodeUse
    start_weight: float
    kept: float  # share of the training, 0 for the linear start
    device: str

    module: ClassVar[Any] = VAE
    branch_sizes: ClassVar[Any] = staticmethod(branch_sizes)

    @staticmethod
    def fit_start(
        X,
        latent_dim: int,
        weight: np.ndarray | None,
        rng,
        spectra: Spectra | None = None,
        tail: float = FINE_TAIL,
    ) -> Any:
        """The linear start of dense or sparse rows."""
        return fit_linear(X, latent_dim, weight, rng, spectra, tail)

    @staticmethod
    def rows(start: Any, X, weight: np.ndarray | None, dtype, device) -> Any:
        """Rows in score space as training takes them; weights have mean 1."""
        share = None if weight is None else torch.from_numpy(weight.astype(dtype)).to(device)
        if start.noise_variance > ROUNDING:
            start = replace(start, components=start.components.astype(dtype))
        stream = Stream(start, X, share, dtype, device)
        n_bytes = X.shape[0] * start.n_directions * np.dtype(dtype).itemsize
        return stream if n_bytes > room_for_rows(device, HELD_BYTES) else stream.everything()

    @staticmethod
    def log_jacobian(start: Any, X) -> np.ndarray:
        """What the log-density of each row gains in the user's units, nats, shape (n,)."""
        return np.full(X.shape[0], start.log_jacobian)

    @staticmethod
    def start_use(start: Any, X, weight: np.ndarray | None = None) -> CodeUse:
        """What the codes of the linear start hold: in closed form."""
        q = start.latent_dim
        variances = start.variances[:q]
        return CodeUse(
            order=np.arange(q),
            spread=start.weights,
            deviation=np.sqrt(variances) / start.weights,
            explained_variance_ratio=variances / (start.total_variance or 1.0),
            kl=start.unit_kl,
            is_active=(variances - start.noise_variance) / variances > 0.01,
        )

    @staticmethod
    def start_score(start: Any, X, weight: np.ndarray | None, is_own: bool = True) -> float:
        """Mean log-likelihood of rows under the linear start; its own need no look at them."""
        if is_own:
            return start.mean_log_prob(X, weight) + start.log_jacobian
        parts = [
            start.log_prob(*start.project(X[rows]))
            for rows in batches(X.shape[0], X.shape[1] + HIDDEN_CELLS)
        ]
        return float(np.average(np.concatenate(parts), weights=weight)) + start.log_jacobian

    @torch.inference_mode()
    def codes(self, X, whiten: bool) -> np.ndarray:
        """Point codes, shape (n, latent_dim), computed in the dtype of X."""
        parts = (vae.codes(x) for vae, x in self._batches(X, X.dtype))
        codes = collected(X.shape[0], parts)[:, self.order]
        codes *= self._unit(whiten).astype(codes.dtype)
        return self._padded(codes)

    def reconstruct(self, codes: np.ndarray, whiten: bool) -> np.ndarray:
        """Rows from point codes, shape (n, d)."""
        z = codes[:, : self.start.latent_dim]
        return self.decode(z / self._unit(whiten).astype(z.dtype))

    @torch.inference_mode()
    def posterior(self, X) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of q(z|x), each of shape (n, latent_dim)."""
        posteriors = (vae.encode(x) for vae, x in self._batches(X, X.dtype))
        moments = (torch.stack([q.mean, q.deviation], 1) for q in posteriors)
        mean, std = collected(X.shape[0], moments)[:, :, self.order].swapaxes(0, 1)
        return self._padded(mean), self._padded(std, fill=1.0)

    @torch.inference_mode()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Mean rows of latent points, shape (n, d)."""
        vae = self.vae(_torch_dtype(z.dtype))
        x = np.empty((len(z), self.start.n_features), z.dtype)
        for rows in batches(len(z), self.start.n_features + HIDDEN_CELLS):
            x[rows] = self._decoded(vae, z[rows])
        return x

    def _decoded(self, vae: Any, z: np.ndarray) -> np.ndarray:
        units = np.empty((len(z), self.start.latent_dim), z.dtype)
        units[:, self.order] = z[:, : self.start.latent_dim]
        scores = vae.decode(torch.as_tensor(units, device=self.device))
        return self.start.restore(scores.numpy(force=True))

    def prior_codes(self, n: int, rng: np.random.RandomState, whiten: bool) -> np.ndarray:
        """Codes drawn from the prior, shape (n, latent_dim)."""
        z = self._draw_prior(rng, np.zeros(n, bool))
        q = self.start.latent_dim
        return self._padded(z[:, :q] * self._unit(whiten))

    def loadings(self, codes: np.ndarray, whiten: bool, n_levels: np.ndarray) -> np.ndarray:
        """Mean change of the expected cells per unit of each code, shape (latent_dim, cells).

        A column with levels has as many cells: their probabilities. Central differences, in
        double precision.
        """
        unit = self._unit(whiten)
        z = codes[:, : len(unit)].astype(np.float64) / unit
        changes = []
        for step in _DERIVATIVE_STEP * np.eye(len(unit)):
            rise = self.expected(z + step, n_levels) - self.expected(z - step, n_levels)
            changes.append(rise.mean(0) / (2 * _DERIVATIVE_STEP))
        padded = np.zeros((self.latent_dim, self.expected(z[:1], n_levels).shape[1]))
        for row, change, size in zip(padded, changes, unit, strict=False):
            row[:] = change / size
        return padded

    def expected(self, z: np.ndarray, n_levels: np.ndarray) -> np.ndarray:
        """Expected cells of latent points, shape (n, cells)."""
        return self.decode(z)

    @torch.inference_mode()
    def diagnose(self, X, n_draws: int = N_DRAWS) -> Diagnosis:
        """What rows say of the posterior, by units in the order of the codes."""
        dtype = np.dtype(np.float64)
        scores, residual = self.start.project(X, dtype.type)
        rows = Rows(*(torch.as_tensor(a, device=self.device) for a in (scores, residual)))
        draws = shared_draws(self.start.latent_dim, n_draws).to(self.device)
        found = diagnose(self.vae(torch.float64), rows, draws)
        return found.in_users_units(self.order, self.start.log_jacobian)

    @torch.inference_mode()
    def log_prob(self, X, n_draws: int = N_DRAWS) -> np.ndarray:
        """Importance-weighted bound on the log-density of the mixture with the start, in nats."""
        draws = shared_draws(self.start.latent_dim, n_draws).to(self.device)
        vae = self.vae(torch.float64)
        log_prob = np.empty(X.shape[0], X.dtype)
        for rows in batches(X.shape[0], X.shape[1] + HIDDEN_CELLS):
            scores, residual = self.start.project(X[rows])
            linear = torch.from_numpy(self.start.log_prob(scores, residual))
            x, r = (torch.as_tensor(a, device=self.device) for a in (scores, residual))
            log_prob[rows] = self._mixture(vae, Rows(x, r), draws, linear) + self.start.log_jacobian
        return log_prob

    def _mixture(self, vae: Any, rows: Rows, draws: Tensor, linear: Tensor) -> np.ndarray:
        """Log-density of rows, from that under the linear start."""
        if self.architecture is None:
            return linear.numpy()
        bound = importance_bound(vae, rows, draws).cpu()
        return mixture(bound, linear, torch.tensor(self.start_weight, dtype=torch.float64)).numpy()

    @torch.inference_mode()
    def sample(self, n_samples: int, rng: np.random.RandomState, dtype: np.dtype) -> np.ndarray:
        """Draws from the mixture, noise included, shape (n_samples, d)."""
        from_start = rng.random_sample(n_samples) < self.start_weight
        z = self._draw_prior(rng, from_start)
        start_noise = rng.choice(self.start.noise_variances, n_samples)
        noise_variance = np.where(from_start, start_noise, self.noise_variance)
        deviation = self.start.scale * np.sqrt(noise_variance)[:, None]
        vae, d = self.vae(torch.float64), self.start.n_features
        x = np.empty((n_samples, d), dtype)
        for rows in batches(n_samples, N_HELD * d + HIDDEN_CELLS):
            noise = rng.standard_normal((len(z[rows]), d))
            noise *= deviation[rows]
            noise += self._means(vae, z[rows], from_start[rows])
            x[rows] = noise
        return x

    def _means(self, vae: Any, z: np.ndarray, from_start: np.ndarray) -> np.ndarray:
        """Mean rows of draws of the prior, of some by the linear start, shape (n, d)."""
        if self.architecture is None or not from_start.any():
            return self._decoded(vae, z)
        x = np.empty((len(z), self.start.n_features))
        x[~from_start] = self._decoded(vae, z[~from_start])
        linear = np.zeros((from_start.sum(), len(self.start.variances)))
        q = self.start.latent_dim
        linear[:, :q] = z[from_start, :q] * self.start.weights
        x[from_start] = self.start.restore(linear)
        return x

    @torch.inference_mode()
    def _draw_prior(self, rng: np.random.RandomState, from_start: np.ndarray) -> np.ndarray:
        """Draws of z, in the order of the codes; those for the start are standard normal."""
        z = rng.standard_normal((len(from_start), self.latent_dim))
        if self.prior is not None:
            vae = self.vae(torch.float64)
            seed = int(rng.randint(np.iinfo(np.int32).max))
            generator = torch.Generator(self.device).manual_seed(seed)
            units = vae.sample_prior(len(z), generator).numpy(force=True)[:, self.order]
            z[~from_start, : units.shape[1]] = units[~from_start]
        return z

    @property
    def mean(self) -> np.ndarray:
        """Column means, shape (d,)."""
        return self.start.mean

    @property
    def scale(self) -> np.ndarray | float:
        """What all columns are divided by."""
        return self.start.scale

    @property
    def noise_variances(self) -> np.ndarray | float:
        """Of the decoder in every column, squared units of the data."""
        return self.noise_variance * self.start.scale**2

    @property
    def reported_start_weight(self) -> float:
        """Weight of PCA's density; the start may be a mixture of that and another."""
        return self.start_weight / len(self.start.noise_variances)

    @property
    def collapsed(self) -> np.ndarray:
        """Codes that say nothing, where the linear start had a use for more than are left."""
        silent = np.flatnonzero(self.use.kl < COLLAPSED)
        if self.architecture is None or len(self.use.kl) - len(silent) >= self.n_used_by_start:
            return np.zeros(0, int)
        return silent

    @property
    def n_used_by_start(self) -> int:
        """Number of codes that the linear start has a use for."""
        return int((self.start.unit_kl > START_USE).sum())

    @property
    def order(self) -> np.ndarray:
        return self.use.order

    @property
    def spread(self) -> np.ndarray:
        """Change of a row per unit of the prior's coordinate, in the user's units, shape (q,)."""
        return self.use.spread * self.start.scale

    def _unit(self, whiten: bool) -> np.ndarray:
        """What a step of one in the prior's coordinate is in a code, shape (q,).

        Where it is nothing, as of rows that are all alike, codes stay in that coordinate.
        """
        unit = 1.0 / self.use.deviation if whiten else self.spread
        return np.where(unit > 0, unit, 1.0)

    @property
    def noise_variance(self) -> float:
        """Of the decoder, in scaled units."""
        return float(self.weights["noise_variance"])

    def vae(self, dtype: torch.dtype) -> Any:
        """The module, rebuilt in a dtype, on the device."""
        with torch.device("meta"):
            vae = self.module.from_architecture(self.start, self.architecture, self.prior)
        state = {
            name: torch.tensor(
                array, dtype=dtype if array.dtype.kind == "f" else None, device=self.device
            )
            for name, array in self.weights.items()
        }
        vae.load_state_dict(state, assign=True)
        return vae.eval().requires_grad_(False)

    def _batches(self, X, dtype) -> Iterator[tuple[Any, Any]]:
        vae = self.vae(_torch_dtype(dtype))
        for rows in batches(X.shape[0], X.shape[1] + HIDDEN_CELLS):
            scores = torch.from_numpy(self.start.scores(X[rows], dtype)).to(self.device)
            yield vae, Rows(scores, scores.new_zeros(len(scores)))

    def _padded(self, values: np.ndarray, fill: float = 0.0) -> np.ndarray:
        if values.shape[1] == self.latent_dim:
            return values
        padded = np.full((len(values), self.latent_dim), fill, values.dtype)
        padded[:, : values.shape[1]] = values
        return padded


def shared_draws(latent_dim: int, n_draws: int = N_DRAWS) -> Tensor:
    """Standard normal draws that all rows and all models share, shape (n_draws, q)."""
    generator = torch.Generator("cpu").manual_seed(DRAWS_SEED)
    # Drawn in single precision, which gives the numbers that scores have always had.
    draws = torch.empty(n_draws, latent_dim, dtype=torch.float32, device="cpu")
    return draws.normal_(generator=generator).double()


def collected(n_rows: int, parts: Iterable[Tensor]) -> np.ndarray:
    """Answers of batches in one array, put there as they come.

    Small tensors that wait for the others would pin the memory of batches between them.
    """
    array, first = np.empty(0), 0
    for part in (tensor.numpy(force=True) for tensor in parts):
        if first == 0:
            array = np.empty((n_rows, *part.shape[1:]), part.dtype)
        array[first : first + len(part)] = part
        first += len(part)
    return array


def to_numpy(tensors: list[Tensor]) -> np.ndarray:
    """Batches as one array."""
    return torch.cat(tensors).numpy(force=True)


def _torch_dtype(dtype: np.dtype) -> torch.dtype:
    return torch.float32 if dtype == np.float32 else torch.float64
