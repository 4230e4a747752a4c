"""Choices: the strategies that are held to the default, and the rows that they are fitted to.

``STRATEGIES`` ends the module: to add a strategy, add it to a group.
"""

from collections.abc import Iterable
from typing import NamedTuple

import skvae

DEFAULT = "default"


class Case(NamedTuple):
    """Codes and training rows of a data set: few enough for a default fit of some seconds."""

    latent_dim: int
    max_train_rows: int


CASES = {
    "digits": Case(8, 700),
    "breast_cancer": Case(2, 1000),
    "diabetes": Case(2, 1000),
    "wine": Case(2, 1000),
    "usps": Case(8, 600),
    "isolet": Case(8, 500),
    "coil20": Case(8, 300),
    "bike": Case(4, 700),
    "elevators": Case(4, 700),
    "pol": Case(4, 600),
    "mnist": Case(8, 600),
}


def arguments_of(strategy: str) -> dict:
    """Return what a strategy changes of the estimator's arguments."""
    if strategy == DEFAULT:
        return {}
    return next(group[strategy] for group in STRATEGIES.values() if strategy in group)


def names(chosen: Iterable[str] | None = None) -> list[str]:
    """Return the names of strategies by group: all, or those chosen by their own or its name."""
    chosen = STRATEGIES if chosen is None else set(chosen)
    return [
        name
        for group, members in STRATEGIES.items()
        for name in members
        if group in chosen or name in chosen
    ]


def _random_with(**more):
    return {"init": "random"} | more


# Group -> name -> arguments of VAETransformer.
STRATEGIES: dict[str, dict[str, dict]] = {
    "control": {"nothing changed": {}},
    "activation": {
        name: {"architecture": skvae.MLP(activation=name)}
        for name in ("relu", "leaky_relu", "gelu", "elu", "selu", "tanh")
    },
    "architecture": {
        "linear": {"architecture": "linear"},
        "one layer of 16": {"architecture": skvae.MLP(hidden_layer_sizes=(16,))},
        "one layer of 256": {"architecture": skvae.MLP(hidden_layer_sizes=(256,))},
        "three layers of 256": {"architecture": skvae.MLP(hidden_layer_sizes=(256,) * 3)},
        "dropout 0.1": {"architecture": skvae.MLP(dropout=0.1)},
        "batch norm": {"architecture": skvae.MLP(normalization="batch")},
        "layer norm": {"architecture": skvae.MLP(normalization="layer")},
        "residual": {"architecture": skvae.MLP(residual=True)},
    },
    "optimizer": {name: {"optimizer": name} for name in ("adam", "sgd", "rmsprop", "muon")},
    "learning rate": {
        "0.001": {"optimizer": skvae.AdamW(learning_rate=1e-3)},
        "one cycle": {"optimizer": skvae.AdamW(schedule="one_cycle")},
        "cosine": {"optimizer": skvae.AdamW(schedule="cosine")},
        "constant": {"optimizer": skvae.AdamW(schedule="constant")},
        "plateau": {"optimizer": skvae.AdamW(schedule="plateau")},
    },
    "step": {
        "no averaging": {"optimizer": skvae.AdamW(averaging=0.0)},
        "no clipping": {"optimizer": skvae.AdamW(clip_norm=None)},
        "no weight decay": {"optimizer": skvae.AdamW(weight_decay=0.0)},
        "fixed batch of 64": {"batch_size": 64},
        "fixed batch of 128": {"batch_size": 128},
    },
    "objective": {
        "no point codes": {"objective": skvae.Elbo(point_share=0.0)},
        "free bits 0.25": {"objective": skvae.Elbo(free_bits=0.25)},
        "iwae": {"objective": "iwae"},
        "tc": {"objective": "tc"},
        "mmd": {"objective": "mmd"},
        "autoencoder": {"objective": "autoencoder"},
        "denoising": {"objective": "denoising"},
    },
    "weight of the KL": {
        "beta 0.5": {"beta": 0.5},
        "beta 2": {"beta": 2.0},
        "linear warm-up": {"kl_schedule": "linear"},
        "sigmoid warm-up": {"kl_schedule": "sigmoid"},
        "cyclical": {"kl_schedule": "cyclical"},
    },
    "prior": {
        "mixture": {"prior": "mixture"},
        "vamp": {"prior": "vamp"},
        "ex post": {"prior": "ex_post"},
    },
    "annealing": {
        # Its own 1200 steps after the training would leave no time for that.
        "metropolis": {"annealing": skvae.Metropolis(n_proposals=4, n_steps=50)},
        "langevin": {"annealing": "langevin"},
        # A search without gradients takes small networks only, and none of many columns.
        "random walk of one layer of 16": {
            "annealing": "randomwalk",
            "architecture": skvae.MLP(hidden_layer_sizes=(16,)),
        },
    },
    "start": {
        "best of 3": {"n_init": 3},
        "random": _random_with(),
        "random + linear warm-up": _random_with(kl_schedule="linear"),
        "random + sigmoid warm-up": _random_with(kl_schedule="sigmoid"),
        "random + cyclical": _random_with(kl_schedule="cyclical"),
        "random + free bits 0.25": _random_with(objective=skvae.Elbo(free_bits=0.25)),
    },
}
