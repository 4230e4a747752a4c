"""`python -m skvae` is the command `skvae`."""

import sys

from skvae.command.main import main

if __name__ == "__main__":
    sys.exit(main())
