"""What all stores have in common that read content from URLs: HEAD to ask, ranges to read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from ..core import faults
from ..core.abilities import Answer, RemarkedStream, Stream
from ..core.errors import HoldError, NotFoundError
from ..core.key import Key
from ..core.place import Place, Presence

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from .http import HttpAnswer, HttpClient

ASKERS = 6
"""How many questions are on their way at a time."""

UrlsOf = Callable[[Sequence[Key]], Sequence[Sequence[str]]]
"""For each key, in order, the URLs where it may be, likely ones first."""

_PAGES = frozenset(("text/html", "application/xhtml+xml"))


class UrlStore:
    """Content at URLs that a rule or a record gives for each key."""

    def __init__(
        self,
        place: Place,
        urls_of: UrlsOf,
        client: HttpClient | None = None,
        *,
        allowed_addresses: str = "",
        cost: float = 200.0,
        same_layout: bool = False,
    ) -> None:
        """``same_layout`` says that URLs are guesses, and which one is right is so for all keys.

        ``allowed_addresses``, for a client of its own, is annex.security.allowed-ip-addresses.
        """
        self.place = place
        self.cost = cost
        self._urls_of = urls_of
        self._given_client = client
        self._allowed_addresses = allowed_addresses
        self._same_layout = same_layout
        self._likely = 0
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def ask(self, keys: Sequence[Key]) -> list[Answer]:
        """Look, for each key; the size a server tells has to be right too."""
        try:
            pairs = list(zip(keys, self._urls_of(keys), strict=True))
        except HoldError as error:
            return [Answer(Presence.UNKNOWN, tell(error)) for _ in keys]
        if len(pairs) < 2:
            return [self._ask(key, urls) for key, urls in pairs]
        return list(self._askers().map(lambda pair: self._ask(*pair), pairs))

    def urls(self, key: Key) -> Sequence[str]:
        """Where content may be, likely places first; a server may want a password for them."""
        return self._urls_of([key])[0]

    @contextmanager
    def open_content(self, key: Key, offset: int = 0) -> Iterator[Stream]:
        """Stream content from the first URL that has it in the right size.

        Raises:
            NotFoundError: None has it.
            IntegrityError: One has something, but of another size.
        """
        with ExitStack() as stack:
            answer = self._open_first(stack, key, offset)
            remark = (
                "what came is an HTML page, of an error perhaps" if _is_page(answer, key) else ""
            )
            yield RemarkedStream(answer.offset, answer.size, answer.chunks, remark)

    @cached_property
    def _client(self) -> HttpClient:
        """Made when first needed: to load it takes longer than to drop a file."""
        from .http import HttpClient

        return self._given_client or HttpClient(allowed_addresses=self._allowed_addresses)

    def close(self) -> None:
        """End connections; streams that are still read end with an error."""
        if self._given_client is not None or "_client" in self.__dict__:
            self._client.close()
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _askers(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(ASKERS, thread_name_prefix="ask")
            return self._pool

    def _ask(self, key: Key, urls: Sequence[str]) -> Answer:
        if not urls:
            return Answer(Presence.ABSENT, "no URL is known")
        answers: list[Answer] = []
        for number, url in self._in_order(urls):
            answer = self._ask_url(key, url)
            if answer.presence is Presence.PRESENT:
                self._likely = number
                return answer
            answers.append(answer)
        unsure = [answer for answer in answers if answer.presence is Presence.UNKNOWN]
        return unsure[0] if unsure else answers[0]

    def _ask_url(self, key: Key, url: str) -> Answer:
        try:
            return answer_at(self._client, key, url)
        except HoldError as error:
            return Answer(Presence.UNKNOWN, tell(error))

    def _open_first(self, stack: ExitStack, key: Key, offset: int) -> HttpAnswer:
        errors: list[HoldError] = []
        for number, url in self._in_order(self._urls_of([key])[0]):
            try:
                answer = self._open_url(stack, key, url, offset)
            except HoldError as error:
                errors.append(error)
                continue
            self._likely = number
            return answer
        for failed in errors:
            if not isinstance(failed, NotFoundError):
                raise failed
        detail = errors[0].why if errors else "no URL is known for it"
        raise faults.NOT_THERE(place=self.place.label, key=key.text, detail=detail)

    def _open_url(self, stack: ExitStack, key: Key, url: str, offset: int) -> HttpAnswer:
        with ExitStack() as attempt:
            answer = attempt.enter_context(self._client.open(url, offset))
            wanted = key.stored_size
            if answer.status == 416 and offset != wanted:
                answer = attempt.enter_context(self._client.open(url))
            if None not in (answer.size, wanted) and answer.size != wanted:
                raise self._wrong_size(key, answer)
            stack.push(attempt.pop_all())
        return answer

    def _wrong_size(self, key: Key, answer: HttpAnswer) -> HoldError:
        page = ", an HTML page, of an error perhaps" if _is_page(answer, key) else ""
        return faults.WRONG_CONTENT(
            source=self.place.label,
            key=key.text,
            detail=f"it offers {answer.size} bytes instead of {key.stored_size}{page}",
            next="look what is at that URL; it has changed or never was the content",
        )

    def _in_order(self, urls: Sequence[str]) -> list[tuple[int, str]]:
        numbered = list(enumerate(urls))
        if self._same_layout and self._likely < len(urls):
            numbered.insert(0, numbered.pop(self._likely))
        return numbered


class HeadClient(Protocol):
    """What asks servers about URLs."""

    def head(self, url: str) -> HttpAnswer:
        """What a server tells of a URL."""

    def close(self) -> None:
        """End all connections."""


def answer_at(client: HeadClient, key: Key, url: str) -> Answer:
    """Whether something of the right size is at a URL now.

    Raises:
        HoldError: The server does not answer, or not as it should.
    """
    found = client.head(url)
    said = f"the server answers {found.status}"
    if found.status in (404, 410):
        return Answer(Presence.ABSENT, said)
    wanted = key.stored_size
    # A range of nothing cannot be had: an empty file says 416 to a question for one byte.
    if found.status not in (200, 206) and not (found.status == 416 and wanted == 0):
        return Answer(Presence.UNKNOWN, said)
    if wanted is None or found.size == wanted:
        return Answer(Presence.PRESENT)
    if found.size is None:
        return Answer(Presence.UNKNOWN, "the server does not tell the size")
    if _is_page(found, key):
        # A login, a notice of works, the portal of a network: it says nothing of the content.
        return Answer(Presence.UNKNOWN, f"an HTML page of {found.size} bytes is there instead")
    return Answer(Presence.ABSENT, f"it has {found.size} bytes there instead of {wanted}")


def tell(error: HoldError) -> str:
    """An error as one phrase, for a list of answers."""
    return f"{error.what} ({error.why})" if error.why else error.what


def _is_page(answer: HttpAnswer, key: Key) -> bool:
    named_so = key.lower().endswith((b".html", b".htm", b".xhtml"))
    return answer.content_type in _PAGES and not named_so
