"""Peers: what people fit in the place of ``VAETransformer``, each as its own documentation has it.

The table ``PEERS`` ends the module: name -> ``Peer``, whose ``build(latent_dim, seed)`` returns
an object with ``fit(X)`` and ``reconstruct(X)``, the latter in the units of X. A peer is silent
and leaves no files behind. Where the documentation cannot do the job, the docstring or the comment
beside it says what is done instead, and the choice is the one that is kinder to the peer:
reconstructions, for instance, are made of posterior means, not of draws.

pythae and pyod come with the extra ``peers`` and are imported when they are first fitted.
"""

import contextlib
import io
import logging
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.neural_network import MLPRegressor

from benchmarks import methods
from benchmarks.loop import Scale, TutorialLoop


@dataclass(frozen=True)
class Peer:
    """One line of the table; neural peers are the ones whose time ours is held to."""

    build: Callable[[int, int], Any]
    is_neural: bool = False


class Reducer:
    """A transformer of scikit-learn's kind that reconstructs."""

    def __init__(self, model):
        self.model = model

    def fit(self, X):
        self.model.fit(X)
        return self

    def reconstruct(self, X):
        return self.model.inverse_transform(self.model.transform(X))


class ThinnedKernelPCA:
    """KernelPCA as in ``methods``: its kernel is rows x rows, so there are 2000 of them at most."""

    def __init__(self, latent_dim, seed):
        self.latent_dim, self.seed = latent_dim, seed

    def fit(self, X):
        self.model = Reducer(methods.fit("kernel_pca", X, self.latent_dim, self.seed)[0])
        return self

    def reconstruct(self, X):
        return self.model.reconstruct(X)


class RegressorAutoencoder:
    """MLPRegressor from the rows to themselves through a narrow layer, defaults otherwise.

    The defaults (``help(MLPRegressor)``) are ReLU, Adam at 1e-3, batches of 200, and 200 passes
    or until the loss of the training rows has settled. Columns are standardised, as the user guide
    asks ("Tips on Practical Use" of supervised neural networks), or left as they are in [0, 1].
    """

    def __init__(self, latent_dim, seed):
        self.model = MLPRegressor(hidden_layer_sizes=(256, latent_dim, 256), random_state=seed)

    def fit(self, X):
        self.scale = Scale.of(X)
        x = self.scale.apply(X)
        self.model.fit(x, x)
        return self

    def reconstruct(self, X):
        return self.scale.undo(self.model.predict(self.scale.apply(X)))


class PythaeVAE:
    """The VAE of pythae, trained as in "Launching a model training" of its README (0.1.2).

    Its default networks have one hidden layer of 512 units; 50 passes in batches of 200, AdamW at
    1e-3 with the README's weight decay and betas, the rate halved on plateaus, a checkpoint every
    20 passes. Two things differ. There are no worker processes for loading rows (the README has
    two), which is the class's default and quicker for rows that are in memory already. And the
    rows are all for training, as its documentation allows.

    The default decoder ends in a sigmoid. Where values lie outside [0, 1] columns are
    standardised and that sigmoid goes: squeezed into [0, 1], a table's columns have a variance so
    far below the one of the loss that all codes would collapse.
    """

    def __init__(self, latent_dim, seed):
        self.latent_dim, self.seed = latent_dim, seed

    def fit(self, X):
        pipelines, trainers = (
            methods.imported("pythae.pipelines"),
            methods.imported("pythae.trainers"),
        )
        self.scale = Scale.of(X)
        x = self.scale.apply(X)
        with quiet(), tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.model = self._network(x.shape[1])
            config = trainers.BaseTrainerConfig(
                output_dir=folder,
                num_epochs=50,
                learning_rate=1e-3,
                per_device_train_batch_size=200,
                steps_saving=20,
                optimizer_cls="AdamW",
                optimizer_params={"weight_decay": 0.05, "betas": (0.91, 0.995)},
                scheduler_cls="ReduceLROnPlateau",
                scheduler_params={"patience": 5, "factor": 0.5},
                seed=self.seed,
                no_cuda=True,
            )
            pipelines.TrainingPipeline(training_config=config, model=self.model)(train_data=x)
        return self

    def _network(self, n_columns):
        models = methods.imported("pythae.models")
        config = models.VAEConfig(input_dim=(n_columns,), latent_dim=self.latent_dim)
        model = models.VAE(model_config=config)
        if not self.scale.is_unit:
            model.decoder.layers[-1] = model.decoder.layers[-1][:-1]
        return model

    @torch.no_grad()
    def reconstruct(self, X):
        model = self.model.eval()
        codes = model.encoder(torch.from_numpy(self.scale.apply(X))).embedding
        return self.scale.undo(model.decoder(codes).reconstruction.numpy())


class PyodDetector(ABC):
    """A detector of pyod with its defaults; ``fit`` ends with the outlier scores of the rows.

    That is what it is for. Columns are standardised inside.
    """

    module: ClassVar[str]
    name: ClassVar[str]

    def __init__(self, latent_dim, seed):
        self.latent_dim, self.seed = latent_dim, seed

    @abstractmethod
    def sizes(self) -> dict[str, Any]:
        """Return the arguments that set the number of codes."""

    @abstractmethod
    def through(self, network, x) -> torch.Tensor:
        """Return standardised rows after their way through the network."""

    def fit(self, X):
        detector = getattr(methods.imported(self.module), self.name)
        with quiet(), torch.random.fork_rng():
            self.model = detector(verbose=0, random_state=self.seed, device="cpu", **self.sizes())
            self.model.fit(X)
        return self

    @torch.no_grad()
    def reconstruct(self, X):
        # It divides by a spread of 1e-8 where a column is constant, so that a test row which
        # differs there would come out at random: leave such columns as they are.
        mean, spread = self.model.X_mean, self.model.X_std
        scale = Scale(mean, np.where(spread > 0, spread, 1.0))
        x = torch.from_numpy(scale.apply(X))
        return scale.undo(self.through(self.model.model.eval(), x).numpy())


class PyodVAE(PyodDetector):
    """Hidden layers of 128, 64 and 32 units, dropout 0.2, batches of 32, 30 passes.

    By default ``capacity`` is 0, which takes the KL divergence out of its loss.
    """

    module, name = "pyod.models.vae", "VAE"

    def sizes(self):
        return {"latent_dim": self.latent_dim}

    def through(self, network, x):
        return network.decode(network.encode(x)[0])


class PyodAutoEncoder(PyodDetector):
    """Hidden layers of 64 and 32 units, to which one of ``latent_dim`` is added.

    Batch normalisation and dropout 0.2, in that layer too; batches of 32, 10 passes.
    """

    module, name = "pyod.models.auto_encoder", "AutoEncoder"

    def sizes(self):
        return {"hidden_neuron_list": [64, 32, self.latent_dim]}

    def through(self, network, x):
        return network(x)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Swallow what is logged and what goes to the terminal, progress bars included."""
    level, out = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            yield
    finally:
        logging.disable(level)


def _tutorial_loop(latent_dim, seed):
    return Reducer(TutorialLoop(latent_dim, seed))


def _pca(latent_dim, seed):
    return Reducer(PCA(latent_dim, random_state=seed))


def _incremental_pca(latent_dim, seed):
    return Reducer(IncrementalPCA(latent_dim))


def _factor_analysis(latent_dim, seed):
    return Reducer(methods.InvertibleFactorAnalysis(latent_dim, random_state=seed))


PEERS = {
    "pythae VAE": Peer(PythaeVAE, is_neural=True),
    "pyod VAE": Peer(PyodVAE, is_neural=True),
    "pyod AutoEncoder": Peer(PyodAutoEncoder, is_neural=True),
    "tutorial loop": Peer(_tutorial_loop, is_neural=True),
    "MLPRegressor": Peer(RegressorAutoencoder, is_neural=True),
    "PCA": Peer(_pca),
    "IncrementalPCA": Peer(_incremental_pca),
    "KernelPCA": Peer(ThinnedKernelPCA),
    "FactorAnalysis": Peer(_factor_analysis),
}
