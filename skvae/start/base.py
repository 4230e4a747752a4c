"""What every linear start is: a model in closed form, at which training begins.

A start knows the rows it was fitted to only through a few arrays. It says how rows are represented,
builds the model that it is, with networks beside it, and measures itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from skvae.data.batches import Values
from skvae.model.columns import ColumnMap, of_columns
from skvae.model.diagnostics import CodeUse
from skvae.model.networks import Architecture
from skvae.model.priors import Prior, PriorModule
from skvae.model.rows import Rows
from skvae.model.vae import VAE, Networks
from skvae.start.representation import Representation

State = dict[str, np.ndarray]  # of a model's module
Scorer = Callable[[Rows, Tensor], Tensor]  # of rows and draws, shape (n,)


class View(ABC):
    """A linear density of rows, and how these are represented."""

    @property
    @abstractmethod
    def representation(self) -> Representation:
        """How rows become what its model takes, and come back."""

    @abstractmethod
    def scorer(self, device: str) -> Scorer:
        """What tells log-densities of rows under it, or bounds on them by draws (n_draws, q)."""

    @abstractmethod
    def densities(self) -> list[tuple[VAE, float]]:
        """Its density as a mixture of models, with their weights."""

    @abstractmethod
    def adapted(self, vae: VAE) -> VAE:
        """A model that was trained beside the start, as it takes rows that are represented so."""


class LinearStart(View):
    """A linear model of rows."""

    latent_dim: int  # units in use, at most the rank
    rank: int

    def adapted(self, vae: VAE) -> VAE:
        """The model as it is."""
        return vae

    @abstractmethod
    def of_cells(self) -> View:
        """The same density of rows that may have missing cells."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Columns of the rows."""

    @property
    @abstractmethod
    def n_directions(self) -> int:
        """That a model can be fitted to, at most."""

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """Numbers per row that the encoder takes."""

    @property
    @abstractmethod
    def unit_kl(self) -> np.ndarray:
        """Mean KL of each unit's posterior from the prior, in nats, shape (q,)."""

    @property
    @abstractmethod
    def code_unit(self) -> float:
        """User's units per unit of what `CodeUse` measures: of columns that share a scale."""

    @property
    @abstractmethod
    def column_means(self) -> np.ndarray:
        """What is subtracted from columns, shape (d,); NaN for those with levels."""

    @property
    @abstractmethod
    def column_scales(self) -> np.ndarray | float:
        """What columns are divided by: one number, or shape (d,) with NaN for those with levels."""

    @abstractmethod
    def noise_variances(self, state: State) -> np.ndarray | float:
        """Of a model's state in every column, squared units; NaN where there is none."""

    @property
    @abstractmethod
    def pca_share(self) -> float:
        """Share of its density that is PCA's: it may be a mixture of that and another."""

    @abstractmethod
    def module(
        self,
        networks: Networks | None = None,
        prior: PriorModule | None = None,
        knows_columns: bool = False,
    ) -> VAE:
        """The model that it is, with networks; knows_columns: for objectives that hide columns."""

    def module_of(
        self, architecture: Architecture | None, prior: Prior, knows_columns: bool = False
    ) -> VAE:
        """The model with networks of an architecture, whose weights are still to be loaded."""
        if architecture is None:
            return self.module(knows_columns=knows_columns)
        return self.module_with(self.networks_of(architecture), architecture, prior, knows_columns)

    def networks_of(self, architecture: Architecture) -> tuple[nn.Module, nn.Module]:
        """The networks of encoder and decoder, which have no memory yet."""
        with torch.device("meta"):
            encoder, decoder = (architecture(*size) for size in self.network_sizes(architecture))
        return encoder, decoder

    def module_with(
        self,
        networks: tuple[nn.Module, nn.Module],
        architecture: Architecture,
        prior: Prior,
        knows_columns: bool = False,
    ) -> VAE:
        """The model with networks that an architecture has made."""
        module = prior.module(self.latent_dim, self.n_inputs)
        columns, is_of_columns = self.columns(architecture), of_columns(architecture)
        whole = Networks(*networks, columns, is_of_columns)
        return self.module(whole, module, knows_columns)

    @abstractmethod
    def network_sizes(self, architecture: Architecture) -> list[tuple[int, int]]:
        """Columns in and out of the encoder's network and of the decoder's."""

    @abstractmethod
    def columns(self, architecture: Architecture) -> ColumnMap | None:
        """The way to columns, where the architecture asks for it and there is one."""

    @abstractmethod
    def auto_sizes(self, n_rows: float) -> tuple[int, ...]:
        """Hidden layers of a fully connected network for so many rows."""

    @abstractmethod
    def code_use(self, X: Values, weight: np.ndarray | None = None) -> CodeUse:
        """What the codes hold, in closed form or by some of its rows."""

    @abstractmethod
    def score(self, X: Values, weight: np.ndarray | None = None, is_own: bool = True) -> float:
        """Mean log-likelihood of rows (of some, if many), nats; is_own: it was fitted to them."""

    @abstractmethod
    def carried(self, state: State, vae: VAE, old: "LinearStart") -> State | None:
        """The state of a model of an old start in the coordinates of this one; None: it cannot be.

        vae has the networks of the state.
        """
