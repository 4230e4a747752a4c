"""The loop of PyTorch's tutorials: what people write who write a VAE themselves."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


@dataclass(frozen=True)
class Scale:
    """Columns as a network likes them, float32: minus mean, over spread."""

    mean: Any = 0.0
    spread: Any = 1.0
    is_unit: bool = False

    @classmethod
    def of(cls, X) -> "Scale":
        """Return the scale that leaves values in [0, 1] alone and standardises others."""
        if X.min() >= 0 and X.max() <= 1:
            return cls(is_unit=True)
        mean, spread = X.mean(axis=0, dtype="float64"), X.std(axis=0, dtype="float64")
        return cls(mean, np.where(spread > 0, spread, 1.0))

    def apply(self, X) -> np.ndarray:
        """Return rows of X on this scale."""
        return ((X - self.mean) / self.spread).astype("float32")

    def undo(self, x) -> np.ndarray:
        """Return rows in the units of X."""
        return x * self.spread + self.mean


class TutorialLoop:
    """The loop of PyTorch's own VAE example (pytorch/examples, vae), written anew.

    One hidden layer of 400 units on either side, ReLU, Adam at 1e-3, batches of 128 from a
    DataLoader, 10 passes. The loss is cross-entropy + KL divergence where values lie in [0, 1];
    other columns are standardised, and the loss is squared error + KL divergence; all are summed
    over columns. What the example does after each pass, a test and two pictures, is left out.
    Codes are posterior means. Neither loss is a density of the data in their units, so there is no
    likelihood to compare.
    """

    n_passes = 10
    n_hidden = 400

    def __init__(self, latent_dim, seed):
        self.latent_dim, self.seed = latent_dim, seed

    def fit(self, X):
        self.scale = Scale.of(X)
        x = torch.from_numpy(self.scale.apply(X))
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.encoder = self._network(x.shape[1], 2 * self.latent_dim)
            self.decoder = self._network(self.latent_dim, x.shape[1])
            self._train(DataLoader(TensorDataset(x), batch_size=128, shuffle=True))
        return self

    def _network(self, n_in, n_out):
        return nn.Sequential(
            nn.Linear(n_in, self.n_hidden), nn.ReLU(), nn.Linear(self.n_hidden, n_out)
        )

    def _train(self, loader):
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-3)
        for _ in range(self.n_passes):
            for (batch,) in loader:
                optimizer.zero_grad()
                self._loss(batch).backward()
                optimizer.step()

    def _loss(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        distance = F.binary_cross_entropy_with_logits if self.scale.is_unit else F.mse_loss
        error = distance(self.decoder(z), x, reduction="sum")
        return error - 0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp())

    @torch.no_grad()
    def transform(self, X):
        return self.encoder(torch.from_numpy(self.scale.apply(X)))[:, : self.latent_dim].numpy()

    @torch.no_grad()
    def inverse_transform(self, Z):
        x = self.decoder(torch.from_numpy(Z))
        return self.scale.undo((torch.sigmoid(x) if self.scale.is_unit else x).numpy())
