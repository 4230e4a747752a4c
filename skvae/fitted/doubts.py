"""What a fitted model lacks, in warnings."""

from dataclasses import replace
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from skvae.ambient import warn
from skvae.fitted.model import FittedModel
from skvae.model.diagnostics import COLLAPSED
from skvae.training.record import Record


class CollapseWarning(UserWarning):
    """Warning that codes carry no information after training, although the linear start's do."""


def on_cpu(model: FittedModel) -> FittedModel:
    """The model on the CPU, with a warning: where it was pickled there was a device of its own."""
    warn(f"device {model.device!r} is not available; the model runs on the CPU.")
    return replace(model, device="cpu")


def warn_of_fit(model: FittedModel, record: Record, latent_dim: Any) -> None:
    """Warn whoever has called fit of what its result lacks; `latent_dim` is as it was given."""
    rank = model.start.latent_dim
    if model.start.rank == 0:
        warn(
            f"latent_dim={model.latent_dim}, but no column of X varies: there is nothing to "
            "reduce, and all codes are always 0."
        )
    elif rank < model.latent_dim and latent_dim is not None:
        warn(
            f"latent_dim={model.latent_dim} is above the rank of the data, {rank}: the last "
            f"{model.latent_dim - rank} codes are always 0. Use latent_dim={rank} or less."
        )
    collapsed = model.collapsed
    if len(collapsed):
        warn(
            f"codes {collapsed.tolist()} carry almost no information (KL below {COLLAPSED} nats), "
            f"although the linear start used {model.n_used_by_start} codes: posterior collapse. "
            "Start from PCA (init='pca'), lower beta, raise the KL slowly "
            "(kl_schedule='linear'), or use "
            f"latent_dim={max(1, model.latent_dim - len(collapsed))}.",
            CollapseWarning,
        )
    if record.interrupted:
        warn(
            f"fit was interrupted after pass {len(record.losses)}; the best model so far is "
            "kept. Set max_iter for a shorter fit.",
            ConvergenceWarning,
        )
    elif not (record.converged or record.stopped):
        warn(
            f"training used its whole budget, {len(record.losses)} passes, before the held-out "
            "bound had settled; raise max_iter for a better model.",
            ConvergenceWarning,
        )
