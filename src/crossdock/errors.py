"""The one exception root. Every error says what happened, where, and what to do next."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What the process returns. Documented in ``crossdock --help`` and docs/exit-codes.md."""

    DONE = 0
    FINDINGS = 1
    """Findings, or a verification that failed."""
    USAGE = 2
    CANNOT = 3
    """It could not be done: engine, network, registry, file system, unreadable input."""
    INTERRUPTED = 130


class CrossdockError(Exception):
    """Something a person can act on.

    ``what`` happened (one sentence, no full stop needed), ``where`` it happened (``path:line:column``, a URL or a
    reference) and the ``hint``: the next thing to do. A message never holds a credential.
    """

    exit_code: ExitCode = ExitCode.CANNOT

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class UsageError(CrossdockError):
    """The command line or a configuration file asks for something that has no meaning."""

    exit_code = ExitCode.USAGE


class InputError(CrossdockError):
    """A file of the user's cannot be read or understood (a Dockerfile with a syntax error, an archive that is none)."""


class EngineError(CrossdockError):
    """No engine, or the engine failed. ``log`` holds the last lines it printed, already redacted."""

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, log: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.log = log


class Kind(StrEnum):
    """What a program can tell apart when a registry did not answer as hoped (``platforms --format json``)."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NO_TAG = "no-such-tag"
    NO_REPOSITORY = "no-such-repository"
    RATE_LIMIT = "rate-limit"
    SERVER = "server-error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    DNS = "dns"
    TLS = "tls"
    REDIRECT = "redirect"
    DIGEST = "wrong-digest"
    TOO_LARGE = "too-large"
    NO_IMAGE = "not-an-image"
    OFFLINE = "offline"
    REFERENCE = "not-a-reference"
    OTHER = "other"


class RegistryError(CrossdockError):
    """A registry or web server did not give what was asked for. ``kind`` is the same in a form for programs."""

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, kind: Kind = Kind.OTHER
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind
