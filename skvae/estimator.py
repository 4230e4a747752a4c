"""VAETransformer: the parameters, the checks of what comes in, the names of what goes out."""

from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

import skvae.choices as choices
from skvae._sklearn import (
    Interval,
    RealNotInt,
    StrOptions,
    check_parameters,
    check_same_namespace,
    feature_names_of,
    like,
    output_container,
    to_numpy,
    with_callbacks,
    with_our_names,
)
from skvae.ambient import asking, learning
from skvae.callbacks import Rows, Watchable
from skvae.components import component
from skvae.data.columns import has_missing, takes_levels, takes_sparse
from skvae.data.containers import index_of
from skvae.data.input import Input
from skvae.data.output import filled, restored
from skvae.data.reading import names_of, read, read_codes
from skvae.data.refusals import refuse_far
from skvae.data.schema import Schema
from skvae.data.weights import weighted
from skvae.devices import PRECISIONS, resolve_device
from skvae.diagnosis import Diagnosable
from skvae.distributed.distributable import Distributable
from skvae.explorer.explorable import Explorable
from skvae.export.exportable import Exportable
from skvae.fitted.attributes import learned
from skvae.fitted.correction import check_refinement
from skvae.fitted.doubts import warn_of_fit
from skvae.fitted.questions import ask
from skvae.fitting.fit import fit_model
from skvae.fitting.online import check_online, fit_online
from skvae.fitting.seen_rows import SeenRows
from skvae.fitting.sharing import as_first_has
from skvae.likelihoods import LIKELIHOODS, Likelihood
from skvae.limits import Limits
from skvae.model.networks import ARCHITECTURES
from skvae.model.priors import PRIORS, Prior
from skvae.persistence.keepable import Keepable
from skvae.persistence.resumable import Resumable
from skvae.persistence.tables import PRIVATE
from skvae.start.latent_dim import latent_dim_of
from skvae.start.spectrum import Spectra, farthest_cell
from skvae.start.tables import Matrix, Table
from skvae.training.annealing import ANNEALING, Annealing
from skvae.training.evaluation import DivergenceError
from skvae.training.history import evaluations_of
from skvae.training.objective import OBJECTIVES, Objective
from skvae.training.optimizer import Optimizer
from skvae.training.optimizers import OPTIMIZERS
from skvae.training.schedules import KL_SCHEDULES, check_count


class VAETransformer(
    Keepable,
    Resumable,
    Exportable,
    Explorable,
    Distributable,
    Diagnosable,
    Watchable,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Dimension reduction by a variational autoencoder that starts as PCA.

    The model begins as probabilistic PCA in closed form and trains nonlinear networks beside it.
    Rows held out from the training decide whether the result is kept, kept in part, or dropped
    for PCA.

    Tables of numbers are treated as in PCA: columns are centred, not scaled. Put a
    `StandardScaler` before it if their units differ. Frames with text, categories or booleans go
    in as they are. Each column then has a likelihood of its own, and each number column is
    divided by its own spread. A missing cell (NaN, None, NA, null) is left out of the codes and
    of the likelihood.

    Parameters
    ----------
    latent_dim : int, float, "auto" or None, default=2
        Number of codes. A float between 0 and 1 takes the smallest number of codes whose share of
        the variance in the linear start is above it. None takes the number of rows or of columns,
        whichever is less. Both are as `n_components` of PCA. "auto" compares numbers up to 32 by
        the held-out rows of probabilistic PCA, and takes the smallest that is not clearly worse
        than the best.
    likelihood : str, component or dict, default="auto"
        How values scatter around what codes predict. "auto" goes by dtype. A table of complete
        numbers gets "gaussian". Otherwise numbers get "gaussian_diag", booleans "bernoulli", text
        and categories "categorical", ordered categories "ordinal". A name or a component (such as
        `StudentT(df=4)`) is for all columns. A dict maps columns (names of a frame, positions of
        an array) to names or components; it leaves the others to "auto". The other names are
        "empirical", "student_t", "lognormal", "continuous_bernoulli", "poisson" and
        "negative_binomial".
    architecture : {"mlp", "conv", "linear"}, component or callable, default="mlp"
        Networks beside the linear path: a name, an `MLP` or `Conv` with options of its own, or a
        callable `(n_in, n_out) -> torch.nn.Module` whose module ends in a linear layer.
    prior : {"normal", "mixture", "vamp", "ex_post", "aggregate"} or component, default="normal"
        The distribution of codes before a row is seen: a standard normal, or a mixture. "mixture"
        and "vamp" are trained with the model. "ex_post" and "aggregate" are fitted to the codes
        afterwards, and kept if held-out rows are likelier under them. For an autoencoder, whose
        training does not make codes normal, "normal" means "ex_post".
    objective : str or component, default="elbo"
        What training optimises: "elbo", "iwae", "tc", "mmd", "autoencoder", "denoising", or a
        component with options, such as `Iwae(n_draws=10)`.
    beta : float, default=1.0
        Weight of the KL term in training. It does not enter scores.
    kl_schedule : {"constant", "linear", "sigmoid", "cyclical"} or component, default="constant"
        How the weight of the KL term changes with the share of `max_iter` that is used up.
    optimizer : {"adamw", "adam", "sgd", "rmsprop", "muon"} or component, default="adamw"
        How weights are updated. Options of a component are learning rate and schedule, weight
        decay, clipping and averaging.
    annealing : {"metropolis", "langevin", "randomwalk"}, component or None, default=None
        Simulated annealing after, during or instead of training by gradients.
    n_init : int, default=1
        Number of trainings, each from other first weights. The one with the best held-out bound
        is kept.
    init : {"pca", "random"}, default="pca"
        Where training begins. With "random" it begins as other VAEs do. The result still has to
        beat PCA.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" begins with 128 to 512, by the number of rows, and with fewer (but
        at least 128) where `max_iter` passes would have under 300 steps. Once the held-out bound
        has settled without overfitting, batches are four times as large.
    max_iter : int or "auto", default="auto"
        Largest number of passes over the rows (epochs). 0 keeps the linear start. "auto" lets
        training continue while the held-out bound rises, within a fixed amount of arithmetic.
    early_stopping : bool, default=True
        Whether the learning rate begins to fall when the held-out bound has settled. Otherwise
        all of `max_iter` is used. In both cases rows are held out, to measure the result.
    validation_fraction : float or "auto", default="auto"
        Share of the rows that are held out; "auto" is a tenth, but 200 rows where that is at most
        a fifth, and never more than 20000. A model that they accept learns from half of them in
        its last passes, which the other half judges; with `warm_start` there are none.
    whiten : bool, default=False
        Whether codes have unit variance, as in PCA, instead of the spread that they cause in the
        data.
    refinement : int or "auto", default="auto"
        Largest number of steps that bring a code to the projection of its row, the nearest point
        of the decoder's surface. A row takes steps as long as the next one promises to lower its
        squared error by half a percent. "auto" is 12. 0 is the encoder's code alone, in a fifth
        of the time or less. `transform` uses the current value. Tables whose columns do not share
        noise take no steps.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1". "auto" is CUDA if there is a device.
    precision : {"auto", "float32", "bfloat16", "float64"}, default="auto"
        Arithmetic of the training. "auto" is float32. It is bfloat16 for the large products of
        steps of more than 60 million multiplications, on devices that compute in it natively.
        With any precision, a fitted model computes its results in the dtype of the data.
    warm_start : bool, default=False
        Whether `fit` continues from the weights that the last `fit` left.
    store_rows : bool, default=True
        Whether some rows of the training, at most 8192 and at most 262144 cells, are kept for
        `impute`. They go into pickles with the estimator. Without them `impute` is the
        conditional mean.
    checkpoint_dir : str, path-like or None, default=None
        Folder where `fit` keeps what it needs to continue after an interruption. The same `fit`
        then continues from there and ends with the same bits. A missing folder is made. A fit
        that has ended removes its file. With a folder SIGTERM ends `fit` as Ctrl-C does.
    checkpoint_every : float, default=60
        Seconds from one checkpoint to the next.
    distributed : {"auto"} or None, default=None
        "auto": inside a group of `torch.distributed` all processes give their rows to `fit`. The
        rows are fitted as one table, and every process gets the same model. Outside of a group it
        changes nothing.
    deterministic : bool, default=False
        Whether the model of several processes is the same to the bit for any number of them, and
        however the rows are spread. The price is smaller products. Without it each process takes
        its rows as they are. A fit of one process is always repeatable.
    verbose : int, default=0
        1 shows a progress bar: passes, held-out bound, its gain over PCA, remaining time. Callbacks
        of scikit-learn see the same and more (`set_callbacks`, from scikit-learn 1.9 on).
    random_state : int, RandomState instance or None, default=None
        Decides the split, the first weights, the batches and the noise.

    Attributes
    ----------
    latent_dim_ : int
        Number of codes that `transform` returns.
    n_features_in_ : int
        Number of columns seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, only when they are all strings.
    n_samples_ : int
        Number of rows seen during `fit`, or by `partial_fit` so far.
    n_iter_ : int
        Number of passes over the rows, passes of annealing included.
    loss_curve_ : list of float
        Minus the evidence lower bound of the training rows, one value per pass, nats per row.
    validation_scores_ : list of float
        The bound on held-out rows, one value per evaluation, nats per row. The first is the
        linear start's.
    history_ : dict of ndarray
        One value per evaluation on the held-out rows, for a DataFrame: `step`, `n_pass`, `bound`,
        its parts `reconstruction` and `kl` (of the model without the linear start),
        `gradient_norm`, `learning_rate`, `weight_decay`, `noise` (variance of the decoder), of an
        annealing `temperature`, `proposals` since the last evaluation and the share `accepted`,
        `seconds`; NaN where there is nothing to tell. The first value is the linear start's.
        Where a training goes on, passes and seconds do; steps are those of its optimizer.
    restarts_ : dict of ndarray
        One value per restart. `bound` is its best held-out bound. `agreement` is the share of the
        variance of the kept model's codes that a linear regression on the restart's codes
        explains. Codes count by their KL. The share is adjusted for chance, on at most 1000 rows
        of the training, and NaN if there are hardly more rows than codes. Near 1 both found the
        same optimum.
    kept_ : float
        How much of the training was kept: 0 for PCA, 1 for all of it.
    start_weight_ : float
        Weight of PCA's density in the density that `score_samples` reports. So the score of any
        row is at least PCA's log-likelihood plus the logarithm of this weight.
    converged_ : bool
        Whether the held-out bound settled before the budget ended.
    pca_score_ : float
        Mean log-likelihood of the last training rows under the linear start, nats per row. For
        tables other than complete numbers it is an importance-weighted bound on at most 10000
        rows. After `partial_fit` it is for all rows so far, or for a sample of them.
    mean_ : ndarray of shape (n_features_in_,)
        What is subtracted from the columns inside the model: means; shares of booleans; means of
        the logarithm for lognormal columns, of the logarithm of one plus the count for counts;
        medians under "student_t". NaN for columns with levels.
    scale_ : float or ndarray of shape (n_features_in_,)
        The one factor by which all columns are divided inside the model. With likelihoods other
        than "gaussian" there is one per column, NaN for columns with levels.
    noise_variance_ : float or ndarray of shape (n_features_in_,)
        Variance of the decoder's noise in every column, squared units of the data. With
        likelihoods other than "gaussian" there is one per column, NaN for columns that are not
        "gaussian" or "gaussian_diag".
    explained_variance_ratio_ : ndarray of shape (latent_dim_,)
        Share of the variance that each code adds to the reconstruction by the codes before it.
    kl_per_dim_ : ndarray of shape (latent_dim_,)
        Mean KL divergence of each code's posterior from a standard normal, nats.
    prior_ : component
        The prior of the density that is reported. It is the prior that was asked for, or
        `Normal()` if the linear start was kept, or if a mixture fitted afterwards did not make
        held-out rows likelier.
    n_active_ : int
        Number of codes whose posterior mean varies (variance above 0.01).
    device_ : str
        Where the model was trained and runs.

    See Also
    --------
    sklearn.decomposition.PCA : The linear start.

    References
    ----------
    .. [1] Kingma, D. P. and Welling, M. (2014). Auto-encoding variational Bayes. ICLR.
    .. [2] Tipping, M. E. and Bishop, C. M. (1999). Probabilistic principal component analysis.
       Journal of the Royal Statistical Society B, 61, 611-622.
    .. [3] Lucas, J., Tucker, G., Grosse, R. and Norouzi, M. (2019). Don't blame the ELBO! A
       linear VAE perspective on posterior collapse. NeurIPS.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VAETransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> vae = VAETransformer(latent_dim=8, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (1797, 8)
    >>> vae.score(X) > vae.pca_score_
    True
    """

    _columns: Any
    _left: Any
    _began: Any
    limits: ClassVar[Limits] = Limits()  # of computing, read by fit
    _parameter_constraints = {
        "latent_dim": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
            StrOptions({"auto"}),
            None,
        ],
        "likelihood": [StrOptions({"auto", *LIKELIHOODS}), Likelihood, dict],
        "architecture": [StrOptions(set(ARCHITECTURES)), callable],
        "prior": [StrOptions(set(PRIORS)), Prior],
        "objective": [StrOptions(set(OBJECTIVES)), Objective],
        "beta": [Interval(Real, 0.0, None, closed="left")],
        "kl_schedule": [StrOptions(set(KL_SCHEDULES)), *KL_SCHEDULES.values()],
        "optimizer": [StrOptions(set(OPTIMIZERS)), Optimizer],
        "annealing": [StrOptions(set(ANNEALING)), Annealing, None],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"pca", "random"})],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [
            Interval(Real, 0.0, 1.0, closed="neither"),
            StrOptions({"auto"}),
        ],
        "whiten": ["boolean"],
        "refinement": [Interval(Integral, 0, None, closed="left"), StrOptions({"auto"})],
        "device": [str],
        "precision": [StrOptions({"auto", *PRECISIONS})],
        "warm_start": ["boolean"],
        "store_rows": ["boolean"],
        "checkpoint_dir": [str, PathLike, None],
        "checkpoint_every": [Interval(Real, 0.0, None, closed="left")],
        "distributed": [StrOptions({"auto"}), None],
        "deterministic": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    @with_our_names(n_components="latent_dim")
    def __init__(
        self,
        latent_dim=2,
        *,
        likelihood="auto",
        architecture="mlp",
        prior="normal",
        objective="elbo",
        beta=1.0,
        kl_schedule="constant",
        optimizer="adamw",
        annealing=None,
        n_init=1,
        init="pca",
        batch_size="auto",
        max_iter="auto",
        early_stopping=True,
        validation_fraction="auto",
        whiten=False,
        refinement="auto",
        device="auto",
        precision="auto",
        warm_start=False,
        store_rows=True,
        checkpoint_dir=None,
        checkpoint_every=60,
        distributed=None,
        deterministic=False,
        verbose=0,
        random_state=None,
    ):
        self.latent_dim = latent_dim
        self.likelihood = likelihood
        self.architecture = architecture
        self.prior = prior
        self.objective = objective
        self.beta = beta
        self.kl_schedule = kl_schedule
        self.optimizer = optimizer
        self.annealing = annealing
        self.n_init = n_init
        self.init = init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.whiten = whiten
        self.refinement = refinement
        self.device = device
        self.precision = precision
        self.warm_start = warm_start
        self.store_rows = store_rows
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.distributed = distributed
        self.deterministic = deterministic
        self.verbose = verbose
        self.random_state = random_state

    @learning
    def fit(self, X, y=None, sample_weight=None):
        """Fit the model.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            Training rows. NaN, None, NA and null are missing cells. Infinite cells raise an
            error. Sparse rows are made dense a batch at a time.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the linear start, the loss and the held-out comparison.
            Rows of weight 0 are left out. Weights scale what a row contributes. Training on
            a row of weight 2 is not the same as training on that row twice.

        Returns
        -------
        self : VAETransformer
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or a parameter cannot be used; the message names the column or the parameter.
        DivergenceError
            If the loss is not finite; the message names the column with the farthest value.
        DataChangedError
            If `checkpoint_dir` has a checkpoint of a fit that differs only in its rows. The
            message names the first block of rows that differs.
        KeyboardInterrupt
            If Ctrl-C comes before the first evaluation on held-out rows, or in a clone that has
            not been fitted before, as searches make them. Otherwise the best model so far is
            kept, with a warning.
        """
        with self._rows_of_all(X, sample_weight) as given:
            model, record = self._fit(given, y)
        warn_of_fit(model, record, self.latent_dim)
        return self

    @with_callbacks
    def _fit(self, given, y):
        check_parameters(self)
        is_clone = "_spectra" in vars(self)  # which a search may have made
        spectra = self.__dict__.pop("_spectra", None)
        previous = self._model if self.warm_start and self.__sklearn_is_fitted__() else None
        curves = ([], [], []) if previous is None else self._curves()
        left = None if previous is None else self._left
        if previous is None:
            self._forget()
        reading, X, weight = self._validate(
            Input.of(given.X), given.sample_weight, reset=previous is None
        )
        sharing = self._with_own_rows(given)
        resumable = self._resumable(X, weight, previous, left, not is_clone, sharing)
        options = self._options(X, weight, previous, resumable.seed, sharing)
        if options.config.objective.is_deterministic and self.prior == "normal":
            # Nothing has made its codes normal.
            options = replace(options, prior=PRIORS["ex_post"]())
        seen = SeenRows(reading, X, weight, options, curves, previous is None, self.warm_start)
        with self._followed(
            Rows(given.X, y, given.sample_weight), sharing, seen.learned
        ) as follower:
            try:
                rows = X, weight, options, previous, follower, left
                fit = partial(fit_model, *rows, spectra=spectra)
                model, record = resumable.run(options.seed, fit)
            except DivergenceError as error:
                raise DivergenceError(f"{error}; {self._farthest(X)}") from error
            model, record = as_first_has(sharing, (model, record))
            if record.interrupted and is_clone:
                raise KeyboardInterrupt  # which ends the search
            self.__dict__.update(seen.learned(model, record))
        return model, record

    def _can_learn_in_batches(self):
        """Whether `partial_fit` is there; an AttributeError says why not."""
        try:
            check_parameters(self)
            check_online(
                component(self.kl_schedule, KL_SCHEDULES),
                component(self.optimizer, OPTIMIZERS),
                component(self.annealing, ANNEALING),
                self.n_init,
                component(self.prior, PRIORS),
            )
        except (KeyError, TypeError, ValueError):
            pass  # of options that any call refuses
        return True

    @available_if(_can_learn_in_batches)
    @learning
    def partial_fit(self, X, y=None, sample_weight=None):
        """Learn from one more batch of rows.

        The linear start is that of all rows so far. For complete numbers it is exact, for any
        batches in any order. For tables it is fitted again to a sample of the rows, at most 4096,
        if this makes them likelier. Networks are trained beside it as in `fit`, one pass over the
        batch and one over some of the sample. A fifth of the rows (`validation_fraction`) is held
        out. The cells of a row decide whether it is. After every batch the held-out rows of the
        sample decide whether the networks are used or PCA. Batches of fewer rows than a step of
        the training wait for others. Networks that the start clearly beats start from scratch.
        The sample and the moments of the rows are kept, up to 32 MB each (more where rows have
        over 16384 columns); `fit` drops them.

        After `fit` it continues from that model. The rows of `fit` then count by their mean and
        leading directions. The method is not there if an option needs all rows at once: a
        `kl_schedule` or learning rate with a fixed course, `annealing`, `n_init` above 1,
        `prior="ex_post"` or `"aggregate"`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for API consistency.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        self : VAETransformer
            The estimator.

        Raises
        ------
        ValueError
            If X or a parameter cannot be used.
        DivergenceError
            If the loss is not finite.
        """
        first = not self.__sklearn_is_fitted__()
        check_parameters(self)
        curves = ([], [], []) if first else self._curves()
        given = Input.of(X)
        before = (None, None, 0) if first else (self._model, self._online, self.n_samples_)
        if not first and self._online is not None and self._online.is_of_stream:
            self._columns = self._columns.grown(given)
        reading, X, weight = self._validate(given, sample_weight, reset=first, in_stream=True)
        options = self._options(X, weight, None if first else self._model)
        try:
            model, record, online = fit_online(X, weight, options, *before)
        except DivergenceError as error:
            raise DivergenceError(f"{error}; {self._farthest(X)}") from error
        sample, weight = online.sampled(X)
        pca_score = model.start.score(sample.values, weight)
        found = learned(reading, model, record, pca_score, curves, online.n_rows)
        kept = {"_online": online, "_seed": options.seed, "_left": None}
        self.__dict__.update(found | kept)
        return self

    @asking
    def transform(self, X):
        """Reduce rows to codes: deterministic, each row on its own.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        codes : ndarray of shape (n_samples, latent_dim_)
            On the scale of PCA scores unless `whiten`, in order of explained variance.
        """
        reading = self._check_rows(X, "transform")
        codes = self._codes(reading.values)
        return like(reading.checked, codes)

    @asking
    def inverse_transform(self, X):
        """Reconstruct rows from codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, latent_dim_)
            Codes, as `transform` returns them.

        Returns
        -------
        rows : ndarray or DataFrame of shape (n_samples, n_features_in_)
            Reconstruction in the units of the data. It is a frame, with the names, dtypes and
            levels of fit, if a column of fit was not numeric or `set_output` asks for one.
        """
        codes_in, codes = self._check_codes(X, "inverse_transform")
        rows = self._model.reconstruct(codes, self.whiten)
        return self._restored(codes_in, rows.astype(codes.dtype, copy=False), X)

    @asking
    def encode(self, X):
        """Posterior of rows in the prior's coordinates.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        mean, std : ndarray of shape (n_samples, latent_dim_)
            Mean and standard deviation of the normal posterior q(z|x). Over the training rows
            draws from it have mean 0 and standard deviation 1, unless the prior was trained.
        """
        reading = self._check_rows(X, "encode")
        mean, std = ask(self._model, reading.values, lambda model, rows: model.posterior(rows))
        return like(reading.checked, mean), like(reading.checked, std)

    @asking
    def decode(self, Z):
        """Mean rows of points in the prior's coordinates.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_dim_)
            Latent points, such as draws from a standard normal.

        Returns
        -------
        rows : ndarray or DataFrame of shape (n_samples, n_features_in_)
            In the units of the data, without noise; see `inverse_transform`.
        """
        codes_in, codes = self._check_codes(Z, "decode")
        rows = self._model.decode(codes).astype(codes.dtype, copy=False)
        return self._restored(codes_in, rows, Z)

    @asking
    def sample(self, n_samples=1, random_state=None, *, given=None):
        """Draw rows from the model, noise included.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of the draws.
        given : dict, default=None
            Values that columns shall have, such as `{"sex": "Female"}`. Columns of arrays go by
            position. The other columns are drawn given these, by importance resampling.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features_in_)
            Draws from the density that `score_samples` bounds, in the units of the data; see
            `inverse_transform`.

        Raises
        ------
        ValueError
            If `given` names a column or a level that is not there, or if hardly any draw of the
            model has such values.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        rng = check_random_state(random_state)
        if given is None:
            rows = self._model.sample(int(n_samples), rng, self._dtype)
        else:
            row = self._columns.row(given, self._labels())
            rows = self._model.sample_given(row, self._labels(), int(n_samples), rng)
        return self._restored(self.mean_, rows.astype(self._dtype, copy=False))

    @asking
    def impute(self, X, n_draws=None, random_state=None, *, refine="auto"):
        """Fill missing cells.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows with missing cells.
        n_draws : int, default=None
            Number of multiple imputations: copies of X whose missing cells are drawn given the
            observed ones, by importance resampling [1]_. None returns one copy, with conditional
            means (of counts the nearest count) and the most probable levels.
        random_state : int, RandomState instance or None, default=None
            Source of the draws.
        refine : {"auto", "neighbours", "trees"} or None, default="auto"
            How rows of the training correct conditional means, if `store_rows`: "trees" ("auto")
            learns what they leave, "neighbours" takes it from the nearest rows. Either is added
            as far as it helps for rows left out. Draws are not corrected.

        Returns
        -------
        X : ndarray, DataFrame, or list of them
            In the container, with the dtypes and the index of the input. Observed cells stay as
            they were. A row without observed cells gets the model's mean row.

        Raises
        ------
        ValueError
            If X or `refine` cannot be used.

        References
        ----------
        .. [1] Mattei, P.-A. and Frellsen, J. (2019). MIWAE: Deep generative modelling and
           imputation of incomplete data sets. ICML.
        """
        reading = self._check_rows(X, "impute")
        n_draws = choices.count_of("n_draws", n_draws)
        check_refinement(refine, self._model.stored is not None, n_draws)
        checked, values = reading.checked, reading.values
        if sparse.issparse(checked):  # in which no cell is missing
            return checked.copy() if n_draws is None else [checked.copy() for _ in range(n_draws)]
        schema, asked = self._schema(), output_container(self)
        if n_draws is None:
            return filled(schema, self._model.impute(values, refine), asked, reading)
        drawn = self._model.draw_missing(values, n_draws, check_random_state(random_state))
        return [filled(schema, rows, asked, reading) for rows in drawn]

    @asking
    def score_samples(self, X, *, n_draws=None):
        """Log-likelihood of each row, as an importance-weighted lower bound.

        The density is a mixture of the trained model and the linear start. So for any row this is
        at least PCA's log-likelihood plus the logarithm of `start_weight_`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        n_draws : int or None, default=None
            Draws for each row. With more draws the bound is closer to the likelihood, and takes
            longer in proportion. None is 8 for numbers, 4 if they have 128 principal scores or
            more, and 24 for tables and rows with missing cells. Rows with no more observed cells
            than codes have eight times as many draws.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Nats, for densities in the units of the data. They compare with
            `sklearn.decomposition.PCA.score_samples`.
        """
        n_draws, reading = (
            choices.count_of("n_draws", n_draws),
            self._check_rows(X, "score_samples"),
        )
        return like(reading.checked, self._log_prob(reading.values, n_draws))

    @asking
    def score(self, X, y=None):
        """Mean log-likelihood per row; see `score_samples`.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            Nats per row; greater is better.
        """
        values = self._check_rows(X, "score").values
        return float(self._log_prob(values).mean(dtype=np.float64))

    def _validate(self, given, sample_weight, reset, in_stream=False):
        """X as it was read, the matrix or table to fit, weights; rows of weight 0 left out.

        In a stream one row is enough, and weights are compared with those of other batches.
        """
        if not reset:
            method = "a fit that goes on"
            check_same_namespace(given.native, self, attribute="mean_", method=method)
        fewest = 1 if in_stream else 2
        reading = read(self, given, None if reset else self._columns, self.likelihood, fewest)
        if reset:
            self._columns = reading.columns.of_rows(reading.values, self.likelihood)
        X, weight = reading.values, None
        if sample_weight is not None:
            X, weight = weighted(reading, sample_weight, self._labels(), fewest, in_stream)
        return reading, self._to_fit(X, reset), weight

    def _to_fit(self, X, reset):
        """The matrix or table that a model is fitted to."""
        missing, columns = has_missing(X), self._columns
        of_cells = missing or not columns.is_plain
        if not reset:
            of_cells = self._model.representation.takes_gaps
            if missing and not of_cells:
                raise ValueError(
                    "X has missing cells, but the first training rows had none; start with rows "
                    "that have some, or fill these (with impute)."
                )
        if not of_cells:
            return Matrix(X)
        values = X.astype(np.float64, copy=False)
        return Table(values, columns.likelihoods, columns.n_levels)

    def _check_rows(self, X, method):
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="mean_", method=method)
        return read(self, Input.of(X), self._columns)

    def _codes(self, X):
        n_steps = choices.refinement_of(self)
        codes = ask(self._model, X, lambda m, rows: (m.codes(rows, self.whiten, n_steps),))[0]
        refuse_far(codes)
        return codes

    def _log_prob(self, X, n_draws=None):
        return ask(self._model, X, lambda m, rows: (m.log_prob(rows, n_draws),))[0]

    def _restored(self, array_in, rows, codes=None):
        """Rows as fit had them: a frame if that had more than numbers, or if one is asked for."""
        asked, schema = output_container(self), self._columns.schema
        if schema is None and asked != "default":
            return self._schema().framed(rows, asked)
        return restored(schema, rows, asked, array_in, index_of(codes))

    def _schema(self):
        """What the columns hold: numbers where fit has not told them apart."""
        return self._columns.schema or Schema.of_numbers(feature_names_of(self))

    def _labels(self):
        """Names of the columns, or their positions."""
        return names_of(self, self._columns)

    def _farthest(self, X):
        return farthest_cell(X.values, getattr(self, "feature_names_in_", None))

    def _check_codes(self, X, method):
        check_is_fitted(self)
        check_same_namespace(X, self, attribute="mean_", method=method)
        codes = read_codes(self, X, self.latent_dim_)
        return codes, to_numpy(codes)

    def _options(self, X, weight, previous, seed=None, sharing=None):
        device = resolve_device(self.device)
        if previous is not None:
            choices.refuse_changes(self, self._began, previous)
            # Of the same rows the same are held out.
            latent_dim, seed = previous.latent_dim, self._seed
        else:
            if seed is None or self.random_state is not None:
                seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
            seed = as_first_has(sharing, seed)
            latent_dim = latent_dim_of(self.latent_dim, X, weight, seed)
            self._began = choices.fixed_of(self)
        architecture = choices.architecture_of(self, X.shape[1], previous)
        options = choices.options_of(self, latent_dim, seed, device, architecture)
        return replace(options, sharing=sharing)

    def _forget(self):
        learned = [name for name in vars(self) if name.endswith("_") and name[0] != "_"]
        for name in (*learned, *PRIVATE):
            self.__dict__.pop(name, None)

    def _curves(self):
        """What a fit that goes on adds to."""
        return self.loss_curve_, self.validation_scores_, evaluations_of(self.history_)

    @property
    def _n_features_out(self):
        return self.latent_dim_

    def __sklearn_clone__(self):
        # A search clones the estimator that it was given, and fits clones of this clone: they
        # share what was found of the same rows, and it is forgotten with the last of them.
        twin = super().__sklearn_clone__()
        twin._spectra = vars(self).get("_spectra") or Spectra()
        return twin

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_model")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = takes_sparse(self.likelihood)
        tags.input_tags.categorical = tags.input_tags.string = takes_levels(self.likelihood)
        tags.input_tags.allow_nan = True
        tags.array_api_support = True
        return tags
