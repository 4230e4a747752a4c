"""Files of a folder and the files of their answers, which have the same names in another folder."""

from pathlib import Path

from skvae.command.console import Console
from skvae.command.errors import CommandError
from skvae.command.formats import FORMATS
from skvae.command.streams import STREAM


def files_of(folder: str, output: str, overwrites: bool, console: Console) -> list[tuple[str, str]]:
    """Tables of a folder and of those in it, with the files of their answers.

    Those whose answer is there are left out, unless it is to be written again. Hidden files, and
    those whose name begins with an underscore, are none of the data.

    Raises
    ------
    CommandError
        If there is none, or the answers have no folder of their own.
    """
    source, target = Path(folder), Path(output)
    if output == STREAM:
        raise CommandError(f"{folder} is a folder: give a folder for the answers by -o.")
    if target.exists() and (not target.is_dir() or target.samefile(source)):
        raise CommandError(f"the output {output} must be a folder other than {folder}.")
    found = sorted(
        path
        for path in source.rglob("*")
        if path.is_file()
        and path.name.lower().endswith(tuple(FORMATS))
        and not any(part[0] in "._" for part in path.relative_to(source).parts)
        and target.resolve() not in path.resolve().parents
    )
    if not found:
        raise CommandError(f"{folder} has no file that ends in {', '.join(FORMATS)}.")
    pairs = [(path, target / path.relative_to(source)) for path in found]
    waiting = [pair for pair in pairs if overwrites or not pair[1].exists()]
    if len(waiting) < len(pairs):
        console.note(
            f"{len(pairs) - len(waiting)} of {len(pairs)} files exist in {output} and are "
            "skipped; --overwrite replaces them."
        )
    for _, own in waiting:
        own.parent.mkdir(parents=True, exist_ok=True)
    return [(str(path), str(own)) for path, own in waiting]
