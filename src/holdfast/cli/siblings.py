"""List, add or change the places that remotes lead to.

hold siblings add NAME URL names a git repository; hold siblings add NAME type=KIND word=value…
sets up a special remote, in git-annex's words. configure also takes the name `here`. What places
want is written for all clones; an empty text takes it away.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..core import faults
from .call import Call
from .limit import check_rate, rate_in_words
from .text import printable, quote, size

if TYPE_CHECKING:
    from ..api.siblings import Change
    from ..core.outcome import Outcome

EXAMPLES = (
    ("hold siblings add tape /mnt/tape/study --wanted 'include=raw/*'", "a clone elsewhere"),
    ("hold siblings add bucket type=S3 bucket=study encryption=none", "a special remote"),
    ("hold siblings configure here --group client --wanted standard", "what this place wants"),
)

ACTIONS = ("list", "add", "configure", "enable", "approve", "remove")


def add_options(parser: ArgumentParser) -> None:
    """Declare what this command takes."""
    parser.add_argument("action", nargs="?", metavar="ACTION", help=", ".join(ACTIONS))
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to call it, or a UUID")
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="the URL, or type=KIND and other words=values"
    )
    parser.add_argument("--url", metavar="URL", help="where to fetch from")
    parser.add_argument("--push-url", metavar="URL", help="where to push to, if elsewhere")
    parser.add_argument("--wanted", metavar="EXPR", help="what content it should have")
    parser.add_argument("--required", metavar="EXPR", help="what content it has to keep")
    parser.add_argument("--group", action="append", metavar="NAME", help="a group it joins")
    parser.add_argument("--ungroup", action="append", metavar="NAME", help="a group it leaves")
    parser.add_argument("--trust", metavar="LEVEL", help="trusted, semitrusted, untrusted or dead")
    parser.add_argument("--description", metavar="TEXT", help="what the ledger calls it")
    parser.add_argument("--max-size", metavar="SIZE", help="how much content it may hold (2TB)")
    parser.add_argument("--cost", metavar="N", help="cheaper ones are used first (100, 200)")
    for words, more in (
        ("limit", ""),
        ("limit-download", ", from it"),
        ("limit-upload", ", to it"),
    ):
        what = f"so many bytes a second at most{more} (500kb, 2MiB; 0 for any)"
        parser.add_argument(f"--{words}", metavar="RATE", help=what)
    parser.add_argument(
        "--publish-depends", metavar="NAME", help="a sibling that is pushed to before this one"
    )
    parser.add_argument(
        "--safe", metavar="ID", help="to approve: what enable showed, with this id, is safe"
    )
    parser.add_argument("--dead", action="store_true", help="when removed: it is lost for good")


def run(call: Call) -> int:
    """Carry it out."""
    options = call.options
    action = options.action or "list"
    if action not in ACTIONS:
        raise faults.BAD_USAGE(what=f"no action {quote(action)}", command="siblings")
    if action != "list" and not options.name:
        raise faults.BAD_USAGE(what=f"{action} needs a NAME", command="siblings")
    if action == "list":
        from ..api.siblings import iter_siblings

        names = [options.name, *options.words] if options.name else []
        return call.finish(iter_siblings(call.dataset, names), tell)
    return call.finish(_outcomes(call, action))


def _outcomes(call: Call, action: str) -> Iterator[Outcome]:
    from ..api import siblings as api

    options, dataset = call.options, call.dataset
    if action == "remove":
        return api.iter_remove_sibling(dataset, options.name, dead=options.dead)
    if action == "configure":
        change = _change(options)
        if options.words or change.is_empty:
            raise faults.BAD_USAGE(what="name options to set", command="siblings")
        return api.iter_configure(dataset, options.name, change)
    if action == "approve":
        if not options.safe:
            what = "approve needs --safe ID, as hold siblings enable shows it"
            raise faults.BAD_USAGE(what=what, command="siblings")
        return api.iter_approve(dataset, options.name, options.safe)
    if action == "enable":
        return api.iter_enable(dataset, options.name, _config(options.words))
    url, config = options.url, {}
    if url is None and options.words and not options.words[0].startswith("type="):
        url = options.words[0]
        if len(options.words) > 1:
            raise faults.BAD_USAGE(what="one URL, or type=KIND", command="siblings")
        options.url = None
    elif url is None:
        config = _config(options.words)
    if url is None and "type" not in config:
        raise faults.BAD_USAGE(what="name a URL, or type=KIND", command="siblings")
    return api.iter_add(dataset, options.name, url, config, _change(options))


def _config(words: list[str]) -> dict[str, str]:
    """``word=value`` pairs."""
    pairs = [word.partition("=") for word in words]
    wrong = [word for word, (_, sign, _) in zip(words, pairs, strict=True) if not sign]
    if wrong:
        raise faults.BAD_USAGE(what=f"{quote(wrong[0])} is no word=value", command="siblings")
    return {name: value for name, _, value in pairs}


def _change(options: Any) -> Change:
    from ..api.siblings import Change
    from ..dataset.place_rules import TRUST_WORDS, PlaceRules

    if options.trust is not None and options.trust not in TRUST_WORDS:
        what = f"--trust {quote(options.trust)} is none of {', '.join(TRUST_WORDS)}"
        raise faults.BAD_USAGE(what=what, command="siblings")
    rules = PlaceRules(
        trust=TRUST_WORDS[options.trust] if options.trust else None,
        wanted=options.wanted,
        required=options.required,
        description=options.description,
        max_size=options.max_size,
        join=frozenset(options.group or ()),
        leave=frozenset(options.ungroup or ()),
    )
    given = {
        "url": options.url,
        "pushurl": options.push_url,
        "annex-cost": options.cost,
        "datalad-publish-depends": options.publish_depends,
        "annex-bwlimit": options.limit,
        "annex-bwlimit-download": options.limit_download,
        "annex-bwlimit-upload": options.limit_upload,
    }
    for option in ("limit", "limit_download", "limit_upload"):
        if rate := getattr(options, option):
            check_rate(rate, "--" + option.replace("_", "-"), "siblings")
    return Change(
        rules, {name: value or None for name, value in given.items() if value is not None}
    )


def tell(outcome: Outcome) -> str:
    """One sibling: its name, kind and address, then what is said of it."""
    facts: Any = outcome.facts
    head = f"{printable(facts['name'])}  {facts['kind']}  {printable(facts['url'])}".rstrip()
    said = [facts["uuid"] + (f"  {facts['description']}" if facts["description"] else "")]
    if facts["trust"] != "semitrusted":
        said.append(facts["trust"])
    if facts["groups"]:
        said.append("groups: " + ", ".join(facts["groups"]))
    said += [f"{rule}: {facts[rule]}" for rule in ("wanted", "required") if facts[rule]]
    said += [
        f"{way} limit: {rate_in_words(limit['rate'])}"
        + ("" if limit["held"] else " (not held: a program of its own moves its content)")
        for way, limit in facts["limits"].items()
    ]
    if facts["max_size"] is not None:
        said.append(f"holds at most {size(facts['max_size'])}")
    if facts["state"]:
        said.append(facts["state"])
    return "\n".join([head, *(f"    {printable(line)}" for line in said if line)])
