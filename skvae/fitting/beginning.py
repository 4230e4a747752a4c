"""Where training begins: at the linear start, at random, or where another training has ended."""

import torch

from skvae.components import is_same
from skvae.devices import resolve_precision
from skvae.fitted.model import FittedModel
from skvae.fitting.budget import count_products
from skvae.fitting.options import Options
from skvae.model.columns import of_columns
from skvae.model.first_weights import build, start_at_zero
from skvae.model.priors import Normal, Prior, PriorModule
from skvae.model.rows import Rows
from skvae.model.vae import VAE, Networks
from skvae.start.base import LinearStart, State
from skvae.training.controller import Controller
from skvae.training.state import TrainingState


def initial_vae(
    start: LinearStart,
    seen: Rows,
    options: Options,
    *,
    number: int = 0,
    previous: FittedModel | None = None,
    left: State | None = None,
) -> VAE:
    """The model before the first step: at the linear start, at random, or where it was left."""
    if previous is not None and previous.architecture is not None:
        knows_columns = options.config.objective.needs_columns
        vae = previous.new_module(options.dtype, knows_columns)
        vae = vae.to(options.device).requires_grad_(True)
    else:
        vae = new_vae(start, options, number).to(options.device, options.dtype)
        if options.config.objective.is_deterministic:
            vae.unshrink_posterior_mean()
        load(vae, left or {})
    prior = Normal() if options.prior.is_fitted_after else options.prior
    if previous is None or not is_same(previous.prior, prior, {}):
        vae.prior = initial_prior(prior, vae, seen, options, number)
    return vae


def new_vae(start: LinearStart, options: Options, number: int) -> VAE:
    """A model with networks of its own, number of a restart."""
    architecture = options.architecture
    sizes = start.network_sizes(architecture)
    encoder, decoder = build(architecture, sizes, options.seed + number)
    if options.init == "pca":
        start_at_zero(encoder, sizes[0][0])
        start_at_zero(decoder, sizes[1][0])
    columns = start.columns(architecture)
    networks = Networks(encoder, decoder, columns, of_columns(architecture))
    vae = start.module(networks, knows_columns=options.config.objective.needs_columns)
    if options.init == "random":
        vae.forget_start()
    return vae


@torch.no_grad()
def initial_prior(prior: Prior, vae: VAE, seen: Rows, options: Options, number: int) -> PriorModule:
    """The prior before the first step."""
    inputs = vae.inputs(seen)
    module = prior.module(vae.latent_dim, vae.n_inputs).to(inputs)
    generator = torch.Generator(options.device).manual_seed(options.seed + number)
    prior.start(module, inputs, generator)
    return module


def training_state(
    vae: VAE, generator: torch.Generator, options: Options, controller: Controller
) -> TrainingState:
    """The model with its optimizer, in the precision that fits the size of a step."""
    n_products = count_products(vae)

    def precision(batch_size: int) -> torch.dtype:
        return resolve_precision(options.precision, options.device, batch_size * n_products)

    return TrainingState.of(vae, options.config, generator, precision, controller)


def load(vae: VAE, state: State) -> bool:
    """Load what there is of a state, by name and shape; nothing where the networks are others."""
    fresh = vae.state_dict()
    same = {k: w for k, w in state.items() if k in fresh and w.shape == fresh[k].shape}
    if not all(name in same for name in fresh if name.startswith(("encoder.", "decoder."))):
        return False
    vae.load_state_dict(fresh | {k: torch.tensor(w) for k, w in same.items()})
    return True
