"""A fitted model as a graph of ONNX: what goes in, what comes out, and what is told about it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from skvae.data.columns import Columns
from skvae.export.answers import Answers, answers_of
from skvae.export.columns import inputs, outputs, safe_names
from skvae.export.graph import Graph, Port, Value
from skvae.fitted.doubts import on_cpu
from skvae.fitted.model import FittedModel
from skvae.pickles import VERSION

Outputs = list[tuple[Port, Value]]


class Exported(NamedTuple):
    """What is exported, and how it is asked."""

    model: FittedModel
    columns: Columns
    names: Sequence[object]  # of the columns
    whiten: bool
    n_steps: int  # by which codes are refined, at most
    dtype: np.dtype

    def graph(
        self, wanted: Sequence[str], prefix: str = "", matrix_name: str = "X"
    ) -> tuple[Graph, list[Port], Outputs]:
        """The graph with its inputs and outputs.

        Raises
        ------
        TypeError
            If a part of the model cannot go to ONNX.
        ValueError
            If there is no such output.
        """
        wanted = _checked(wanted)
        model = self.model if self.model.device == "cpu" else on_cpu(self.model)
        graph = Graph(prefix)
        names = safe_names(self.names, list(OUTPUTS))
        ports, matrix, values = inputs(graph, self.columns, self.dtype, names, matrix_name)
        answers = answers_of(model, matrix, values, self.whiten, self.n_steps, self.dtype)
        found: Outputs = []
        for output in wanted:
            found += OUTPUTS[output](self, answers, names)
        return graph, ports, found

    def proto(self, wanted: Sequence[str]) -> Any:
        """A model of ONNX, checked."""
        graph, ports, found = self.graph(wanted)
        import onnx  # where it is needed: it is an extra, and the graph has said so

        for port, value in found:
            graph.name(value, port.name)
        model = graph.model(
            ports,
            [port for port, _ in found],
            producer_name="skvae",
            producer_version=VERSION,
            domain="skvae",
            doc_string=f"{', '.join(wanted)} of a VAETransformer",
        )
        onnx.helper.set_model_props(model, {"skvae_version": VERSION})
        onnx.checker.check_model(model, full_check=True)
        return model


def _checked(wanted: Iterable[str]) -> list[str]:
    """Names of outputs, each once."""
    known = ", ".join(map(repr, OUTPUTS))
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    strange = [name for name in names if name not in OUTPUTS]
    if strange or not names or len(set(names)) < len(names):
        raise ValueError(f"outputs={tuple(names)!r:.80} must be some of {known}, each once.")
    return names


def _codes(exported: Exported, answers: Answers, names: Sequence[str]) -> Outputs:
    return [(_port(exported, "codes", "codes, as transform returns them"), answers.codes)]


def _mean(exported: Exported, answers: Answers, names: Sequence[str]) -> Outputs:
    return [(_port(exported, "mean", "mean of the posterior, as encode"), answers.moments[0])]


def _std(exported: Exported, answers: Answers, names: Sequence[str]) -> Outputs:
    doc = "standard deviation of the posterior, as encode"
    return [(_port(exported, "std", doc), answers.moments[1])]


def _reconstruction(exported: Exported, answers: Answers, names: Sequence[str]) -> Outputs:
    return outputs(exported.columns, answers.rows, exported.dtype, names, "reconstruction")


def _score(exported: Exported, answers: Answers, names: Sequence[str]) -> Outputs:
    port = Port("score", exported.dtype, 1, "log-likelihood in nats, as score_samples")
    return [(port, answers.score)]


def _port(exported: Exported, name: str, doc: str) -> Port:
    return Port(name, exported.dtype, exported.model.latent_dim, doc)


OUTPUTS: dict[str, Callable[[Exported, Answers, Sequence[str]], Outputs]] = {
    "codes": _codes,
    "reconstruction": _reconstruction,
    "mean": _mean,
    "std": _std,
    "score": _score,
}
