"""What the data set says of single files: into git or the annex, which hash, locked or not.

Order as git-annex has it: git configuration, then .gitattributes, then the ledger's config.log.
A rule that we cannot decide is put to git-annex when it is there, and refused otherwise.
"""

from __future__ import annotations

import os
import stat
from functools import cached_property, lru_cache

from ..core import faults, secure_hashes
from ..core.backends import USUAL_BACKEND, is_secure
from ..core.expressions import UNKNOWN, YES, Dialect, Expression, evaluate, parse
from ..core.extensions import ExtensionLimits
from ..core.facts import Facts
from ..core.key import Key
from ..core.mime import HEAD_SIZE, mime_encoding
from ..wire import logs
from ..wire.gitobjects import EXECUTABLE_MODE, FILE_MODE
from ..wire.pointer import POINTER_SIZE_MAX, key_of_pointer
from .attribute_files import WorkTreeAttributes
from .changes import IndexState
from .git import hex_oid
from .ledger import Ledger
from .repository import Repository

_COPIES = (b"annex.numcopies", b"annex.mincopies")
_FILTERS = (b"text", b"eol", b"crlf", b"ident", b"working-tree-encoding")


class FileFacts(Facts):
    """What an expression may ask of one file of the folder; looked up when asked."""

    def __init__(self, top: bytes, path: bytes, size: int) -> None:
        self._top = top
        self._path = path
        self._size = size

    def path(self) -> bytes:
        """The file, from the top."""
        return self._path

    def size(self) -> int:
        """Its size in bytes."""
        return self._size

    def mime_encoding(self) -> str:
        """The charset libmagic would name."""
        with open(os.path.join(self._top, self._path), "rb") as file:
            return mime_encoding(file.read(HEAD_SIZE))


class Rules:
    """The rules of one data set, read once. Used by several threads."""

    def __init__(self, repository: Repository, *, to_git: bool = False) -> None:
        config = repository.config
        self._repository = repository
        self._to_git = to_git
        self._shared = logs.parse_config(Ledger(repository).policy_file(b"config.log"))
        self._dotfiles = (self._setting("annex.dotfiles") or "false") == "true"
        self._add_unlocked = self._setting("annex.addunlocked") or "false"
        adjusted = (repository.adjusted_branch or "").rpartition("(")[2]
        self._no_links = config.get("core.symlinks") == "false" or "unlock" in adjusted
        self._trust_mode = config.flag("core.filemode", default=True)
        self._text_filters = config.get("core.autocrlf") in ("true", "input")
        self._attributes = WorkTreeAttributes(repository)
        self._secure_only = secure_hashes.is_demanded(
            config.get(secure_hashes.SETTING), self._shared.get(secure_hashes.SETTING)
        )
        self.limits = ExtensionLimits(
            int(self._setting("annex.maxextensionlength") or 4),
            int(self._setting("annex.maxextensions") or 2),
        )

    def _setting(self, name: str) -> str | None:
        return self._repository.config.get(name) or self._shared.get(name)

    def is_annexed(self, path: bytes, size: int) -> bool:
        """Whether a file of this size belongs into the annex.

        Raises:
            UsageError: The rule cannot be read, or not decided here.
        """
        if self._to_git or path == b".gitmodules":
            return False
        if not self._dotfiles and self._is_dotfile(path):
            return False
        rule = self._rule(path)
        if rule is None:
            return True
        answer = evaluate(_parsed(rule), FileFacts(self._repository.top, path, size))
        return self._ask_git_annex(rule, path) if answer is UNKNOWN else answer is YES

    def has_rule(self, path: bytes) -> bool:
        """Whether anything says of this file where it belongs, so that plain git heeds it too."""
        if self._is_dotfile(path) and not self._dotfiles:
            return False
        return self._rule(path) is not None

    def _is_dotfile(self, path: bytes) -> bool:
        return path.startswith(b".") or b"/." in path

    def _rule(self, path: bytes) -> str | None:
        configured = self._repository.config.get("annex.largefiles")
        if configured is not None:
            return configured
        attribute = self._attributes.get(path, b"annex.largefiles")
        if attribute is not None:
            return os.fsdecode(attribute)
        return self._shared.get("annex.largefiles")

    def _ask_git_annex(self, rule: str, path: bytes) -> bool:
        code, _, errors = self._repository.git.ask(
            "annex", "matchexpression", "--largefiles", rule, b"--file=" + path
        )
        if code not in (0, 1):
            detail = errors.decode("utf-8", "replace").strip() or "git-annex could not say"
            raise faults.BAD_RULE(rule=rule, detail=detail, where="annex.largefiles")
        return code == 0

    def backend(self, path: bytes, known: Key | None = None) -> bytes:
        """The backend that names new content of a file; that of the key it has, where it may be.

        Raises:
            PolicyError: It is not secure, and only those that are may be used here.
        """
        if known is not None and self.allows(known):
            return bytes(known.backend)
        chosen = self._chosen_backend(path)
        refusal = secure_hashes.refusal(os.fsdecode(path), chosen) if self._secure_only else None
        if refusal is not None:
            raise refusal
        return chosen

    def allows(self, key: Key) -> bool:
        """Whether new content may be kept under keys like this one."""
        return not self._secure_only or is_secure(key.backend)

    def _chosen_backend(self, path: bytes) -> bytes:
        """Here .gitattributes go over git configuration, which only a setting of this call tops."""
        given = self._repository.settings.get("annex.backend")
        if given:
            return os.fsencode(given)
        attribute = self._attributes.get(path, b"annex.backend")
        if attribute:
            return attribute
        return os.fsencode(self._setting("annex.backend") or "") or USUAL_BACKEND

    def is_unlocked(self, path: bytes, size: int) -> bool:
        """Whether a new annexed file keeps its content in its place."""
        if self._no_links:
            return True
        if self._add_unlocked in ("true", "false"):
            return self._add_unlocked == "true"
        facts = FileFacts(self._repository.top, path, size)
        return evaluate(_parsed(self._add_unlocked), facts) is YES

    def is_filtered(self, path: bytes) -> bool:
        """Whether git changes the bytes of this file when it takes them: line ends and the like."""
        if self._text_filters:
            return True
        if self._attributes.any_of(path, _FILTERS):
            return True
        return self._attributes.get(path, b"filter") not in (None, b"annex")

    def copies(self, path: bytes) -> tuple[int | None, int | None]:
        """numcopies and mincopies that .gitattributes ask for this file, each one at least."""
        values = self._attributes.get_all(path, _COPIES)
        number, least = (max(1, int(v)) if v is not None and v.isdigit() else None for v in values)
        return number, least

    @cached_property
    def copies_differ(self) -> bool:
        """Whether any .gitattributes asks for copies, so that not all files are alike."""
        # Git heeds those files that it does not know, too.
        names = self._repository.git.run(
            "ls-files", "-z", "--cached", "--others", "--", ":(glob)**/.gitattributes",
            environment={"GIT_LITERAL_PATHSPECS": "0"},
        )  # fmt: skip
        folders = {os.path.dirname(name) for name in names.split(b"\0") if name} | {b""}
        return self._attributes.mentions(_COPIES, folders)

    def mode(self, status: os.stat_result, known: IndexState | None) -> bytes:
        """The mode git shall record for a file."""
        if not self._trust_mode:
            return known.mode if known and known.mode == EXECUTABLE_MODE else FILE_MODE
        return EXECUTABLE_MODE if status.st_mode & stat.S_IXUSR else FILE_MODE

    def key_in_index(self, known: IndexState | None) -> Key | None:
        """The key of an unlocked file, as the index has it."""
        if known is None or known.mode not in (FILE_MODE, EXECUTABLE_MODE):
            return None
        sizes = list(self._repository.git.objects.iter_sizes([hex_oid(known.oid)]))
        if not sizes or sizes[0][1] > POINTER_SIZE_MAX:
            return None
        answers = list(self._repository.git.objects.iter_read([hex_oid(known.oid)]))
        return key_of_pointer(answers[0][1]) if answers[0] is not None else None

    def pointer_in(self, path: bytes, status: os.stat_result) -> Key | None:
        """The key that a file of the folder only names, because its content is not here."""
        if status.st_size > POINTER_SIZE_MAX:
            return None
        with open(os.path.join(self._repository.top, path), "rb") as file:
            return key_of_pointer(file.read(POINTER_SIZE_MAX + 1))


@lru_cache(maxsize=64)
def _parsed(rule: str) -> Expression:
    return parse(rule, Dialect.LARGEFILES, "annex.largefiles or annex.addunlocked")
