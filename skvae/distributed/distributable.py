"""What an estimator needs to be fitted by several processes."""

from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

from sklearn.base import BaseEstimator

from skvae.data.input import Input
from skvae.distributed.facts import dtypes_of, facts_of, refuse_other_dtypes
from skvae.distributed.pieces import Pieces, joined_pieces
from skvae.fitting.sharing import Sharing
from skvae.limits import Limits
from skvae.team import Team, is_group_there, team_of_group


class Given(NamedTuple):
    """Rows that a fit knows, and how they are shared."""

    X: Any
    sample_weight: Any
    sharing: Sharing | None = None  # where several processes fit together


class Distributable(BaseEstimator, ABC):
    """An estimator that all processes of a group of `torch.distributed` can fit together."""

    distributed: str | None
    deterministic: bool
    limits: ClassVar[Limits]

    @contextmanager
    def _rows_of_all(self, X: Any, sample_weight: Any) -> Iterator[Given]:
        """The rows of all processes, where this is one of several; else those that came."""
        if not self._is_shared():
            yield Given(X, sample_weight)
            return
        with team_of_group(self.deterministic, self.limits.answer_seconds) as team:
            if team.size == 1 and not self.deterministic:
                yield Given(X, sample_weight)
            else:
                yield self._gathered(team, Pieces.of(X, sample_weight, team.rank))

    def _is_shared(self) -> bool:
        return self.distributed is not None and is_group_there()

    def _gathered(self, team: Team, pieces: Pieces) -> Given:
        facts, dtypes = team.all_do(lambda: self._facts(pieces))
        team.agree(facts)
        refuse_other_dtypes(team.gather(dtypes))
        X, weight = joined_pieces(team.gather(pieces))
        return Given(X, weight, Sharing(team, Input.of(X).n_rows))

    def _facts(self, pieces: Pieces) -> tuple[dict[str, Any], dict[str, Any]]:
        """What has to be alike in all processes, and the dtypes of their columns."""
        self._validate_params()
        given = Input.of(pieces.tables[0])
        has_weight = pieces.weights[0] is not None
        return facts_of(self.get_params(deep=False), given, has_weight), dtypes_of(given)
