"""Commands that install packages: what each names, what it reads, and which further repositories it uses.

Sources: the manual pages apt-get(8), apk(8), dnf(8), yum-config-manager(1), zypper(8); pip's "Requirement Specifiers"
and PEP 508; npm-install, yarn add, pnpm add; gem install, bundle install; sdkmanager and its forerunner
``android update sdk``. Shell words only: no file is read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from crossdock.packages.model import Ecosystem, Repository
from crossdock.packages.repo_files import repository_addresses
from crossdock.read.pieces import HOLE
from crossdock.read.shell_model import FETCHERS, Command, ShellWord, resolve
from crossdock.read.values import Origin, literal


@dataclass(frozen=True)
class Named:
    """A package that a command names. ``version`` is the constraint with its operator."""

    name: str
    version: str
    origin: Origin


@dataclass(frozen=True)
class Install:
    """What one command installs. ``files`` are absolute paths in the image of requirements and lock files that it
    reads (also the folder's usual ones); ``frozen`` says that a lock file may not be changed."""

    ecosystem: Ecosystem
    named: tuple[Named, ...] = ()
    files: tuple[str, ...] = ()
    repositories: tuple[Repository, ...] = ()
    frozen: bool = False
    production: bool = False
    """Development dependencies are left out."""


@dataclass
class _Arguments:
    """The words of a command: operands apart from options, and the values of options."""

    operands: list[ShellWord] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)

    def values(self, *names: str) -> list[str]:
        return [value for name, value in self.options if name in names]

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.options)


def _read(words: Sequence[ShellWord], with_value: str) -> _Arguments:
    """``with_value`` names the options that take the next word."""
    taking = set(with_value.split())
    found = _Arguments()
    queue = list(words)
    while queue:
        word = queue.pop(0)
        text = word.text
        if text == "--":
            found.operands += queue
            break
        if not text.startswith("-") or text == "-":
            found.operands.append(word)
            continue
        name, equals, value = text.partition("=")
        if name in taking and not equals:
            value = queue.pop(0).text if queue else ""
        elif not text.startswith("--") and text[:2] in taking and len(text) > 2:
            name, value = text[:2], text[2:]
        found.options.append((name, value))
    return found


def install_of(command: Command) -> Install | None:
    """What a command installs; None for one that installs nothing that could be understood."""
    name = command.name.rstrip("0123456789.")
    words: Sequence[ShellWord] = command.arguments
    if name == "python" and len(words) > 1 and words[0].text == "-m":
        name, words = words[1].text, words[2:]
    elif name == "uv" and words and words[0].text == "pip":
        name, words = "pip", words[1:]
    reader = _READERS.get(name)
    return reader(command, words) if reader else None


def _apt(_: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read(words, "-t --target-release --default-release -o --option -c --config-file -a --host-architecture")
    if not found.operands or found.operands[0].text != "install" or found.has("--download-only", "-d"):
        return None
    return Install(Ecosystem.APT, tuple(_each(found.operands[1:], _deb)))


def _deb(text: str) -> tuple[str, str] | None:
    match = re.fullmatch(r"([a-z0-9][a-z0-9.+-]*?)(?:/[\w.-]+|(=)(\S+))?", text)
    # A name that ends with - is removed, unless there is such a package; + says to install what is named.
    return (match[1], f"={match[3]}" if match[2] else "") if match and not match[1].endswith("-") else None


def _apk(_: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read(
        words, "-t --virtual -X --repository -p --root --repositories-file --keys-dir --cache-dir --wait --arch"
    )
    if not found.operands or found.operands[0].text != "add":
        return None
    further = tuple(Repository(url) for url in found.values("-X", "--repository"))
    return Install(Ecosystem.APK, tuple(_each(found.operands[1:], _apk_name)), repositories=further)


def _apk_name(text: str) -> tuple[str, str] | None:
    match = re.fullmatch(r"([A-Za-z0-9][\w.+:-]*?)(?:@\w+)?([=~<>]+\S+)?", text)
    return (match[1], match[2] or "") if match and not text.endswith(".apk") else None


_RPM_VALUES = (
    "-c --config -d -e -x --exclude --installroot --releasever --setopt --enablerepo --disablerepo --repo --repoid"
)
_ZYPPER_VALUES = "-t --type -r --repo --from -n --name --root -R --releasever -C --cache-dir -D --reposd-dir"


def _rpm(_: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read(words, _RPM_VALUES)
    verb = [word.text for word in found.operands[:2]]
    if verb[:1] in (["install"], ["install-n"], ["localinstall"]):
        return Install(Ecosystem.RPM, tuple(_each(found.operands[1:], _rpm_name)))
    if verb[:1] == ["groupinstall"] or verb in (["group", "install"], ["groups", "install"], ["module", "install"]):
        groups = found.operands[1 if verb[0] == "groupinstall" else 2 :]
        return Install(Ecosystem.RPM, tuple(_each(groups, lambda text: (f"@{text.removeprefix('@')}", ""))))
    return None


def _zypper(_: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read_zypper(words)
    if not found.operands or found.operands[0].text not in {"install", "in"}:
        return None
    if set(found.values("-t", "--type")) - {"package"}:
        return Install(Ecosystem.RPM, tuple(_each(found.operands[1:], lambda text: (f"@{text}", ""))))
    return Install(Ecosystem.RPM, tuple(_each(found.operands[1:], _zypper_name)))


def _read_zypper(words: Sequence[ShellWord]) -> _Arguments:
    """Without what stands before the verb: there -n says that nobody is there to answer, behind it it takes a name."""
    at = next((at for at, word in enumerate(words) if not word.text.startswith("-")), len(words))
    return _read(words[at:], _ZYPPER_VALUES)


def _rpm_name(text: str) -> tuple[str, str] | None:
    """A version can only be guessed at: it is at the end, begins with a digit and has a point. Besides names there are
    groups (``@development``), patterns, capabilities (``perl(JSON)``) and files. None for a package that is named for
    an architecture, of which another rule tells."""
    if re.search(r"\.(?:rpm|x86_64|i[3-6]86)$", text):
        return None
    if re.fullmatch(r"@[\w:/.-]+|/[\w./+-]+|[\w.+-]+\([\w:./+-]+\)|[\w.+*?-]*[*?][\w.+*?-]*", text):
        return text, ""
    match = re.fullmatch(r"([A-Za-z0-9][\w.+-]*?)(?:-(\d+(?:[.:][\w~^]+)+(?:-\d[\w.]*)?))?", text)
    return (match[1], f"={match[2]}" if match[2] else "") if match else None


def _zypper_name(text: str) -> tuple[str, str] | None:
    """As dnf's, and ``name=version``; a name that begins with ``-``, ``!`` or ``~`` is removed."""
    name, equals, version = text.partition("=")
    if equals and re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name):
        return name, f"={version}"
    return _rpm_name(text)


_PIP_VALUES = (
    "-r --requirement -c --constraint -e --editable -i --index-url --extra-index-url -f --find-links -t --target "
    "--platform --python-version --implementation --abi --root --prefix --src --timeout --retries --proxy --cert "
    "--client-cert --cache-dir --trusted-host --no-binary --only-binary --progress-bar --global-option "
    "--install-option --config-settings -C --upgrade-strategy --report --log --python -p --index --default-index -w"
)


def _pip(command: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read(words, _PIP_VALUES)
    verb = found.operands[0].text if found.operands else ""
    if verb not in {"install", "wheel"} or found.has("--platform"):
        return None
    files = [_absolute(command, path) for path in found.values("-r", "--requirement")]
    further = found.values("-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--index", "--default-index")
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        value = command.variable(variable)
        further += [value.render()] if value is not None else []
    repositories = tuple(Repository(url) for text in further for url in text.split())
    return Install(Ecosystem.PIP, tuple(_each(found.operands[1:], requirement)), tuple(files), repositories)


def requirement(text: str) -> tuple[str, str] | None:
    """Name and version constraint of a requirement specifier. None for a file, a URL, and what is only for another
    machine: a marker on the machine, the system or an extra."""
    text, _, marker = text.partition(";")
    if re.search(r"platform_machine|sys_platform|platform_system|os_name|extra\b|implementation_name", marker):
        return None
    match = re.fullmatch(
        r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*\(?((?:[=~<>!]=?=?[^)@]*)?)\)?", text.strip()
    )
    if not match or re.search(r"\.(?:whl|gz|zip|txt|toml|cfg)$", match[1]):
        return None
    return match[1], re.sub(r"\s+", "", match[2])


def _npm(command: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read(
        words, "--prefix -C --dir --cwd --registry --cache --loglevel --omit --include --network-timeout --filter"
    )
    verb = found.operands[0].text if found.operands else ("install" if command.name == "yarn" else "")
    if found.has("--version", "-v", "--help"):
        return None
    adding = {"install", "i", "add", "global"} if command.name != "yarn" else {"add", "global"}
    folder = next(iter(found.values("--prefix", "-C", "--dir", "--cwd")), "")
    ci = verb in {"ci", "clean-install"}
    named: tuple[Named, ...] = ()
    if verb in adding:
        rest = found.operands[1:]
        named = tuple(_each(rest[1:] if verb == "global" and rest else rest, npm_name))
        if rest:
            return Install(Ecosystem.NPM, named, repositories=_registry(found))
    elif not ci and not (verb == "install" and command.name == "yarn"):
        return None
    locks = _LOCKS.get(command.name, ())
    files = tuple(_absolute(command, f"{folder.rstrip('/')}/{file}" if folder else file) for file in locks)
    environment = command.variable("NODE_ENV")
    production = (
        found.has("--production", "--prod", "--only")
        or "dev" in found.values("--omit")
        or (environment is not None and environment.text == "production")
    )
    strict = ci or found.has("--frozen-lockfile", "--immutable")
    return Install(Ecosystem.NPM, (), files, _registry(found), frozen=strict, production=production)


_LOCKS = {
    "npm": ("package-lock.json", "npm-shrinkwrap.json", "package.json"),
    "cnpm": ("package.json",),
    "yarn": ("yarn.lock", "package.json"),
    "pnpm": ("pnpm-lock.yaml", "package.json"),
}
"""What each reads, the one that counts most first."""


def _registry(found: _Arguments) -> tuple[Repository, ...]:
    return tuple(Repository(url) for url in found.values("--registry"))


def npm_name(text: str) -> tuple[str, str] | None:
    """``name``, ``@scope/name``, with ``@version`` or ``@tag``; None for a path, a URL and an alias."""
    match = re.fullmatch(r"((?:@[\w.~-]+/)?[A-Za-z0-9_][\w.~-]*)(?:@([^/:]*))?", text)
    if not match or text.endswith((".tgz", ".tar.gz")):
        return None
    version = match[2] or ""
    return match[1], version if re.match(r"[\d^~<>=*v]", version) else ""


def _gem(_: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read(
        words, "-v --version -i --install-dir -n --bindir --platform -s --source -P --trust-policy -p --http-proxy"
    )
    verb = found.operands[0].text if found.operands else ""
    if verb not in {"install", "i"} or found.has("--platform"):
        return None
    version = next(iter(found.values("-v", "--version")), "").strip("'\" ")
    named = []
    for one in _each(found.operands[1:], _gem_name):
        named.append(Named(one.name, one.version or (f"={version}" if version[:1].isdigit() else version), one.origin))
    return Install(
        Ecosystem.GEM, tuple(named), repositories=tuple(Repository(u) for u in found.values("-s", "--source"))
    )


def _gem_name(text: str) -> tuple[str, str] | None:
    match = re.fullmatch(r"([A-Za-z0-9][\w.-]*?)(?::(\d[\w.]*))?", text)
    return (match[1], f"={match[2]}" if match[2] else "") if match and not text.endswith(".gem") else None


def _bundle(command: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read(words, "--path --jobs -j --gemfile --without --with --retry --binstubs")
    if (found.operands[0].text if found.operands else "install") != "install":
        return None
    given = next(iter(found.values("--gemfile")), "")
    variable = command.variable("BUNDLE_GEMFILE")
    gemfile = given or (variable.text if variable is not None and variable.text else "Gemfile")
    switches = (command.variable(name) for name in ("BUNDLE_DEPLOYMENT", "BUNDLE_FROZEN"))
    frozen = found.has("--deployment", "--frozen") or any(
        value is not None and value.text not in {None, "", "0", "false"} for value in switches
    )
    return Install(Ecosystem.GEM, files=(_absolute(command, f"{gemfile}.lock"),), frozen=frozen)


def _maven(command: Command, words: Sequence[ShellWord]) -> Install | None:
    found = _read(words, "-f --file -P -pl --projects -s --settings -gs -T -l")
    goals = {word.text.rsplit(":", 1)[-1] for word in found.operands}
    if not goals & {
        "package",
        "install",
        "verify",
        "compile",
        "test",
        "deploy",
        "go-offline",
        "resolve",
        "copy-dependencies",
    }:
        return None
    pom = next(iter(found.values("-f", "--file")), "pom.xml")
    path = _absolute(command, pom)
    return Install(Ecosystem.MAVEN, files=(path if path.endswith(".xml") else f"{path}/pom.xml",))


def _sdkmanager(_: Command, words: Sequence[ShellWord]) -> Install | None:
    """``sdkmanager "platform-tools" "build-tools;34.0.0"``."""
    found = _read(words, "--sdk_root --package_file --channel")
    if found.has("--uninstall", "--list", "--list_installed", "--licenses", "--version"):
        return None
    return Install(
        Ecosystem.ANDROID, tuple(_components(found.operands, rf"([\w-]+)(?:;([\w.+-]+)(?=;|$))?(?=[;{HOLE}]|$)"))
    )


def _android(_: Command, words: Sequence[ShellWord]) -> Install | None:
    """``android update sdk --no-ui --filter platform-tools,build-tools-23.0.3``; without a filter it is everything."""
    if [word.text for word in words[:2]] != ["update", "sdk"]:
        return None
    for earlier, later in pairwise(words):
        if earlier.text == "--filter" or re.fullmatch(r"-[a-su-z]*t", earlier.text):
            return Install(
                Ecosystem.ANDROID, tuple(_components((later,), rf"([a-z-]+?)(?:-(\d[\w.+-]*))?(?=-?{HOLE}|$)"))
            )
    return Install(Ecosystem.ANDROID, (Named("platform-tools", "", words[1].origin),))


def _components(words: Iterable[ShellWord], pattern: str) -> Iterator[Named]:
    """The parts of the Android SDK that words name, several in one word if need be. A version that is not known is
    left away: the part is the same, and each part is told once of a word."""
    for word in words:
        told: set[str] = set()
        for item in re.finditer(r"[^\s,]+", word.text):
            found = re.match(pattern, item[0])
            written = word.value.origin_of(item.start(), item.end())
            if found and found[1] not in told:
                told.add(found[1])
                origin = written[0] if len(written) == 1 else word.origin
                yield Named(found[1], f"={found[2]}" if found[2] else "", origin)


_READERS: dict[str, Callable[[Command, Sequence[ShellWord]], Install | None]] = {
    **dict.fromkeys(("apt-get", "apt", "aptitude", "apt-fast"), _apt),
    "apk": _apk,
    **dict.fromkeys(("yum", "dnf", "microdnf", "tdnf"), _rpm),
    "zypper": _zypper,
    **dict.fromkeys(("pip", "pipx"), _pip),
    **dict.fromkeys(("npm", "yarn", "pnpm", "cnpm"), _npm),
    "gem": _gem,
    "bundle": _bundle,
    "bundler": _bundle,
    "mvn": _maven,
    "mvnw": _maven,
    "sdkmanager": _sdkmanager,
    "android": _android,
}


def _each(words: Sequence[ShellWord], parse: Callable[[str], tuple[str, str] | None]) -> Iterator[Named]:
    for word in words:
        text = word.text
        if HOLE in text or not text:
            continue
        found = parse(text)
        if found:
            written = word.value.origin_of(0, len(text))
            yield Named(*found, written[0] if len(written) == 1 else word.origin)


def _absolute(command: Command, path: str) -> str:
    return resolve(command.directory, literal(path)).render()


# --- repositories ----------------------------------------------------------------------------------------------------

_DEB_LINE = re.compile(r"^\s*deb(?:\s+\[[^\]]*\])?\s+(\S+?)\s+(\S+)((?:\s+[\w./-]+)*)", re.MULTILINE)
_SOURCES = re.compile(r"sources\.list|yum\.repos\.d|zypp/repos\.d|/etc/apk/repositories|pip\.conf|\.npmrc")
_REPO_FILE = re.compile(r"(?:yum\.repos\.d|zypp/repos\.d)/")
_REPO_URL = re.compile(r"https?://\S+\.repo")
_BRINGING = re.compile(r"(?:.*/)?([\w.+-]*?-(?:release(?:-scl(?:-rh)?)?|repos?))(?:$|-.*\.rpm$)")
"""Packages whose name says that they bring a repository; by their URL, too."""


def added_repositories(command: Command) -> tuple[tuple[Repository, ...], bool]:
    """The package sources that a command adds, and whether it adds one that cannot be read from its words."""
    name = command.name
    of_rpms = _rpm_repositories(command)
    if of_rpms is not None:
        return of_rpms
    if name in _ADDERS:
        found = tuple(_deb_lines(word.text for word in command.arguments))
        return found, not found
    if not command.redirects and name not in _WRITERS | _INSTALLERS | _SHELLS:
        return (), False
    texts = [word.text for word in command.arguments]
    texts += [r.target.render() for r in command.redirects if r.operator.startswith("<<")]
    if command.stdin is not None:
        texts.append(command.stdin.render())
    found = tuple(_deb_lines(texts))
    if found:
        return found, False
    opaque = any(_SOURCES.search(r.target.render()) for r in command.redirects if r.operator.endswith(">"))
    opaque = opaque or (name in _WRITERS and any(_SOURCES.search(text) for text in texts))
    opaque = opaque or (name in _INSTALLERS and any(text.endswith(".deb") for text in texts))
    return (), opaque or (name in _SHELLS and command.stdin is not None and HOLE in command.stdin.render())


def _rpm_repositories(command: Command) -> tuple[tuple[Repository, ...], bool] | None:
    """As ``added_repositories``, for what dnf and its kin do; None for a command that does nothing with .repo files."""
    name = command.name.rstrip("0123456789")
    if name in _RPM_MANAGERS:
        return _managed(name, command.arguments)
    written = [r.target.render() for r in command.redirects if r.operator.endswith(">")]
    texts = [word.text for word in command.arguments]
    if not any(_REPO_FILE.search(text) for text in (*written, *(texts if name in _WRITERS else ()))):
        return None
    if name == "mv" and not texts[-1].endswith((".repo", ".d", "/")):
        return (), False  # put aside
    contents = [r.target.render() for r in command.redirects if r.operator.startswith("<<")]
    contents += [*texts, *([command.stdin.render()] if command.stdin is not None else [])]
    addresses = [address for text in contents for address in repository_addresses(text)]
    if name in FETCHERS:
        addresses += [text for text in texts if _REPO_URL.fullmatch(text)]
    found = tuple(Repository(address) for address in dict.fromkeys(addresses))
    return found, not found


def _managed(name: str, words: Sequence[ShellWord]) -> tuple[tuple[Repository, ...], bool]:
    """What a package manager adds: by its own command, or with a package that brings a repository."""
    of_zypper = name == "zypper"
    found = _read_zypper(words) if of_zypper else _read(words, f"{_RPM_VALUES} --add-repo --from-repofile")
    operands = [word.text for word in found.operands]
    verb = operands[0] if operands else ""
    if name == "yum-config-manager" or verb == "config-manager":
        added = found.values("--add-repo", "--from-repofile")
    elif verb in {"addrepo", "ar"}:
        added = operands[1:2] + found.values("-r", "--repo")
    elif verb == "copr" or name in {"amazon-linux-extras", "subscription-manager"}:
        return (), bool({"enable", "install", "register", "repos"} & set(operands))
    elif name != "rpm" and verb not in {"install", "in", "localinstall", "reinstall", "upgrade", "update"}:
        return (), False
    else:
        brings = [(text, _BRINGING.fullmatch(text)) for text in operands]
        named = tuple(Repository(match[1]) for _, match in brings if match)
        return named, any(text.endswith(".rpm") and match is None for text, match in brings)
    addresses = tuple(Repository(text.rstrip("/")) for text in added if "://" in text)
    return addresses, len(addresses) < len(added)


def _deb_lines(texts: Iterable[str]) -> Iterator[Repository]:
    for text in texts:
        for match in _DEB_LINE.finditer(text) if "deb" in text else ():
            if HOLE not in match[1]:
                yield Repository(match[1], match[2], tuple(match[3].split()))


_ADDERS = frozenset("add-apt-repository apt-add-repository".split())
_RPM_MANAGERS = frozenset(
    "rpm dnf yum microdnf tdnf zypper yum-config-manager amazon-linux-extras subscription-manager".split()
)
_WRITERS = frozenset("echo printf cat tee curl wget cp mv install ln".split())
_INSTALLERS = frozenset("dpkg apt apt-get".split())
_SHELLS = frozenset("sh bash".split())
