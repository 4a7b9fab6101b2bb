"""Sealed things: what a data set holds as pieces that can be restored from themselves alone."""
