"""What an estimator needs so that its fit, once interrupted, can go on."""

from abc import ABC
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from skvae.devices import resolve_device
from skvae.fitted.model import FittedModel
from skvae.fitting.sharing import Sharing, is_first
from skvae.limits import Limits
from skvae.persistence.checkpoints import CheckpointFile, PlainFit, ResumableFit, versions
from skvae.persistence.fingerprint import Fingerprint, hash_of, hashes_of, said_of
from skvae.start.base import State
from skvae.start.tables import TrainingTable

# Parameters that leave a training as it is.
_WITHOUT_EFFECT = ("checkpoint_dir", "checkpoint_every", "verbose")


class Resumable(BaseEstimator, ABC):
    """Estimator whose fit can resume after an interruption."""

    checkpoint_dir: str | PathLike[str] | None
    checkpoint_every: float
    device: str
    limits: ClassVar[Limits]
    _columns: Any

    def _resumable(
        self,
        X: TrainingTable,
        weight: np.ndarray | None,
        previous: FittedModel | None,
        left: State | None,
        is_alone: bool,
        sharing: Sharing | None,
    ) -> ResumableFit | PlainFit:
        """The fit of these rows, where `checkpoint_dir` says whether it may have been begun.

        Of several processes the first has the file.
        """
        given = X, weight, previous, left, is_alone
        if sharing is None:
            file = self._checkpoint_file(*given)
            return PlainFit() if file is None else ResumableFit(file, self.checkpoint_every)
        team, has_file = sharing.team, is_first(sharing)
        file = team.all_do(lambda: self._checkpoint_file(*given) if has_file else None)
        if not team.first(file is not None):
            return PlainFit()
        return ResumableFit(file, self.checkpoint_every, team)

    def _checkpoint_file(
        self,
        X: TrainingTable,
        weight: np.ndarray | None,
        previous: FittedModel | None,
        left: State | None,
        is_alone: bool,
    ) -> CheckpointFile | None:
        if self.checkpoint_dir is None:
            return None
        begins = None if previous is None else _hash(previous, left)
        parameters = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in _WITHOUT_EFFECT
        }
        others = {"the version of " + name: version for name, version in versions().items()} | {
            "the number of rows": X.n_rows,
            "the columns": [self._columns, getattr(self, "feature_names_in_", None)],
            "the dtype": np.dtype(X.values.dtype),
            "the device": resolve_device(self.device).type,
            "the limits": self.limits,
            "the model that it goes on from": begins,
        }
        fingerprint = Fingerprint(
            said_of(parameters | others), hashes_of(X.values, weight), X.n_rows
        )
        return CheckpointFile(self.checkpoint_dir, fingerprint, is_alone)


def _hash(previous: FittedModel, left: State | None) -> str:
    """Of the weights that a fit goes on from."""
    of_left = {f"left.{name}": array for name, array in (left or {}).items()}
    return hash_of(previous.weights | of_left)
