"""The words that describe a bucket, as git-annex has them."""

from __future__ import annotations

from collections.abc import Mapping

from ..core import faults
from ..core.errors import HoldError
from ..core.sizes import parse_size
from ..wire import s3
from .special import Setup

MIB = 1 << 20
PART_MIN = 5 * MIB
PART_MAX = 32 * MIB
_WORDS = frozenset(
    (
        "annexobjects", "bucket", "datacenter", "exporttree", "fileprefix", "host", "importtree",
        "partsize", "port", "protocol", "public", "publicurl", "region", "requeststyle",
        "signature", "storageclass", "versioning",
    )
)  # fmt: skip
_FLAGS = {"": False, "no": False, "false": False, "yes": True, "true": True}


def plan_setup(given: Mapping[str, str]) -> Setup:
    """Check the words, and fill in what git-annex would write down.

    Raises:
        UsageError: One is not known or makes no sense.
    """
    unknown = sorted(set(given) - _WORDS)
    if unknown:
        raise _bad(given, f"S3 has no {unknown[0]}=", "known are: " + " ".join(sorted(_WORDS)))
    config = dict(given)
    if config.get("signature") == "v2":
        raise _bad(given, "signature=v2 is not spoken", "leave it out: signatures are version 4")
    size = parse_size(config.get("partsize", "8MiB"))
    if size is None or not PART_MIN <= size <= PART_MAX:
        raise _bad(given, "partsize is between 5MiB and 32MiB", "leave it out")
    config.setdefault("datacenter", "US")
    config.setdefault("storageclass", "STANDARD")
    config.setdefault("host", "s3.amazonaws.com")
    config.setdefault("port", "80" if config.get("protocol") == "http" else "443")
    config.setdefault("protocol", "http" if config["port"] == "80" else "https")
    try:
        s3.bucket_of({"bucket": "to-be-named", **config})
    except ValueError as error:
        raise _bad(given, str(error), "give a number as port, http or https as protocol") from None
    return Setup(config, {"annex-s3": "true"})


def _bad(given: Mapping[str, str], detail: str, following: str) -> HoldError:
    return faults.BAD_SETUP(name=given.get("bucket", "the bucket"), detail=detail, next=following)


def flag(config: Mapping[str, str], name: str) -> bool:
    """Whether a word says yes."""
    return _FLAGS.get(config.get(name, ""), False)
