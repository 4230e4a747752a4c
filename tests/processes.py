"""Processes of their own, for tests of what happens to a process: each begins with all imported.

A new process takes seconds to import torch. These are forked of a server that has imported it
before it had any thread; what a process does to itself stays in it.
"""

import multiprocessing
import traceback
import warnings

LIBRARIES = ("pytest", "skvae", "pandas", "polars", "pyarrow", "scipy.sparse", "hypothesis")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(list(LIBRARIES))


def begun(work, *given):
    """A process that does work of a module, and the pipe that its outcome comes by."""
    outcome, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_report, args=(sender, work, given), daemon=True)
    process.start()
    sender.close()
    return process, outcome


def apart(work, *given):
    """What work of a module returns that is done in another process; its error is told."""
    process, outcome = begun(work, *given)
    with outcome:
        try:
            error, found = outcome.recv()
        except EOFError:
            process.join()
            error, found = f"the process ended with {process.exitcode}", None
    process.join()
    assert error is None, error
    return found


def _report(sender, work, given):
    warnings.simplefilter("ignore")
    try:
        sender.send((None, work(*given)))
    except BaseException:
        sender.send((traceback.format_exc(), None))
