"""The command line: one file per command, options, one call to api, rendering."""
