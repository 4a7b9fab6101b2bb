"""Install data sets that belong into another, on the way to what is in them."""

from __future__ import annotations

import os

from ..core.errors import HoldError
from ..core.outcome import Outcome, Status
from ..core.progress import Progress
from ..dataset.installing import install
from ..dataset.submodules import Submodule
from ..wire.subdataset_sources import without_login
from .clone import datalad_top
from .nesting import Nested, rerooted_error


def install_in(outer: Nested, one: Submodule, progress: Progress) -> Outcome:
    """Install a missing data set where a walk came to it; a failure is an outcome, too."""
    repository = outer.dataset.repository
    path = os.fsdecode(outer.prefix + one.path)
    top = datalad_top(repository.settings)
    progress.start(None, None)
    try:
        cloned = install(repository, one, datalad_top=top, told=progress.note)
    except HoldError as failed:
        error = rerooted_error(failed, outer.prefix.rstrip(b"/")) if outer.prefix else failed
        return Outcome("install", Status.ERROR, path, error=error, note=error.why)
    finally:
        progress.stop()
    url = without_login(cloned.url)
    facts = {"source": url, "uuid": cloned.uuid, "commit": one.version}
    return Outcome("install", Status.OK, path, note=f"from {url}", facts=facts)
