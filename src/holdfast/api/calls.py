"""The verbs as `import holdfast` offers them: what people may pass, turned into what verbs take."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TypeVar

from ..core import faults
from .datasets import Dataset

_R = TypeVar("_R")
_OF_PATHS = """

    Each path is text, bytes or path-like, and relative to the top of the data set; an absolute
    one has to lie in it.
    """


def for_people(verb: Callable[..., _R]) -> Callable[..., _R]:
    """A verb that takes paths of every kind, and refuses what would be misread."""
    signature = inspect.signature(verb)
    if "dataset" not in signature.parameters:
        return verb
    name = verb.__name__

    @wraps(verb)
    def call(*arguments: object, **options: object) -> _R:
        given = signature.bind(*arguments, **options).arguments
        dataset = given["dataset"]
        if not isinstance(dataset, Dataset):
            raise _refused(name, f"an open data set, not {dataset!r:.100}", "open_dataset(PATH)")
        for word in ("names", "places"):
            if isinstance(given.get(word), str | bytes):
                raise _one(name, word, given[word])
        paths = given.get("paths", ())
        if isinstance(paths, str | bytes | os.PathLike):
            raise _one(name, "paths", paths)
        if not isinstance(paths, Iterable):
            raise _refused(
                name, f"a list of paths, not {paths!r:.100}", f'{name}(dataset, ["PATH"])'
            )
        if "paths" not in given:
            return verb(*arguments, **options)
        found = [_path(dataset, name, path) for path in paths]
        # The top itself stands for all that is below it.
        given["paths"] = [] if b"" in found else found
        rest = given.pop("options", {})
        return verb(**given, **rest)

    if "paths" in signature.parameters:
        call.__doc__ = (verb.__doc__ or "").rstrip() + _OF_PATHS
    return call


def _path(dataset: Dataset, verb: str, path: object) -> bytes:
    if not isinstance(path, str | bytes | os.PathLike):
        raise _refused(verb, f"paths, and {path!r:.100} is none", f'{verb}(dataset, ["PATH"])')
    raw = os.fsencode(path)
    if not raw or b"\0" in raw:
        raise _refused(verb, f"paths, and {path!r:.100} is none", f'{verb}(dataset, ["PATH"])')
    plain = os.path.normpath(raw)
    if plain == raw and plain != b"." and not plain.startswith((b"/", b"..")):
        return raw
    return dataset.relative([os.path.join(dataset.top, plain)])[0]


def _one(verb: str, word: str, given: object) -> Exception:
    text = os.fsdecode(given) if isinstance(given, bytes | os.PathLike) else given
    return _refused(verb, f"a list of {word}, not one", f"{verb}(dataset, [{text!r:.100}])")


def _refused(verb: str, wanted: str, call: str) -> Exception:
    return faults.BAD_CALL(verb=verb, wanted=wanted, call=call)
