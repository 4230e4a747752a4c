"""A file is there as a whole or not at all: whatever fails leaves what was there before."""

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import IO, Any

_AS_BYTES = getattr(os, "O_BINARY", 0)


def write_whole(path: str | PathLike[str], data: bytes) -> None:
    """Put bytes into a file, in the place of what it was; a link stays, and its target is written.

    Raises
    ------
    OSError
        If they cannot be written, such as on a full disk; the file is then as it was.
    """
    replace_by(path, lambda file: file.write(data))


def replace_by(path: str | PathLike[str], write: Callable[[IO[bytes]], Any]) -> None:
    """Put into a file what a function writes, in the place of what it was.

    Raises
    ------
    OSError
        If it cannot be written; the file is then as it was.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        missing = "there is no such folder to write into; make it first"
        raise FileNotFoundError(errno.ENOENT, missing, str(target.parent))
    # A name may have 255 bytes, and a letter takes up to four.
    beside = target.with_name(f".{target.name[:25]}.{secrets.token_hex(8)}")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _AS_BYTES, 0o666)
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():  # who could read it still can
            beside.chmod(target.stat().st_mode & 0o777)
        beside.replace(target)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename == str(beside):  # a name nobody gave
            raise type(error)(error.errno, error.strerror, str(target)) from error
        raise
    with suppress(OSError):  # not all folders can be synced
        _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """So that the new name survives a loss of power, where folders can be synced."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
