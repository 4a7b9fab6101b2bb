"""A place that a program named `git-annex-remote-…` reaches, which we run as git-annex does.

A program is started when it is first needed, one for each thread at work; one that does several
jobs at a time (ASYNC) is alone. One that dies at work is started once more. What it brings goes to
a scratch file first, and from there through the door: nothing it brings is believed unchecked.
(The file is read once it is whole: a program may write it in any order.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

from ..core import faults
from ..core.abilities import Answer, Content, OnBytes, Stream
from ..core.errors import HoldError
from ..core.key import Key
from ..core.place import Presence
from ..core.policy import DropProof, Waiver
from ..core.system_errors import as_fault
from ..wire.external_remote import Message, say
from .external_answers import Answers, git_dir
from .external_lanes import Lanes, carry_out, fresh_line
from .external_program import Call, Line, Patience
from .external_urls import store_at
from .special import SpecialRemote

CHUNK = 1 << 20


class ExternalStore:
    """Content of a place that other people's programs reach."""

    def __init__(
        self, remote: SpecialRemote, argv: Sequence[str], patience: Patience | None = None
    ) -> None:
        """Nothing is started yet; ``argv`` is the program."""
        self.place = remote.place
        self.cost = remote.cost(200.0)
        self._remote = remote
        self._answers = Answers(remote)
        call = Call(
            remote.place.label,
            list(argv),
            folder=_work_folder(remote),
            environment=dict(remote.environment) or None,
            patience=patience or _patience(remote),
            masked=self._answers.masked,
        )
        self._lanes = Lanes(call, self._answers, self._prepare)

    # abilities

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key, one after the other."""
        return [self._ask(key) for key in keys]

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content: brought as a whole first, or from the URL that the program names.

        Raises:
            NotFoundError: The place does not have it.
            PlaceUnavailableError: The program could not bring it.
        """
        with ExitStack() as stack:
            scratch = stack.enter_context(self._scratch(key))
            end = self._retrieve(key, scratch)
            if end.name == "TRANSFER-RETRIEVE-URL":
                web = stack.enter_context(closing(store_at(self._remote, end.text())))
                yield stack.enter_context(web.open_content(key, offset))
                return
            try:
                file = stack.enter_context(open(scratch, "rb", buffering=0))
            except FileNotFoundError:
                detail = "its program says that it brought content, and there is none"
                raise faults.BAD_ANSWER(place=self.place.label, detail=detail) from None
            except OSError as error:
                raise as_fault(error, os.fsdecode(scratch)) from error
            size = os.fstat(file.fileno()).st_size
            start = min(offset, size)
            file.seek(start)
            yield Stream(start, size, iter(lambda: file.read(CHUNK), b""))

    def send(self, key: Key, content: Content, progress: OnBytes) -> None:
        """Have a file stored. Whether it is there half while it is sent is the program's word.

        Raises:
            PolicyError: There is a space in the key, which the protocol has no way to say.
            IntegrityError: The content here is not what the key names.
            PlaceUnavailableError: The program could not.
        """
        self._check_name(key)
        gone = 0

        def tell(size: int) -> None:
            nonlocal gone
            progress(size - gone)
            gone = size

        request = say("TRANSFER", b"STORE", key, os.path.abspath(content.path()))
        end = self._lanes.carry_out(request, tell, before_retry=lambda: tell(0))[-1]
        if end.name != "TRANSFER-SUCCESS":
            raise self._failed("store content", end)
        tell(content.size)

    def remove(self, key: Key, leave: DropProof | Waiver) -> None:
        """Have a copy removed.

        Raises:
            PlaceUnavailableError: The program could not; the copy may be there or not.
        """
        assert leave.key == key and leave.place == self.place.id
        self._check_name(key)
        end = self._lanes.carry_out(say("REMOVE", key))[-1]
        if end.name != "REMOVE-SUCCESS":
            raise self._failed("remove content", end)

    def close(self) -> None:
        """Let the programs end by themselves; they are killed when they do not."""
        self._lanes.close()

    # what else a program may tell

    def whereis(self, key: Key) -> str | None:
        """Where the program says that content is, for people; None when it does not say."""
        end = self._lanes.carry_out(say("WHEREIS", key))[-1]
        return end.text() if end.name == "WHEREIS-SUCCESS" else None

    def info(self) -> dict[str, str]:
        """What the program tells of itself, for people."""
        told = self._lanes.carry_out(say("GETINFO"))[:-1]
        names = [message.text() for message in told if message.name == "INFOFIELD"]
        values = [message.text() for message in told if message.name == "INFOVALUE"]
        return dict(zip(names, values, strict=False))

    def claims(self, url: bytes) -> bool:
        """Whether the program says that it can bring what is at a URL."""
        return self._lanes.carry_out(say("CLAIMURL", url))[-1].name == "CLAIMURL-SUCCESS"

    def initialise(self) -> None:
        """Have the program prepare its place for content, for the first time or again.

        Raises:
            UsageError: It refuses; the reason is in its words.
        """
        with fresh_line(self._lanes.call) as line:
            end = carry_out(line, say("INITREMOTE"), self._answers)[-1]
        if end.name != "INITREMOTE-SUCCESS":
            raise faults.EXTERNAL_WORDS(detail=self._reason(end))

    # conversations

    def _ask(self, key: Key) -> Answer:
        try:
            self._check_name(key)
            end = self._lanes.carry_out(say("CHECKPRESENT", key))[-1]
            if end.name == "CHECKPRESENT-URL":
                with closing(store_at(self._remote, end.text())) as web:
                    return web.ask([key])[0]
        except HoldError as error:
            return Answer(
                Presence.UNKNOWN, f"{error.what} ({error.why})" if error.why else error.what
            )
        if end.name == "CHECKPRESENT-SUCCESS":
            return Answer(Presence.PRESENT)
        if end.name == "CHECKPRESENT-FAILURE":
            return Answer(Presence.ABSENT)
        return Answer(Presence.UNKNOWN, self._reason(end))

    def _retrieve(self, key: Key, scratch: bytes) -> Message:
        self._check_name(key)

        def size() -> object:
            with suppress(OSError):
                return os.stat(scratch).st_size
            return None

        def forget() -> None:
            with suppress(FileNotFoundError):
                os.unlink(scratch)

        request = say("TRANSFER", b"RETRIEVE", key, scratch)
        end = self._lanes.carry_out(request, sign_of_life=size, before_retry=forget)[-1]
        if end.name in ("TRANSFER-SUCCESS", "TRANSFER-RETRIEVE-URL"):
            return end
        if self._ask(key).presence is Presence.ABSENT:
            detail = self._reason(end)
            raise faults.NOT_THERE(place=self.place.label, key=key.text, detail=detail)
        raise self._failed("bring content", end)

    def _prepare(self, line: Line) -> None:
        end = carry_out(line, say("PREPARE"), self._answers)[-1]
        if end.name == "PREPARE-FAILURE":
            raise self._failed("prepare itself", end)

    # words

    def _check_name(self, key: Key) -> None:
        if key.find(b" ") >= 0:
            raise faults.EXTERNAL_SPACE(key=key.text, program=self._lanes.call.program)

    def _failed(self, action: str, end: Message) -> HoldError:
        return faults.EXTERNAL_FAILED(
            program=self._lanes.call.program, action=action, place=self.place.label,
            detail=self._reason(end),
        )  # fmt: skip

    def _reason(self, end: Message) -> str:
        if end.name == "UNSUPPORTED-REQUEST":
            return "it does not know how"
        told = end.text() if end.parts and not isinstance(end.last, Key) else ""
        return self._answers.masked(told or "; ".join(self._answers.talk) or "it gives no reason")

    @contextmanager
    def _scratch(self, key: Key) -> Iterator[bytes]:
        """A file of our own for one content, gone when the block ends."""
        above = os.path.join(os.path.abspath(self._remote.annex_dir), b"othertmp")
        folder = os.path.join(above, b"external" + os.urandom(6).hex().encode())
        path = os.path.join(folder, key.file_name)
        try:
            os.makedirs(folder, mode=0o700)
        except OSError as error:
            raise as_fault(error, os.fsdecode(folder)) from error
        try:
            yield path
        finally:
            with suppress(OSError):
                for name in os.listdir(folder):  # a program may have made more than it was asked to
                    os.unlink(os.path.join(folder, name))
                os.rmdir(folder)


def _work_folder(remote: SpecialRemote) -> bytes:
    """Where git-annex starts programs: the top of the work tree, where there is one."""
    folder = git_dir(remote)
    return os.path.dirname(folder) if folder.endswith(b"/.git") else folder


def _patience(remote: SpecialRemote) -> Patience:
    with suppress(KeyError, ValueError):
        patience_s = max(1.0, float(remote.local["hold-patience"]))
        return Patience(min(Patience().start_s, patience_s), patience_s)
    return Patience()
