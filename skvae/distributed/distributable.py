"""What an estimator needs to be fitted by several processes."""

from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from skvae._sklearn import check_parameters
from skvae.data.batches import Values
from skvae.data.input import Input
from skvae.data.reading import read
from skvae.devices import resolve_device
from skvae.distributed.exchange import own_rows
from skvae.distributed.facts import (
    digest_of,
    facts_of_limits,
    facts_of_pieces,
    refuse_other_dtypes,
)
from skvae.distributed.layout import Layout
from skvae.distributed.pieces import Pieces, joined_pieces
from skvae.distributed.telling import telling_places
from skvae.fitted.model import FittedModel
from skvae.fitting.sharing import Sharing
from skvae.limits import Limits
from skvae.team import Team, is_group_there, team_of_group

_FEWEST_KNOWN = 2048  # rows that all processes know, where there are as many


class Given(NamedTuple):
    """Rows that a fit knows, and how those of all processes are shared."""

    X: Any
    sample_weight: Any
    sharing: Sharing | None = None  # where several processes fit together
    spread: tuple[Layout, Pieces] | None = None  # all rows, where these are only some of them


class Distributable(BaseEstimator, ABC):
    """Estimator that all processes of a `torch.distributed` group can fit together."""

    distributed: str | None
    deterministic: bool
    device: str
    warm_start: bool
    likelihood: Any
    n_features_in_: int
    limits: ClassVar[Limits]
    _columns: Any
    _model: FittedModel

    @contextmanager
    def _rows_of_all(self, X: Any, sample_weight: Any) -> Iterator[Given]:
        """The rows of all processes, where this is one of several; else those that came."""
        if not self._is_shared():
            yield Given(X, sample_weight)
            return
        with team_of_group(self.deterministic, self.limits.answer_seconds) as team:
            if team.size > 1 or self.deterministic:
                yield self._gathered(team, X, sample_weight)
            elif isinstance(X, Pieces):
                self._facts(X)
                yield Given(*joined_pieces([X]))
            else:
                yield Given(X, sample_weight)

    def _is_shared(self) -> bool:
        return self.distributed is not None and is_group_there()

    def _gathered(self, team: Team, X: Any, sample_weight: Any) -> Given:
        def told() -> tuple[Pieces, dict[str, Any], dict[str, Any]]:
            pieces = Pieces.of(X, sample_weight, team.rank)
            return pieces, *self._facts(pieces)

        pieces, facts, dtypes = team.all_do(told)
        team.agree(facts)
        refuse_other_dtypes(team.gather(dtypes))
        pieces = pieces.weighted()
        layout = Layout.of(team, pieces)
        most = max(self.limits.known_cells // facts["the number of columns"], _FEWEST_KNOWN)
        if layout.n_rows <= most:
            return Given(*joined_pieces(team.gather(pieces)), Sharing(team, layout.n_rows))
        telling = telling_places(layout, pieces, self.likelihood != "auto")
        places = np.union1d(layout.drawn(most), telling)
        known = joined_pieces(team.gather(pieces.taken(layout.firsts, places)))
        return Given(*known, Sharing(team, layout.n_rows, places), (layout, pieces))

    def _facts(self, pieces: Pieces) -> tuple[dict[str, Any], dict[str, Any]]:
        """What has to be alike in all processes, and the dtypes of their columns."""
        check_parameters(self)
        resolve_device(self.device)  # which may be there on some machines alone
        facts, dtypes = facts_of_pieces(self.get_params(deep=False), pieces)
        facts |= facts_of_limits(self.limits)
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        facts["the model that warm_start goes on from"] = (
            digest_of(self._model.weights) if goes_on else "none"
        )
        return facts, dtypes

    def _with_own_rows(self, given: Given) -> Sharing | None:
        """How rows are shared, with those of this process as the columns have them."""
        if given.sharing is None or given.spread is None:
            return given.sharing
        layout, pieces = given.spread
        n = self.n_features_in_

        def values_of(table: Any) -> Values:
            return read(self, Input.of(table), self._columns).values

        own = layout.team.all_do(lambda: own_rows(layout, pieces, values_of, n))
        return replace(given.sharing, own=own)
