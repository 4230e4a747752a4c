"""Processes of their own, for tests of what happens to a process: each begins with all imported.

A new process takes seconds to import torch. These are forked of a server that has imported it
before it had any thread; what a process does to itself stays in it.
"""

import multiprocessing
import traceback
import warnings
from multiprocessing.connection import wait

LIBRARIES = ("pytest", "skvae", "pandas", "polars", "pyarrow", "scipy.sparse", "skvae.dask")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(list(LIBRARIES))


class ProcessError(AssertionError):
    """A process ended with an error, or before it could tell anything."""


def apart(work, *given):
    """What work of a module returns that is done in another process."""
    return at_once((work, *given))[0]


def at_once(*tasks):
    """What tasks return, each of a process; where one fails, the others are ended."""
    pairs = [_begun(*task) for task in tasks]
    found, waiting = {}, {outcome: process for process, outcome in pairs}
    try:
        while waiting:
            for outcome in wait(list(waiting)):
                found[outcome] = _received(outcome, waiting.pop(outcome))
        return [found[outcome] for _, outcome in pairs]
    finally:
        for process, outcome in pairs:
            if outcome not in found:
                process.terminate()
            process.join()
            outcome.close()


def _begun(work, *given):
    outcome, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_report, args=(sender, work, given))
    process.start()
    sender.close()
    return process, outcome


def _received(outcome, process):
    try:
        error, found = outcome.recv()
    except EOFError:
        process.join()
        raise ProcessError(f"the process ended with {process.exitcode}") from None
    if error is not None:
        raise ProcessError(error)
    return found


def _report(sender, work, given):
    warnings.simplefilter("ignore")
    try:
        sender.send((None, work(*given)))
    except BaseException:
        sender.send((traceback.format_exc(), None))
