"""Where the prior's coordinates lie among those of the networks."""

import torch
from torch import Tensor, nn


class LatentScale(nn.Module):
    """Numbers per latent unit that follow the codes, without a gradient.

    `center` and `spread` place the prior's coordinates among those of the networks, `width` is
    added to the logarithm of the posterior's variances, `code_scale` makes point codes of means.
    """

    center: Tensor
    spread: Tensor
    width: Tensor
    code_scale: Tensor

    def __init__(self, code_scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros_like(code_scale))
        self.register_buffer("spread", torch.ones_like(code_scale))
        self.register_buffer("width", torch.zeros_like(code_scale))
        self.register_buffer("code_scale", code_scale)

    def place(self, z: Tensor) -> Tensor:
        """Points of the prior among the networks' coordinates, shape (n, q)."""
        return torch.addcmul(self.center, self.spread, z)
