"""From what an encoder sees to the posterior, as nodes: of scores, of cells, of rows with gaps.

What `model.inference` and `model.gap_inference` say in tensors. Shapes: n rows, D features,
q latent units.
"""

from typing import NamedTuple, cast

import numpy as np

from skvae.export.factors import Told, told
from skvae.export.graph import Value
from skvae.export.layers import array_of, through
from skvae.export.triangles import inverse_of, times, transposed, triangle_of
from skvae.model.columns import CellColumns, ColumnMap, ScoreColumns
from skvae.model.gap_inference import GapInference
from skvae.model.inference import CLIP_AT, LOG_VARIANCE_RANGE, FactorInference, ScoreInference
from skvae.model.vae import VAE


class Normal(NamedTuple):
    """Normal with mean + root @ (deviation * noise); without a root, units are independent."""

    mean: Value  # (n, q)
    log_variance: Value  # (n, q) or (q,)
    root: Value | None = None  # (n, q, q)

    @property
    def deviation(self) -> Value:
        """Standard deviation of each unit, shape (n, q)."""
        if self.root is None:
            return (self.log_variance * 0.5).apply("Exp") + self.mean * 0.0
        variance = self.log_variance.apply("Exp") + self.mean * 0.0
        square = self.root * self.root
        return (square @ variance.widened(2)).sum(2).apply("Sqrt")


def of_scores(vae: VAE, scores: Value, inference: ScoreInference | None = None) -> Normal:
    """The posterior of complete rows by their scores."""
    own = inference or cast(ScoreInference, vae.inference)
    mean = scores @ array_of(own.encoder_path).T
    if vae.encoder is None:
        return Normal(mean, scores.graph.constant(array_of(own.log_variance), scores.dtype))
    inputs = spread(vae.columns, soft_clip(scores, array_of(own.clip_limit)))
    change, _ = through(vae.encoder, inputs, (_width_in(vae, len(own.clip_limit)),))
    log_variance = array_of(own.log_variance - 2.0 * vae.scale.spread.log())
    return _changed(vae, change, mean, log_variance)


def of_holed(vae: VAE, features: Value, there: Value) -> Normal:
    """The posterior of rows of which some features are not there."""
    inference = cast(GapInference, vae.inference)
    linear = told(inference.factors, features, there)
    complete = of_scores(
        vae, linear.features @ array_of(inference.components).T, inference.complete
    )
    told_by_start = np.maximum(np.expm1(-array_of(inference.start_log_variance)), 1e-12)
    factor = _expm1(-complete.log_variance) / told_by_start
    root = factor.clipped(0.0, None).apply("Sqrt") + complete.mean * 0.0
    q = vae.latent_dim
    precision = root.widened(2) * linear.precision * root.widened(1) + np.eye(q)
    inverse = inverse_of(triangle_of(precision, q), q)
    return Normal(complete.mean, complete.mean * 0.0, transposed(inverse))


def of_cells(vae: VAE, features: Value, there: Value, observed: Value) -> Normal:
    """The posterior of rows of a table; of most rows everything is there."""
    inference, graph = cast(FactorInference, vae.inference), features.graph
    if inference.has_tails:
        return _of_evidence(vae, told(inference, features, there), observed)
    mean = array_of(inference.factor_center)
    centred = graph.where(there, features - mean, 0.0)

    def some() -> list[Value]:
        found = told(inference, features, there)
        return [found.mean, found.features, found.log_variance, found.root]

    def all_there() -> list[Value]:
        loadings, noise = array_of(inference.factor_loadings), array_of(inference.factor_noise)
        scaled = loadings / noise[:, None]
        precision = 1.0 + (loadings * scaled).sum(0)
        told_mean = centred @ scaled / precision
        log_variance = told_mean * 0.0 - np.log(precision)
        root = graph.constant(np.eye(vae.latent_dim)[None]) + told_mean.widened(2) * 0.0
        return [told_mean, centred, log_variance, root]

    found = graph.choose((~there).any(), some, all_there)
    return _of_evidence(vae, Told(*found), observed)


def _of_evidence(vae: VAE, linear: Told, observed: Value) -> Normal:
    """What the network adds to what the linear path makes of a table."""
    if vae.encoder is None:
        return Normal(linear.mean, linear.log_variance, linear.root)
    inference = cast(FactorInference, vae.inference)
    x, width = linear.features, inference.n_inputs
    if inference.has_basis:
        x, width = x @ array_of(inference.basis).T, len(inference.basis)
    x = spread(vae.columns, soft_clip(x, CLIP_AT))
    if len(inference.masked):
        flags = observed.to(x.dtype).take(array_of(inference.masked))
        x = x.graph.joined([x, flags])
    change, _ = through(vae.encoder, x, (_width_in(vae, width) + len(inference.masked),))
    scaled = linear.mean * array_of(inference.linear_gain)
    q = _changed(vae, change, scaled, linear.log_variance)
    return q._replace(root=linear.root / array_of(vae.scale.spread)[:, None])


def _changed(vae: VAE, change: Value, mean: Value, log_variance: "Value | np.ndarray") -> Normal:
    """A linear posterior with what the encoder's network adds, in the prior's coordinates."""
    q, scale = vae.latent_dim, vae.scale
    shift, log_factor = change.between(0, q), change.between(q, 2 * q)
    log_factor = (log_factor / LOG_VARIANCE_RANGE).apply("Tanh") * LOG_VARIANCE_RANGE
    moved = (mean + shift - array_of(scale.center)) / array_of(scale.spread)
    return Normal(moved, log_factor + log_variance + array_of(scale.width))


def soft_clip(x: Value, limit: "np.ndarray | float") -> Value:
    """Values far out brought within a limit."""
    share = x / limit
    return x / (share * share + 1.0).apply("Sqrt")


def spread(columns: ColumnMap | None, x: Value) -> Value:
    """What the network sees of the model's own coordinates."""
    if columns is None:
        return x
    if isinstance(columns, ScoreColumns):
        return x @ array_of(columns.components)
    places = array_of(cast(CellColumns, columns).places)
    found = np.full(cast(CellColumns, columns).n_columns, len(places))
    found[places] = np.arange(len(places))
    padded = x.graph.node("Pad", x, x.graph.ints(0, 0, 0, 1))  # one column more, of 0
    return padded.take(found)


def gather(columns: ColumnMap | None, x: Value) -> Value:
    """The model's own coordinates of what a network makes."""
    if columns is None:
        return x
    if isinstance(columns, ScoreColumns):
        return x @ array_of(columns.components).T
    return x.take(array_of(cast(CellColumns, columns).places))


def _width_in(vae: VAE, width: int) -> int:
    """Numbers that the network sees of so many of the model's own."""
    if vae.columns is None:
        return width
    if isinstance(vae.columns, ScoreColumns):
        return vae.columns.components.shape[1]
    return cast(CellColumns, vae.columns).n_columns


def _expm1(x: Value) -> Value:
    """exp(x) - 1, to the last digits also where x is small."""
    half = (x.clipped(-1.0, 1.0) * 0.5).apply("Tanh")
    near = half * 2.0 / (1.0 - half)
    return x.graph.where(x.apply("Abs") < 1.0, near, x.apply("Exp") - 1.0)


def covariance_times(q: Normal, vectors: Value) -> Value:
    """Products of each row's covariance with its vector, shape (n, q)."""
    variance = q.log_variance.apply("Exp")
    if q.root is None:
        return variance * vectors
    inner = variance * times(transposed(q.root), vectors)
    return times(q.root, inner)
