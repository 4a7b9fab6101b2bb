"""The version of this package, alone in a file, so that telling it costs nothing."""

__version__ = "0.1.0"
