"""`pieces`: those of an archive, as a place that is read from: in a folder, at a URL, in a bucket.

What reads them is above us (`archive/pieces_store.py`), and is handed down by who opens the place.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..core import faults
from ..core.abilities import Readable
from .s3_setup import plan_setup as plan_bucket
from .special import Setup, SpecialRemote
from .words import bad_setup, check_words

KIND = "pieces"
_BUCKET = ("bucket", "host", "port", "protocol", "region", "datacenter", "requeststyle",
           "signature", "fileprefix")  # fmt: skip
_WAYS = ("directory", "url", "bucket")


def open_store(remote: SpecialRemote) -> Readable:
    """The pieces of a special remote.

    Raises:
        PlaceUnavailableError: Nothing here reads pieces, or the configuration does not say where.
    """
    if remote.open_pieces is None:
        raise faults.NO_WAY(place=remote.place.label, kind=KIND)
    return remote.open_pieces(remote)


def plan_setup(given: Mapping[str, str]) -> Setup:
    """One of ``directory=``, ``url=`` and ``bucket=``; ``dataset=`` where there are several.

    Raises:
        UsageError: None of these is there, or more than one; or a word is not known.
    """
    check_words(KIND, given, [], ["directory", "url", "dataset", *_BUCKET])
    ways = [word for word in _WAYS if given.get(word)]
    if len(ways) != 1:
        raise bad_setup(KIND, "one of directory=, url= and bucket= says where the pieces are")
    if ways == ["url"] and not given["url"].lower().startswith(("http://", "https://")):
        raise bad_setup(KIND, "url= begins with http:// or https://")
    others = sorted(set(given) & set(_BUCKET))
    if ways != ["bucket"] and others:
        raise bad_setup(KIND, f"{others[0]}= is for a bucket")
    config = {word: given[word] for word in ("url", "dataset") if given.get(word)}
    if ways == ["bucket"]:
        bucket = plan_bucket({word: given[word] for word in _BUCKET if word in given})
        config |= {word: bucket.config[word] for word in _BUCKET if word in bucket.config}
    return Setup(config, {"annex-directory": given["directory"]} if "directory" in given else {})


def prepare(remote: SpecialRemote) -> None:
    """Look whether pieces are there, and note of which data set: others are left from then on.

    Raises:
        NotFoundError: There are none.
        ConflictError: They are of another data set, or of several.
        HoldError: They cannot be read.
    """
    store = open_store(remote)
    try:
        dataset = getattr(store, "dataset", "")
        if dataset and not remote.config.get("dataset"):
            remote.on_config("dataset", dataset)
    finally:
        store.close()
