"""Servers: for git-annex over ssh and HTTP, and for anybody over plain HTTP. Thin, over api."""
