"""Probabilistic PCA of complete rows, asked about rows with missing cells.

The same model, seen as one Gaussian block of cells: the networks are those that were trained on
scores, inference and observation are of cells.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from skvae.data.units import Part, Units
from skvae.likelihoods import Gaussian
from skvae.model.bounds import importance_bound
from skvae.model.cell_observation import CellObservation
from skvae.model.gap_inference import GapInference
from skvae.model.gap_observation import GapObservation
from skvae.model.inference import FactorInference, ScoreInference
from skvae.model.rows import Rows
from skvae.model.score_observation import ScoreObservation
from skvae.model.vae import VAE, Networks
from skvae.start.base import Scorer, View
from skvae.start.factor_start import FactorStart
from skvae.start.factors import FactorModel
from skvae.start.representation import Representation

if TYPE_CHECKING:
    from skvae.start.ppca import ProbabilisticPCA


@dataclass(frozen=True)
class GapView(View):
    """Questions about cells to models of complete rows."""

    pca: "ProbabilisticPCA"

    @cached_property
    def representation(self) -> Representation:
        return _as_table(self.pca).representation

    def adapted(self, vae: VAE) -> VAE:
        """A model of complete rows as one of cells; it shares networks, prior and scale with it."""
        pca = self.pca
        complete = cast(ScoreObservation, vae.observation)
        of_cells = _as_table(pca, float(complete.shared_noise)).module().to(complete.shared_noise)
        components = torch.tensor(pca.components).to(complete.shared_noise)
        log_variance = np.log(pca.noise_variance / pca.variances[: pca.latent_dim])
        inference = GapInference(
            cast(ScoreInference, vae.inference),
            cast(FactorInference, of_cells.inference),
            components,
            torch.from_numpy(log_variance).to(components),
        )
        cells = cast(CellObservation, of_cells.observation)
        networks = None
        if vae.encoder is not None and vae.decoder is not None:
            networks = Networks(vae.encoder, vae.decoder, vae.columns)
        observation = GapObservation(complete, cells, components)
        return VAE(inference, observation, vae.scale, networks, vae.prior)

    def densities(self) -> list[tuple[VAE, float]]:
        """One model for each noise that the density of the linear start is a mixture of."""
        pcas = [replace(self.pca, noise_variance=noise) for noise in self.pca.noises]
        return [(_as_table(pca).module(), 1.0 / len(pcas)) for pca in pcas]

    def scorer(self, device: str) -> Scorer:
        parts = [
            (vae.to(device).requires_grad_(False), np.log(share)) for vae, share in self.densities()
        ]

        def log_prob(rows: Rows, draws: Tensor) -> Tensor:
            bounds = [importance_bound(vae, rows, draws) + share for vae, share in parts]
            return torch.stack(bounds).logsumexp(0)

        return log_prob


def _as_table(pca: "ProbabilisticPCA", noise_variance: float | None = None) -> FactorStart:
    """Probabilistic PCA as a start of one Gaussian block, which may have noise of its own."""
    d, q = pca.n_features, pca.latent_dim
    loadings = pca.components[:q].T * pca.weights
    constants = {
        "center": pca.mean,
        "scale": np.full(d, pca.scale),
        "floor": np.zeros(d),
        "bias": np.zeros(d),
        "dispersion": np.full(1, 0.5 * np.log(noise_variance or pca.noise_variance)),
    }
    factors = FactorModel(np.zeros(d), loadings, np.full(d, pca.noise_variance), np.arange(d))
    return FactorStart(
        units=Units.of_cells(Part(Gaussian(), np.arange(d), constants), pca.scale),
        factors=factors,
        loadings=loadings,
        bias=np.zeros(d),
        masked=np.zeros(d, bool),
        basis=None,
        latent_dim=q,
        rank=pca.rank,
        is_exact=True,
    )
