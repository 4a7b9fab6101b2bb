"""What a new data set starts with: which files go to the annex, and who its first files are.

`all-annexed`, `text2git` and `yoda` set the attributes that DataLad's defaults and procedures of
those names set, byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GIT_SIZE_MAX = 64 * 1024
"""Files up to this many bytes go to git in the `mixed` profile."""

_NEVER = "**/.git* annex.largefiles=nothing\n"
_LARGE = f"* annex.largefiles=(largerthan={GIT_SIZE_MAX}B)\n"


@dataclass(frozen=True)
class Profile:
    """Lines for .gitattributes, the backend, and further files with their content.

    Of lines that match one file the last counts: our own rules come before the one that keeps
    git's files in git, DataLad's after it, as DataLad writes them.
    """

    backend: str
    before: str = ""
    after: str = ""
    files: dict[str, str] = field(default_factory=dict)


DEFAULT_PROFILE = "mixed"
PROFILES = {
    "mixed": Profile("SHA256E", _LARGE),
    "all-annexed": Profile("MD5E"),
    "text2git": Profile(
        "MD5E", after="* annex.largefiles=((mimeencoding=binary)and(largerthan=0))\n"
    ),
    "yoda": Profile(
        "MD5E",
        after="CHANGELOG.md annex.largefiles=nothing\nREADME.md annex.largefiles=nothing\n",
        files={
            "code/.gitattributes": "* annex.largefiles=nothing\n",
            "README.md": "# Study\n\nInputs from elsewhere lie in `inputs/`, code in `code/`.\n",
            "CHANGELOG.md": "",
            "code/README.md": "Code of this study; run it from the top of the data set.\n",
        },
    ),
    "bids": Profile(
        "SHA256E",
        _LARGE
        + "".join(
            f"{name} annex.largefiles=nothing\n"
            for name in ("*.json", "*.tsv", "*.bval", "*.bvec", "README*", "CHANGES", ".bidsignore")
        ),
        files={".bidsignore": ".datalad/\n"},
    ),
}


def gitattributes(profile: Profile, backend: str | None) -> str:
    """The data set's .gitattributes."""
    first = f"* annex.backend={backend or profile.backend}\n"
    return first + profile.before + _NEVER + profile.after
