"""The progress bar of `verbose=1`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

from skvae.training.record import Progress


@contextmanager
def progress_bar(verbose: int) -> Iterator[Callable[[Progress], None] | None]:
    """A callable that moves the bar, or None where nothing is shown."""
    if not verbose:
        yield None
        return
    with tqdm(desc="VAETransformer", unit="pass", total=None) as bar:

        def show(progress: Progress) -> None:
            bar.total = progress.last_pass
            bound, start = max(progress.bounds), progress.bounds[0]
            bar.set_postfix_str(f"bound {bound:.2f}, over PCA {bound - start:+.2f} nats", False)
            bar.update(progress.n_passes - bar.n)

        yield show
