"""Runs `hold` with forked hands at work from fewer files on than they are worth it for.

    python many_from.py COUNT WORD...

So tests see them at work without making, copying and checking more than a thousand files each time.
"""

from __future__ import annotations

import sys

from holdfast.cli.main import run
from holdfast.transfer import hands

if __name__ == "__main__":
    hands.MANY = int(sys.argv[1])
    sys.exit(run(sys.argv[2:]))
