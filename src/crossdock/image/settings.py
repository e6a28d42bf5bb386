"""How this machine reaches registries: mirrors, plain HTTP and private authorities, as Docker, BuildKit and
containers/image are configured."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from crossdock.errors import RegistryError
from crossdock.http.model import Trust
from crossdock.image.reference import DOCKER_HUB
from crossdock.image.settings_files import HUB_API, Host, Mirror, Namespace, Network, Place, Reader, canonical


@dataclass(frozen=True)
class Endpoint:
    """One place where a registry's content can be asked for: the registry itself or a mirror of it.

    ``host`` is ``host[:port]`` to connect to, ``prefix`` what stands there before the repository's name, in the place
    of ``replaces`` (both are empty for most; see ``path``). ``plain_http`` means HTTP only; ``insecure`` that an
    untrusted certificate, or plain HTTP where there is no TLS, is accepted. ``mirror`` is False only for the registry
    that the reference names, which is the only one that is ever pushed to, or given the login for that name.
    """

    host: str
    prefix: str = ""
    plain_http: bool = False
    insecure: bool = False
    mirror: bool = False
    replaces: str = ""

    def path(self, repository: str) -> str:
        """What ``repository`` is called there, as it follows ``/v2/``."""
        rest = repository.removeprefix(self.replaces).lstrip("/")
        return "/".join(part for part in (self.prefix, rest) if part)


@dataclass(frozen=True)
class Settings:
    """What the machine's configuration files say. ``problems`` names what in them could not be used, and why.

    ``networks`` are insecure, for hosts that are given by their address; ``namespaces`` begin with the longest prefix.
    """

    problems: tuple[str, ...] = ()
    hosts: Mapping[str, Host] = field(default_factory=dict)
    networks: tuple[Network, ...] = ()
    namespaces: tuple[Namespace, ...] = ()

    def endpoints(self, host: str, repository: str, *, by_digest: bool = False) -> tuple[Endpoint, ...]:
        """Where to ask for ``host/repository``, in order: mirrors first; last the registry itself, or where
        registries.conf says that its content is.

        ``by_digest`` tells whether the content is named by its digest: some mirrors are only for those. Raises
        RegistryError when registries.conf blocks the image.
        """
        last = self.itself(host, repository)
        mirrors = [self._endpoint(mirror) for mirror in self.hosts.get(canonical(host), Host()).mirrors]
        namespace = self._namespace(canonical(host), repository)
        if namespace:
            port = (namespace.after(f"{canonical(host)}/{repository}") or "").partition("/")[0]
            mirrors += (
                self._endpoint(mirror, namespace, port)
                for mirror in namespace.mirrors
                if (mirror.by_digest if by_digest else mirror.by_tag)
            )
            if namespace.location:
                there = Mirror(namespace.location, insecure=namespace.insecure)
                last = self._endpoint(there, namespace, port)
                self._refuse_blocked(canonical(last.host), last.path(repository))
        return (*self._useful(mirrors, last, repository), last)

    def itself(self, host: str, repository: str) -> Endpoint:
        """The registry that ``host/repository`` names, to push to: mirrors and other locations are for reading. Raises
        RegistryError when registries.conf blocks it."""
        name = canonical(host)
        self._refuse_blocked(name, repository)
        namespace = self._namespace(name, repository)
        endpoint = self._endpoint(Mirror(Place(host), insecure=namespace is not None and namespace.insecure))
        return replace(endpoint, mirror=False)

    def trust(self, host: str) -> Trust:
        """The certificates for connections to ``host[:port]``. Whether they are verified is the endpoint's matter."""
        facts = self.hosts.get(canonical(host), Host())
        if facts.client:
            return Trust(facts.authorities, facts.client.certificate, facts.client.key)
        return Trust(facts.authorities)

    def _endpoint(self, mirror: Mirror, namespace: Namespace | None = None, port: str = "") -> Endpoint:
        name = canonical(mirror.place.host) + port
        facts = self.hosts.get(name, Host())
        return Endpoint(
            HUB_API if name == DOCKER_HUB else name,
            mirror.place.path,
            mirror.plain_http or facts.plain_http,
            mirror.insecure or facts.insecure or self._in_insecure_network(name),
            mirror=True,
            replaces=namespace.prefix.partition("/")[2] if namespace else "",
        )

    def _useful(self, mirrors: Iterable[Endpoint], last: Endpoint, repository: str) -> Iterator[Endpoint]:
        """Each mirror once, without those that are blocked, or the same as the last one. What one file allows for a
        mirror, is allowed."""
        found: dict[tuple[str, str], Endpoint] = {}
        for mirror in mirrors:
            place = (mirror.host, mirror.path(repository))
            known = found.get(place, mirror)
            plain_http, insecure = known.plain_http or mirror.plain_http, known.insecure or mirror.insecure
            found[place] = replace(known, plain_http=plain_http, insecure=insecure)
        found.pop((last.host, last.path(repository)), None)
        for (host, path), mirror in found.items():
            namespace = self._namespace(canonical(host), path)
            if not (namespace and namespace.blocked):
                yield mirror

    def _namespace(self, host: str, repository: str) -> Namespace | None:
        name = f"{host}/{repository}"
        return next((namespace for namespace in self.namespaces if namespace.after(name) is not None), None)

    def _refuse_blocked(self, host: str, repository: str) -> None:
        namespace = self._namespace(host, repository)
        if namespace and namespace.blocked:
            raise RegistryError(
                f"{namespace.prefix} is blocked on this machine, and with it {host}/{repository}",
                where=str(namespace.source),
                hint="Use an image from elsewhere, or have the entry in this file changed.",
            )

    def _in_insecure_network(self, host: str) -> bool:
        bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        try:
            address = ipaddress.ip_address("127.0.0.1" if bare.lower() == "localhost" else bare)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def read_settings(environ: Mapping[str, str] | None = None, *, root: Path = Path("/")) -> Settings:
    """Read what there is (docs/registries.md). Never raises for a file that is missing or wrong: what cannot be used is
    among ``problems``.

    ``environ`` gives HOME, XDG_CONFIG_HOME and CONTAINERS_REGISTRIES_CONF. With another ``root`` every absolute path is
    taken below it, unless it is there already.
    """
    reader = Reader(os.environ if environ is None else environ, root)
    reader.read()
    longest_first = sorted(reader.namespaces.values(), key=lambda namespace: -len(namespace.prefix))
    return Settings(tuple(reader.problems), reader.hosts, tuple(reader.networks), tuple(longest_first))
