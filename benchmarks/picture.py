"""The picture that ``python -m benchmarks.demo`` writes."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from benchmarks.figures import ACCENT, GREY, STYLE, plain_log_ticks

N_IMAGES = 14
GAP = 1
N_ROWS_OF_TABLE = 40
N_COLUMNS_OF_TABLE = 40


def picture(data, results, latent_dim: int) -> Figure:
    """Return both maps, error against latent_dim, and reconstructions at one latent_dim."""
    names = list(dict.fromkeys(name for name, _ in results))
    models = {name: results[name, latent_dim].model for name in names}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 7), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
        top, bottom = figure.subfigures(2, 1, height_ratios=(1.5, 1))
        left, middle, right = top.subplots(1, 3)
        for axes, name in zip((left, middle), names, strict=True):
            _draw_map(axes, data, name, results[name, 2])
        _draw_errors(right, data, results, names)
        draw = _draw_images if data.image_shape else _draw_cells
        draw(bottom, data, models)
        bottom.suptitle(
            f"Held-out rows and their reconstructions, latent_dim {latent_dim}",
            x=0.012, ha="left", weight="bold", size=10,
        )  # fmt: skip
    return figure


def _draw_map(axes, data, name, result):
    codes = result.model.transform(data.X_test)
    axes.set_title(f"{name}, latent_dim 2")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"5-NN accuracy on held-out rows: {result.accuracy:.2f}")
    classes = np.unique(data.y_test)
    few = len(classes) <= 10
    colors = matplotlib.colormaps["tab10" if few else "turbo"]
    for n, name in enumerate(classes):
        rows, color = codes[data.y_test == name], colors(n if few else n / len(classes))
        axes.scatter(*rows.T, s=10, color=color, linewidths=0, alpha=0.8)
        if few:
            _name_class(axes, rows, name, color)


def _name_class(axes, rows, name, color):
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": color, "alpha": 0.9}
    axes.annotate(name, np.median(rows, axis=0), ha="center", va="center", size=8, bbox=box)


def _draw_errors(axes, data, results, names):
    for name, color in zip(names, (GREY, ACCENT), strict=True):
        errors = [results[name, k].mse for k in data.latent_dims]
        axes.plot(data.latent_dims, errors, marker="o", color=color, linewidth=2)
        # The later line is the lower one: its name goes below, the other's above.
        offset = (0, 9) if name == names[0] else (0, -16)
        middle = len(errors) // 2
        axes.annotate(name, (data.latent_dims[middle], errors[middle]), offset, color=color,
                      textcoords="offset points", weight="bold",
                      ha="left" if name == names[0] else "right")  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(data.latent_dims, [str(k) for k in data.latent_dims])
    axes.set_xlabel("latent_dim")
    plain_log_ticks(axes.yaxis)
    axes.grid(axis="y")
    axes.set_title("Held-out mean squared error")


def _draw_images(figure, data, models):
    originals = data.X_test[_one_of_each(data)]
    rows = {"original": originals} | {
        name: model.inverse_transform(model.transform(originals)) for name, model in models.items()
    }
    height = data.image_shape[0] + GAP
    axes = figure.subplots()
    mosaic = np.concatenate([_strip(images, data.image_shape) for images in rows.values()])
    axes.imshow(mosaic, cmap="gray_r", vmin=0, vmax=1)
    axes.set_yticks([height * (n + 0.5) - GAP for n in range(len(rows))], list(rows))
    axes.set_xticks([])
    axes.set_anchor("N")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _strip(images, image_shape):
    """Return images side by side, with a gap to the right of and below each."""
    framed = [np.pad(image.reshape(image_shape), ((0, GAP), (0, GAP))) for image in images]
    return np.concatenate(framed, axis=1)


def _one_of_each(data):
    """Return held-out rows that show every class in turn."""
    order = np.argsort(data.y_test, kind="stable")
    starts = np.unique(data.y_test[order], return_index=True)[1]
    firsts, seconds = order[starts], order[starts + 1]
    return np.concatenate([firsts, seconds])[:N_IMAGES]


def _draw_cells(figure, data, models):
    X = data.X_test[:N_ROWS_OF_TABLE]
    tables = {"original": X} | {
        name: model.inverse_transform(model.transform(X)) for name, model in models.items()
    }
    for axes, (name, cells) in zip(figure.subplots(1, 3), tables.items(), strict=True):
        shown = axes.imshow(cells[:, :N_COLUMNS_OF_TABLE], cmap="RdBu_r", vmin=-2.5, vmax=2.5,
                            aspect="auto", interpolation="nearest")  # fmt: skip
        axes.set(xticks=[], yticks=[], xlabel="columns")
        axes.set_title(name)
    axes.figure.colorbar(shown, ax=axes, label="standard deviations")
