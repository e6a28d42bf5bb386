"""Layers laid over each other."""

from __future__ import annotations

import io
import tracemalloc

from made_images import FOLDER, Content, Link, descriptor, layer

from crossdock.image.model import OCI_LAYER_GZIP
from crossdock.verify.contents import LayerContents, read_layer
from crossdock.verify.filesystem import FileSystem, Found, Missing


def contents(files: dict[str, Content]) -> LayerContents:
    data = layer(files)
    return read_layer(io.BytesIO(data), descriptor(OCI_LAYER_GZIP, data))


def system(*layers: dict[str, Content]) -> FileSystem:
    found = FileSystem()
    for files in layers:
        found.add(contents(files))
    return found


def paths(found: FileSystem) -> set[str]:
    return {path for path, _ in found.files()}


def test_later_layers_win() -> None:
    found = system({"a": "1", "b/c": "1"}, {"b/c": "#!/bin/two"})
    assert paths(found) == {"a", "b/c"}
    there = found.find("b/c")
    assert isinstance(there, Found)
    assert there.layer == 1
    assert there.file is not None
    assert there.file.script == "/bin/two"


def test_whiteouts() -> None:
    below: dict[str, Content] = {"a/x": "1", "a/y": "1", "b/x": "1", "c": "1"}
    assert paths(system(below, {"a/.wh.x": "", ".wh.c": ""})) == {"a/y", "b/x"}
    assert paths(system(below, {".wh.a": ""})) == {"b/x", "c"}
    assert paths(system(below, {"a/.wh..wh..opq": "", "a/new": "1"})) == {"a/new", "b/x", "c"}
    assert paths(system(below, {"a/new": "1", "a/.wh..wh..opq": ""})) == {"a/new", "b/x", "c"}
    assert paths(system(below, {".wh.missing": "", "none/.wh.x": "", ".wh..wh.plnk": ""})) == paths(system(below))


def test_whiteout_hides_only_what_is_below() -> None:
    assert paths(system({"a": "1"}, {"a": "2", ".wh.a": ""})) == {"a"}


def test_files_and_folders_replace_each_other() -> None:
    assert paths(system({"a/b": "1"}, {"a": "file"})) == {"a"}
    assert paths(system({"a": "file"}, {"a/": FOLDER, "a/b": "1"})) == {"a/b"}
    assert paths(system({"a": "file"}, {"a/b": "1"})) == {"a/b"}


def test_entries_follow_links_to_folders_below() -> None:
    merged = system({"usr/lib/": FOLDER, "lib": Link("usr/lib")}, {"lib/x.so": "1"})
    assert "usr/lib/x.so" in paths(merged)
    replaced = system({"usr/lib/": FOLDER, "lib": Link("usr/lib")}, {"lib/x.so": "1", "lib/": FOLDER, "lib/y.so": "1"})
    assert {"usr/lib/x.so", "lib/y.so"} <= paths(replaced)


def test_links() -> None:
    found = system(
        {
            "etc/alternatives/java": Link("/opt/jdk/bin/java"),
            "usr/bin/java": Link("../../etc/alternatives/java"),
            "loop": Link("loop"),
            "up": Link("../../../../opt"),
        },
        {"opt/jdk/bin/java": "#!/x"},
    )
    there = found.find("/usr/bin/java")
    assert isinstance(there, Found)
    assert there.path == "opt/jdk/bin/java"
    assert isinstance(found.find("up/jdk/bin/java"), Found)
    assert isinstance(found.find("loop"), Missing)
    assert isinstance(found.find("opt/jdk/bin/java/x"), Missing)
    gone = system({"bin/x": Link("/opt/x")}).find("bin/x")
    assert gone == Missing("opt/x", "bin/x", 0)


def test_hard_links() -> None:
    found = system({"a": "#!/bin/sh"}, {"b": Link("a", hard=True), "c": Link("missing", hard=True)})
    there = found.find("b")
    assert isinstance(there, Found)
    assert there.file is not None
    assert there.file.script == "/bin/sh"
    assert isinstance(found.find("c"), Missing)


def test_names_that_escape_are_kept_apart() -> None:
    read = contents({"../../etc/passwd": "evil", "ok": "1"})
    assert read.escaping == ("../../etc/passwd",)
    assert [path for path, _ in read.files] == ["ok"]


def test_memory_per_file_is_small() -> None:
    read = contents({f"usr/share/doc/package{number}/file": "text" for number in range(5000)})
    tracemalloc.start()
    found = FileSystem()
    found.add(read)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 5000 * 1200
