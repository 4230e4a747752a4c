"""Files of fits that may be interrupted: which one is of a fit, and what is done about others.

A file is named by what is fitted, so that fits of other parameters or rows, such as those of a
search, have files of their own in one folder. It is written as models are: as a whole or not at
all, with a checksum, without code.
"""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from skvae.ambient import warn
from skvae.fitted.model import FittedModel
from skvae.fitted.state import Reader, Writer
from skvae.interrupts import sigterm_interrupts
from skvae.persistence import container
from skvae.persistence.container import LoadError
from skvae.persistence.fingerprint import Fingerprint, first_changed
from skvae.persistence.tables import KINDS
from skvae.persistence.writing import write_whole
from skvae.pickles import VERSION
from skvae.team import Team, TeamError
from skvae.training.checkpoint import Checkpoint, Standing
from skvae.training.evaluation import DivergenceError
from skvae.training.record import Record

Fit = Callable[..., tuple[FittedModel, Record]]  # of rows that are given, with a `checkpoint`

ENDING = ".checkpoint"
_KEYS = {"format", "versions", "fit", "rows", "seed", "standing"}


class DataChangedError(ValueError):
    """The rows differ from those of the interrupted fit."""


class Content(NamedTuple):
    """What a file holds."""

    fingerprint: Fingerprint
    seed: int
    standing: Standing


def packed(content: Content) -> bytes:
    """The bytes of a file."""
    writer = Writer(KINDS)
    manifest = {
        "format": {"name": container.NAME, "major": container.MAJOR, "minor": container.MINOR},
        "versions": versions(),
        "fit": content.fingerprint.said,
        "rows": [content.fingerprint.n_rows, *content.fingerprint.rows],
        "seed": content.seed,
        "standing": writer.tree(tuple(content.standing), "standing"),
    }
    return container.pack(manifest, writer.arrays)


def versions() -> dict[str, str]:
    """Versions of what the bits of a fit depend on."""
    return {"skvae": VERSION, "torch": str(torch.__version__), "numpy": np.__version__}


def unpacked(data: bytes) -> Content:
    """What a file holds.

    Raises
    ------
    LoadError
        If it is not what `packed` makes.
    """
    manifest, arrays = container.unpack(data)
    if manifest.keys() != _KEYS:
        raise LoadError("this is no checkpoint.")
    try:
        standing = Standing(*Reader(arrays, KINDS).value(manifest["standing"]))
        n_rows, *rows = manifest["rows"]
        fingerprint = Fingerprint(dict(manifest["fit"]), rows, n_rows)
        return Content(fingerprint, int(manifest["seed"]), standing)
    except Exception as error:  # whatever a file can cause: it is not to be trusted
        raise LoadError(f"it does not hold a checkpoint: {error!s:.300}") from error


class CheckpointFile:
    """The file of a fit in a folder of checkpoints.

    Parameters
    ----------
    folder : path
        Of checkpoints.
    fingerprint : Fingerprint
        What is fitted.
    is_alone : bool
        Whether other fits in the folder are none of its kin, as those of a search are: then it
        says what differs.

    Raises
    ------
    DataChangedError
        If the folder has a checkpoint of the same fit but for the rows.
    """

    def __init__(
        self, folder: str | PathLike[str], fingerprint: Fingerprint, is_alone: bool
    ) -> None:
        self.folder, self.fingerprint = Path(folder), fingerprint
        name = f"{fingerprint.of_said}-{fingerprint.of_rows}{ENDING}"
        self.path = self.folder / name
        self.found = self._read(self.path)
        self._has_warned = False
        if self.found is None and is_alone:
            self._tell_of_others()

    def _read(self, path: Path) -> Content | None:
        """What a file holds that has to be of this fit; a warning where it is damaged."""
        try:
            found = unpacked(container.read(path))
            if found.fingerprint != self.fingerprint:
                raise LoadError("it belongs to another fit and was renamed.")
        except FileNotFoundError:
            return None
        except (LoadError, OSError) as error:
            warn(f"the checkpoint {path} cannot be used; the fit starts anew: {error}")
            return None
        return found

    def _tell_of_others(self) -> None:
        """Say what differs from the last fit that was interrupted in the folder."""
        found = _newest(self.folder)
        if found is None:
            return
        path, other = found
        if other.said == self.fingerprint.said:
            rows = first_changed(self.fingerprint.rows, other.rows, self.fingerprint.n_rows)
            raise DataChangedError(
                f"rows {rows.start} to {rows.stop - 1} of X, or their weights, differ from those "
                f"of the interrupted fit in {path}. To resume, use the rows of that fit. To start "
                "a new fit, delete that file or use another checkpoint_dir."
            )
        warn(
            f"the fit starts anew: the checkpoint {path} belongs to another fit, which differs in "
            f"{_differences(self.fingerprint.said, other.said)}. It is not deleted."
        )

    def write(self, seed: int, standing: Standing) -> None:
        """Write where the fit stands; one warning where that fails."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, packed(Content(self.fingerprint, seed, standing)))
        except OSError as error:
            if not self._has_warned:
                self._has_warned = True
                warn(
                    f"no checkpoint could be written to {self.folder}: {error}. The fit "
                    "continues; after an interruption it resumes from the last checkpoint, or "
                    "starts anew."
                )

    def remove(self) -> None:
        """Remove it, and what was beside it when a process was killed that wrote it."""
        try:
            for path in (self.path, *self.folder.glob(f".{self.path.name}.*")):
                path.unlink(missing_ok=True)
        except OSError as error:
            warn(f"the fit has ended, but its checkpoint {self.path} cannot be removed: {error}")


class ResumableFit:
    """A fit that keeps where it stands in a file, and goes on from there.

    Parameters
    ----------
    file : CheckpointFile or None
        None in a process that leaves the file to the first of several.
    every : float
        Seconds from one checkpoint to the next.
    team : Team or None, default=None
        The processes of the fit, which all go on from what the first has found, and note where it
        stands when the first says so.
    """

    def __init__(self, file: CheckpointFile | None, every: float, team: Team | None = None) -> None:
        self.file, self.every, self.team = file, every, team
        found = None if file is None or file.found is None else file.found[1:]
        self.found: tuple[int, Standing] | None = found if team is None else team.first(found)

    @property
    def seed(self) -> int | None:
        """That of the fit which was interrupted."""
        return None if self.found is None else self.found[0]

    def run(self, seed: int, fit: Fit) -> tuple[FittedModel, Record]:
        """Fit, from where the file stands; leave the file where the fit is interrupted."""

        def keep(standing: Standing) -> None:
            if self.file is not None:
                self.file.write(seed, standing)

        standing = None if self.found is None else self.found[1]
        agreed = bool if self.team is None else self.team.first
        checkpoint = Checkpoint(keep, self.every, standing, agreed)
        try:
            with sigterm_interrupts():
                model, record = fit(checkpoint=checkpoint)
        except DivergenceError:  # it would again
            self._remove()
            raise
        except BaseException as error:
            if not isinstance(error, Exception) or isinstance(error, TeamError):
                checkpoint.flush()  # for the same fit, when it is asked for again
                raise
            if self.found is None:
                raise
            warn(f"the fit cannot resume from its checkpoint and starts anew: {error!s:.200}")
            self.found = None
            return self.run(seed, fit)
        if not record.interrupted:
            self._remove()
        return model, record

    def _remove(self) -> None:
        if self.file is not None:
            self.file.remove()


class PlainFit:
    """A fit that keeps nothing."""

    seed = None

    def run(self, seed: int, fit: Fit) -> tuple[FittedModel, Record]:
        """Fit."""
        return fit(checkpoint=Checkpoint())


def _newest(folder: Path) -> tuple[Path, Fingerprint] | None:
    """The file of a folder that was written last, of those that can be read."""
    try:
        paths = sorted(folder.glob(f"*{ENDING}"), key=lambda path: path.stat().st_mtime)
    except OSError:
        return None
    for path in reversed(paths):
        try:
            return path, unpacked(container.read(path)).fingerprint
        except (LoadError, OSError):
            continue
    return None


def _differences(own: dict[str, str], other: dict[str, str]) -> str:
    """What differs, in words."""
    names = [name for name in own if own[name] != other.get(name)]
    names += [name for name in other if name not in own]
    return ", ".join(
        f"{name} ({other.get(name, 'nothing'):.60} there, {own.get(name, 'nothing')} here)"
        for name in names
    )
