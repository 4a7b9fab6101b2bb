"""Contracts and fakes for those who add a store, a format or a command."""
