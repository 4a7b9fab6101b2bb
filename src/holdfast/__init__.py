"""Holdfast keeps research data findable, versioned, shared, moved and alive for decades.

    import holdfast as hf

    with hf.open_dataset(".") as dataset:
        hf.get(dataset, ["sub-07"])         # carried through; raises IncompleteError
        for outcome in hf.iter_get(dataset, ["sub-07"]): ...

Paths are text, bytes or path-like, and relative to the top of the data set.
Everything offered here is fetched when it is first used: importing the package costs nothing.
"""

from __future__ import annotations

from .version import __version__

TYPE_CHECKING = False  # type checkers read it as true; the typing module costs milliseconds
if TYPE_CHECKING:
    from typing import Any

    from .api.archive import PackOptions as PackOptions
    from .api.archive_check import CheckOptions as CheckOptions
    from .api.archive_parity import ParityPlan as ParityPlan
    from .api.archive_repair import RepairOptions as RepairOptions
    from .api.archive_restore import RestorePlan as RestorePlan
    from .api.archive_sealing import EncryptBy as EncryptBy
    from .api.archive_send import Destination as Destination
    from .api.create_sibling import SiblingOptions as SiblingOptions
    from .api.key_place import KeyPlace as KeyPlace
    from .archive.check_report import CheckReport as CheckReport
    from .core.errors import AccessError as AccessError
    from .core.errors import ConflictError as ConflictError
    from .core.errors import HoldError as HoldError
    from .core.errors import IncompleteError as IncompleteError
    from .core.errors import IntegrityError as IntegrityError
    from .core.errors import LocalProtocolError as LocalProtocolError
    from .core.errors import NotFoundError as NotFoundError
    from .core.errors import PlaceError as PlaceError
    from .core.errors import PlaceFullError as PlaceFullError
    from .core.errors import PlaceUnavailableError as PlaceUnavailableError
    from .core.errors import PolicyError as PolicyError
    from .core.errors import ProtocolError as ProtocolError
    from .core.errors import RemoteProtocolError as RemoteProtocolError
    from .core.errors import UsageError as UsageError
    from .core.key import Key as Key
    from .core.outcome import Outcome as Outcome
    from .core.outcome import Report as Report
    from .core.outcome import Status as Status
    from .core.outcome import complete as complete
    from .core.place import Place as Place
    from .core.place import PlaceId as PlaceId
    from .core.place import Trust as Trust
    from .core.progress import Progress as Progress

_VALUES = {
    "AccessError": "core.errors",
    "CheckOptions": "api.archive_check",
    "CheckReport": "archive.check_report",
    "ConflictError": "core.errors",
    "Destination": "api.archive_send",
    "EncryptBy": "api.archive_sealing",
    "HoldError": "core.errors",
    "IncompleteError": "core.errors",
    "IntegrityError": "core.errors",
    "Key": "core.key",
    "KeyPlace": "api.key_place",
    "LocalProtocolError": "core.errors",
    "NotFoundError": "core.errors",
    "Outcome": "core.outcome",
    "PackOptions": "api.archive",
    "ParityPlan": "api.archive_parity",
    "Place": "core.place",
    "PlaceError": "core.errors",
    "PlaceFullError": "core.errors",
    "PlaceId": "core.place",
    "PlaceUnavailableError": "core.errors",
    "PolicyError": "core.errors",
    "Progress": "core.progress",
    "ProtocolError": "core.errors",
    "RemoteProtocolError": "core.errors",
    "RepairOptions": "api.archive_repair",
    "Report": "core.outcome",
    "RestorePlan": "api.archive_restore",
    "SiblingOptions": "api.create_sibling",
    "Status": "core.outcome",
    "Trust": "core.place",
    "UsageError": "core.errors",
    "archive_of": "api.archive",
    "archive_of_folder": "api.archive",
    "complete": "core.outcome",
    "open_dataset": "api.datasets",
    "open_piece_place": "api.piece_places",
}

_VERBS = {
    "addurl": "addurl",
    "addurls": "addurls",
    "archive_check": "archive_check",
    "archive_drill": "archive_drill",
    "archive_pack": "archive",
    "archive_place": "archive_place",
    "archive_plan": "archive",
    "archive_restore": "archive_restore",
    "clone": "clone",
    "config": "config",
    "copy": "between",
    "create": "create",
    "create_sibling": "create_sibling",
    "demo": "demo",
    "diff": "diff",
    "doctor": "doctor",
    "drop": "drop",
    "export": "export",
    "export_bag": "export_bag",
    "export_tree": "export_tree",
    "find": "find",
    "foreach": "foreach",
    "fsck": "fsck",
    "get": "get",
    "import_bag": "import_bag",
    "info": "info",
    "lock": "lock",
    "log": "log",
    "metadata": "metadata",
    "move": "between",
    "packed_compact": "packed",
    "packed_verify": "packed",
    "plan": "plan",
    "push": "push",
    "remove": "remove",
    "save": "save",
    "siblings": "siblings",
    "status": "status",
    "subdatasets": "subdatasets",
    "uninstall": "uninstall",
    "unlock": "lock",
    "unpack": "unpack",
    "unused": "unused",
    "update": "update",
    "urls": "urls",
    "whereis": "whereis",
}
"""Each verb, and the module of the api that has it and its ``iter_`` form."""

__all__ = [  # noqa: PLE0604 (read from the two tables)
    "__version__",
    *_VALUES,
    *_VERBS,
    *(f"iter_{verb}" for verb in _VERBS),
]


def __getattr__(name: str) -> Any:
    if name in _VALUES:
        home = _VALUES[name]
    elif name.removeprefix("iter_") in _VERBS:
        home = f"api.{_VERBS[name.removeprefix('iter_')]}"
    else:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{home}", __name__), name)
    if name not in _VALUES and callable(value):
        from .api.calls import for_people

        value = for_people(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
