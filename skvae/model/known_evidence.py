"""What the linear path makes of the rows of a table that are trained on, found beforehand.

Shapes: n rows, D features, c cells, q latent units, p patterns of gaps.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from skvae.model.inference import Evidence
from skvae.model.posterior import Posterior


@dataclass(frozen=True, slots=True)
class KnownEvidence:
    """What the linear path makes of a table, and which of its rows are meant."""

    inputs: Tensor  # (n, D)
    mean: Tensor  # (n, q)
    log_variance: Tensor  # (q,)
    observed: Tensor | None  # (n, c), None where all cells are
    roots: Tensor | None  # (p, q, q), None where all rows have one variance
    pattern: Tensor | None  # (n,) which root each row has
    has_tails: bool  # whether features of columns with heavy tails are brought nearer
    place: Tensor | None = None  # of the rows; None: all of them

    def take(self, index: Tensor) -> "KnownEvidence":
        """That of some of the rows; nothing is copied yet."""
        place = index if self.place is None else self.place.index_select(0, index)
        return replace(self, place=place)

    def evidence(self) -> Evidence:
        """That of the rows."""
        inputs, mean = self._chosen(self.inputs), self._chosen(self.mean)
        observed = None if self.observed is None else self._chosen(self.observed)
        root = None
        if self.roots is not None and self.pattern is not None:
            root = self.roots.index_select(0, self._chosen(self.pattern))
        return Evidence(Posterior(mean, self.log_variance.expand_as(mean), root), inputs, observed)

    def features(self, center: Tensor) -> Tensor | None:
        """Features of the rows by those of the mean row; anything where one is missing.

        None where inputs are other ones: those of columns with heavy tails.
        """
        return None if self.has_tails else self._chosen(self.inputs) + center

    def _chosen(self, numbers: Tensor) -> Tensor:
        return numbers if self.place is None else numbers.index_select(0, self.place)
