"""Every message of failure, with its code: what, why, what is safe, what next.

The error reference in docs/errors.md is printed from this table (`python -m holdfast.core.faults`),
so a message that is not documented cannot exist. Texts are format strings; their facts are given
where the fault is raised.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import errors
from .errors import HoldError

NOTHING_CHANGED = "nothing was changed"


class Fault(NamedTuple):
    """One way to fail; call it with its facts to get the error to raise."""

    code: str
    kind: type[HoldError]
    what: str
    why: str
    safe: str
    next: str

    def __call__(self, **facts: object) -> HoldError:
        """The error, its four lines filled in."""
        return self.kind(
            self.what.format(**facts),
            why=self.why.format(**facts),
            safe=self.safe.format(**facts),
            hint=self.next.format(**facts),
            code=self.code,
        )


# H1: the call and the data set

NO_DATASET = Fault(
    "H101", errors.NotFoundError,
    "{path} is not in a data set",
    "neither it nor a folder above it is a git repository",
    NOTHING_CHANGED,
    "hold create {path}    (or run it in, or with -d, a data set)",
)  # fmt: skip
NO_ANNEX = Fault(
    "H102", errors.NotFoundError,
    "{path} is a plain git repository",
    "it has no git-annex branch and no annex.uuid",
    NOTHING_CHANGED,
    "hold create --force {path}    (makes a data set of it; its history stays)",
)  # fmt: skip
BAD_USAGE = Fault(
    "H103", errors.UsageError,
    "{what}",
    "the words of the call do not fit together",
    NOTHING_CHANGED,
    "hold {command} --help",
)  # fmt: skip
NO_SUCH_PATH = Fault(
    "H104", errors.NotFoundError,
    "{path} is not known here",
    "it is neither in this version of the data set nor in the folder",
    NOTHING_CHANGED,
    "hold status    (shows what is there)",
)  # fmt: skip
OUTSIDE = Fault(
    "H105", errors.UsageError,
    "{path} is outside of the data set {top}",
    "a command works in one data set at a time",
    NOTHING_CHANGED,
    "run it in the data set that the path belongs to, or name that with -d",
)  # fmt: skip
OLD_VERSION = Fault(
    "H106", errors.ConflictError,
    "this repository has annex version {version}",
    "version 10 is the one that locks content safely; others lock the content file itself",
    NOTHING_CHANGED,
    "git annex upgrade    (version 9 becomes 10 only a year after it became 9)",
)  # fmt: skip
TUNED = Fault(
    "H107", errors.ConflictError,
    "this repository is tuned: {differences}",
    "its files lie in other places than the standard layout says",
    NOTHING_CHANGED,
    "use git annex in it, or clone it into an untuned repository",
)  # fmt: skip
PIDLOCK = Fault(
    "H108", errors.ConflictError,
    "this repository uses annex.pidlock",
    "its locks are held by process number, and ours would not be seen by git-annex",
    NOTHING_CHANGED,
    "use git annex for writing in it, or unset annex.pidlock where file locks work",
)  # fmt: skip
CUSTOM_HOOKS = Fault(
    "H109", errors.ConflictError,
    "this repository configures {name}",
    "content must be frozen, thawed or erased by a program that only git-annex calls",
    NOTHING_CHANGED,
    "use git annex for this step",
)  # fmt: skip
GIT_FAILED = Fault(
    "H110", errors.HoldError,
    "git {command} failed",
    "{message}",
    "content in the annex is as it was",
    "mend what git names, then run the same command again",
)  # fmt: skip
NO_GIT = Fault(
    "H111", errors.NotFoundError,
    "the program git is not there",
    "no git is found on PATH",
    NOTHING_CHANGED,
    "install git 2.30 or newer",
)  # fmt: skip
NO_IDENTITY = Fault(
    "H112", errors.UsageError,
    "git does not know who you are",
    "a version names its author, and user.name or user.email is not set",
    NOTHING_CHANGED,
    "git config --global user.name 'Your Name'; git config --global user.email you@example.org",
)  # fmt: skip
ALREADY_THERE = Fault(
    "H113", errors.ConflictError,
    "{path} is already {what}",
    "making it again could hide what is in it",
    NOTHING_CHANGED,
    "{next}",
)  # fmt: skip
BUSY = Fault(
    "H114", errors.PlaceUnavailableError,
    "another program is writing here",
    "{path} is held by it{waited}",
    "nothing was lost; what it writes is kept",
    "run the same command again when it has ended; if none runs, remove {path}",
)  # fmt: skip
UNMERGED = Fault(
    "H115", errors.ConflictError,
    "a merge is not finished: {path}",
    "git's index holds more than one version of it",
    NOTHING_CHANGED,
    "decide which to keep with git add {path} or git rm {path}, then run the same again",
)  # fmt: skip
NO_SUCH_VERSION = Fault(
    "H116", errors.NotFoundError,
    "{version} is not a version of this data set",
    "git knows no commit, tag or branch of that name here",
    NOTHING_CHANGED,
    "hold log    (lists versions)",
)  # fmt: skip
ADJUSTED = Fault(
    "H117", errors.ConflictError,
    "the branch {branch} is an adjusted one",
    "versions made on it have to be carried over to the real branch by git-annex",
    NOTHING_CHANGED,
    "git annex sync --no-push --no-pull    (or: git checkout the real branch)",
)  # fmt: skip

TRANSITION = Fault(
    "H118", errors.ConflictError,
    "the git-annex branches of two clones cannot be joined by us",
    "one of them had its history forgotten (git annex forget), the other had not",
    NOTHING_CHANGED,
    "git annex merge    (carries the forgetting over), then run the same again",
)  # fmt: skip

NOT_A_FILE = Fault(
    "H119", errors.UsageError,
    "{path} is no file, link or folder",
    "sockets, pipes and devices have no content that could be kept",
    "it was left alone; other files are saved",
    "move it away, or name it in .gitignore",
)  # fmt: skip
EMPTY_REPOSITORY = Fault(
    "H120", errors.ConflictError,
    "{path} is a repository without a version",
    "a data set in a data set is recorded by its newest version, and it has none",
    "it was left alone; other files are saved",
    "hold -C {path} save    (or git commit in it), then run the same again",
)  # fmt: skip
BAD_INDEX = Fault(
    "H121", errors.ProtocolError,
    "git's index cannot be read",
    "{detail}",
    "files, content and versions are as they were; the index only lists them",
    "git status    (tells what git says of it); if it is damaged: rm {path} && git reset -q",
)  # fmt: skip
NO_FOLDER = Fault(
    "H122", errors.NotFoundError,
    "there is no folder {path}",
    "{detail}",
    NOTHING_CHANGED,
    "ls {above}    (shows what is there)",
)  # fmt: skip
GIT_FOLDER = Fault(
    "H123", errors.UsageError,
    "{path} is git's own, not a folder for files",
    "git keeps a repository in {folder}; a data set's files do not belong there",
    NOTHING_CHANGED,
    "{next}",
)  # fmt: skip
BAD_CALL = Fault(
    "H124", errors.UsageError,
    "holdfast.{verb} takes {wanted}",
    "read as it is, it would mean something else",
    NOTHING_CHANGED,
    "holdfast.{call}",
)  # fmt: skip
INDEX_OF_GIT = Fault(
    "H125", errors.ProtocolError,
    "git's index is {form}, which git alone can handle",
    "{detail}",
    "files, content and versions are as they were; the index is whole",
    "{next}",
)  # fmt: skip
NOT_INSTALLED = Fault(
    "H126", errors.NotFoundError,
    "{path} is a data set of its own and is not installed here",
    "this data set only says which version of it belongs here",
    NOTHING_CHANGED,
    "hold get --no-data {quoted}    (installs it; without --no-data its content comes too)",
)  # fmt: skip
NOT_SET = Fault(
    "H127", errors.NotFoundError,
    "{name} is not set",
    "neither this clone nor the data set nor git says anything of it",
    NOTHING_CHANGED,
    "hold config {name}=VALUE    (sets it; hold config lists what is set)",
)  # fmt: skip
IGNORED = Fault(
    "H128", errors.ConflictError,
    "{path} is not saved: git ignores it",
    "line {line} of {source} says {pattern}",
    "it lies there as before; what else was named is saved",
    "git add -f {quoted}    (then save it again; or take that line out)",
)  # fmt: skip

# H2: content

TOO_FEW_COPIES = Fault(
    "H201", errors.PolicyError,
    "{key} may not be dropped: {seen} other copies were seen, {needed} must stay",
    "{answers}",
    "the content is still here",
    "hold get it in another clone first, or lower numcopies; --force REASON drops it for good",
)  # fmt: skip
NO_LOCKED_COPY = Fault(
    "H202", errors.PolicyError,
    "{key} may not be dropped there: {firm} locked copies, {needed} must be",
    "{answers}",
    "the content is still there",
    "get a copy here first, so that it can be locked while the other goes",
)  # fmt: skip
REQUIRED_HERE = Fault(
    "H203", errors.PolicyError,
    "{key} may not be dropped: it is required here",
    "the required-content rule of this place is: {rule}",
    "the content is still here",
    "change the rule with git annex required, or drop it elsewhere",
)  # fmt: skip
WRONG_CONTENT = Fault(
    "H204", errors.IntegrityError,
    "{source} sent other bytes than {key}",
    "{detail}",
    "nothing of it was kept; what is in the annex is as it was",
    "{next}",
)  # fmt: skip
NO_SOURCE = Fault(
    "H205", errors.PlaceUnavailableError,
    "{key} could not be had",
    "{answers}",
    "what is here stays; if a part of it has come, that is kept and goes on from there",
    "{next}",
)  # fmt: skip
DAMAGED = Fault(
    "H206", errors.IntegrityError,
    "{path} is damaged: its bytes are not the ones its key names",
    "{detail}",
    "it was moved to {bad}; {others}",
    "hold fsck --repair {path}    (or hold get it from another place)",
)  # fmt: skip
IN_USE = Fault(
    "H207", errors.PlaceUnavailableError,
    "{key} is in use",
    "another program holds a lock on it: {lock}",
    "the content is as it was",
    "run the same command again when that program has ended",
)  # fmt: skip
UNVERIFIABLE = Fault(
    "H208", errors.PolicyError,
    "{key} cannot be checked, so it is not taken from {source}",
    "a {backend} key holds no hash; a server could send anything",
    NOTHING_CHANGED,
    "git annex migrate it to a hash, or get it from a clone of the data set",
)  # fmt: skip
CHANGED_WHILE_READ = Fault(
    "H209", errors.ConflictError,
    "{path} changed while it was being saved",
    "its size or time is not what it was when reading began",
    "the file is as its writer left it; other files are saved",
    "run the same command again when nobody writes to it",
)  # fmt: skip
NO_BACKEND = Fault(
    "H210", errors.UsageError,
    "no program here can hash with {backend}",
    "{detail}",
    NOTHING_CHANGED,
    "pip install 'holdfast[hashes]', or choose another backend",
)  # fmt: skip
INSECURE_HASH = Fault(
    "H211", errors.PolicyError,
    "{name} is not kept: only secure hashes are allowed here",
    "annex.securehashesonly is set, and {backend} {weakness}",
    NOTHING_CHANGED,
    "set annex.backend=SHA256E (.gitattributes, hold config); git annex migrate what is saved",
)  # fmt: skip
NOT_PRESENT = Fault(
    "H212", errors.NotFoundError,
    "the content of {path} is not here",
    "only its name is; copies are elsewhere",
    NOTHING_CHANGED,
    "hold get {path}",
)  # fmt: skip
TOO_LITTLE_ROOM = Fault(
    "H213", errors.PlaceFullError,
    "there is no room for {path}",
    "{free} are free, {needed} are needed and {reserve} are kept in reserve (annex.diskreserve)",
    "what is here already is whole; nothing half done stays",
    "free some room, for instance with hold drop, and run the same command again",
)  # fmt: skip
BAD_RULE = Fault(
    "H214", errors.UsageError,
    "the rule {rule!r} cannot be read",
    "{detail}",
    NOTHING_CHANGED,
    "mend it in {where}",
)  # fmt: skip
CHANGED_SINCE = Fault(
    "H215", errors.ConflictError,
    "{path} was changed since it was last saved",
    "putting the saved content in its place would lose the change",
    "the file is as it was",
    "hold save {path}    (keeps the change), or git checkout -- {path}    (gives it up)",
)  # fmt: skip
NO_COPIES = Fault(
    "H216", errors.IntegrityError,
    "no copy of {path} is known anywhere",
    "{detail}",
    NOTHING_CHANGED,
    "hold whereis {path}    (lists places that may be asked); look for it on drives and backups",
)  # fmt: skip
FEW_COPIES = Fault(
    "H217", errors.PolicyError,
    "{path} has {seen} of the {needed} copies it should have",
    "{answers}",
    NOTHING_CHANGED,
    "copy it to another place, or lower numcopies",
)  # fmt: skip
TIME_IS_UP = Fault(
    "H218", errors.IncompleteError,
    "the time limit was reached",
    "files after {last} were not looked at",
    "what was found so far is recorded",
    "{next}",
)  # fmt: skip

DAMAGED_HERE = Fault(
    "H219", errors.IntegrityError,
    "the content here is not what {key} names",
    "{detail}",
    "nothing of it was sent",
    "hold fsck    (puts the damaged content aside); then hold get",
)  # fmt: skip

# H3: places and what carries to them

UNREACHABLE = Fault(
    "H301", errors.PlaceUnavailableError,
    "{place} does not answer",
    "{detail}",
    "what arrived is kept",
    "run the same command again when it can be reached",
)  # fmt: skip
REFUSED = Fault(
    "H302", errors.AccessError,
    "{place} refuses",
    "{detail}",
    NOTHING_CHANGED,
    "{next}",
)  # fmt: skip
BAD_ANSWER = Fault(
    "H303", errors.RemoteProtocolError,
    "{place} answers with what is not its protocol",
    "{detail}",
    "nothing of the answer was kept",
    "look whether the address is right; another place is used meanwhile",
)  # fmt: skip
STALLED = Fault(
    "H304", errors.PlaceUnavailableError,
    "{place} has stopped sending",
    "no byte came for {waited_s} s",
    "what arrived is kept and goes on from there",
    "run the same command again; another place is used if there is one",
)  # fmt: skip
NO_SUCH_PLACE = Fault(
    "H305", errors.NotFoundError,
    "no place is called {place}",
    "known are: {known}",
    NOTHING_CHANGED,
    "hold info    (lists places)",
)  # fmt: skip
PLACE_UNVERIFIED = Fault(
    "H306", errors.PolicyError,
    "{place} was set up by somebody else and is not approved here",
    "remote.{place}.annex-verified is {state}",
    NOTHING_CHANGED,
    "git annex verifyremote {place}    (after looking at its settings)",
)  # fmt: skip
BAD_URL = Fault(
    "H307", errors.PolicyError,
    "{url} may not be opened",
    "{detail}",
    NOTHING_CHANGED,
    "allow it with annex.security.allowed-url-schemes or annex.security.allowed-ip-addresses",
)  # fmt: skip
NO_WAY = Fault(
    "H308", errors.PlaceUnavailableError,
    "{place} cannot be reached from here by us",
    "it is of the kind {kind}",
    NOTHING_CHANGED,
    "git annex get --from={place}    (git-annex knows more kinds of places)",
)  # fmt: skip

NOT_THERE = Fault(
    "H309", errors.NotFoundError,
    "{place} does not have {key}",
    "{detail}",
    NOTHING_CHANGED,
    "hold whereis    (says which places are known to have it)",
)  # fmt: skip

WHICH_SIBLING = Fault(
    "H311", errors.UsageError,
    "it is not clear which sibling is meant",
    "the branch goes with none, and there are: {known}",
    NOTHING_CHANGED,
    "hold push --to NAME    (hold siblings lists them; hold siblings add NAME URL adds one)",
)  # fmt: skip
NO_BRANCH = Fault(
    "H312", errors.UsageError,
    "no branch is checked out here",
    "a version that no branch leads to cannot be pushed or updated",
    NOTHING_CHANGED,
    "git switch BRANCH    (or git switch -c NEW-BRANCH)",
)  # fmt: skip
VERSIONS_WITHHELD = Fault(
    "H313", errors.IncompleteError,
    "no version was sent to {place}",
    "some of the content that it names did not get there",
    "what did get there is kept, and is not sent again",
    "run the same command again; hold push --data nothing sends versions alone",
)  # fmt: skip
PUSH_REFUSED = Fault(
    "H314", errors.ConflictError,
    "{place} did not take {ref}",
    "{detail}",
    "nothing there was overwritten",
    "hold update --from {place}    (joins what is there with ours); then hold push",
)  # fmt: skip
MERGE_CONFLICT = Fault(
    "H315", errors.ConflictError,
    "{ref} cannot be joined with what is here",
    "both changed: {files}",
    "the merge was undone; your files and versions are as they were",
    "git merge {ref}; choose a side for each file, hold save    (or git merge -X ours {ref})",
)  # fmt: skip
NOT_FORWARD = Fault(
    "H316", errors.ConflictError,
    "{ref} and what is here have gone different ways",
    "--how ff-only takes only what follows from the version that is here",
    NOTHING_CHANGED,
    "hold update --how merge",
)  # fmt: skip
IN_THE_WAY = Fault(
    "H317", errors.ConflictError,
    "{ref} could not be joined with what is here",
    "{detail}",
    "your files and versions are as they were",
    "hold save    (records your changes), or move away what is named; then the same command again",
)  # fmt: skip

NOT_APPROVED = Fault(
    "H318", errors.PolicyError,
    "{place} is known here, and not used yet",
    "somebody else set it up so: {words}",
    "nothing is read from it or sent to it",
    "hold siblings approve {place} --safe {safe_id}    (if that is a place to trust)",
)  # fmt: skip
PUSH_LOST = Fault(
    "H319", errors.PlaceUnavailableError,
    "{ref} did not get to {place}",
    "{detail}",
    "nothing was changed here; content that is there is not sent again",
    "hold push --to {place}",
)  # fmt: skip

# H4: this machine

NO_ROOM = Fault(
    "H401", errors.PlaceFullError,
    "the disk is full at {path}",
    "{detail}",
    "what is in the annex is whole; nothing half done stays",
    "free some room and run the same command again",
)  # fmt: skip
NO_PERMISSION = Fault(
    "H402", errors.AccessError,
    "{path} may not be written",
    "{detail}",
    "nothing was changed there",
    "ask the owner for write permission, or work in a clone of your own",
)  # fmt: skip
DISK_ERROR = Fault(
    "H403", errors.PlaceUnavailableError,
    "the system could not do its part at {path}",
    "{detail}",
    "what is in the annex is as it was",
    "look at the disk (dmesg), then run the same command again",
)  # fmt: skip
STOPPED = Fault(
    "H404", errors.StoppedError,
    "stopped",
    "you asked for it (Ctrl-C), or the system did",
    "what was done is kept",
    "run the same command again to go on",
)  # fmt: skip
NO_SIBLING_HAS = Fault(
    "H405", errors.PolicyError,
    "{path} is not removed: {count} of its versions are nowhere else",
    "{answers}",
    NOTHING_CHANGED,
    "git push them to a sibling first; --force REASON removes it for good",
)  # fmt: skip
CONTENT_ONLY_HERE = Fault(
    "H406", errors.PolicyError,
    "{path} is not removed: {count} of its contents are nowhere else",
    "first: {answers}",
    NOTHING_CHANGED,
    "hold drop --all says which; --force REASON removes it for good",
)  # fmt: skip
NAME_TOO_LONG = Fault(
    "H407", errors.AccessError,
    "{path} cannot be made here: a name in it is too long",
    "{detail}",
    "nothing was changed there",
    "give it a shorter name, or use a file system that allows longer ones",
)  # fmt: skip
HAND_KILLED = Fault(
    "H408", errors.PlaceUnavailableError,
    "a process that helped with this was killed",
    "the system does so when memory is short; a person may have done it",
    "what was done before is recorded, and nothing is half made",
    "run the same again; it goes on from there",
)  # fmt: skip

IGNORED_ONLY_HERE = Fault(
    "H409", errors.PolicyError,
    "{path} is not removed: git ignores {count} of what is in it, so no sibling has that",
    "it has {names}",
    NOTHING_CHANGED,
    "move it away first; hold remove --force REASON {path} removes it for good",
)  # fmt: skip

NOTHING_MADE_THERE = Fault(
    "H411", errors.UsageError,
    "{path} cannot be made",
    "{detail}",
    NOTHING_CHANGED,
    "name another path, or make the folder above it",
)  # fmt: skip
NOT_READABLE = Fault(
    "H410", errors.AccessError,
    "{path} may not be read",
    "{detail}",
    "it was left as it is",
    "ask its owner for read permission (chmod u+r; for a folder u+rx), then run it again",
)  # fmt: skip

# H5: serving, and other servers of git-annex

READ_ONLY_SERVER = Fault(
    "H501", errors.AccessError,
    "this repository is read-only; write access denied",
    "who serves it lets nobody write",
    NOTHING_CHANGED,
    "ask its owner for a way that may write",
)  # fmt: skip
APPEND_ONLY_SERVER = Fault(
    "H502", errors.AccessError,
    "this repository is append-only; removal denied",
    "who serves it lets nobody remove content",
    NOTHING_CHANGED,
    "ask its owner to remove it there",
)  # fmt: skip
CANNOT_SERVE = Fault(
    "H503", errors.PlaceUnavailableError,
    "nothing can be served at {address}",
    "{detail}",
    NOTHING_CHANGED,
    "choose another --port (0 takes a free one) or another --bind",
)  # fmt: skip
BAD_LOGINS = Fault(
    "H504", errors.UsageError,
    "the logins in {path} cannot be read",
    "{detail}",
    "nothing is served",
    "hold serve --make-login NAME    (prints a line for that file)",
)  # fmt: skip
KEPT_THERE = Fault(
    "H505", errors.PolicyError,
    "{place} keeps {key}",
    "it refuses to remove it; somebody may have locked it there",
    "the copy is still there",
    "run the same command again in ten minutes, when locks of clients that went away have ended",
)  # fmt: skip
PROMISES_RAN_OUT = Fault(
    "H506", errors.PolicyError,
    "{key} may not be dropped any more: promises of other places to keep it have run out",
    "they last ten minutes, and it took longer",
    "the copy is still there",
    "run the same command again",
)  # fmt: skip
NOT_TAKEN = Fault(
    "H507", errors.PlaceUnavailableError,
    "{place} did not take {key}",
    "{detail}",
    "nothing is lost; what arrived there is kept or thrown away, but never shown as whole",
    "run the same command again; if it stays so, look at what its owner sees of it",
)  # fmt: skip
FULL_THERE = Fault(
    "H509", errors.PlaceFullError,
    "{place} has no room",
    "{detail}",
    "nothing is lost; what is there already is whole",
    "free some room there, or send it to another place",
)  # fmt: skip
NO_COMMON_VERSION = Fault(
    "H508", errors.RemoteProtocolError,
    "{place} speaks no version of git-annex's HTTP protocol that we know",
    "we know versions 0 to 4; {detail}",
    NOTHING_CHANGED,
    "update hold, or reach that place in another way",
)  # fmt: skip

# H32: directories, rsync, WebDAV, rclone

UNSAFE_SETTING = Fault(
    "H321", errors.PolicyError,
    "{place} is not used with {name}={value}",
    "{detail}",
    NOTHING_CHANGED,
    "{next}",
)  # fmt: skip

# H61: pieces

BAD_PIECE = Fault(
    "H611", errors.ProtocolError,
    "{what} is not of that form",
    "{detail}",
    NOTHING_CHANGED,
    "look whether all of it was copied; then ask whoever wrote it",
)  # fmt: skip
WRONG_PROOF = Fault(
    "H612", errors.IntegrityError,
    "it is not so that {what}",
    "the bytes are others than those it takes, so their hashes lead elsewhere",
    NOTHING_CHANGED,
    "do not count on it as a copy; ask for another proof, or for the content",
)  # fmt: skip
PIECES_DO_NOT_FIT = Fault(
    "H613", errors.UsageError,
    "{count} pieces do not fit into one of {padded} padded bytes",
    "laid out in this order they end at {needed}, and there is room up to {room} and for {slots} "
    "of them",
    NOTHING_CHANGED,
    "make it larger, put the largest first, or leave some for another",
)  # fmt: skip

# H8: from the web, archives, bags

URL_WITH_PASSWORD = Fault(
    "H801", errors.UsageError,
    "the URL at {host} holds a password",
    "what is registered is seen by everybody who has a clone",
    NOTHING_CHANGED,
    "leave user and password out of the URL; where it needs them, copy the file here and hold save",
)  # fmt: skip
UNSAFE_NAME = Fault(
    "H802", errors.UsageError,
    "no file can be made at {path}",
    "{detail}",
    "nothing was written there",
    "give it another name, or another folder to go to",
)  # fmt: skip
SPOT_TAKEN = Fault(
    "H803", errors.ConflictError,
    "{path} is there already, with other content",
    "what lies there is not replaced unless that is asked for and it can be had back",
    "it was left as it is",
    "--if-exists skip leaves such files out, --if-exists overwrite replaces those that are saved",
)  # fmt: skip
BAD_TABLE = Fault(
    "H804", errors.UsageError,
    "the table {name} cannot be used: {what}",
    "{detail}",
    "nothing was fetched and nothing was changed",
    "mend it, and look with --dry-run what would be done",
)  # fmt: skip
DEAD_URL = Fault(
    "H805", errors.PlaceUnavailableError,
    "{path} is not to be had at {url}",
    "{detail}",
    "nothing was changed; the URL stays registered",
    "hold urls --remove URL PATH takes it away, hold urls --add URL PATH registers another",
)  # fmt: skip
NO_ARCHIVE = Fault(
    "H806", errors.UsageError,
    "{path} cannot be unpacked",
    "{detail}",
    NOTHING_CHANGED,
    "tar (plain, gz, bz2, xz) and zip archives can be, once they are saved: hold save {quoted}",
)  # fmt: skip
LEFT_PACKED = Fault(
    "H807", errors.PolicyError,
    "{path} was not unpacked",
    "{detail}",
    "it is in the archive as before, and all other files were taken",
    "where it is needed, take it from the archive by hand",
)  # fmt: skip
NOT_IN_ARCHIVE = Fault(
    "H808", errors.NotFoundError,
    "{key} cannot be had from an archive",
    "{detail}",
    NOTHING_CHANGED,
    "hold get the archive first; its content has to be here",
)  # fmt: skip
BAD_BAG = Fault(
    "H809", errors.IntegrityError,
    "{path} is not taken from the bag",
    "{detail}",
    "all files that are as the bag's manifests say were taken in",
    "ask whoever made the bag for a whole one, and import that again",
)  # fmt: skip
NO_BAG = Fault(
    "H810", errors.UsageError,
    "{path} is no bag that can be read",
    "{detail}",
    NOTHING_CHANGED,
    "a bag has bagit.txt, a manifest-ALGORITHM.txt and the folder data (RFC 8493)",
)  # fmt: skip
TARGET_EXISTS = Fault(
    "H811", errors.ConflictError,
    "{path} is there already",
    "what is exported gets its name in one step, and replaces nothing",
    "it was left as it is",
    "name something that is not there yet",
)  # fmt: skip
NOT_EXPORTED = Fault(
    "H812", errors.PlaceUnavailableError,
    "{path} is not in the export: its content is not here",
    "only what is here can be copied",
    "the export was not given its name; nothing half made stays",
    "hold get it first; or --missing leave-out exports the rest",
)  # fmt: skip
BAD_FIELD = Fault(
    "H813", errors.UsageError,
    "{field} is no metadata field that can be set",
    "{detail}",
    NOTHING_CHANGED,
    "names have letters, digits, and _ - . after the first; set one as NAME=VALUE",
)  # fmt: skip

INCOMPLETE = Fault(
    "H001", errors.IncompleteError,
    "{failed} of {total} items failed",
    "{first}",
    "the others are done; nothing was left half made",
    "mend the cause and run the same again",
)  # fmt: skip

# H33: buckets, chunks, encryption, setting up special remotes

NO_CREDENTIALS = Fault(
    "H331", errors.AccessError,
    "{place} wants credentials, and none were found",
    "looked for {looked}",
    NOTHING_CHANGED,
    "set {variables}, or enable the remote with them once; they are kept in this clone alone",
)  # fmt: skip
WRONG_OWNER = Fault(
    "H332", errors.ConflictError,
    "{where} belongs to another place",
    "it is marked with the UUID {uuid}, not {wanted}",
    NOTHING_CHANGED,
    "use another bucket or another fileprefix; hold info lists places by UUID",
)  # fmt: skip
NOT_DECRYPTED = Fault(
    "H333", errors.AccessError,
    "the encryption of {place} does not open",
    "{detail}",
    NOTHING_CHANGED,
    "gpg --list-secret-keys    (one of the keys the remote is encrypted to has to be among them)",
)  # fmt: skip
CHANGED_THERE = Fault(
    "H334", errors.IntegrityError,
    "what {place} holds for {key} is not what was encrypted",
    "{detail}",
    "nothing of it was kept",
    "get it from another place; then drop it from {place} and copy it there anew",
)  # fmt: skip
TOO_LARGE = Fault(
    "H335", errors.PolicyError,
    "{key} is too large for {place} in one piece",
    "it has {size} bytes; at most {most} fit",
    NOTHING_CHANGED,
    "set the remote up with chunk=1GiB, and copy it again",
)  # fmt: skip
PLACE_FULL = Fault(
    "H336", errors.PlaceFullError,
    "{place} has no room",
    "{detail}",
    "what is there already is whole; nothing half done stays",
    "make room there or have its quota raised, and run the same command again",
)  # fmt: skip
HOLDS_A_TREE = Fault(
    "H337", errors.PolicyError,
    "{place} holds a tree of files, and takes or gives up no single contents",
    "it was set up with exporttree=yes",
    NOTHING_CHANGED,
    "export a version of the data set to it",
)  # fmt: skip
BAD_SETUP = Fault(
    "H338", errors.UsageError,
    "{name} cannot be set up like that",
    "{detail}",
    NOTHING_CHANGED,
    "{next}",
)  # fmt: skip
NEEDS = Fault(
    "H339", errors.PlaceUnavailableError,
    "{place} needs {what}",
    "it is not on this machine",
    NOTHING_CHANGED,
    "{how}",
)  # fmt: skip

# H34: programs of others for special remotes

EXTERNAL_MISSING = Fault(
    "H341", errors.PlaceUnavailableError,
    "{place} needs the program {program}",
    "{detail}",
    NOTHING_CHANGED,
    "install {program} so that it is on PATH; then run the same command again",
)  # fmt: skip
EXTERNAL_FAILED = Fault(
    "H342", errors.PlaceUnavailableError,
    "{program} could not {action} for {place}",
    "{detail}",
    "what is here is as it was; what its place has is told by it alone",
    "mend what it tells of, then run the same command again",
)  # fmt: skip
EXTERNAL_HANGS = Fault(
    "H343", errors.PlaceUnavailableError,
    "{program} has said nothing for {waited_s} s and was ended",
    "it is what reaches {place}; nothing came from it, and no file grew",
    "content is never taken unchecked: nothing half done stays here",
    "run the same again; remote.{place}.hold-patience is how many seconds it may be silent",
)  # fmt: skip
EXTERNAL_DIED = Fault(
    "H344", errors.PlaceUnavailableError,
    "{program} ended in the middle of its work for {place}",
    "{detail}",
    "content is never taken unchecked: nothing half done stays here",
    "run the same command again; if it stays so, the program is at fault",
)  # fmt: skip
EXTERNAL_SPACE = Fault(
    "H345", errors.PolicyError,
    "{key} cannot be named to {program}",
    "there is a space in it, which ends a name in its protocol; git-annex refuses it there too",
    NOTHING_CHANGED,
    "send it to another place, or save the file with a backend that keeps no extension",
)  # fmt: skip
EXTERNAL_WORDS = Fault(
    "H346", errors.UsageError,
    "a special remote of the type external cannot be made like this",
    "{detail}",
    NOTHING_CHANGED,
    "give it externaltype=TYPE, and the words that git-annex-remote-TYPE asks for",
)  # fmt: skip
INNER_WORDS = Fault(
    "H347", errors.UsageError,
    "a special remote of the type holdfast cannot be made like this",
    "{detail}",
    NOTHING_CHANGED,
    "say store=KIND with one of these, and its words: {kinds}",
)  # fmt: skip
EXTERNAL_GAVE_UP = Fault(
    "H348", errors.PlaceUnavailableError,
    "{program} gave up its work for {place}",
    "it says: {detail}",
    "what is here is as it was",
    "mend what it tells of, then run the same command again",
)  # fmt: skip

# H351-H359: packed stores

PACKED_DAMAGED = Fault(
    "H351", errors.IntegrityError,
    "{place} has damaged content of {key}",
    "{detail}",
    "it is not given out; all other content there is as it was",
    "hold packed verify FOLDER    (finds all damage; then bring the content there again)",
)  # fmt: skip
PACKED_BUSY = Fault(
    "H352", errors.PlaceUnavailableError,
    "another process holds {what} of the packed store {path}",
    "waited {waited}",
    "nothing was changed there",
    "run the same command again when the other one is done",
)  # fmt: skip
PACKED_FOREIGN = Fault(
    "H353", errors.ConflictError,
    "the packed store {path} belongs to another place",
    "its UUID is {owner}",
    NOTHING_CHANGED,
    "choose another folder, or enable the place with that UUID",
)  # fmt: skip
PACKED_NO_STORE = Fault(
    "H354", errors.PlaceUnavailableError,
    "{path} is no packed store",
    "there is no file holdfast-packed in it",
    NOTHING_CHANGED,
    "look whether its disk is mounted, and whether the path is right",
)  # fmt: skip
PACKED_NO_LOCKS = Fault(
    "H355", errors.AccessError,
    "the packed store {path} cannot be locked",
    "{detail}",
    "nothing was changed there; it can be read",
    "write to it from where its file system has locks (Lustre: mounted with flock)",
)  # fmt: skip
PACKED_NEWER = Fault(
    "H356", errors.ConflictError,
    "{path} was written by a later version of hold",
    "its format is {version}, this program knows 1",
    NOTHING_CHANGED,
    "use a newer hold",
)  # fmt: skip
PACKED_UNREADABLE = Fault(
    "H357", errors.IntegrityError,
    "{path} has bytes that are no record",
    "{size} bytes from byte {start} on; {detail}",
    "they are left as they are; all records around them can be read",
    "hold fsck --from the place says which keys are gone; bring them there again",
)  # fmt: skip
PACKED_FULL = Fault(
    "H358", errors.PlaceFullError,
    "the disk is full at {path}",
    "{detail}",
    "what was told as stored is whole; nothing half done stays",
    "free some room (hold packed compact FOLDER) and run the same command again",
)  # fmt: skip
PACKED_SETTING = Fault(
    "H359", errors.UsageError,
    "a packed store cannot be set up so: {what}",
    "it takes directory=FOLDER and, if wanted, packsize=BYTES (1gib, 256mib)",
    NOTHING_CHANGED,
    "say it again with these",
)  # fmt: skip

# H36: RIA stores, and making siblings

STORE_READ_ONLY = Fault(
    "H361", errors.AccessError,
    "{place} can only be read",
    "{detail}",
    NOTHING_CHANGED,
    "{next}",
)  # fmt: skip
IN_ARCHIVE = Fault(
    "H362", errors.PolicyError,
    "{key} stays in {place}",
    "it is in the archive of that store, from which single contents are not removed",
    NOTHING_CHANGED,
    "make the archive again without it (datalad export-archive-ora), if it really has to go",
)  # fmt: skip
NO_STORE = Fault(
    "H363", errors.NotFoundError,
    "there is no RIA store at {url}",
    "{detail}",
    NOTHING_CHANGED,
    "look at the address; hold create-sibling --new-store {url}    (makes a store there)",
)  # fmt: skip
SIBLING_THERE = Fault(
    "H364", errors.ConflictError,
    "there is a sibling {name} already",
    "{detail}",
    NOTHING_CHANGED,
    "choose another --name, or say --existing skip or --existing reconfigure",
)  # fmt: skip
SIBLING_FAILED = Fault(
    "H365", errors.PlaceUnavailableError,
    "{target} could not be made",
    "{detail}",
    "nothing was changed here; what was made there is used by the next try",
    "mend what it says, then run the same command again",
)  # fmt: skip
NO_TOKEN = Fault(
    "H366", errors.AccessError,
    "{host} wants to know who you are",
    "{detail}",
    NOTHING_CHANGED,
    "set {variable} to an access token of {host}, or keep one in git's credential helper",
)  # fmt: skip
FORGE_REFUSES = Fault(
    "H367", errors.AccessError,
    "{host} did not do it",
    "{detail}",
    NOTHING_CHANGED,
    "{next}",
)  # fmt: skip
NOT_OURS = Fault(
    "H368", errors.ConflictError,
    "{target} is there already",
    "{detail}",
    NOTHING_CHANGED,
    "choose another place, or say --existing reconfigure if it really is to be this data set's",
)  # fmt: skip
NO_IDENTITY_OF_DATASET = Fault(
    "H369", errors.UsageError,
    "{path} has no identity",
    "a RIA store names data sets by the id in .datalad/config, and this one has none",
    NOTHING_CHANGED,
    "hold config --shared datalad.dataset.id=$(uuidgen); hold save .datalad",
)  # fmt: skip


# H7: data sets in a data set

NOT_INSTALLABLE = Fault(
    "H701", errors.PlaceUnavailableError,
    "{path} could not be installed",
    "{tried}",
    "its place is as it was; what else was asked for is done",
    "hold subdatasets --json {quoted}    (shows where it is said to be)",
)  # fmt: skip
TAKEN_PLACE = Fault(
    "H702", errors.ConflictError,
    "{path} cannot become a data set of its own",
    "this data set already has {names} there",
    NOTHING_CHANGED,
    "choose another folder, or move these files away and save that",
)  # fmt: skip
COMMAND_FAILED = Fault(
    "H703", errors.HoldError,
    "the command failed in {path}",
    "{how}",
    "it was still run in the other data sets",
    "mend the cause and run the same again",
)  # fmt: skip
BAD_MODULES = Fault(
    "H704", errors.ConflictError,
    ".gitmodules of {top} cannot be read",
    "{detail}",
    NOTHING_CHANGED,
    "git config --file .gitmodules --list    (tells what git makes of it)",
)  # fmt: skip
BROKEN_INSIDE = Fault(
    "H705", errors.ConflictError,
    "{path} is no repository that works",
    "there is a .git in it, and git finds no repository there",
    "it was left as it is",
    "git -C {quoted} status    (tells more; moved away, hold get --no-data brings it anew)",
)  # fmt: skip
NOT_INSIDE = Fault(
    "H706", errors.NotFoundError,
    "{path} is no data set in {top}",
    "the version of that data set names none at this path",
    NOTHING_CHANGED,
    "hold subdatasets    (lists them)",
)  # fmt: skip

# H37: faults of networks

UNTRUSTED = Fault(
    "H371", errors.AccessError,
    "{place} cannot prove who it is",
    "its certificate: {detail}",
    "nothing was asked of it or sent to it",
    "look who answers there; a certificate of your own is trusted by SSL_CERT_FILE=FILE",
)  # fmt: skip
NO_TLS = Fault(
    "H372", errors.PlaceUnavailableError,
    "{place} does not speak TLS with us",
    "{detail}",
    "nothing was asked of it or sent to it",
    "run the same command again; if it stays so, look whether the address is right",
)  # fmt: skip
CHANGED_ON_WAY = Fault(
    "H373", errors.PlaceUnavailableError,
    "{place} did not get the bytes that were sent",
    "{detail}",
    "they did not take the place of any content there; the content is still here",
    "run the same command again; if it stays so, look what is on the way to it",
)  # fmt: skip

# H38: exports to places

HOLDS_NO_TREE = Fault(
    "H381", errors.PolicyError,
    "{place} is no place to export a tree of files to",
    "{detail}",
    NOTHING_CHANGED,
    "hold siblings add NAME type=directory directory=PATH exporttree=yes encryption=none",
)  # fmt: skip
LAST_COPY_THERE = Fault(
    "H382", errors.PolicyError,
    "{path} stays in {place}",
    "it may be the last copy: it is not here, and no other place is known to have {key}",
    "it was left as it is; what else there is to do was done",
    "hold get --from {place} a version that has it, or copy it elsewhere; then export again",
)  # fmt: skip
MISSING_FOR_EXPORT = Fault(
    "H383", errors.PlaceUnavailableError,
    "{path} was not exported to {place}",
    "its content is not here",
    "all else is exported, and no other content keeps its name there",
    "hold get {quoted}; then export again",
)  # fmt: skip
NO_FOLDER_THERE = Fault(
    "H384", errors.ConflictError,
    "something is in the way in {place}",
    "{path} should be a folder, and is none",
    "it was left as it is",
    "look what it is, move it away, and export again",
)  # fmt: skip

# H39: git in places of another kind

GIT_IN_CHUNKS = Fault(
    "H391", errors.PolicyError,
    "git is not kept in {place}",
    "what goes there is cut in chunks, and git-annex's helper for git does not find its own list"
    " again that way: nobody could clone, and a list that was there before would be lost",
    "no version was sent there; contents may be kept there all the same",
    "hold create-sibling PATH or a site for git, or a special remote without chunk=",
)  # fmt: skip

# H9: archives

ARCHIVE_SMALL_PIECE = Fault(
    "H901", errors.UsageError,
    "{path} does not fit into a piece of this size",
    "its blocks cannot be split any further, and each piece needs room for what it says of itself",
    "nothing was packed",
    "hold archive plan with a larger --piece-size",
)  # fmt: skip
ARCHIVE_STATE = Fault(
    "H902", errors.ConflictError,
    "what is noted of an archive in {path} cannot be used",
    "{detail}",
    "pieces that are finished are whole, wherever they are",
    "move that folder away; the next run makes it anew",
)  # fmt: skip
ARCHIVE_NAME = Fault(
    "H903", errors.UsageError,
    "{path} cannot be in an archive",
    "{detail}",
    "nothing was packed",
    "rename it, save that, and pack again",
)  # fmt: skip
ARCHIVE_CHANGED = Fault(
    "H904", errors.ConflictError,
    "{path} keeps changing",
    "it was read {tries} times, and was another file after each",
    "what was packed before it is kept",
    "wait until nobody writes to it; then run the same command again",
)  # fmt: skip
ARCHIVE_PACKED_AGAIN = Fault(
    "H905", errors.IntegrityError,
    "{path} was another file than was planned",
    "{detail}",
    "what is packed is right; {done}",
    "look at the file if you did not expect that",
)  # fmt: skip
ARCHIVE_WITHIN = Fault(
    "H906", errors.UsageError,
    "{path} is in the folder that is to be packed",
    "an archive cannot hold itself",
    NOTHING_CHANGED,
    "name a folder outside of it",
)  # fmt: skip
ARCHIVE_OTHER_SIZE = Fault(
    "H907", errors.ConflictError,
    "snapshot {snapshot} is planned with pieces of {size} bytes",
    "it was begun so, and its pieces would be others with another size",
    "what was packed of it is kept",
    "finish it with the same --piece-size, or remove {path} to begin it anew",
)  # fmt: skip
ARCHIVE_SOURCE = Fault(
    "H908", errors.PlaceUnavailableError,
    "{path} is not what was packed any more",
    "{detail}",
    "nothing of it was given",
    "serve the piece where its file is, or bring the content here again",
)  # fmt: skip
ARCHIVE_NOTHING = Fault(
    "H909", errors.NotFoundError,
    "nothing is packed yet",
    "there is no finished snapshot in {path}",
    NOTHING_CHANGED,
    "hold archive pack",
)  # fmt: skip
ARCHIVE_NO_MATCH = Fault(
    "H910", errors.NotFoundError,
    "no file matches --only {glob}",
    "what is restored, or known to be missing, has no such path in this version",
    "all else that was asked for was done",
    "hold archive restore PIECES --list    (other versions: --at)",
)  # fmt: skip

PIECE_UNREADABLE = Fault(
    "H920", errors.IntegrityError,
    "{piece} cannot be used",
    "{detail}",
    "nothing was changed there; what other pieces hold is found all the same",
    "copy it again from where it came, or take another copy of it",
)  # fmt: skip
PIECE_DAMAGED = Fault(
    "H921", errors.IntegrityError,
    "{piece} is damaged at byte {offset}",
    "{detail}",
    "nothing of it was taken; what other bytes hold is found all the same",
    "copy the piece again from where it came, or take another copy of it",
)  # fmt: skip
PIECE_FOREIGN = Fault(
    "H922", errors.ConflictError,
    "{piece} is of another archive",
    "{detail}",
    "nothing of it was taken",
    "give pieces of one archive at a time",
)  # fmt: skip
PIECE_MISSING = Fault(
    "H923", errors.IncompleteError,
    "piece {piece} is not here",
    "{detail}",
    "all that the other pieces hold was found",
    "find it where pieces of this archive are kept; then run the same command again",
)  # fmt: skip
NO_PIECES = Fault(
    "H924", errors.NotFoundError,
    "no piece of an archive is in {paths}",
    "pieces are found by their last 96 bytes, whatever they are called",
    NOTHING_CHANGED,
    "name the files, folders or URLs that hold the pieces",
)  # fmt: skip
NO_SUCH_SNAPSHOT = Fault(
    "H925", errors.NotFoundError,
    "there is no version {version} to restore",
    "{detail}",
    NOTHING_CHANGED,
    "hold archive restore --list PIECES    (lists the versions)",
)  # fmt: skip
RESTORED_OTHER = Fault(
    "H926", errors.ConflictError,
    "{path} is something else than what is to be restored",
    "{detail}",
    "nothing in it was changed",
    "choose another folder: --to FOLDER",
)  # fmt: skip
NOT_RESTORED = Fault(
    "H927", errors.PolicyError,
    "{path} was not restored",
    "{detail}",
    "what is there was not touched, and all others were restored",
    "move away what is in its place; then run the same command again",
)  # fmt: skip
CONTENT_LOST = Fault(
    "H928", errors.IncompleteError,
    "{path} is not in these pieces",
    "{detail}",
    "everything else was restored; what git has of the file is in its place",
    "{next}",
)  # fmt: skip
CONTENT_DEAD = Fault(
    "H937", errors.IntegrityError,
    "no place has the content of {path}",
    "{detail}",
    "no content was touched; its name and key stay known, and what comes back can be checked",
    "hold archive check --repair --look-in FOLDER    (FOLDER has other data sets; drives, backups)",
)  # fmt: skip
CONTENT_DOUBTFUL = Fault(
    "H938", errors.PlaceUnavailableError,
    "nobody can say now whether the content of {path} still exists",
    "{detail}",
    NOTHING_CHANGED,
    "run the same command again when those places can be reached",
)  # fmt: skip

NO_PARITY_CODE = Fault(
    "H940", errors.UsageError,
    "parity cannot be computed here",
    "{detail}",
    NOTHING_CHANGED,
    "pip install 'holdfast[erasure]'",
)  # fmt: skip
TOO_FEW_PIECES = Fault(
    "H941", errors.IncompleteError,
    "{count} pieces of a group cannot be computed: {lost}",
    "any {needed} of its {total} pieces are needed, and {whole} are here whole: {there}",
    "nothing was changed; what the pieces that are here hold can be restored all the same",
    "find {lacking} more of the group where pieces are kept; then run the same command again",
)  # fmt: skip
PARITY_NO_MEMBERS = Fault(
    "H942", errors.NotFoundError,
    "there is no piece to make parity for",
    "in {paths} is none",
    NOTHING_CHANGED,
    "name files or folders with pieces",
)  # fmt: skip
NO_PARITY_HERE = Fault(
    "H943", errors.NotFoundError,
    "there is no parity in {paths}",
    "only what it was made for can be computed again: no parity piece is among what was named",
    NOTHING_CHANGED,
    "name the files, folders or URLs that hold parity pieces, too",
)  # fmt: skip
ARCHIVE_IN_WORK_TREE = Fault(
    "H944", errors.UsageError,
    "{path} is among the files of the data set",
    "pieces there would be saved as files of it, and packed into the next snapshot",
    NOTHING_CHANGED,
    "name a folder outside of it, or have git ignore that one (.gitignore)",
)  # fmt: skip
ARCHIVE_SHALLOW = Fault(
    "H945", errors.ConflictError,
    "{path} is a shallow clone",
    "a part of its history is not here, and no repository can be made of the rest",
    NOTHING_CHANGED,
    "git fetch --unshallow    (brings the rest; then run the same command again)",
)  # fmt: skip
ARCHIVE_UNOPENED = Fault(
    "H946", errors.PlaceUnavailableError,
    "a snapshot that was packed meanwhile cannot be served yet",
    "{detail}",
    "all that was packed before it is served",
    "ask again: it is tried anew by itself; hold archive serve, started anew, tells why",
)  # fmt: skip
ARCHIVE_LOCKED = Fault(
    "H930", errors.AccessError,
    "{scope} is locked",
    "{detail}",
    "all else is restored, and pieces are checked without any key",
    "hold archive restore with --keys FOLDER, where its key is",
)  # fmt: skip
ARCHIVE_NO_KEY = Fault(
    "H931", errors.AccessError,
    "there is no key to encrypt {scope} with",
    "{detail}",
    "nothing was packed, and no key was replaced",
    "{next}",
)  # fmt: skip
ARCHIVE_KEYS = Fault(
    "H932", errors.AccessError,
    "the keys in {path} cannot be used",
    "{detail}",
    NOTHING_CHANGED,
    "{next}",
)  # fmt: skip
ARCHIVE_OTHER_LOCKS = Fault(
    "H933", errors.ConflictError,
    "this archive is encrypted otherwise",
    "{detail}",
    "what was packed of it is kept",
    "pack without --encrypt and --encrypt-by to go on, or move {path} away to begin anew",
)  # fmt: skip
ARCHIVE_HAS_KEY = Fault(
    "H934", errors.ConflictError,
    "{scope} has a key already",
    "it is in {path}, and what was packed can be read with it alone",
    NOTHING_CHANGED,
    "hold archive keys list",
)  # fmt: skip
NO_CRYPTOGRAPHY = Fault(
    "H935", errors.PlaceUnavailableError,
    "encrypted archives need the Python package cryptography",
    "it is not installed here",
    NOTHING_CHANGED,
    "pip install 'holdfast[crypto]'; then run the same command again",
)  # fmt: skip
SEALED_DAMAGED = Fault(
    "H936", errors.IntegrityError,
    "{path} is not what was encrypted",
    "{detail}",
    "nothing of it was taken in",
    "restore it from other pieces, if there are more",
)  # fmt: skip


def iter_faults() -> Iterator[Fault]:
    """Every fault, by code."""
    found = [value for value in globals().values() if isinstance(value, Fault)]
    return iter(sorted(found, key=lambda fault: fault.code))


def reference() -> str:
    """The error reference as Markdown."""
    lines = [
        "# Error reference", "",
        "Every failure has four lines and a code. Exit codes: 0 done, 1 error, 2 usage,",
        "3 incomplete and safe to run again, 4 needs a person, 130 stopped. Where several items",
        "failed, the exit code is theirs; if they have not all the same one, 4 goes before 1, 1",
        "before 2, and 2 before 3: so 3 says that running the same again can be all it takes.",
        "Printed by `python -m holdfast.core.faults`; a test keeps this page true.", "",
    ]  # fmt: skip
    for fault in iter_faults():
        lines += [
            f"## {fault.code}", "",
            f"- **what**: `{fault.what}`",
            f"- **why**: `{fault.why}`",
            f"- **safe**: `{fault.safe}`",
            f"- **next**: `{fault.next}`",
            f"- kind {fault.kind.__name__}, exit code {fault.kind.exit_code}", "",
        ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    print(reference(), end="")
