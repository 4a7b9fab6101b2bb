"""Puts the hashing library into a wheel for one kind of machine, when HOLDFAST_WHEEL_KERNEL=1.

Wheels are otherwise for every machine, and the library is built on first use; see
docs/decisions/0012-hashing-kernel.md.
"""

from __future__ import annotations

import importlib.util
import os
import sysconfig
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Compiles, and marks the wheel as one for this kind of machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling calls this before each build; an editable install is left as it is."""
        if version == "editable" or os.environ.get("HOLDFAST_WHEEL_KERNEL") != "1":
            return
        build = _build_module(Path(self.root))
        target = Path(tempfile.mkdtemp()) / build.PACKAGED.name
        build.compile_to(target)
        build_data["force_include"][str(target)] = f"holdfast/kernel/{target.name}"
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        self._made = target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Hatchling calls this after each build."""
        made = getattr(self, "_made", None)
        if made is not None:
            made.unlink()
            made.parent.rmdir()


def _build_module(root: Path) -> ModuleType:
    """``holdfast.kernel.build`` by its file: the package need not be importable to be built."""
    path = root / "src" / "holdfast" / "kernel" / "build.py"
    spec = importlib.util.spec_from_file_location("build_of_holdfast", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
