"""Single figures of speed, each a ratio or an amount that may be held to a bar.

``SPEED`` is a table of figures as ``bars`` has them, with a table of its own on the pages. All but
``gpu`` run on the CPU. What is compared is measured in turns, and of several turns the median
counts, so that a busy moment of the machine falls on both sides.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA

from benchmarks import costs, datasets
from benchmarks.averages import median_ratio
from benchmarks.costs import fit_seconds
from benchmarks.made import curved, low_rank, repeated, write_rows
from benchmarks.metrics import squared_error
from benchmarks.suites.bars import Figures, Measured, Settings
from benchmarks.suites.speed_fits import FITS, TIMES, seconds_of_ours
from skvae import MLP, VAETransformer

WIDTH = 512  # units of a hidden layer where it matters
LIBRARIES = "import torch, sklearn"  # who uses skvae has them anyway
PASS_ROWS = 131_072  # that a pass of ours takes at most, as the page on many rows says


class Shape(NamedTuple):
    """Columns, codes, hidden layers, rows of a step and of all training, and passes over them."""

    n_columns: int = 260
    latent_dim: int = 16
    layers: tuple[int, ...] = (256, 256, 512)
    batch_size: int = 512
    n_rows: int = 16384
    n_passes: int = 2

    @property
    def n_steps(self) -> int:
        """Steps of a pass: a batch of rows is held out."""
        return self.n_rows // self.batch_size - 1


class Step(NamedTuple):
    """A shape, its arithmetic, and how often the time of its products a step may take."""

    shape: Shape
    precision: str
    limit: float | None


SHAPE = Shape()  # of digits of 784 pixels
STEPS = {
    "128 rows of 10": Step(Shape(10, 2, (64, 64), 128), "float32", 4),
    "128 rows of 64": Step(Shape(64, 8, (256, 256), 128), "float32", 1.7),
    "512 rows of 260": Step(SHAPE, "float32", None),
}
STEP_OF_BFLOAT16 = {"512 rows of 260, bfloat16": Step(SHAPE, "bfloat16", 2)}


def step(
    settings: Settings, steps: dict[str, Step] = STEPS, times: int = TIMES
) -> Iterator[Measured]:
    """Yield the time of a training step over that of its matrix products alone.

    A step is the difference between two complete fits, one of twice as many passes, over the
    steps that it has more: what a fit does once drops out, what it does per pass is in it.
    """
    for name, (shape, precision, limit) in steps.items():
        X = np.random.default_rng(0).standard_normal((shape.n_rows, shape.n_columns), "float32")
        pairs = [
            (_step_seconds(X, shape, precision), _product_seconds(shape, precision))
            for _ in range(times)
        ]
        for what, seconds in zip(("step", "products"), zip(*pairs, strict=True), strict=True):
            milliseconds = 1e3 * statistics.median(seconds)
            yield Measured(f"{what}, {name}", milliseconds, "<=", None, "ms")
        yield Measured(f"step over its products, {name}", median_ratio(pairs), "<=", limit)


def step_bfloat16(settings: Settings, times: int = TIMES) -> Iterator[Measured]:
    """Yield the same in bfloat16, where the processor has instructions for it."""
    if not any(costs.capabilities().get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")):
        raise NotImplementedError("a step in bfloat16: the processor has no instructions for it")
    yield from step(settings, STEP_OF_BFLOAT16, times)


def gpu(
    settings: Settings,
    device: str = "cuda",
    dataset: str = "mnist",
    shape: Shape = SHAPE,
    times: int = TIMES,
) -> Iterator[Measured]:
    """Yield a step and a fit on a GPU, each beside the CPU's; nothing where there is none."""
    if not torch.cuda.is_available() and device == "cuda":
        return
    name = torch.cuda.get_device_name() if device == "cuda" else device
    X = np.random.default_rng(0).standard_normal((shape.n_rows, shape.n_columns), "float32")
    for precision in ("float32", "bfloat16"):
        pairs = [
            [_step_seconds(X, shape, precision, where) for where in (device, "cpu")]
            for _ in range(times)
        ]
        ratio = median_ratio(pairs)
        milliseconds = 1e3 * statistics.median(there for there, _ in pairs)
        yield Measured(f"{name}: step, {precision}", milliseconds, "<=", None, "ms")
        yield Measured(f"{name}: step over the CPU's, {precision}", ratio, "<=", None)
    split = datasets.split(dataset, settings.source, seed=0)
    seconds_of_ours(split.X_train[:500], 16, max_iter=1, device=device)
    for where in (device, "cpu"):
        model = VAETransformer(16, random_state=0, device=where)
        seconds = fit_seconds(model, split.X_train)
        error = squared_error(model, split.X_test)
        yield Measured(f"{name}: {dataset}, 16 codes, on {where}: MSE", error, "<=", None)
        yield Measured(f"{name}: {dataset}, 16 codes, on {where}: fit", seconds, "<=", None, "s")


def transform(
    settings: Settings,
    columns: Iterable[int] = (784, 64),
    n_rows: int = 10_000,
    times: int = TIMES,
) -> Iterator[Measured]:
    """Yield how fast a fitted model answers, beside PCA with as many codes.

    For transform and inverse_transform rates are multiply-adds per second: those of a network
    are counted for its linear layers and the path beside them, from columns to codes or back.
    """
    for n_columns in columns:
        # Of more dimensions than a few passes could do without the networks.
        X = curved(n_rows, n_columns, n_dims=3).astype("float32")
        latent_dim = min(16, n_columns // 2)
        body = MLP(hidden_layer_sizes=(WIDTH, WIDTH))
        ours = VAETransformer(
            latent_dim, architecture=body, max_iter=10, random_state=0, device="cpu"
        ).fit(X)
        pca = PCA(latent_dim).fit(X)
        codes = pca.transform(X)
        there, back = _products(ours, n_columns, latent_dim)
        for name, rows, products, limit in (
            ("transform", X, there, 0.7),
            ("inverse_transform", codes, back, None),
            ("score_samples", X, None, 0.15 if n_columns == 784 else None),
        ):
            title = f"{name}, {n_columns} columns"
            methods = [getattr(model, name) for model in (pca, ours)]
            # After a turn that is dropped: it pays for what is set up once.
            pairs = [
                tuple(costs.seconds(partial(method, rows)) for method in methods)
                for _ in range(times + 1)
            ][1:]
            ratio = median_ratio(pairs)
            more = 1 if products is None else products / (n_columns * latent_dim)
            what = "rows/s" if products is None else "multiply-adds/s"
            yield Measured(f"{title}: {what} over PCA's", ratio * more, ">=", limit)
            rate = n_rows / statistics.median(mine for _, mine in pairs)
            yield Measured(f"{title}: rows/s", rate, ">=", None)


def growth_rows(
    settings: Settings, sizes: Iterable[int] = (10**4, 3 * 10**4, 10**5, 3 * 10**5, 10**6)
) -> Iterator[Measured]:
    """Yield how the time of seeing all rows twice grows with them: donors, repeated with noise."""
    table = datasets.split("donors", settings.source, seed=0).X_train
    rng, seconds = np.random.default_rng(0), {}
    seconds_of_ours(table[:500].astype("float32"), 4, max_iter=1)
    for n_rows in sizes:
        X = repeated(table, 1, rng, n_rows)
        parts = -(-n_rows // PASS_ROWS)
        seconds[n_rows] = seconds_of_ours(X, 4, batch_size=512, max_iter=2 * parts)
        yield Measured(f"two passes, n = {n_rows}", seconds[n_rows], "<=", None, "s")
    yield Measured("two passes: power of n", slope(seconds), "<=", 1.05)


def growth_columns(
    settings: Settings,
    sizes: Iterable[int] = (1000, 3000, 10_000, 30_000),
    n_rows: int = 2000,
) -> Iterator[Measured]:
    """Yield how the time of twenty passes grows with the columns, the linear start apart.

    ``history_`` tells the seconds of the passes. The difference to a fit without any would be
    lost in the noise of a start that takes five times as long.
    """
    training = []
    for n_columns in sizes:
        X = low_rank(n_rows, n_columns, np.random.default_rng(0))
        seconds_of_ours(X[:200, :500], 4, max_iter=1)
        model = VAETransformer(4, max_iter=20, random_state=0, device="cpu")
        seconds = fit_seconds(model, X)
        training.append(float(model.history_["seconds"][-1]))
        start = seconds - training[-1]
        yield Measured(f"linear start, d = {n_columns}", start, "<=", None, "s")
        yield Measured(f"twenty passes, d = {n_columns}", training[-1], "<=", None, "s")
    growth = training[-1] / training[0]
    yield Measured("twenty passes: most columns over fewest", growth, "<=", 1.3)


def mapped_memory(
    settings: Settings, n_rows: int = 10**6, n_columns: int = 1000
) -> Iterator[Measured]:
    """Yield by how much a process grows that fits a file of 4 GB, mapped into costs.

    Only anonymous memory counts. Pages of the file are the system's to drop; the resident size
    would count them, and so would the unique set size, for no other process maps the file.
    """
    with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
        path = Path(folder) / "rows.npy"
        make = partial(low_rank, n_columns=n_columns, rng=np.random.default_rng(0))
        write_rows(path, n_rows, n_columns, make)
        value = costs.peak_growth_mb(_mapped_pass, path, costs.anonymous_mb)
    size = n_rows * n_columns * 4 / 1e9
    yield Measured(f"memory of a fit, file of {size:.2g} GB", value / 1e3, "<=", 1, "GB")


def mapped_time(
    settings: Settings, shapes: Iterable[tuple[int, int]] = ((10**7, 1), (10**6, 10))
) -> Iterator[Measured]:
    """Yield time and memory of fits as they are, on files of repeated rows, mapped into costs.

    A shape is the number of rows and that of donors side by side in each.
    """
    table = datasets.split("donors", settings.source, seed=0).X_train
    for n_rows, n_copies in shapes:
        title = f"fit of a file, {n_rows} x {n_copies * table.shape[1]}"
        make = partial(repeated, table, n_copies, np.random.default_rng(0))
        with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
            path = Path(folder) / "rows.npy"
            write_rows(path, n_rows, n_copies * table.shape[1], make)
            X = np.load(path, mmap_mode="r")
            seconds = fit_seconds(VAETransformer(4, random_state=0, device="cpu"), X)
            value = costs.peak_growth_mb(_mapped_fit, path, costs.anonymous_mb)
        yield Measured(title, seconds, "<=", None, "s")
        yield Measured(f"{title}: memory", value / 1e3, "<=", 1, "GB")


def importing(settings: Settings, times: int = TIMES) -> Iterator[Measured]:
    """Yield what importing skvae takes once the libraries are there, in fresh processes."""
    _import_seconds()  # leaves the modules compiled, as an installation does
    libraries, ours = zip(*(_import_seconds() for _ in range(times)), strict=True)
    value = statistics.median(ours)
    yield Measured("import skvae, beyond its libraries", value, "<=", 0.1, "s")
    yield Measured("import of the libraries", statistics.median(libraries), "<=", None, "s")


def slope(seconds: dict[int, float]) -> float:
    """Return the power with which time grows: of log time on log size."""
    sizes, times = np.log([*seconds.keys()]), np.log([*seconds.values()])
    return float(np.polyfit(sizes, times, 1)[0])


def _step_seconds(X, shape, precision, device="cpu"):
    few, many = (
        seconds_of_ours(
            X,
            shape.latent_dim,
            architecture=MLP(hidden_layer_sizes=shape.layers),
            batch_size=shape.batch_size,
            validation_fraction=shape.batch_size / shape.n_rows,
            early_stopping=False,
            precision=precision,
            device=device,
            max_iter=n_passes,
        )
        for n_passes in (shape.n_passes, 2 * shape.n_passes)
    )
    return (many - few) / (shape.n_passes * shape.n_steps)


@torch.inference_mode()
def _product_seconds(shape, precision):
    """Return the time of the products of one step, forward and backward, as a median."""
    layers = [_layer(*sizes, shape.batch_size, precision) for sizes in _layers(shape)]
    seconds = []
    for _ in range(shape.n_passes * shape.n_steps + 1):
        start = perf_counter()
        for x, weight, gradient, is_first in layers:
            x @ weight.T
            gradient.T @ x
            if not is_first:  # nothing asks for the gradient of the rows themselves
                gradient @ weight
        seconds.append(perf_counter() - start)
    return statistics.median(seconds[1:])


def _layers(shape):
    """Yield numbers of inputs and outputs of every layer, and whether it takes the rows."""
    n, k = shape.n_columns, shape.latent_dim
    for n_in, n_out in ((n, 2 * k), (k, n)):
        sizes = (n_in, *shape.layers, n_out)
        yield from ((*pair, n_in == n and not i) for i, pair in enumerate(pairwise(sizes)))
    yield from ((n, k, True), (k, n, False))


def _layer(n_in, n_out, is_first, n_rows, precision):
    dtype = getattr(torch, precision)
    sizes = ((n_rows, n_in), (n_out, n_in), (n_rows, n_out))
    return *(torch.randn(size).to(dtype) for size in sizes), is_first


def _products(model, n_columns, latent_dim):
    """Return the multiply-adds of a row on its way to the codes, and of one on its way back."""
    path = n_columns * latent_dim
    if model.kept_ == 0:  # the linear start stayed, and is all there is
        return path, path
    body = n_columns * WIDTH + WIDTH * WIDTH
    return path + body + WIDTH * 2 * latent_dim, path + body + WIDTH * latent_dim


def _mapped_fit(path, max_iter: int | str = "auto"):
    seconds_of_ours(low_rank(500, 20, np.random.default_rng(0)), 4, max_iter=1)
    X = np.load(path, mmap_mode="r")
    return partial(seconds_of_ours, X, 4, max_iter=max_iter)


def _mapped_pass(path):
    return _mapped_fit(path, max_iter=1)


def _import_seconds():
    """Return the seconds of the libraries and of skvae after them, in a process of its own."""
    code = (
        f"from time import perf_counter as now; a = now(); {LIBRARIES}; b = now(); import skvae; "
        "print(b - a, now() - b)"
    )
    compiling = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", code]
    printed = subprocess.run(
        command, capture_output=True, check=True, text=True, env=compiling
    ).stdout
    return tuple(map(float, printed.split()))


SPEED: Figures = {
    **FITS,
    "step": step,
    "step_bfloat16": step_bfloat16,
    "gpu": gpu,
    "transform": transform,
    "growth_rows": growth_rows,
    "growth_columns": growth_columns,
    "mapped_memory": mapped_memory,
    "mapped_time": mapped_time,
    "import": importing,
}
