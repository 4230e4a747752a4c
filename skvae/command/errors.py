"""What a person can set right: told in one line, without a traceback."""


class CommandError(Exception):
    """The command cannot do what was asked; the message says why, and what to do."""
