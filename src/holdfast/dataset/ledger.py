"""Reading the ledger: the git-annex branch, with the journal over it.

The journal is read before the branch: a committer writes the branch first and empties the journal
after, so nothing can slip through between the two.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice

from ..core import faults
from ..core.key import Key
from ..core.place import Place, PlaceId, Trust
from ..core.policy import CopyRules
from ..wire import branch_paths, logs
from ..wire.gitobjects import Oid, parse_commit
from .branch import branch_tip
from .branch_listing import Blobs, is_bulk, iter_fields_of_tree, iter_listing
from .config import Config
from .git import from_hex, hex_oid
from .repository import Repository
from .trees import TreeFinder

_BULK = 8192


class Ledger:
    """What is known of places, copies and policy, as of when it was opened."""

    def __init__(self, repository: Repository, *, with_remotes: bool = False) -> None:
        """Open it; ``with_remotes`` also reads what remotes brought and nobody merged yet."""
        self._repository = repository
        self._with_remotes = with_remotes
        self._trust: tuple[Config, dict[PlaceId, Trust]] | None = None
        self._journal = read_journal(repository.annex_dir + b"/journal")
        self._private = read_journal(repository.annex_dir + b"/journal-private")
        self._sizes: dict[Oid, int] = {}
        """About how many files each tip holds, where that was asked."""
        self.tips = self._find_tips()
        if repository.config.get("annex.uuid") or self.tips:
            self._refuse_tuned()

    def _find_tips(self) -> list[Oid]:
        """Our branch, or, in a clone that was never initialised, those of its remotes."""
        ours = branch_tip(self._repository)
        if ours and not self._with_remotes:
            return [ours]
        listing = self._repository.git.run(
            "for-each-ref", "--format=%(objectname)%00%(refname)", "refs/heads", "refs/remotes"
        )
        lines = (line.partition(b"\0") for line in listing.splitlines())
        return sorted({from_hex(oid) for oid, _, name in lines if name.endswith(b"/git-annex")})

    def _refuse_tuned(self) -> None:
        differences = logs.parse_uuid_log(self.read(b"difference.log"))
        for value in differences.values():
            text = value.value.decode("utf-8", "replace")
            if "[]" not in text:
                raise faults.TUNED(differences=text)

    # files of the branch

    def read(self, path: bytes) -> bytes:
        """One file of the branch; empty when it does not exist."""
        return self.read_many([path]).get(path, b"")

    def read_many(self, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """Those of these files that exist."""
        contents = {path: self._journal[path] for path in paths if path in self._journal}
        missing = [path for path in paths if path not in contents]
        for tip in self.tips:
            for path, content in self._read_at(tip, missing):
                earlier = contents.get(path)
                contents[path] = logs.union(earlier, content) if earlier else content
        for path in paths:
            if path in self._private:
                contents[path] = logs.union(contents.get(path, b""), self._private[path])
        return contents

    def _read_at(self, tip: Oid, paths: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        reader = self._repository.git.objects
        if len(paths) < 16:
            for path in paths:
                if b"\n" not in path:
                    answer = reader.read(hex_oid(tip) + b":" + path)
                    if answer is not None:
                        yield path, answer[1]
            return
        if self._is_bulk(tip, len(paths)):
            wanted = set(paths)
            git = self._repository.git
            listing = ((p, oid) for p, _, oid in iter_listing(git, tip) if p in wanted)
            yield from Blobs(git).iter_contents(listing)
            return
        finder = self._finder(tip)
        for start in range(0, len(paths), _BULK):
            found = finder.find(paths[start : start + _BULK])
            names = map(hex_oid, found.values())
            for path, answer in zip(found, reader.iter_read(names), strict=True):
                assert answer is not None
                yield path, answer[1]

    def root_of(self, tip: Oid) -> Oid:
        """The tree of a commit."""
        answer = self._repository.git.objects.read(hex_oid(tip))
        assert answer is not None, "a ref names a commit that is missing; git fsck tells more"
        return parse_commit(answer[1]).tree

    def iter_all(self, ending: bytes = b".log") -> Iterator[tuple[bytes, bytes]]:
        """Every file of the branch whose name ends so, with its content, sorted by name."""
        if len(self.tips) == 1 and not self._journal and not self._private:
            yield from self._iter_at(self.tips[0], ending)
            return
        names = {path for path in (*self._journal, *self._private) if path.endswith(ending)}
        for tip in self.tips:
            listing = iter_listing(self._repository.git, tip)
            names.update(path for path, _, _ in listing if path.endswith(ending))
        order = sorted(names)
        for start in range(0, len(order), _BULK):
            yield from self.read_many(order[start : start + _BULK]).items()

    def _iter_at(self, tip: Oid, ending: bytes) -> Iterator[tuple[bytes, bytes]]:
        git = self._repository.git
        files = iter_listing(git, tip)
        listing = ((path, oid) for path, _, oid in files if path.endswith(ending))
        return Blobs(git).iter_contents(listing)

    # copies

    def locations(self, keys: Iterable[Key]) -> dict[Key, list[PlaceId]]:
        """For each of these keys, the places that are said to have it; the dead are left out."""
        asked = list(keys)
        if self._is_plain and self._is_bulk(self.tips[0], len(asked)):
            names = set(asked)
            found = {key: places for key, places in self.iter_locations() if key in names}
            return {key: list(found.get(key, ())) for key in asked}
        wanted = {branch_paths.location_log(key): key for key in asked}
        contents = self.read_many(list(wanted))
        dead = self.dead
        return {
            key: [p for p in logs.places_with(contents.get(path, b"")) if p not in dead]
            for path, key in wanted.items()
        }

    def iter_locations(self) -> Iterator[tuple[Key, list[PlaceId]]]:
        """Every key the ledger knows, with the places that are said to have it."""
        return self._iter_locations(self.dead)

    def holders(self, key: Key) -> tuple[PlaceId, ...]:
        """The places that are said to have a key, the dead ones too."""
        return logs.places_with(self.read(branch_paths.location_log(key)))

    @cached_property
    def used(self) -> Mapping[PlaceId, int]:
        """How many bytes each place is said to hold, the dead ones too; of those that hold any.

        As git-annex counts: each key once, one that does not tell its size as nothing, a chunk as
        the whole. The whole ledger is read for it.
        """
        sums: dict[PlaceId, int] = {}
        for key, places in self._iter_locations(frozenset()):
            size = key.size or 0
            for place in places:
                sums[place] = sums.get(place, 0) + size
        return sums

    def _iter_locations(self, dead: frozenset[PlaceId]) -> Iterator[tuple[Key, list[PlaceId]]]:
        if self._is_plain:
            yield from self._iter_locations_at(self.tips[0], dead)
            return
        for path, content in self.iter_all():
            parsed = branch_paths.parse_branch_path(path)
            if parsed is not None and parsed[1] == branch_paths.LOCATION:
                yield parsed[0], [p for p in logs.places_with(content) if p not in dead]

    @property
    def _is_plain(self) -> bool:
        """Whether all that is known is in one commit."""
        return len(self.tips) == 1 and not self._journal and not self._private

    def _is_bulk(self, tip: Oid, count: int) -> bool:
        def estimate() -> int:
            if tip not in self._sizes:
                self._sizes[tip] = self._finder(tip).estimate()
            return self._sizes[tip]

        return is_bulk(count, estimate)

    def _finder(self, tip: Oid) -> TreeFinder:
        repository = self._repository
        return TreeFinder(repository.git.objects, repository.object_format, self.root_of(tip))

    def _iter_locations_at(
        self, tip: Oid, dead: frozenset[PlaceId]
    ) -> Iterator[tuple[Key, list[PlaceId]]]:
        git = self._repository.git
        blobs = Blobs(git)
        same: dict[bytes, list[PlaceId]] = {}
        logged = branch_paths.iter_location_logs(iter_fields_of_tree(git, tip))
        while block := list(islice(logged, _BULK)):
            contents = blobs.read([oid for _, oid in block])
            for key, oid in block:
                places = same.get(oid)
                if places is None:
                    places = [p for p in logs.places_with(contents[oid]) if p not in dead]
                    same[oid] = places
                yield key, places
            if len(same) > _BULK:
                same.clear()

    def urls(self, keys: Sequence[Key]) -> dict[Key, list[bytes]]:
        """The URLs registered for each of these keys."""
        wanted = {branch_paths.url_log(key): key for key in keys}
        contents = self.read_many(list(wanted))
        return {wanted[path]: logs.parse_urls(content) for path, content in contents.items()}

    # places and policy

    @cached_property
    def _policy_files(self) -> Mapping[bytes, bytes]:
        return self.read_many(
            [
                b"uuid.log", b"trust.log", b"numcopies.log", b"mincopies.log",
                b"required-content.log", b"preferred-content.log", b"group.log", b"config.log",
                b"remote.log", b"group-preferred-content.log",
                branch_paths.MAXSIZE_LOG,
            ]
        )  # fmt: skip

    def policy_file(self, name: bytes) -> bytes:
        """One of the small files about places and policy."""
        return self._policy_files.get(name, b"")

    @property
    def trust(self) -> dict[PlaceId, Trust]:
        """How far each place is trusted, as recorded and as configured here.

        A remote that was only now found to be a certain place counts for it at once.
        """
        config = self._repository.config
        if self._trust is None or self._trust[0] is not config:
            self._trust = config, self._read_trust(config)
        return self._trust[1]

    def _read_trust(self, config: Config) -> dict[PlaceId, Trust]:
        levels = logs.parse_trust(self.policy_file(b"trust.log"))
        names = {"trusted": Trust.TRUSTED, "untrusted": Trust.UNTRUSTED, "dead": Trust.DEAD,
                 "semitrusted": Trust.SEMITRUSTED}  # fmt: skip
        for settings in config.sections("remote").values():
            level = settings.get("annex-trustlevel")
            if level in names and "annex-uuid" in settings:
                levels[PlaceId(settings["annex-uuid"])] = names[level]
        return levels

    @property
    def dead(self) -> frozenset[PlaceId]:
        """Places that are gone for good."""
        return frozenset(p for p, level in self.trust.items() if level is Trust.DEAD)

    @cached_property
    def descriptions(self) -> dict[PlaceId, str]:
        """What each place is called in the ledger."""
        return logs.parse_descriptions(self.policy_file(b"uuid.log"))

    @cached_property
    def remote_names(self) -> dict[PlaceId, str]:
        """What the remotes of this clone are called."""
        remotes = self._repository.config.sections("remote")
        return {
            PlaceId(settings["annex-uuid"]): name
            for name, settings in remotes.items()
            if settings.get("annex-uuid")
        }

    def place(self, uuid: PlaceId) -> Place:
        """A place with its best name and its trust."""
        name = self.remote_names.get(uuid) or self.descriptions.get(uuid, "")
        if uuid == self._repository.uuid:
            name = "here"
        return Place(uuid, name, self.trust.get(uuid, Trust.SEMITRUSTED))

    def copy_rules(self, numcopies: int | None = None) -> CopyRules:
        """The rules for all files; attributes of single files go over them.

        Fewer than one copy cannot be asked for, here as in git-annex: only force drops the last.
        """
        configured = self._repository.config.get("annex.numcopies")
        number = logs.parse_copies(self.policy_file(b"numcopies.log"))
        if number is None:
            number = int(configured) if configured and configured.isdigit() else 1
        least = logs.parse_copies(self.policy_file(b"mincopies.log"))
        return CopyRules(
            numcopies=max(1, number if numcopies is None else numcopies),
            mincopies=max(1, 1 if least is None else least),
        )


def read_journal(folder: bytes) -> dict[bytes, bytes]:
    """The files of a journal, by their path in the branch."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return {}
    found: dict[bytes, bytes] = {}
    for name in sorted(names):
        try:
            with open(folder + b"/" + name, "rb") as file:
                found[branch_paths.branch_path_of_journal(name)] = file.read()
        except FileNotFoundError:
            # Committed by another process since we looked: the branch has it now.
            continue
    return found
