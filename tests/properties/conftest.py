"""How many examples are made up for a property that says no number of its own."""

from __future__ import annotations

from depth import times
from hypothesis import settings

# What else is chosen, and that it is other under CI, is left to hypothesis.
settings.register_profile("holdfast", max_examples=times(50, 2000))
settings.load_profile("holdfast")
