"""A build context with some files exchanged, without touching the user's tree."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from crossdock.read.context import Context


def shadow_context(context: Context, folder: Path) -> Path:
    """The folder to build from: the context itself, or, when ``context.overlay`` exchanges files, a copy below
    ``folder`` made of hard links (copies where the file system does not take links) with those files replaced.

    Ignored files and empty folders are left out; modes and times are kept, so that engines' caches still match.
    """
    if not context.overlay:
        return context.root
    root = folder / "context"
    root.mkdir()
    for entry in context.files():
        source, target = context.root / entry.path, root / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        replacement = context.overlay.get(entry.path)
        if entry.link is not None:
            target.symlink_to(entry.link)
        elif replacement is not None:
            target.write_bytes(replacement)
            shutil.copystat(source, target)
        else:
            _link_or_copy(source, target)
    for made in [path for path in root.rglob("*") if path.is_dir() and not path.is_symlink()]:
        shutil.copystat(context.root / made.relative_to(root), made)
    return root


def _link_or_copy(source: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)
