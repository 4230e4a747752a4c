"""The optimizers: how the weights move against the gradient.

All weights of a model lie in one tensor (weights.py), whose parts differ in their share of the
learning rate. An optimizer moves one part at a time and keeps nothing: its moments belong to the
part. torch's functional forms do the work, because its classes take a second to import a compiler.
"""

from typing import ClassVar

from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from skvae.training.optimizer import Optimizer, Part, is_within
from skvae.training.schedules import Schedule

_BETAS = (0.9, 0.99)
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # of Muon, and how often it is applied
_N_ITERATIONS = 5
_MOMENTUM = 0.95


class AdamW(Optimizer):
    """Adam with decoupled weight decay [1]_.

    Parameters
    ----------
    learning_rate : float or "auto", default="auto"
        Learning rate of the networks. The linear path has a tenth of it. "auto" is 0.006 for a
        matrix and networks with fewer than 20000 weights, otherwise 0.004.
    schedule : str or component, default="settle"
        Schedule of the learning rate. "settle" holds it until the held-out bound settles, then
        lets it fall to zero. "one_cycle", "cosine" and "constant" are functions of the share of
        `max_iter`. "plateau" lowers it in steps.
    weight_decay : float or "auto", default="auto"
        Weight decay of the networks. "auto" starts at 0.0001 and rises up to 1 while the model
        overfits.
    clip_norm : float or None, default=1.0
        Largest norm of the gradient. With None gradients are not clipped.
    averaging : float, default=0.99
        Decay of the exponential moving average of the weights, at least 0 and below 1. Evaluations
        and the fitted model use the averaged weights. 0 uses the last weights.

    References
    ----------
    .. [1] Loshchilov, I. and Hutter, F. (2019). Decoupled weight decay regularization. ICLR.

    Examples
    --------
    >>> from skvae import AdamW, VAETransformer
    >>> VAETransformer(optimizer=AdamW(schedule="one_cycle", learning_rate=0.002))
    VAETransformer(optimizer=AdamW(learning_rate=0.002, schedule='one_cycle'))
    """

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        _adam(part, rate, weight_decay)


class Adam(Optimizer):
    """Adam [1]_, with weight decay as an L2 penalty: it is added to the gradient.

    Parameters
    ----------
    learning_rate : float or "auto", default=0.004
        As in `AdamW`.
    schedule : str or component, default="settle"
        As in `AdamW`.
    weight_decay : float or "auto", default=0.0
        Factor of the weights that are added to the gradient. "auto" is as in `AdamW`.
    clip_norm : float or None, default=1.0
        As in `AdamW`.
    averaging : float, default=0.99
        As in `AdamW`.

    References
    ----------
    .. [1] Kingma, D. P. and Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.

    Examples
    --------
    >>> from skvae import Adam, VAETransformer
    >>> VAETransformer(optimizer=Adam(learning_rate=0.001))
    VAETransformer(optimizer=Adam(learning_rate=0.001))
    """

    def __init__(
        self,
        *,
        learning_rate: float = 4e-3,
        schedule: str | Schedule = "settle",
        weight_decay: float | str = 0.0,
        clip_norm: float | None = 1.0,
        averaging: float = 0.99,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            schedule=schedule,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            averaging=averaging,
        )

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        if weight_decay and part.decays:
            part.gradient.add_(part.weights, alpha=weight_decay)
        _adam(part, rate, 0.0)


class SGD(Optimizer):
    """Stochastic gradient descent with Nesterov momentum [1]_ and decoupled weight decay.

    Parameters
    ----------
    learning_rate : float or "auto", default=0.1
        As in `AdamW`.
    schedule : str or component, default="settle"
        As in `AdamW`.
    weight_decay : float or "auto", default="auto"
        As in `AdamW`.
    clip_norm : float or None, default=1.0
        As in `AdamW`.
    averaging : float, default=0.99
        As in `AdamW`.
    momentum : float, default=0.9
        Momentum, at least 0 and below 1.

    References
    ----------
    .. [1] Sutskever, I. et al. (2013). On the importance of initialization and momentum in deep
       learning. ICML.

    Examples
    --------
    >>> from skvae import SGD, VAETransformer
    >>> VAETransformer(optimizer=SGD(learning_rate=0.05))
    VAETransformer(optimizer=SGD(learning_rate=0.05))
    """

    n_moments: ClassVar[int] = 1

    def __init__(
        self,
        *,
        learning_rate: float = 0.1,
        schedule: str | Schedule = "settle",
        weight_decay: float | str = "auto",
        clip_norm: float | None = 1.0,
        averaging: float = 0.99,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            schedule=schedule,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            averaging=averaging,
        )
        self.momentum = momentum

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        part.step.add_(1)
        _decay(part, rate, weight_decay)
        momentum = list[Tensor | None](part.moments)
        sgd(
            params=[part.weights],
            d_p_list=[part.gradient],
            momentum_buffer_list=momentum,
            lr=float(rate) * part.share,
            momentum=self.momentum,
            weight_decay=0.0,
            dampening=0.0,
            nesterov=self.momentum > 0,
            maximize=False,
        )

    def check(self) -> None:
        super().check()
        if not is_within(self.momentum, 0.0, 1.0):
            raise ValueError(f"momentum={self.momentum!r} must be at least 0 and below 1.")


class RMSprop(Optimizer):
    """RMSprop [1]_ with decoupled weight decay.

    It divides the gradient by the square root of its running mean square.

    Parameters
    ----------
    learning_rate : float or "auto", default=0.001
        As in `AdamW`.
    schedule : str or component, default="settle"
        As in `AdamW`.
    weight_decay : float or "auto", default="auto"
        As in `AdamW`.
    clip_norm : float or None, default=1.0
        As in `AdamW`.
    averaging : float, default=0.99
        As in `AdamW`.

    References
    ----------
    .. [1] Tieleman, T. and Hinton, G. (2012). Lecture 6.5: RMSprop. Neural networks for machine
       learning, Coursera.

    Examples
    --------
    >>> from skvae import RMSprop, VAETransformer
    >>> VAETransformer(optimizer=RMSprop(learning_rate=0.002))
    VAETransformer(optimizer=RMSprop(learning_rate=0.002))
    """

    n_moments: ClassVar[int] = 1

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        schedule: str | Schedule = "settle",
        weight_decay: float | str = "auto",
        clip_norm: float | None = 1.0,
        averaging: float = 0.99,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            schedule=schedule,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            averaging=averaging,
        )

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        _decay(part, rate, weight_decay)
        rmsprop(
            params=[part.weights],
            grads=[part.gradient],
            square_avgs=part.moments,
            grad_avgs=[],
            momentum_buffer_list=[],
            state_steps=[part.step],
            lr=float(rate) * part.share,
            alpha=_BETAS[1],
            eps=1e-8,
            weight_decay=0.0,
            momentum=0.0,
            centered=False,
        )


class Muon(Optimizer):
    """Muon [1]_ for the networks' matrices and kernels, AdamW for all other weights.

    Muon makes the momentum of a matrix orthogonal. Its updates are as large as those of AdamW [2]_,
    so the same learning rates suit both.

    Parameters
    ----------
    learning_rate : float or "auto", default="auto"
        As in `AdamW`.
    schedule : str or component, default="settle"
        As in `AdamW`.
    weight_decay : float or "auto", default="auto"
        As in `AdamW`.
    clip_norm : float or None, default=1.0
        As in `AdamW`.
    averaging : float, default=0.99
        As in `AdamW`.

    References
    ----------
    .. [1] Jordan, K. (2024). Muon: an optimizer for hidden layers in neural networks.
    .. [2] Liu, J. et al. (2025). Muon is scalable for LLM training. arXiv:2502.16982.

    Examples
    --------
    >>> from skvae import Muon, VAETransformer
    >>> VAETransformer(optimizer=Muon(clip_norm=None))
    VAETransformer(optimizer=Muon(clip_norm=None))
    """

    by_matrix: ClassVar[bool] = True

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        if part.shape is None or len(part.shape) < 2:
            _adam(part, rate, weight_decay)
            return
        part.step.add_(1)
        momentum = part.moments[0].lerp_(part.gradient, 1.0 - _MOMENTUM)
        ahead = part.gradient.lerp(momentum, _MOMENTUM)
        direction = orthogonal(ahead.view(part.shape[0], -1))
        size = 0.2 * max(direction.shape) ** 0.5
        _decay(part, rate, weight_decay)
        part.weights.add_(direction.reshape(-1), alpha=-rate * part.share * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values of about 1, by Newton-Schulz iterations."""
    x = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_N_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if len(matrix) <= matrix.shape[1] else x.T


def _adam(part: Part, rate: float, weight_decay: float) -> None:
    adamw(
        params=[part.weights],
        grads=[part.gradient],
        exp_avgs=part.moments[:1],
        exp_avg_sqs=part.moments[1:],
        max_exp_avg_sqs=[],
        state_steps=[part.step],
        fused=True,
        lr=rate * part.share,
        weight_decay=part.decays * weight_decay,
        beta1=_BETAS[0],
        beta2=_BETAS[1],
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )


def _decay(part: Part, rate: float, weight_decay: float) -> None:
    if weight_decay and part.decays:
        part.weights.mul_(1.0 - rate * part.share * weight_decay)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": SGD,
    "rmsprop": RMSprop,
    "muon": Muon,
}
