"""What BuildKit's, Docker's and podman's configuration means for how registries are reached; no file stops us."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import RegistryError
from crossdock.http.model import Trust
from crossdock.image.settings import Endpoint, Settings, read_settings

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
HUB = Endpoint("registry-1.docker.io")
BUILDKIT, DOCKER = "etc/buildkit/buildkitd.toml", "etc/docker/daemon.json"
CONTAINERS, DROP_INS = "etc/containers/registries.conf", "etc/containers/registries.conf.d"


class Machine:
    """A file system below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environ = {"HOME": "/home/me"}

    def write(self, name: str, content: str | bytes | dict[str, object]) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(content) if isinstance(content, dict) else content
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def all(self) -> Settings:
        return read_settings(self.environ, root=self.root)

    def good(self) -> Settings:
        """The settings, when every file is as it should be."""
        found = self.all()
        assert found.problems == ()
        return found

    def problem(self, *, of: str) -> str:
        """The one thing that is wrong, and which has to name this file."""
        (problem,) = self.all().problems
        assert problem.startswith(f"{self.root}/{of}: ")
        assert problem.endswith(".")
        return problem.removeprefix(f"{self.root}/{of}: ")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def mirrors(found: Settings, host: str, repository: str = "a/b", *, by_digest: bool = False) -> list[str]:
    """The addresses of the mirrors, with the repository as it is called there."""
    *endpoints, last = found.endpoints(host, repository, by_digest=by_digest)
    assert not last.mirror
    assert all(endpoint.mirror for endpoint in endpoints)
    return [f"{endpoint.host}/{endpoint.path(repository)}" for endpoint in endpoints]


def itself(found: Settings, host: str, repository: str = "a/b") -> Endpoint:
    *_, last = found.endpoints(host, repository)
    return last


class TestNothing:
    def test_a_machine_without_files(self, machine: Machine) -> None:
        found = machine.good()
        assert found.endpoints("r.example:5000", "app") == (Endpoint("r.example:5000"),)
        assert found.endpoints("docker.io", "library/alpine") == (HUB,)
        assert found.trust("r.example") == Trust()

    def test_no_home(self, machine: Machine) -> None:
        machine.environ = {}
        assert machine.good().endpoints("r.example", "app") == (Endpoint("r.example"),)

    def test_settings_that_were_not_read(self) -> None:
        assert Settings().endpoints("localhost:5000", "app") == (Endpoint("localhost:5000"),)

    @pytest.mark.parametrize("name", [BUILDKIT, DOCKER, CONTAINERS])
    def test_an_empty_file(self, machine: Machine, name: str) -> None:
        machine.write(name, "\n")
        machine.good()

    def test_home_below_the_root_and_outside(self, machine: Machine) -> None:
        machine.write("home/me/.config/docker/daemon.json", {"insecure-registries": ["r.example"]})
        for home in ("/home/me", str(machine.root / "home/me")):
            machine.environ = {"HOME": home}
            assert itself(machine.good(), "r.example").insecure


class TestBuildKit:
    def test_mirrors_with_and_without_path_and_scheme(self, machine: Machine) -> None:
        machine.write(
            BUILDKIT,
            """
            [registry."docker.io"]
            mirrors = ["m.example", "m.example:5000/hub/cache/", "https://tls.example", "http://plain.example/x"]
            """,
        )
        found = machine.good()
        assert found.endpoints("docker.io", "library/alpine") == (
            Endpoint("m.example", mirror=True),
            Endpoint("m.example:5000", "hub/cache", mirror=True),
            Endpoint("tls.example", mirror=True),
            Endpoint("plain.example", "x", plain_http=True, mirror=True),
            HUB,
        )
        assert found.endpoints("docker.io", "library/alpine")[1].path("library/alpine") == "hub/cache/library/alpine"
        assert found.endpoints("other.example", "app") == (Endpoint("other.example"),)

    @pytest.mark.parametrize(
        ("flags", "plain_http", "insecure"),
        [
            ("", False, False),
            ("http = true", True, False),
            ("insecure = true", False, True),
            ("http = true\ninsecure = true", False, True),
            ("http = false\ninsecure = false", False, False),
        ],
    )
    def test_http_and_insecure(self, machine: Machine, flags: str, plain_http: bool, insecure: bool) -> None:
        machine.write(BUILDKIT, f'[registry."r.example:5000"]\n{flags}\n')
        expected = Endpoint("r.example:5000", plain_http=plain_http, insecure=insecure)
        assert machine.good().endpoints("r.example:5000", "app") == (expected,)

    def test_a_mirror_has_a_section_of_its_own(self, machine: Machine) -> None:
        machine.write(
            BUILDKIT,
            """
            [registry."docker.io"]
            mirrors = ["m.example:5000"]
            insecure = true
            [registry."m.example:5000"]
            http = true
            """,
        )
        mirror, hub = machine.good().endpoints("docker.io", "a/b")
        assert (mirror.plain_http, mirror.insecure) == (True, False)
        assert (hub.plain_http, hub.insecure) == (False, True)

    def test_certificates(self, machine: Machine) -> None:
        ca, cert = machine.write("certs/ca.pem", PEM), machine.write("etc/buildkit/client.pem", PEM)
        key = machine.write("certs/key.pem", "key")
        machine.write(
            BUILDKIT,
            """
            [registry."r.example"]
            ca = ["/certs/ca.pem"]
            [[registry."r.example".keypair]]
            key = "/certs/key.pem"
            cert = "client.pem"
            """,
        )
        assert machine.good().trust("r.example") == Trust((ca,), cert, key)
        assert machine.good().trust("r.example:443") == Trust()

    def test_a_folder_of_certificates(self, machine: Machine) -> None:
        ca = machine.write("certs/r/ca.crt", PEM)
        machine.write(BUILDKIT, '[registry."r.example"]\ntlsconfigdir = ["/certs/r", "/certs/none"]\n')
        assert machine.good().trust("r.example") == Trust((ca,))

    @pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "registry-1.docker.io"])
    def test_docker_hub_has_several_names(self, machine: Machine, name: str) -> None:
        machine.write(BUILDKIT, f'[registry."{name}"]\nmirrors = ["m.example"]\n')
        assert mirrors(machine.good(), "docker.io") == ["m.example/a/b"]

    def test_the_rootless_daemon(self, machine: Machine) -> None:
        machine.write(BUILDKIT, '[registry."r.example"]\nmirrors = ["system.example"]\n')
        machine.write("home/me/.config/buildkit/buildkitd.toml", '[registry."r.example"]\nmirrors = ["me.example"]\n')
        machine.write("xdg/buildkit/buildkitd.toml", '[registry."r.example"]\nmirrors = ["xdg.example"]\n')
        assert mirrors(machine.good(), "r.example") == ["system.example/a/b", "me.example/a/b"]
        machine.environ["XDG_CONFIG_HOME"] = "/xdg"
        assert mirrors(machine.good(), "r.example") == ["system.example/a/b", "xdg.example/a/b"]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("[registry", "is not TOML"),
            (b"a = '\xff'", "is not TOML"),
            ("registry = 1", '"registry" must be a table'),
            ("[registry]\na = 1", "registry: 'a' must be a table"),
            ('[registry."https://r.example"]', "registry: 'https://r.example': the name is not host[:port]"),
            ('[registry."r.example/a"]', "registry: 'r.example/a': the name is not host[:port]"),
            ('[registry.r]\nhttp = "yes"', "registry: 'r': \"http\" must be true or false"),
            ('[registry.r]\nmirrors = "m.example"', '"mirrors" must be a list of texts'),
            ("[registry.r]\nmirrors = [1]", '"mirrors" holds something that is not text'),
            ('[registry.r]\nmirrors = ["ftp://m"]', "\"mirrors\" has 'ftp://m', which is not an address"),
            ('[registry.r]\nkeypair = [{key = "k"}]', 'keypair 1: it needs both "cert" and "key"'),
            ("[registry.r]\nkeypair = [1]", '"keypair" holds something that is not a table'),
        ],
    )
    def test_what_is_wrong_is_told(self, machine: Machine, content: str | bytes, told: str) -> None:
        machine.write(BUILDKIT, content)
        assert told in machine.problem(of=BUILDKIT)

    def test_what_is_right_beside_it_counts(self, machine: Machine) -> None:
        machine.write(BUILDKIT, '[registry.r]\nhttp = "yes"\nmirrors = [1, "m.example"]\n[registry.s]\nhttp = true\n')
        found = machine.all()
        assert len(found.problems) == 2
        assert mirrors(found, "r") == ["m.example/a/b"]
        assert itself(found, "s").plain_http

    def test_an_authority_that_is_not_there(self, machine: Machine) -> None:
        ca = machine.write("certs/ca.pem", PEM)
        machine.write(BUILDKIT, '[registry.r]\nca = ["/certs/none.pem", "/certs/ca.pem"]\n')
        assert "cannot be read: No such file or directory" in machine.problem(of="certs/none.pem")
        assert machine.all().trust("r") == Trust((ca,))


class TestDocker:
    def test_mirrors_are_for_docker_hub_alone(self, machine: Machine) -> None:
        machine.write(DOCKER, {"registry-mirrors": ["https://m.example", "http://10.1.2.3:5000/hub/"]})
        found = machine.good()
        assert found.endpoints("docker.io", "a/b") == (
            Endpoint("m.example", mirror=True),
            Endpoint("10.1.2.3:5000", "hub", plain_http=True, mirror=True),
            HUB,
        )
        assert mirrors(found, "r.example") == []

    def test_insecure_hosts(self, machine: Machine) -> None:
        machine.write(
            DOCKER, {"insecure-registries": ["r.example:5000", "http://s.example", "fd00::1", "[fd00::2]:80"]}
        )
        found = machine.good()
        for host in ("r.example:5000", "s.example", "[fd00::1]", "[fd00::2]:80"):
            assert itself(found, host) == Endpoint(host, insecure=True)
        for host in ("r.example", "r.example:5001", "[fd00::2]", "docker.io"):
            assert not itself(found, host).insecure

    def test_insecure_networks(self, machine: Machine) -> None:
        machine.write(DOCKER, {"insecure-registries": ["10.0.0.0/8", "192.168.1.77/24", "fd00::/8"]})
        found = machine.good()
        for host in ("10.1.2.3", "10.1.2.3:5000", "192.168.1.1:80", "[fd12::1]:5000", "[fd12::1]"):
            assert itself(found, host).insecure
        for host in ("11.1.2.3:5000", "192.168.2.1", "[fe80::1]:5000", "ten.example", "10.example"):
            assert not itself(found, host).insecure

    @pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"])
    def test_a_certificate_of_this_machine_counts_as_any_other(self, machine: Machine, host: str) -> None:
        """Unlike Docker's daemon. (That plain HTTP needs no asking here is the client's business.)"""
        assert not itself(machine.good(), host).insecure
        machine.write(DOCKER, {"insecure-registries": ["127.0.0.0/8", "::1/128"]})
        assert itself(machine.good(), host).insecure

    def test_an_insecure_mirror(self, machine: Machine) -> None:
        machine.write(DOCKER, {"registry-mirrors": ["https://m.example"], "insecure-registries": ["m.example"]})
        assert machine.good().endpoints("docker.io", "a")[0].insecure

    def test_docker_hub_cannot_be_made_insecure(self, machine: Machine) -> None:
        machine.write(DOCKER, {"insecure-registries": ["docker.io"]})
        assert machine.good().endpoints("docker.io", "a") == (HUB,)

    def test_the_rootless_daemon(self, machine: Machine) -> None:
        machine.write("home/me/.config/docker/daemon.json", {"registry-mirrors": ["https://m.example"]})
        assert mirrors(machine.good(), "docker.io") == ["m.example/a/b"]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("{", "is not JSON"),
            ("[" * 100_000, "is nested too deeply"),
            ("[]", "there must be an object at the top"),
            ('{"registry-mirrors": "https://m.example"}', '"registry-mirrors" must be a list of texts'),
            ('{"registry-mirrors": ["m.example"]}', "'m.example', which is not an address such as https://"),
            ('{"registry-mirrors": ["https://"]}', "'https://', which is not an address"),
            ('{"insecure-registries": {}}', '"insecure-registries" must be a list of texts'),
            ('{"insecure-registries": [null]}', '"insecure-registries" holds something that is not text'),
            ('{"insecure-registries": ["10.0.0.0/33"]}', "'10.0.0.0/33', neither host[:port] nor a network"),
            ('{"insecure-registries": ["a\\u001b[1m"]}', "'a\\x1b[1m', neither host[:port] nor a network"),
        ],
    )
    def test_what_is_wrong_is_told(self, machine: Machine, content: str, told: str) -> None:
        machine.write(DOCKER, content)
        assert told in machine.problem(of=DOCKER)

    def test_null_is_nothing(self, machine: Machine) -> None:
        machine.write(DOCKER, {"registry-mirrors": None, "insecure-registries": None})
        machine.good()

    def test_a_password_is_not_shown(self, machine: Machine) -> None:
        machine.write(DOCKER, {"registry-mirrors": ["https://me:geheim@m.example"]})
        assert "geheim" not in machine.problem(of=DOCKER)


class TestContainers:
    def test_mirrors_and_another_location(self, machine: Machine) -> None:
        machine.write(
            CONTAINERS,
            """
            unqualified-search-registries = ["docker.io"]
            [[registry]]
            prefix = "r.example/foo"
            location = "inner.example/bar"
            insecure = true
            [[registry.mirror]]
            location = "m0.example/for-foo"
            [[registry.mirror]]
            location = "m1.example:5000"
            insecure = true
            """,
        )
        found = machine.good()
        endpoints = found.endpoints("r.example", "foo/x/app")
        assert [(endpoint.host, endpoint.path("foo/x/app"), endpoint.insecure) for endpoint in endpoints] == [
            ("m0.example", "for-foo/x/app", False),
            ("m1.example:5000", "x/app", True),
            ("inner.example", "bar/x/app", True),
        ]
        assert found.endpoints("r.example", "foo")[0].path("foo") == "for-foo"
        assert found.endpoints("r.example", "food") == (Endpoint("r.example"),)

    def test_another_location_is_no_place_to_push_or_log_in_to(self, machine: Machine) -> None:
        machine.write(CONTAINERS, '[[registry]]\nprefix = "r.example"\nlocation = "inner.example"\n')
        found = machine.good()
        assert found.endpoints("r.example", "a") == (Endpoint("inner.example", mirror=True),)
        assert found.itself("r.example", "a") == Endpoint("r.example")

    def test_the_longest_prefix_wins(self, machine: Machine) -> None:
        machine.write(
            CONTAINERS,
            """
            [[registry]]
            location = "docker.io"
            mirror = [{location = "m.example/hub"}]
            [[registry]]
            location = "docker.io/library"
            mirror = [{location = "m.example/official"}]
            [[registry]]
            location = "docker.io/library/alpine"
            """,
        )
        found = machine.good()
        assert mirrors(found, "docker.io", "a/b") == ["m.example/hub/a/b"]
        assert mirrors(found, "docker.io", "library/debian") == ["m.example/official/debian"]
        assert mirrors(found, "docker.io", "library/alpine") == []
        assert mirrors(found, "docker.io", "library/alpine-git") == ["m.example/official/alpine-git"]
        assert itself(found, "docker.io", "library/debian") == HUB

    def test_wildcards(self, machine: Machine) -> None:
        machine.write(
            CONTAINERS,
            """
            [[registry]]
            prefix = "*.corp.example"
            insecure = true
            mirror = [{location = "m.example/corp"}]
            [[registry]]
            prefix = "*.moved.example"
            location = "inner.example/moved"
            """,
        )
        found = machine.good()
        for host in ("r.corp.example", "a.b.corp.example"):
            assert mirrors(found, host) == ["m.example/corp/a/b"]
            assert itself(found, host) == Endpoint(host, insecure=True)
        assert itself(found, "r.corp.example:5000").insecure
        for host in ("corp.example", "xcorp.example", "r.corp.example.org", "docker.io"):
            assert not itself(found, host).insecure
        (moved,) = found.endpoints("r.moved.example", "a/b")
        assert (moved.host, moved.path("a/b")) == ("inner.example", "moved/a/b")

    def test_a_host_stands_for_its_ports_as_with_podman(self, machine: Machine) -> None:
        machine.write(CONTAINERS, '[[registry]]\nlocation = "r.example"\ninsecure = true\n')
        assert itself(machine.good(), "r.example:5000") == Endpoint("r.example:5000", insecure=True)

    def test_mirrors_for_tags_and_for_digests(self, machine: Machine) -> None:
        machine.write(
            CONTAINERS,
            """
            [[registry]]
            location = "r.example"
            [[registry.mirror]]
            location = "all.example"
            pull-from-mirror = "all"
            [[registry.mirror]]
            location = "digest.example"
            pull-from-mirror = "digest-only"
            [[registry.mirror]]
            location = "tag.example"
            pull-from-mirror = "tag-only"
            [[registry]]
            location = "s.example"
            mirror-by-digest-only = true
            mirror = [{location = "digest.example"}]
            """,
        )
        found = machine.good()
        assert mirrors(found, "r.example") == ["all.example/a/b", "tag.example/a/b"]
        assert mirrors(found, "r.example", by_digest=True) == ["all.example/a/b", "digest.example/a/b"]
        assert mirrors(found, "s.example") == []
        assert mirrors(found, "s.example", by_digest=True) == ["digest.example/a/b"]

    def test_what_is_blocked_is_refused_with_the_file(self, machine: Machine) -> None:
        path = machine.write(CONTAINERS, '[[registry]]\nlocation = "r.example/team"\nblocked = true\n')
        found = machine.good()
        for ask in (found.endpoints, found.itself):
            with pytest.raises(RegistryError, match=r"r\.example/team is blocked on this machine") as caught:
                ask("r.example", "team/app")
            assert caught.value.where == str(path)
            assert caught.value.hint
        assert found.endpoints("r.example", "other/app") == (Endpoint("r.example"),)

    def test_a_blocked_mirror_is_left_out(self, machine: Machine) -> None:
        machine.write(
            CONTAINERS,
            """
            [[registry]]
            location = "m.example"
            blocked = true
            [[registry]]
            location = "r.example"
            mirror = [{location = "m.example/r"}]
            [[registry]]
            prefix = "s.example"
            location = "m.example/s"
            """,
        )
        machine.write(DOCKER, {"registry-mirrors": ["https://m.example", "https://n.example"]})
        found = machine.good()
        assert mirrors(found, "r.example") == []
        assert mirrors(found, "docker.io") == ["n.example/a/b"]
        with pytest.raises(RegistryError, match=r"m\.example is blocked"):
            found.endpoints("s.example", "app")

    def test_drop_ins_replace_entries_by_prefix(self, machine: Machine) -> None:
        machine.write(CONTAINERS, '[[registry]]\nlocation = "r.example"\ninsecure = true\n')
        machine.write(f"{DROP_INS}/10-a.conf", '[[registry]]\nlocation = "r.example"\nmirror = [{location = "a"}]\n')
        machine.write(f"{DROP_INS}/20-b.conf", '[[registry]]\nlocation = "r.example"\nmirror = [{location = "b"}]\n')
        machine.write(f"{DROP_INS}/30-c.conf.old", "not toml")
        machine.write(
            "home/me/.config/containers/registries.conf.d/05.conf", '[[registry]]\nlocation = "s"\ninsecure = true\n'
        )
        found = machine.good()
        assert mirrors(found, "r.example") == ["b/a/b"]
        assert not itself(found, "r.example").insecure
        assert itself(found, "s").insecure

    def test_within_a_file_the_first_entry_counts(self, machine: Machine) -> None:
        machine.write(
            CONTAINERS, '[[registry]]\nlocation = "r.example"\ninsecure = true\n[[registry]]\nlocation = "r.example"\n'
        )
        assert itself(machine.good(), "r.example").insecure

    def test_the_users_file_replaces_the_systems(self, machine: Machine) -> None:
        insecure = '[[registry]]\nlocation = "{}"\ninsecure = true\n'
        machine.write(CONTAINERS, insecure.format("system"))
        machine.write(f"{DROP_INS}/a.conf", insecure.format("system-drop-in"))
        machine.write("home/me/.config/containers/registries.conf", insecure.format("user"))
        machine.write("home/me/.config/containers/registries.conf.d/a.conf", insecure.format("user-drop-in"))
        machine.write("other.conf", insecure.format("other"))
        hosts = ("system", "system-drop-in", "user", "user-drop-in", "other")

        def read() -> set[str]:
            found = machine.good()
            return {host for host in hosts if itself(found, host).insecure}

        assert read() == {"user", "user-drop-in"}
        machine.environ["CONTAINERS_REGISTRIES_CONF"] = "/other.conf"
        assert read() == {"other", "system-drop-in", "user-drop-in"}
        machine.environ["CONTAINERS_REGISTRIES_CONF"] = "/dev/none.conf"
        assert "CONTAINERS_REGISTRIES_CONF" in machine.problem(of="dev/none.conf")

    def test_version_1(self, machine: Machine) -> None:
        machine.write(
            CONTAINERS,
            """
            [registries.search]
            registries = ["docker.io"]
            [registries.insecure]
            registries = ["r.example:5000", "both.example"]
            [registries.block]
            registries = ["evil.example", "both.example"]
            """,
        )
        found = machine.good()
        assert itself(found, "r.example:5000").insecure
        for host in ("evil.example", "both.example"):
            with pytest.raises(RegistryError, match="is blocked"):
                found.endpoints(host, "app")
        assert found.endpoints("docker.io", "a") == (HUB,)

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("registry = [", "is not TOML"),
            ('[registry."r.example"]', '"registry" must be a list of tables'),
            ("registry = [1]", '"registry" holds something that is not a table'),
            ("[[registry]]\ninsecure = true", 'registry 1: it needs a "prefix" or "location"'),
            ('[[registry]]\nlocation = "https://r.example"', "registry 1: \"location\" is 'https://r.example', not"),
            ('[[registry]]\nprefix = "*.example.com/a"', 'registry 1: it needs a "prefix" or "location"'),
            ('[[registry]]\nlocation = "r"\ninsecure = 1', 'registry 1: "insecure" must be true or false'),
            ('[[registry]]\nlocation = "r"\nmirror = [{}]', "registry 1: mirror 1: \"location\" is '', not"),
            (
                '[[registry]]\nlocation = "r"\nmirror = [{location = "m", pull-from-mirror = "never"}]',
                "mirror 1: \"pull-from-mirror\" is 'never', not all, digest-only or tag-only",
            ),
            ("[registries]\ninsecure = []", 'registries: "insecure" must be a table'),
            ('[registries.block]\nregistries = ["https://r"]', "registries: 'https://r' is not host[:port]"),
        ],
    )
    def test_what_is_wrong_is_told(self, machine: Machine, content: str, told: str) -> None:
        machine.write(CONTAINERS, content)
        assert told in machine.problem(of=CONTAINERS)


class TestCertificates:
    @pytest.mark.parametrize(
        "folder",
        ["etc/docker", "etc/containers", "home/me/.config/docker", "home/me/.config/containers"],
    )
    @pytest.mark.parametrize("host", ["r.example", "r.example:5000", "[::1]:5000"])
    def test_folders(self, machine: Machine, folder: str, host: str) -> None:
        ca = machine.write(f"{folder}/certs.d/{host}/ca.crt", PEM)
        cert = machine.write(f"{folder}/certs.d/{host}/client.cert", PEM)
        key = machine.write(f"{folder}/certs.d/{host}/client.key", "key")
        machine.write(f"{folder}/certs.d/{host}/README", "")
        machine.write(f"{folder}/certs.d/README", "")
        assert machine.good().trust(host) == Trust((ca,), cert, key)
        assert machine.good().trust("other.example") == Trust()

    def test_docker_hub(self, machine: Machine) -> None:
        ca = machine.write("etc/docker/certs.d/docker.io/ca.crt", PEM)
        assert machine.good().trust("registry-1.docker.io") == machine.good().trust("docker.io") == Trust((ca,))

    def test_the_union_with_the_first_client_certificate(self, machine: Machine) -> None:
        mine = machine.write("mine.pem", PEM)
        docker, containers = (machine.write(f"etc/{name}/certs.d/r/a.crt", PEM) for name in ("docker", "containers"))
        for name in ("docker", "containers"):
            machine.write(f"etc/{name}/certs.d/r/{name}.cert", PEM)
            machine.write(f"etc/{name}/certs.d/r/{name}.key", "key")
        machine.write(BUILDKIT, '[registry.r]\nca = ["/mine.pem"]\n')
        trust = machine.good().trust("r")
        assert trust.authorities == (mine, docker, containers)
        assert trust.certificate == docker.with_name("docker.cert")
        assert trust.key == docker.with_name("docker.key")

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("ca.cert", "has no ca.key beside it. Add the key; an authority's certificate must be called *.crt."),
            ("client.key", "has no client.cert beside it. Add the certificate; for a client its name ends in .cert"),
        ],
    )
    def test_half_a_pair_is_told(self, machine: Machine, name: str, told: str) -> None:
        machine.write(f"etc/docker/certs.d/r/{name}", PEM)
        assert told in machine.problem(of=f"etc/docker/certs.d/r/{name}")
        assert machine.all().trust("r") == Trust()

    def test_a_file_without_a_certificate_is_told(self, machine: Machine) -> None:
        machine.write("etc/docker/certs.d/r/ca.crt", b"\x30\x82\x03")
        assert "no certificate in it" in machine.problem(of="etc/docker/certs.d/r/ca.crt")
        assert machine.all().trust("r") == Trust()

    def test_a_link_to_nowhere_is_told(self, machine: Machine) -> None:
        good = machine.write("etc/docker/certs.d/r/good.crt", PEM)
        (good.parent / "gone.crt").symlink_to("/nowhere/at/all")
        assert "cannot be read" in machine.problem(of="etc/docker/certs.d/r/gone.crt")
        assert machine.all().trust("r") == Trust((good,))


class TestSeveralSources:
    def test_mirrors_in_order_without_duplicates(self, machine: Machine) -> None:
        machine.write(BUILDKIT, '[registry."docker.io"]\nmirrors = ["b.example", "all.example"]\n')
        machine.write(DOCKER, {"registry-mirrors": ["https://d.example", "http://all.example/"]})
        machine.write(
            CONTAINERS,
            """
            [[registry]]
            location = "docker.io"
            mirror = [{location = "c.example"}, {location = "all.example", insecure = true}, {location = "docker.io"}]
            """,
        )
        found = machine.good()
        endpoints = found.endpoints("docker.io", "a/b")
        assert [endpoint.host for endpoint in endpoints] == [
            "b.example", "all.example", "d.example", "c.example", "registry-1.docker.io"
        ]  # fmt: skip
        assert endpoints[1] == Endpoint("all.example", plain_http=True, insecure=True, mirror=True)
        assert endpoints[-1] == HUB

    def test_what_one_allows_is_allowed(self, machine: Machine) -> None:
        machine.write(BUILDKIT, '[registry."r.example"]\nhttp = true\n')
        machine.write(DOCKER, {"insecure-registries": ["r.example", "m.example"]})
        machine.write(CONTAINERS, '[[registry]]\nlocation = "r.example"\nmirror = [{location = "m.example"}]\n')
        mirror, last = machine.good().endpoints("r.example", "a")
        assert mirror == Endpoint("m.example", insecure=True, mirror=True)
        assert last == Endpoint("r.example", plain_http=True, insecure=True)

    def test_a_wrong_file_does_not_stop_the_others(self, machine: Machine) -> None:
        machine.write(BUILDKIT, "wrong")
        machine.write(DOCKER, {"registry-mirrors": ["https://m.example"]})
        (machine.root / CONTAINERS).mkdir(parents=True)
        found = machine.all()
        assert mirrors(found, "docker.io") == ["m.example/a/b"]
        toml, folder = found.problems
        assert BUILDKIT in toml
        assert "cannot be read: Is a directory" in folder

    def test_files_that_may_not_be_read(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        ca = machine.write("etc/docker/certs.d/r/ca.crt", PEM)
        user = machine.write("home/me/.config/containers/registries.conf", "")
        machine.write(CONTAINERS, '[[registry]]\nlocation = "r"\ninsecure = true\n')

        def refuse(path: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "read_bytes", refuse)
        found = machine.all()
        # The user's file would have replaced the system's.
        assert not itself(found, "r").insecure
        for path in (ca, user):
            assert f"{path}: cannot be read: Permission denied. Make it readable, or remove it." in found.problems

    def test_ipv6(self, machine: Machine) -> None:
        machine.write(BUILDKIT, '[registry."[fd00::1]:5000"]\nmirrors = ["[fd00::2]:5000/x"]\n')
        machine.write(CONTAINERS, '[[registry]]\nlocation = "[fd00::1]:5000"\ninsecure = true\n')
        assert machine.good().endpoints("[fd00::1]:5000", "a") == (
            Endpoint("[fd00::2]:5000", "x", mirror=True),
            Endpoint("[fd00::1]:5000", insecure=True),
        )


KEYS = st.sampled_from(
    "registry registries mirrors http insecure ca keypair key cert tlsconfigdir registry-mirrors insecure-registries "
    "prefix location mirror pull-from-mirror blocked block mirror-by-digest-only docker.io r.example:5000".split()
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(
        ["docker.io", "*.example", "https://m:1/x", "10.0.0.0/8", "::1", "/", "a\0b", "\ud800", "a" * 300]
    )
)
SHAPES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=4),
    max_leaves=25,
)


def _toml_value(value: object) -> str:
    """JSON's values are almost TOML's; what is not, is left to be a syntax error."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return '"nil"' if value is None else json.dumps(value, ensure_ascii=True)


@given(st.dictionaries(KEYS, SHAPES, max_size=4))
@settings(deadline=None, max_examples=150)
def test_no_shape_of_a_file_raises(values: dict[str, object]) -> None:
    toml = "\n".join(f"{json.dumps(key)} = {_toml_value(value)}" for key, value in values.items())
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        machine.write(DOCKER, values)
        machine.write(BUILDKIT, toml)
        machine.write(CONTAINERS, toml)
        _use(machine.all())


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=50)
def test_no_content_of_a_file_raises(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        for name in (DOCKER, BUILDKIT, CONTAINERS, "etc/docker/certs.d/r/ca.crt", "etc/docker/certs.d/x/a.key"):
            machine.write(name, content)
        _use(machine.all())


def _use(found: Settings) -> None:
    for problem in found.problems:
        problem.encode()
    for host in ("docker.io", "r.example:5000", "[::1]:5000"):
        found.trust(host)
        with suppress(RegistryError):  # it may be blocked
            assert found.endpoints(host, "a/b")
