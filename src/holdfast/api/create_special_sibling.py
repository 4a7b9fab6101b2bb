"""A sibling that is a special remote with git's repository in it: one bucket holds all.

git reaches it by the program git-remote-annex, which comes with git-annex (``annex::``): it has to
be here, and wherever somebody clones.
"""

from __future__ import annotations

import shutil

from ..core import faults
from ..core.outcome import Outcome
from ..dataset.publishing import GIT_IN_A_PLACE, push_refs
from ..dataset.remote_config import fetch_refspec, set_remotes
from .create_sibling import SiblingOptions, left_alone, made, wanted_sibling
from .datasets import Dataset

HELPER = "git-remote-annex"
_SECRET = ("password", "secret", "token", "passphrase")


def create_special_sibling(dataset: Dataset, kind: str, options: SiblingOptions) -> Outcome:
    """Set up a special remote with ``options.words``, and let git push to it.

    The ledger is pushed at once: what git has there begins with it.

    Raises:
        PlaceUnavailableError: git-annex's helper for git is not here, or the ledger did not arrive.
        PolicyError: It would have chunks, in which git cannot be kept.
        ConflictError: There is another remote of this name.
    """
    words = {**({"type": "S3"} if kind == "s3" else {}), **options.words}
    if "type" not in words:
        what = "say which type it is, as in: hold create-sibling special type=directory …"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    for word in words:
        if any(secret in word.lower() for secret in _SECRET):
            what = f"{word}= is not said in a call, where others see it: give it by environment"
            raise faults.BAD_USAGE(what=what, command="create-sibling")
    if "chunk" in words or "chunksize" in words:
        raise faults.GIT_IN_CHUNKS(place=options.name or kind)
    if shutil.which(HELPER) is None or shutil.which("git-annex") is None:
        detail = f"it needs git-annex and its {HELPER}, by which git pushes to {words['type']}"
        raise faults.SIBLING_FAILED(target=f"a sibling of type {words['type']}", detail=detail)
    wanted = wanted_sibling(dataset, GIT_IN_A_PLACE, options, kind)
    if wanted is None:
        return left_alone(options.name or kind, "it is known here already")
    words = {"encryption": "none", "autoenable": "true", **words}
    if "annex-uuid" not in wanted.settings:
        given = [f"{name}={value}" for name, value in words.items()]
        dataset.repository.git.run("annex", "initremote", wanted.name, "--with-url", *given)
        dataset.repository.forget_config()
    settings = [("url", GIT_IN_A_PLACE), ("fetch", fetch_refspec(wanted.name))]
    depends = [("datalad-publish-depends", name) for name in options.depends]
    set_remotes(dataset.repository, [(wanted.name, [*settings, *depends])])
    # DataLad asks a sibling for its ledger before it pushes, and fails where there is none at all.
    for pushed in push_refs(dataset.repository, wanted.name, []):
        if pushed.error:
            raise faults.PUSH_LOST(ref="git-annex", place=wanted.name, detail=pushed.error)
    return made(wanted, f"{words['type']}, with git in it", uuid=wanted.settings.get("annex-uuid"))
