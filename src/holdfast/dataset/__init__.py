"""The git and git-annex view: versions, keys, ledger. Alone in running git."""
