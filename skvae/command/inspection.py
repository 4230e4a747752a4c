"""The subcommand that tells what is in a file: of its header, without its weights."""

import json
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skvae.command.console import Console
from skvae.command.streams import STREAM, put
from skvae.command.subcommand import Subcommand, add_model
from skvae.data.excerpts import excerpt, excerpts, label
from skvae.estimator import VAETransformer
from skvae.persistence.inspection import Inspection, inspect

_MOST_COLUMNS = 30  # that are shown
_FIGURES = {  # attribute: what a person calls it
    "n_samples_": "rows",
    "n_features_in_": "columns",
    "latent_dim_": "codes",
    "n_active_": "codes in use",
    "n_iter_": "passes over the rows",
    "converged_": "converged",
    "kept_": "share of the training kept (0: PCA)",
    "start_weight_": "weight of PCA's density",
    "pca_score_": "log-likelihood under PCA, nats per row",
    "device_": "device",
}


class Inspect(Subcommand):
    """Tell what is in a file."""

    summary = "show the content of a model file"
    description = (
        "Only the header of the file is read and checked. The weights and the checksum are checked "
        "when the model is loaded."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_model(parser)
        parser.add_argument(
            "--all", action="store_true", help="show all parameters, all columns and all levels"
        )
        parser.add_argument("--json", action="store_true", help="show everything, as JSON")

    def run(self, given: Namespace, console: Console) -> None:
        found = inspect(given.model)
        if given.json:
            text = json.dumps(_as_json(given.model, found), indent=2, ensure_ascii=False)
        else:
            text = "\n".join(_lines(given.model, found, given.all))
        put(STREAM, lambda file: file.write(f"{text}\n".encode(errors="backslashreplace")))


def _columns(found: Inspection) -> list[dict[str, Any]]:
    """Of every column its name, kind, dtype, likelihood and levels."""
    columns, n = found.columns, found.learned["n_features_in_"]
    likelihoods = {
        place: likelihood for likelihood, places in columns.likelihoods for place in places.tolist()
    }
    if columns.schema is None:
        names = found.learned.get("feature_names_in_", np.arange(n)).tolist()
        told = [{"name": name, "kind": "number", "dtype": "", "levels": ()} for name in names]
    else:
        told = [
            {"name": c.name, "kind": c.kind, "dtype": str(c.dtype or ""), "levels": c.levels}
            for c in columns.schema.columns
        ]
    return [own | {"likelihood": likelihoods[place]} for place, own in enumerate(told)]


def _figures(found: Inspection) -> dict[str, Any]:
    """What the fit came to."""
    learned = found.learned
    figures = {what: learned[name] for name, what in _FIGURES.items()}
    bounds, shares = learned["validation_scores_"], learned["explained_variance_ratio_"]
    if bounds:
        figures["held-out bound at the start, nats per row"] = bounds[0]
        figures["held-out bound at the last evaluation, nats per row"] = bounds[-1]
    figures["explained variance, share of each code"] = shares
    figures["explained variance, share of all codes"] = float(np.sum(shares))
    return figures


def _changed(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters that are not as they are by default."""
    defaults = VAETransformer().get_params(deep=False)
    return {
        name: value
        for name, value in parameters.items()
        if name not in defaults or repr(value) != repr(defaults[name])
    }


def _as_json(path: str, found: Inspection) -> dict[str, Any]:
    return {
        "file": path,
        "bytes": found.n_bytes,
        "class": found.name,
        "format": list(found.format),
        "versions": found.versions,
        "weights": found.n_weights,
        "columns": [_plain(column) for column in _columns(found)],
        "parameters": _plain(found.parameters),
        "fit": _plain(_figures(found)),
    }


def _plain(value: Any) -> Any:
    """A value as JSON has it; components by their class and options."""
    if isinstance(value, BaseEstimator):
        return {type(value).__name__: _plain(value.get_params(deep=False))}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    is_number = value is None or isinstance(value, bool | int | str)
    if is_number or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _lines(path: str, found: Inspection, shows_all: bool) -> Iterable[str]:
    major, minor = found.format
    yield f"{path}: a fitted {found.name} of {found.n_weights} weights, {found.n_bytes} bytes"
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    yield f"written by {versions}; format {major}.{minor}"
    columns = _columns(found)
    yield from ("", f"columns ({len(columns)})")
    shown = columns if shows_all else columns[:_MOST_COLUMNS]
    yield from _table(
        [
            str(label(own["name"])),
            f"{own['kind']} {own['dtype']}".strip(),
            repr(own["likelihood"]).removesuffix("()"),
            _levels(own["levels"], shows_all),
        ]
        for own in shown
    )
    if len(shown) < len(columns):
        yield f"  ... and {len(columns) - len(shown)} more; --all shows them"
    parameters = found.parameters if shows_all else _changed(found.parameters)
    yield from ("", "parameters" if shows_all else "parameters that are not by default")
    yield from _table([name, excerpt(value)] for name, value in sorted(parameters.items()))
    yield from ("", "fit")
    yield from _table([what, _shown(value)] for what, value in _figures(found).items())


def _levels(levels: tuple[Any, ...], shows_all: bool) -> str:
    if not levels:
        return ""
    return ", ".join(map(repr, levels)) if shows_all else f"{len(levels)}: {excerpts(levels)}"


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return " ".join(f"{own:.3g}" for own in value[:10]) + (" ..." if len(value) > 10 else "")
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _table(rows: Iterable[list[str]]) -> Iterable[str]:
    """Rows of text in columns."""
    rows = list(rows)
    if not rows:
        return ["  none"]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
