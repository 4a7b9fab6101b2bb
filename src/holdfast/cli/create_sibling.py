"""Make a sibling: somewhere to push to.

TARGET is one of these; no content or version is sent to it yet.

A path, ssh://HOST/PATH or HOST:PATH: a repository with an annex, with files, or without by --bare.

ria+file:///STORE, ria+ssh://HOST/STORE: a place in a RIA store, as DataLad keeps many data sets;
its content is in a second remote, NAME-storage.

github, gitlab, gitea, gogs, gin and a PROJECT, [OWNER/]NAME: git alone, by the site's REST API. The
token is that of GITHUB_TOKEN and the like, of the system's keyring, or of git's credential helper.

s3, or special, and words as git-annex's initremote has: content and git in one special remote; it
needs git-annex.

Made again, the same call goes on where it was broken off, and changes nothing that is right.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ..core import faults
from .call import Call

EXAMPLES = (
    ("hold create-sibling --bare --shared group /data/study.git", "a folder for a whole group"),
    ("hold create-sibling --alias study ria+ssh://archive.example.org/store", "in a RIA store"),
    ("hold create-sibling --private gitlab our-lab/study", "on gitlab.com"),
)


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("target", metavar="TARGET", help="a path, URL or kind, as above")
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="the PROJECT of a site, or NAME=VALUE of s3"
    )
    parser.add_argument("-s", "--name", metavar="NAME", help="what to call it here")
    parser.add_argument(
        "--existing",
        choices=("error", "skip", "reconfigure"),
        default="error",
        help="what to do about another one that is there; error if not given",
    )
    parser.add_argument("--bare", action="store_true", help="of a folder: no files, versions only")
    parser.add_argument("--shared", metavar="MODE", help="who may write, as git init --shared has")
    parser.add_argument("--group", metavar="GROUP", help="the system's group that it belongs to")
    parser.add_argument(
        "--post-update-hook", action="store_true", help="keep it readable for plain web servers"
    )
    parser.add_argument(
        "--publish-depends",
        metavar="NAME",
        action="append",
        default=[],
        help="a sibling that is pushed to first",
    )
    parser.add_argument("--new-store", action="store_true", help="make the RIA store if need be")
    parser.add_argument("--alias", metavar="NAME", help="another name for it in the RIA store")
    parser.add_argument("--push-url", metavar="URL", help="where that store is written to")
    parser.add_argument("--storage-name", metavar="NAME", help="what to call its content's half")
    parser.add_argument("--site", metavar="URL", help="the address of another site of that kind")
    parser.add_argument(
        "--access", metavar="HOW", default="https", help="https, ssh, or https-ssh for pushing"
    )
    parser.add_argument("--private", action="store_true", help="on a site: not for everybody")
    parser.add_argument("--description", metavar="TEXT", help="what to say of it there")


def run(call: Call) -> int:
    """Carry it out."""
    from ..api.create_sibling import (
        SPECIALS,
        Existing,
        SiblingOptions,
        iter_create_sibling,
    )

    options = call.options
    is_special = options.target in SPECIALS
    words = dict(word.partition("=")[::2] for word in options.words) if is_special else {}
    if "" in words.values() or (not is_special and len(options.words) > 1):
        what = "more words than one PROJECT, or a word that is not NAME=VALUE"
        raise faults.BAD_USAGE(what=what, command="create-sibling")
    given = SiblingOptions(
        name=options.name,
        existing=Existing(options.existing),
        bare=options.bare,
        shared=options.shared,
        group=options.group,
        update_hook=options.post_update_hook,
        depends=options.publish_depends,
        new_store=options.new_store,
        alias=options.alias,
        push_url=options.push_url,
        storage_name=options.storage_name,
        private=options.private,
        description=options.description,
        site=options.site,
        access=options.access,
        words=words,
    )
    project = options.words[0] if options.words and not is_special else None
    return call.finish(
        iter_create_sibling(call.dataset, options.target, project, given, progress=call.progress)
    )
