"""The file system that a container sees: layers laid over each other, whiteouts and symbolic links respected.

Source: image-spec, layer.md, "Applying Changesets"; where it is silent, what containerd does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from crossdock.image.tar import Kind
from crossdock.verify.contents import File, LayerContents

MAX_LINKS = 40
"""As many symbolic links as the kernel follows for one path."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file and the number (from 0) of the layer that brought it."""

    file: File
    layer: int


@dataclass(slots=True)
class Folder:
    children: dict[str, Folder | Placed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What a path leads to: the path with every link followed (relative to the root), and what is there."""

    path: str
    node: Folder | Placed

    @property
    def file(self) -> File | None:
        """The file, unless this is a folder."""
        return self.node.file if isinstance(self.node, Placed) else None

    @property
    def layer(self) -> int | None:
        """The layer that brought the file; folders may come from several."""
        return self.node.layer if isinstance(self.node, Placed) else None

    def names(self) -> list[str]:
        """What is in the folder; nothing for a file."""
        return list(self.node.children) if isinstance(self.node, Folder) else []


@dataclass(frozen=True, slots=True)
class Missing:
    """A path that does not exist, links in it followed, and the last symbolic link (if any) that led there."""

    path: str
    link: str = ""
    layer: int | None = None


class FileSystem:
    """Build it by ``add`` from the base up."""

    def __init__(self) -> None:
        self._root = Folder()
        self._layers = 0
        self._shared: dict[int, Placed] = {}
        self._parent_path: str | None = None
        self._parent = self._root

    def add(self, contents: LayerContents) -> None:
        """Lay the next layer over what is there."""
        self._shared.clear()
        for path in contents.opaque:
            found = self.find(path)
            if isinstance(found, Found) and isinstance(found.node, Folder):
                found.node.children.clear()
        for path in contents.hidden:
            folder, _, name = path.rpartition("/")
            found = self.find(folder)
            if isinstance(found, Found) and isinstance(found.node, Folder):
                found.node.children.pop(name, None)
        self._parent_path = None
        for path, file in contents.files:
            self._put(path, file)
        self._parent_path = None
        self._layers += 1

    def find(self, path: str, *, follow: bool = True) -> Found | Missing:
        """Walk a path from the root, symbolic links followed (the last one only with ``follow``)."""
        pending = path.split("/")[::-1]
        names: list[str] = []
        folders = [self._root]
        link, layer, links = "", None, 0
        while pending:
            part = pending.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if names:
                    names.pop()
                    folders.pop()
                continue
            child = folders[-1].children.get(part)
            if isinstance(child, Folder):
                names.append(part)
                folders.append(child)
                continue
            here = "/".join((*names, part))
            if child is None:
                return Missing("/".join((here, *filter(None, pending[::-1]))), link, layer)
            last = not any(pending)
            if child.file.kind is not Kind.SYMLINK or (last and not follow):
                if last:
                    return Found(here, child)
                return Missing("/".join((here, *filter(None, pending[::-1]))), link, layer)
            links += 1
            link, layer = here, child.layer
            if links > MAX_LINKS:
                return Missing(here, link, layer)
            if child.file.link.startswith("/"):
                names.clear()
                del folders[1:]
            pending += child.file.link.split("/")[::-1]
        return Found("/".join(names), folders[-1])

    def files(self) -> Iterator[tuple[str, Placed]]:
        """Every file and link, with its path, in no particular order; folders are not among them."""
        stack: list[tuple[str, Folder]] = [("", self._root)]
        while stack:
            prefix, folder = stack.pop()
            for name, child in folder.children.items():
                if isinstance(child, Folder):
                    stack.append((f"{prefix}{name}/", child))
                else:
                    yield prefix + name, child

    def _put(self, path: str, file: File) -> None:
        folder_path, _, name = path.rpartition("/")
        if not name:
            return
        if folder_path != self._parent_path:
            self._parent, self._parent_path = self._folder(folder_path), folder_path
        folder = self._parent
        there = folder.children.get(name)
        if file.kind is Kind.DIRECTORY:
            if not isinstance(there, Folder):
                folder.children[name] = Folder()
                self._parent_path = None
            return
        if file.kind is Kind.HARDLINK:
            target = self.find(file.link, follow=False)
            if isinstance(target, Missing) or isinstance(target.node, Folder):
                return
            placed = target.node
        elif isinstance(there, Placed) and file.fingerprint and file.fingerprint == there.file.fingerprint:
            # A later RUN chmod carries the same program again; who looks for it wants the ADD that brought it.
            placed = Placed(file, there.layer)
        else:
            placed = self._placed(file)
        if there is not None:
            self._parent_path = None  # it may have been on the way to the parent
        folder.children[name] = placed

    def _placed(self, file: File) -> Placed:
        placed = self._shared.get(id(file))
        if placed is None:
            placed = self._shared[id(file)] = Placed(file, self._layers)
        return placed

    def _folder(self, path: str) -> Folder:
        """The folder a layer's entry goes into: links to folders are followed, what is missing is made."""
        folder = self._root
        names = path.split("/") if path else []
        for number, name in enumerate(names):
            child = folder.children.get(name)
            if isinstance(child, Placed) and child.file.kind is Kind.SYMLINK:
                found = self.find("/".join(names[: number + 1]))
                child = found.node if isinstance(found, Found) else None
            if not isinstance(child, Folder):
                child = folder.children[name] = Folder()
            folder = child
        return folder
