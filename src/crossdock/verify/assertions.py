"""What an image is to do, as a file says it: the format of container-structure-test, schema 2.0.0.

Source: its README, "Command Tests", "File Existence Tests", "File Content Tests" and "Metadata Test". Its schema 1.0.0
and license tests are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crossdock.errors import InputError
from crossdock.findings import locate
from crossdock.read.yaml_model import YamlMapping, YamlNode, YamlScalar, YamlSequence
from crossdock.read.yaml_tree import read_yaml
from crossdock.source import Source

VERSION = "2.0.0"


@dataclass(frozen=True)
class CommandTest:
    """A command in a container of its own, and what it has to end with and print (regular expressions). ``setup`` are
    commands before it in the same container, for which the image needs a shell."""

    name: str
    command: tuple[str, ...]
    setup: tuple[tuple[str, ...], ...] = ()
    env: tuple[str, ...] = ()
    exit_code: int = 0
    expected_output: tuple[str, ...] = ()
    excluded_output: tuple[str, ...] = ()
    expected_error: tuple[str, ...] = ()
    excluded_error: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileTest:
    """``permissions`` as ``ls -l`` shows them; ``executable_by`` is owner, group, other or any."""

    name: str
    path: str
    exists: bool = True
    permissions: str = ""
    executable_by: str = ""
    owned: bool = False
    """It names a uid or gid, which is not compared."""


@dataclass(frozen=True)
class ContentTest:
    name: str
    path: str
    expected: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetadataTest:
    """What the image's config has to say; None for what is not asked. ``env`` and ``labels`` are name, value, and
    whether the value is a regular expression."""

    env: tuple[tuple[str, str, bool], ...] = ()
    unset: tuple[str, ...] = ()
    labels: tuple[tuple[str, str, bool], ...] = ()
    ports: tuple[str, ...] = ()
    no_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    no_volumes: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    workdir: str | None = None
    user: str | None = None


@dataclass(frozen=True)
class Assertions:
    """All that the files ask for. ``left_out`` names what of them is not looked at."""

    commands: tuple[CommandTest, ...] = ()
    files: tuple[FileTest, ...] = ()
    contents: tuple[ContentTest, ...] = ()
    metadata: tuple[MetadataTest, ...] = ()
    left_out: tuple[str, ...] = ()


def read_assertions(sources: Iterable[Source]) -> Assertions:
    """Raises InputError naming file and line for what is not in this format."""
    found = [_Reader(source).assertions() for source in sources]
    return Assertions(
        tuple(test for one in found for test in one.commands),
        tuple(test for one in found for test in one.files),
        tuple(test for one in found for test in one.contents),
        tuple(test for one in found for test in one.metadata),
        tuple(text for one in found for text in one.left_out),
    )


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source

    def assertions(self) -> Assertions:
        documents = read_yaml(self._source)
        if not documents or not isinstance(documents[0], YamlMapping):
            raise InputError("there are no tests in this file", where=self._source.path, hint=_HINT)
        root = documents[0]
        self._known(
            root,
            "schemaVersion globalEnvVars commandTests fileExistenceTests fileContentTests metadataTest licenseTests"
            " containerRunOptions",
        )
        version = root.text("schemaVersion")
        if version != VERSION:
            raise self._wrong(root.get("schemaVersion") or root, f"schemaVersion is {version}, not {VERSION}")
        env = tuple(f"{name}={value}" for name, value, _ in self._pairs(root.get("globalEnvVars")))
        left_out = tuple(
            f"{self._source.path}: {key}" for key in ("licenseTests", "containerRunOptions") if root.get(key)
        )
        metadata = root.get("metadataTest")
        return Assertions(
            tuple(self._command(item, env) for item in self._mappings(root.get("commandTests"))),
            tuple(self._file(item) for item in self._mappings(root.get("fileExistenceTests"))),
            tuple(self._content(item) for item in self._mappings(root.get("fileContentTests"))),
            (self._metadata(metadata),) if isinstance(metadata, YamlMapping) else (),
            left_out,
        )

    def _command(self, node: YamlMapping, env: tuple[str, ...]) -> CommandTest:
        self._known(
            node,
            "name setup teardown command args envVars exitCode"
            " expectedOutput excludedOutput expectedError excludedError",
        )
        program = self._needed(node, "command")
        own = tuple(f"{name}={value}" for name, value, _ in self._pairs(node.get("envVars")))
        code = node.text("exitCode") or "0"
        if not code.isdigit():
            raise self._wrong(node.get("exitCode") or node, f"exitCode is no number: {code}")
        return CommandTest(
            node.text("name") or program,
            (program, *self._words(node.get("args"))),
            tuple(self._words(item) for item in self._items(node.get("setup"))),
            (*env, *own),
            int(code),
            self._patterns(node.get("expectedOutput")),
            self._patterns(node.get("excludedOutput")),
            self._patterns(node.get("expectedError")),
            self._patterns(node.get("excludedError")),
        )

    def _file(self, node: YamlMapping) -> FileTest:
        self._known(node, "name path shouldExist permissions uid gid isExecutableBy")
        path = self._needed(node, "path")
        permissions = node.text("permissions") or ""
        if permissions and not re.fullmatch(r"[-dLlu gt]*(?:[r-][w-][xsS-]){2}[r-][w-][xtT-]", permissions):
            raise self._wrong(node.get("permissions") or node, f"these are no permissions: {permissions}")
        return FileTest(
            node.text("name") or path,
            path,
            (node.text("shouldExist") or "true").lower() == "true",
            permissions[-9:],
            node.text("isExecutableBy") or "",
            any(node.get(key) for key in ("uid", "gid")),
        )

    def _content(self, node: YamlMapping) -> ContentTest:
        self._known(node, "name path expectedContents excludedContents")
        path = self._needed(node, "path")
        expected, excluded = self._patterns(node.get("expectedContents")), self._patterns(node.get("excludedContents"))
        return ContentTest(node.text("name") or path, path, expected, excluded)

    def _metadata(self, node: YamlMapping) -> MetadataTest:
        self._known(
            node,
            "envVars env unboundEnvVars labels exposedPorts unexposedPorts volumes unmountedVolumes"
            " entrypoint cmd workdir user",
        )
        return MetadataTest(
            self._pairs(node.get("envVars") or node.get("env")),
            tuple(name for name, _, _ in self._pairs(node.get("unboundEnvVars"))),
            self._pairs(node.get("labels")),
            self._words(node.get("exposedPorts")),
            self._words(node.get("unexposedPorts")),
            self._words(node.get("volumes")),
            self._words(node.get("unmountedVolumes")),
            self._words(node.get("entrypoint")) if node.get("entrypoint") else None,
            self._words(node.get("cmd")) if node.get("cmd") else None,
            node.text("workdir"),
            node.text("user"),
        )

    def _known(self, node: YamlMapping, names: str) -> None:
        """A key that is not known would be a test that never fails."""
        for key, _ in node.pairs:
            if isinstance(key, YamlScalar) and key.text not in names.split():
                raise self._wrong(key, f"{key.text} is no key of container-structure-test {VERSION} here")

    def _needed(self, node: YamlMapping, key: str) -> str:
        value = node.text(key)
        if value is None:
            raise self._wrong(node, f"{key} is missing")
        return value

    def _items(self, node: YamlNode | None) -> tuple[YamlNode, ...]:
        if node is None or (isinstance(node, YamlScalar) and node.null):
            return ()
        if not isinstance(node, YamlSequence):
            raise self._wrong(node, "this has to be a list")
        return node.items

    def _mappings(self, node: YamlNode | None) -> Iterator[YamlMapping]:
        for item in self._items(node):
            if not isinstance(item, YamlMapping):
                raise self._wrong(item, "this has to be a test, with its keys")
            yield item

    def _words(self, node: YamlNode | None) -> tuple[str, ...]:
        words = []
        for item in self._items(node):
            if not isinstance(item, YamlScalar):
                raise self._wrong(item, "this has to be text")
            words.append(item.text)
        return tuple(words)

    def _patterns(self, node: YamlNode | None) -> tuple[str, ...]:
        words = self._words(node)
        for item, word in zip(self._items(node), words, strict=True):
            self._pattern(item, word)
        return words

    def _pairs(self, node: YamlNode | None) -> tuple[tuple[str, str, bool], ...]:
        pairs = []
        for item in self._mappings(node):
            self._known(item, "key value isRegex")
            value, regex = item.text("value") or "", (item.text("isRegex") or "").lower() == "true"
            if regex:
                self._pattern(item, value)
            pairs.append((self._needed(item, "key"), value, regex))
        return tuple(pairs)

    def _pattern(self, node: YamlNode, text: str) -> None:
        try:
            re.compile(text)
        except re.error as error:
            raise self._wrong(node, f"this is no regular expression: {error}") from error

    def _wrong(self, node: YamlNode, what: str) -> InputError:
        return InputError(what, where=str(locate(self._source, node.span)), hint=_HINT)


_HINT = "Tests are in the format of container-structure-test, schemaVersion 2.0.0; docs/verify.md shows one."
