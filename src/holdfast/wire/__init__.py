"""Formats and conversations as pure code: bytes in, values out, and back."""
