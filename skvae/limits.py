"""Budgets of computing and thresholds of decisions; none is an option of the estimator."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Budgets of computing and thresholds of decisions; none is an option of the estimator.

    The defaults suit most data; docs/theory.md has the experiments behind them. Experiments and
    tests set others by the attribute `limits` of a `VAETransformer`, which `fit` reads.

    Parameters
    ----------
    flops : float, default=3e12
        Arithmetic of a training before its last passes, in multiplications and additions: about
        half a minute on two cores.
    steps : tuple of int, default=(2000, 6000)
        Fewest and most steps of a training. Fewer steps teach little, more gain little.
    extension : float, default=2.2
        The fewest steps may take this many times the arithmetic of `flops`. If they need more,
        there are fewer steps.
    batch_sizes : tuple of int, default=(128, 512)
        Fewest and most rows of a step where `batch_size` is "auto". Tables with more rows get
        larger batches.
    small_network : int, default=20000
        Networks of a matrix with fewer weights than this count as small.
    small_rate : float, default=0.006
        Learning rate of small networks, where an optimizer leaves it to "auto".
    small_patience : int, default=5
        What `patience` is for small networks.
    learning_rate : float, default=0.004
        Learning rate of all other networks, where an optimizer leaves it to "auto".
    pass_rows : int, default=131072
        Most rows of a pass. The held-out rows are evaluated after passes.
    block_rows : int, default=256
        Neighbouring rows that come together where a pass does not take all rows. Files read
        neighbours fast.
    warm_up_steps : int, default=50
        Steps in which the learning rate rises, so that the first gradients do no harm.
    warm_up_share : float, default=0.1
        Largest share of all steps that this rise takes.
    noise_rate : float, default=0.1
        Weight of a batch's squared error in the running noise variance.
    check_steps : int, default=25
        About the steps between two evaluations. An evaluation costs as much as some steps.
    min_steps : int, default=300
        Steps before the bound can have settled.
    min_calm_steps : int, default=600
        The same while nothing overfits, since leaving the linear start can take long.
    patience : int, default=3
        Evaluations without a gain of `tolerance` before the learning rate falls.
    tolerance : float, default=0.01
        Share of what the bound has gained so far that counts as a gain.
    overfit_share : float, default=0.3
        The training bound may exceed the held-out bound by this share of the held-out gain.
        Beyond it (and `overfit_nats`) weight decay rises.
    overfit_nats : float, default=0.05
        Nats per number of a row by which it may exceed it besides, since bounds are noisy.
    weight_decays : tuple of float, default=(0.0001, 0.05, 0.2, 1.0)
        Levels of weight decay where an optimizer leaves it to "auto". Every evaluation that
        overfits takes the next level.
    enlargement : int, default=4
        Factor by which batches grow once the bound has settled without overfitting, since then
        the noise of the gradient holds it back.
    fall_patience : int, default=2
        Evaluations at a falling rate without any gain before training ends.
    fall_share : float, default=0.3
        Length of the fall, as a share of the passes before it.
    min_training_rows : int, default=30
        Fewest rows with which networks are trained. Fewer rows cannot show that networks beat
        the linear start.
    min_evaluation_rows : int, default=20
        Fewest rows by which a model is evaluated.
    seen_rows : int, default=1000
        Training rows by which latent dimensions are scaled and measured.
    measured_numbers : int, default=8000
        Numbers in the codes by which codes are measured: with more codes, fewer rows, since each
        code costs some evaluations of the networks.
    refinement : int, default=12
        Most steps by which `transform` refines codes where `refinement` is "auto".
    prior_rows : int, default=10000
        Most rows whose codes a prior is fitted to after the training.
    evaluation_draws : tuple of int, default=(4, 16)
        Fewest and most draws per held-out row. With many rows fewer draws are enough.
    evaluation_row_draws : int, default=16000
        Rows times draws of an evaluation, within the limits of `evaluation_draws`.
    em_steps : int, default=20
        Steps of EM by which an evaluation finds the noise and the weight of the linear start.
    start_weight_min : float, default=0.01
        Least weight of the linear start in the reported density. Outliers need it.
    widest_noise : float, default=3.0
        Largest noise variance, in units of the start's median squared error. Otherwise the
        noise could grow until the model fits a single outlier.
    keep_shares : tuple of float, default=(1.0, 0.75, 0.5, 0.25)
        Shares of the way from the linear start to the trained weights that are tried in turn.
    n_standard_errors : float, default=3.0
        Standard errors by which the gain over the linear start has to exceed zero.
    few_rows : int, default=500
        Rows below which the held-out rows of several splits judge together.
    n_splits : int, default=5
        Splits that judge, at most.
    last_shares : tuple of float, default=(0.5, 0.25)
        Last passes, which learn from half of the held-out rows too, as a share of those before: of
        few rows, and of more.
    last_tolerance : float, default=2.0
        Standard errors by which the other half may be worse off after them; else nothing of them
        is kept.
    last_decay_level : int, default=1
        Level of weight decay in them, at most; else it is that of the training.
    width_steps : int, default=100
        Steps of Adam that give an autoencoder's codes a posterior.
    width_rate : float, default=0.1
        Their learning rate.
    max_directions : int, default=512
        Principal directions that networks may see, unless there are half as many codes or more.
    first_directions : int, default=128
        The tail that is left out is `fine_tail` up to this many directions.
    fine_tail : float, default=0.02
        Share of the variance beyond the codes that networks need not see, since it cannot change
        a model much.
    coarse_tail : float, default=0.05
        The same beyond the first directions, where networks see scores and not columns.
    held_bytes : int, default=536870912
        Most bytes of scores that a training holds. More scores are computed in every pass.
    stored_rows : int, default=8192
        Most rows that a fitted model keeps for `impute`.
    stored_cells : int, default=262144
        Most cells of these rows: 2 MB. It also bounds the work of `impute`.
    known_cells : int, default=16777216
        Most cells of the rows that all processes of one fit know. If there are more, they know a
        sample.
    answer_seconds : float, default=60.0
        Seconds that the processes of one fit wait for each other before they give up.
    """

    flops: float = 3e12
    steps: tuple[int, int] = (2000, 6000)
    extension: float = 2.2
    batch_sizes: tuple[int, int] = (128, 512)
    small_network: int = 20_000
    small_rate: float = 6e-3
    small_patience: int = 5
    learning_rate: float = 4e-3
    pass_rows: int = 131_072
    block_rows: int = 256
    warm_up_steps: int = 50
    warm_up_share: float = 0.1
    noise_rate: float = 0.1
    check_steps: int = 25
    min_steps: int = 300
    min_calm_steps: int = 600
    patience: int = 3
    tolerance: float = 0.01
    overfit_share: float = 0.3
    overfit_nats: float = 0.05
    weight_decays: tuple[float, ...] = (1e-4, 0.05, 0.2, 1.0)
    enlargement: int = 4
    fall_patience: int = 2
    fall_share: float = 0.3
    min_training_rows: int = 30
    min_evaluation_rows: int = 20
    seen_rows: int = 1000
    measured_numbers: int = 8000
    refinement: int = 12
    prior_rows: int = 10_000
    evaluation_draws: tuple[int, int] = (4, 16)
    evaluation_row_draws: int = 16_000
    em_steps: int = 20
    start_weight_min: float = 0.01
    widest_noise: float = 3.0
    keep_shares: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)
    n_standard_errors: float = 3.0
    few_rows: int = 500
    n_splits: int = 5
    last_shares: tuple[float, float] = (0.5, 0.25)
    last_tolerance: float = 2.0
    last_decay_level: int = 1
    width_steps: int = 100
    width_rate: float = 0.1
    max_directions: int = 512
    first_directions: int = 128
    fine_tail: float = 0.02
    coarse_tail: float = 0.05
    held_bytes: int = 2**29
    stored_rows: int = 8192
    stored_cells: int = 2**18
    known_cells: int = 2**24
    answer_seconds: float = 60.0
