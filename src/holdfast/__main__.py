"""``python -m holdfast`` is ``hold``."""

import sys

from .cli.main import run

sys.exit(run())
