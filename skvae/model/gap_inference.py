"""From rows some of whose cells are missing to their posterior, by networks of complete rows."""

import torch
from torch import Tensor, nn

from skvae.model.columns import ColumnMap
from skvae.model.inference import (
    Evidence,
    FactorInference,
    Inference,
    Product,
    ScoreInference,
    Seen,
)
from skvae.model.latent_scale import LatentScale
from skvae.model.posterior import Posterior


class GapInference(Inference):
    """Of cells some of which are missing, for networks that were trained on complete scores.

    The start says what a row's missing cells are, given its observed ones; the encoder sees the
    row filled with that, and its posterior is as much wider as the start's is.

    Parameters
    ----------
    complete : ScoreInference
        Of complete rows.
    factors : FactorInference
        Of the start.
    components : Tensor of shape (k, d)
        The way from features to scores.
    start_log_variance : Tensor of shape (q,)
        Of the posteriors of complete rows under the start.
    """

    components: Tensor
    start_log_variance: Tensor

    def __init__(
        self,
        complete: ScoreInference,
        factors: FactorInference,
        components: Tensor,
        start_log_variance: Tensor,
    ) -> None:
        super().__init__()
        self.complete, self.factors = complete, factors
        self.register_buffer("components", components)
        self.register_buffer("start_log_variance", start_log_variance)

    @property
    def n_inputs(self) -> int:
        return self.complete.n_inputs

    def evidence(self, seen: Seen) -> Evidence:
        linear, features, observed = self.factors.evidence(seen)
        of_scores = self.complete.of_inputs(features @ self.components.T)
        return Evidence(of_scores.posterior._replace(root=linear.root), of_scores.inputs, observed)

    def of_inputs(self, inputs: Tensor) -> Evidence:
        return self.complete.of_inputs(inputs)

    def network_inputs(
        self, evidence: Evidence, columns: ColumnMap | None, product: Product
    ) -> Tensor:
        return self.complete.network_inputs(evidence, columns, product)

    def posterior(self, evidence: Evidence, change: Tensor | None, scale: LatentScale) -> Posterior:
        start_root = evidence.posterior.root
        complete = evidence._replace(posterior=evidence.posterior._replace(root=None))
        q = self.complete.posterior(complete, change, scale)
        if start_root is None:
            return q
        return Posterior(q.mean, torch.zeros_like(q.mean), self._root(q.log_variance, start_root))

    def _root(self, log_variance: Tensor, start_root: Tensor) -> Tensor:
        """Root of the covariance given some cells, by that of the start and what training changed.

        Training multiplies what complete rows tell of a unit, its precision beyond the prior's;
        what some cells tell is multiplied alike, and where nothing is told the prior remains.
        """
        told_by_start = torch.expm1(-self.start_log_variance).clamp(min=1e-12)
        factor = torch.expm1(-log_variance) / told_by_start
        root = factor.clamp(min=0.0).sqrt()
        identity = torch.eye(len(start_root[0]), dtype=root.dtype, device=root.device)
        inverse = torch.linalg.solve_triangular(start_root, identity, upper=True)
        told = inverse.mT @ inverse - identity
        precision = root[..., None] * told * root[:, None] + identity
        triangle = torch.linalg.cholesky(precision)
        return torch.linalg.solve_triangular(triangle, identity, upper=False).mT

    @property
    def linear_parameters(self) -> list[nn.Parameter]:
        return self.complete.linear_parameters

    def forget_start(self) -> None:
        self.complete.forget_start()

    def unshrink_posterior_mean(self, factor: Tensor) -> None:
        self.complete.unshrink_posterior_mean(factor)
