"""One file per kind of place that content can be read from."""
