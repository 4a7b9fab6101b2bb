"""What may be said in the protocol between git-annex and programs for special remotes.

Every message with its parts, by who says it. Format: see `external_remote`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto


class Part(Enum):
    """What may stand at one position of a line."""

    WORD = auto()
    MAYBE = auto()
    """A word, or nothing: git-annex says ``CREDS  `` where there are none."""
    KEY = auto()
    NUMBER = auto()
    SIZE = auto()
    """A number, or ``UNKNOWN``."""
    WAY = auto()
    """``STORE`` or ``RETRIEVE``."""
    REST = auto()
    """All up to the end, which may be nothing; only at the end."""


Grammar = Mapping[str, tuple[Part, ...]]

_WORD, _MAYBE, _KEY, _NUMBER, _SIZE, _WAY, _REST = Part

FROM_HOST: Grammar = {
    "EXTENSIONS": (_REST,),
    "LISTCONFIGS": (),
    "INITREMOTE": (),
    "PREPARE": (),
    "TRANSFER": (_WAY, _KEY, _REST),
    "CHECKPRESENT": (_KEY,),
    "REMOVE": (_KEY,),
    "GETCOST": (),
    "GETAVAILABILITY": (),
    "GETORDERED": (),
    "CLAIMURL": (_REST,),
    "CHECKURL": (_REST,),
    "WHEREIS": (_KEY,),
    "GETINFO": (),
    "EXPORTSUPPORTED": (),
    "EXPORT": (_REST,),
    "TRANSFEREXPORT": (_WAY, _KEY, _REST),
    "CHECKPRESENTEXPORT": (_KEY,),
    "REMOVEEXPORT": (_KEY,),
    "REMOVEEXPORTDIRECTORY": (_REST,),
    "RENAMEEXPORT": (_KEY, _REST),
    "IMPORTSUPPORTED": (),
    "LISTIMPORTABLECONTENTS": (),
    "IMPORT": (_REST,),
    "RETRIEVEIMPORT": (_REST,),
    "CHECKPRESENTIMPORT": (_KEY,),
    "IMPORTKEY": (_SIZE, _REST),
    "VALUE": (_REST,),
    "CREDS": (_MAYBE, _REST),
    "DOWNLOAD-URL-SUCCESS": (_REST,),
    "DOWNLOAD-URL-FAILURE": (),
    "ERROR": (_REST,),
}
"""What the host may say."""

FROM_PROGRAM: Grammar = {
    "VERSION": (_NUMBER,),
    "EXTENSIONS": (_REST,),
    "UNSUPPORTED-REQUEST": (),
    # endings of requests
    "CONFIGEND": (),
    "INITREMOTE-SUCCESS": (),
    "INITREMOTE-FAILURE": (_REST,),
    "PREPARE-SUCCESS": (),
    "PREPARE-FAILURE": (_REST,),
    "TRANSFER-SUCCESS": (_WAY, _KEY),
    "TRANSFER-FAILURE": (_WAY, _KEY, _REST),
    "TRANSFER-RETRIEVE-URL": (_KEY, _REST),
    "CHECKPRESENT-SUCCESS": (_KEY,),
    "CHECKPRESENT-FAILURE": (_KEY,),
    "CHECKPRESENT-UNKNOWN": (_KEY, _REST),
    "CHECKPRESENT-URL": (_KEY, _REST),
    "REMOVE-SUCCESS": (_KEY,),
    "REMOVE-FAILURE": (_KEY, _REST),
    "COST": (_NUMBER,),
    "AVAILABILITY": (_WORD,),
    "ORDERED": (),
    "UNORDERED": (),
    "CLAIMURL-SUCCESS": (),
    "CLAIMURL-FAILURE": (),
    "CHECKURL-CONTENTS": (_SIZE, _REST),
    "CHECKURL-MULTI": (_REST,),
    "CHECKURL-FAILURE": (_REST,),
    "WHEREIS-SUCCESS": (_REST,),
    "WHEREIS-FAILURE": (),
    "INFOEND": (),
    "EXPORTSUPPORTED-SUCCESS": (),
    "EXPORTSUPPORTED-FAILURE": (),
    "REMOVEEXPORTDIRECTORY-SUCCESS": (),
    "REMOVEEXPORTDIRECTORY-FAILURE": (),
    "RENAMEEXPORT-SUCCESS": (_KEY,),
    "RENAMEEXPORT-FAILURE": (_KEY,),
    "IMPORTSUPPORTED-SUCCESS": (),
    "IMPORTSUPPORTED-FAILURE": (),
    "IMPORTREQUIRED": (),
    "LISTIMPORTABLECONTENTS-SUCCESS": (),
    "LISTIMPORTABLECONTENTS-FAILURE": (_REST,),
    "RETRIEVEIMPORT-SUCCESS": (),
    "RETRIEVEIMPORT-FAILURE": (_REST,),
    "RETRIEVEIMPORT-URL": (_REST,),
    "IMPORTKEY-SUCCESS": (_KEY,),
    "IMPORTKEY-FAILURE": (_REST,),
    "IMPORTKEY-SKIP": (),
    "DELEGATE": (_REST,),
    # parts of longer answers
    "CONFIG": (_WORD, _REST),
    "INFOFIELD": (_REST,),
    "INFOVALUE": (_REST,),
    "IMPORTABLECONTENT": (_SIZE, _REST),
    "IMPORTABLECONTENTIDENTIFIER": (_REST,),
    # questions
    "DIRHASH": (_KEY,),
    "DIRHASH-LOWER": (_KEY,),
    "GETCONFIG": (_REST,),
    "GETCREDS": (_WORD,),
    "GETUUID": (),
    "GETGITDIR": (),
    "GETGITREMOTENAME": (),
    "GETWANTED": (),
    "GETSTATE": (_KEY,),
    "GETURLS": (_KEY, _REST),
    "DOWNLOAD-URL": (_REST,),
    # what it tells
    "PROGRESS": (_NUMBER,),
    "SETCONFIG": (_WORD, _REST),
    "SETCREDS": (_WORD, _WORD, _REST),
    "SETWANTED": (_REST,),
    "SETSTATE": (_KEY, _REST),
    "SETURLPRESENT": (_KEY, _REST),
    "SETURLMISSING": (_KEY, _REST),
    "SETURIPRESENT": (_KEY, _REST),
    "SETURIMISSING": (_KEY, _REST),
    "INFO": (_REST,),
    "DEBUG": (_REST,),
    "ERROR": (_REST,),
}
"""What the program may say."""

QUESTIONS = frozenset(
    name for name in FROM_PROGRAM if name.startswith(("GET", "DIRHASH", "DOWNLOAD-URL"))
)
"""What the program says that wants an answer at once."""

TOLD = frozenset(("PROGRESS", "INFO", "DEBUG")) | {
    name for name in FROM_PROGRAM if name.startswith("SET")
}
"""What the program only tells, at any time."""
