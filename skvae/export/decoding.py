"""From latent points to what is decoded of them, as nodes, and the way back.

What `model.vae`, `model.score_observation` and `model.gap_observation` say in tensors.
"""

from skvae.export.graph import Value
from skvae.export.layers import Back, array_of, through
from skvae.export.posterior import gather, spread
from skvae.model.cell_observation import CellObservation
from skvae.model.score_observation import ScoreObservation
from skvae.model.vae import VAE


def decoded(
    vae: VAE, z: Value, observation: "ScoreObservation | CellObservation"
) -> tuple[Value, Back]:
    """Mean scores, or the parameters of blocks, and the way from slopes by them to slopes by z."""
    path = z.graph.constant(array_of(observation.decoder_path), z.dtype)
    others = [path]
    if isinstance(observation, CellObservation):
        others.append(z.graph.constant(array_of(observation.decoder_bias), z.dtype))
    if vae.decoder is None:
        return z.graph.node("Gemm", z, *others, transB=1), lambda slope: slope @ path
    width = array_of(vae.scale.spread)
    z = z * width + array_of(vae.scale.center)
    change, back = through(vae.decoder, z, (vae.latent_dim,))

    def both_back(slope: Value) -> Value:
        return (slope @ path + back(spread(vae.columns, slope))) * width

    linear = z.graph.node("Gemm", z, *others, transB=1)
    return linear + gather(vae.columns, change), both_back
