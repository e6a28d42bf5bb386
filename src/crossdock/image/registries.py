"""All registries as this machine reaches them, made once per run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from crossdock.http.client import Http
from crossdock.image.auth import Keychain
from crossdock.image.cache import DocumentCache
from crossdock.image.reference import Reference
from crossdock.image.registry import Limit, Registry
from crossdock.image.registry_image import RegistryImage
from crossdock.image.settings import Settings

T = TypeVar("T")


class Registries:
    """All registries as this machine reaches them. Made once per run and handed to whatever reads or pushes images, so
    that connections, tokens and what was learnt are shared. Threads may share it."""

    def __init__(
        self,
        http: Http,
        *,
        keychain: Keychain | None = None,
        settings: Settings | None = None,
        cache: DocumentCache | None = None,
        plain_http: bool = False,
    ) -> None:
        self.http = http
        self.cache = cache
        self._keychain = keychain or Keychain()
        self._settings = settings or Settings()
        self._plain_http = plain_http
        self._known: dict[str, Registry] = {}
        self._lock = threading.Lock()

    def registry(self, host: str) -> Registry:
        """The registry that a reference names by ``host``."""
        with self._lock:
            if host not in self._known:
                self._known[host] = Registry(
                    host, self.http, self._keychain, self._settings, plain_http=self._plain_http
                )
            return self._known[host]

    def image(self, reference: Reference) -> RegistryImage:
        """The image that a reference names. Nothing is asked yet."""
        return RegistryImage(reference, self.registry(reference.host), self.cache)

    def run(self, work: Coroutine[Any, Any, T], meanwhile: Callable[[], object] = lambda: None) -> T:
        """Do what the coroutines of registries and images do, and wait for it. Not from within one of them."""
        return self.http.run(work, meanwhile)

    def limits(self) -> tuple[tuple[str, Limit], ...]:
        """Which registries said how much they still give, and how much that is."""
        with self._lock:
            return tuple((host, known.limit) for host, known in self._known.items() if known.limit)
