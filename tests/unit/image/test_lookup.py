"""Looking up platforms: what is found, how little is asked for it, and what is kept for the next time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from faulty import Answer, Server, closed_port
from hosted import BOTH, entry, found_in, index_of, look_up_one, put, put_single, put_tags, registries, to_json

from crossdock.errors import Kind, RegistryError
from crossdock.http.client import Http
from crossdock.image.availability import ImagePlatforms
from crossdock.image.lookup import find_tags, look_up
from crossdock.image.model import (
    ATTESTATION_TYPE,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
)
from crossdock.image.reference import parse_reference
from crossdock.image.registry import Limit
from crossdock.image.settings import Endpoint
from crossdock.image.stream import digest_of
from crossdock.platforms import AMD64, ARM64, parse_platform


class TestPlatforms:
    def test_an_index_is_one_request(self, server: Server, http: Http) -> None:
        digest = put(server, "team/app:1")
        found = look_up_one(f"{server.host}/team/app:1", registries(http))
        assert (found.asked, found.digest, found.error) == (f"{server.host}/team/app:1", digest, None)
        assert [str(have.platform) for have in found.platforms] == [*BOTH]
        assert server.requests() == ["GET /v2/team/app/manifests/1"]

    def test_a_single_image_is_two_and_its_size_is_known(self, server: Server, http: Http) -> None:
        body = put_single(server, "team/app:1", size=5000)
        found = look_up_one(f"{server.host}/team/app:1", registries(http))
        config = json.loads(body)["config"]
        assert [(str(have.platform), have.digest, have.size) for have in found.platforms] == [
            ("linux/arm64", digest_of(body), 5000 + config["size"])
        ]
        assert server.requests() == ["GET /v2/team/app/manifests/1", f"GET /v2/team/app/blobs/{config['digest']}"]

    def test_sizes_are_a_request_for_each_platform(self, server: Server, http: Http) -> None:
        singles = [put_single(server, "team/app:x", platform, 1000) for platform in BOTH]
        put(server, "team/app:1", index_of(*(entry(name, body) for name, body in zip(BOTH, singles, strict=True))))
        found = look_up_one(f"{server.host}/team/app:1", registries(http), sizes=True)
        assert [have.size for have in found.platforms] == [
            1000 + json.loads(body)["config"]["size"] for body in singles
        ]
        assert len(server.seen) == 3

    def test_by_digest(self, server: Server, http: Http) -> None:
        digest = put(server, "team/app:1")
        found = look_up_one(f"{server.host}/team/app:other@{digest}", registries(http))
        assert (found.digest, server.requests()) == (digest, [f"GET /v2/team/app/manifests/{digest}"])

    def test_docker_types(self, server: Server, http: Http) -> None:
        body = index_of(*(entry(name, media_type=DOCKER_MANIFEST) for name in BOTH)).replace(
            OCI_INDEX.encode(), DOCKER_LIST.encode()
        )
        put(server, "team/app:1", body, DOCKER_LIST)
        assert found_in(look_up([f"{server.host}/team/app:1"], registries(http))) == [[*BOTH]]

    def test_attestations_are_no_platforms(self, server: Server, http: Http) -> None:
        put(
            server,
            "team/app:1",
            index_of(
                "linux/amd64",
                entry("unknown/unknown"),
                entry("linux/arm64", annotations={ATTESTATION_TYPE: "attestation-manifest"}),
                entry(None, annotations={ATTESTATION_TYPE: "attestation-manifest"}),
            ),
        )
        found = look_up([f"{server.host}/team/app:1"], registries(http))
        assert found_in(found) == [["linux/amd64"]]
        assert found[0].lacks((AMD64, ARM64)) == (ARM64,)
        assert len(server.seen) == 1

    @pytest.mark.parametrize("written", ["linux/arm64", "linux/arm64/v8", "linux/aarch64", "Linux/ARM64/8"])
    def test_names_of_arm64(self, server: Server, http: Http, written: str) -> None:
        put(server, "team/app:1", index_of(written))
        found = look_up([f"{server.host}/team/app:1"], registries(http), wanted=[ARM64])
        assert found_in(found) == [["linux/arm64"]]
        assert not found[0].lacks([ARM64])

    def test_a_variant_is_a_level(self, server: Server, http: Http) -> None:
        put(server, "team/app:1", index_of("linux/amd64/v3", "linux/arm/v7", "linux/arm/v6"))
        found = look_up_one(f"{server.host}/team/app:1", registries(http))
        lacking = found.lacks(map(parse_platform, ("linux/amd64", "linux/arm/v7", "linux/arm/v5", "linux/arm64")))
        assert list(map(str, lacking)) == ["linux/amd64", "linux/arm/v5", "linux/arm64"]

    def test_an_index_without_platforms_asks_the_configs(self, server: Server, http: Http) -> None:
        singles = [put_single(server, "team/app:x", platform) for platform in BOTH]
        put(server, "team/app:1", index_of(*(entry(None, body) for body in singles)))
        assert found_in(look_up([f"{server.host}/team/app:1"], registries(http))) == [[*BOTH]]
        assert len(server.seen) == 5

    def test_an_index_in_an_index(self, server: Server, http: Http) -> None:
        inner = index_of("linux/arm64")
        put(server, "team/app:inner", inner)
        put(server, "team/app:1", index_of("linux/amd64", entry(None, inner, OCI_INDEX)))
        assert found_in(look_up([f"{server.host}/team/app:1"], registries(http))) == [[*BOTH]]
        assert len(server.seen) == 2

    def test_indexes_without_end(self, server: Server, http: Http) -> None:
        body = index_of("linux/arm64")
        for _ in range(10):
            put(server, "team/app:1", body)
            body = index_of(entry(None, body, OCI_INDEX))
        put(server, "team/app:1", body)
        found = look_up_one(f"{server.host}/team/app:1", registries(http))
        assert isinstance(found.error, RegistryError)
        assert "nested" in found.error.what
        assert len(server.seen) < 10

    @pytest.mark.parametrize("inside", [True, False])
    def test_an_artifact_is_told_as_one(self, server: Server, http: Http, inside: bool) -> None:
        config = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": digest_of(b"x"), "size": 1}
        body = to_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []})
        put(server, "team/chart:1", body, OCI_MANIFEST)
        if inside:
            put(server, "team/chart:1", index_of(entry(None, body)))
        found = look_up_one(f"{server.host}/team/chart:1", registries(http))
        assert isinstance(found.error, RegistryError)
        assert (found.error.kind, "artifact" in found.error.what) == (Kind.NO_IMAGE, True)
        assert found.error.hint
        assert len(server.seen) == 1 + inside

    def test_an_artifact_beside_images_is_passed_over(self, server: Server, http: Http) -> None:
        config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
        body = to_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []})
        put(server, "team/app:x", body, OCI_MANIFEST)
        put(server, "team/app:1", index_of("linux/arm64", entry(None, body)))
        assert found_in(look_up([f"{server.host}/team/app:1"], registries(http))) == [["linux/arm64"]]


class TestMany:
    def test_the_order_is_the_one_asked_for(self, server: Server, http: Http) -> None:
        asked = [f"{server.host}/team/app:{number}" for number in range(50)]
        for number in range(50):
            put(server, f"team/app:{number}", index_of(f"linux/{'arm64' if number % 2 else 'amd64'}"))
        steps: list[tuple[int, int]] = []
        found = look_up(asked, registries(http), on_done=lambda *step: steps.append(step))
        assert [image.asked for image in found] == asked
        assert [have for (have,) in found_in(found)] == ["linux/amd64", "linux/arm64"] * 25
        assert steps == [(number, 50) for number in range(1, 51)]

    def test_nothing_is_asked_twice(self, server: Server, http: Http) -> None:
        digest = put(server, "team/app:latest")
        asked = [f"{server.host}/team/app", f"{server.host}/team/app:latest", f"{server.host}/team/app"]
        found = look_up(asked, registries(http))
        assert {image.digest for image in found} == {digest}
        assert [image.asked for image in found] == asked
        assert len(server.seen) == 1

    def test_nothing_to_do(self, http: Http) -> None:
        assert look_up([], registries(http)) == ()

    def test_a_token_is_fetched_once_for_a_repository(self, server: Server, http: Http) -> None:
        guard(server)
        asked = [f"{server.host}/team/app:{number}" for number in range(20)]
        for number in range(20):
            put(server, f"team/app:{number}")
        found = look_up(asked, registries(http))
        assert found_in(found) == [[*BOTH]] * 20
        assert server.count("GET", "/token") == 1
        (asking,) = (seen for seen in server.seen if seen.path == "/token")
        assert "repository%3Ateam%2Fapp%3Apull" in asking.query


def guard(server: Server, lifetime: int = 10**9) -> None:
    """The server wants a bearer token below /v2/, each of which is good for ``lifetime`` requests."""
    issued: list[int] = []

    def interfere(_number: int, seen: object) -> Answer | None:
        path, headers = seen.path, seen.headers  # type: ignore[attr-defined]
        if path == "/token":
            issued.append(0)
            return Answer(200, to_json({"token": f"secret-token-{len(issued)}", "expires_in": 300}))
        if issued and headers.get("authorization") == f"Bearer secret-token-{len(issued)}" and issued[-1] < lifetime:
            issued[-1] += 1
            return None
        return Answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{server.url}/token",service="test"'})

    server.interfere = interfere


class TestCache:
    def test_a_digest_is_not_asked_again(self, server: Server, http: Http, tmp_path: Path) -> None:
        asked = [f"{server.host}/team/app@{put(server, 'team/app:1')}"]
        first = look_up(asked, registries(http, cache=tmp_path / "cache"))
        before = len(server.seen)
        assert look_up(asked, registries(http, cache=tmp_path / "cache")) == first
        assert len(server.seen) == before == 1

    def test_a_tag_is_one_request_and_what_it_leads_to_none(self, server: Server, http: Http, tmp_path: Path) -> None:
        put_single(server, "team/app:1")
        asked = [f"{server.host}/team/app:1"]
        first = look_up(asked, registries(http, cache=tmp_path / "cache"))
        server.seen.clear()
        assert look_up(asked, registries(http, cache=tmp_path / "cache")) == first
        assert server.requests() == ["GET /v2/team/app/manifests/1"]

    def test_a_tag_that_moved(self, server: Server, http: Http, tmp_path: Path) -> None:
        put(server, "team/app:1", index_of("linux/amd64"))
        asked = [f"{server.host}/team/app:1"]
        assert found_in(look_up(asked, registries(http, cache=tmp_path))) == [["linux/amd64"]]
        put(server, "team/app:1")
        assert found_in(look_up(asked, registries(http, cache=tmp_path))) == [[*BOTH]]

    @pytest.mark.parametrize("damage", ["other", "empty", "short", "folder", "type"])
    def test_a_damaged_file_is_not_used(self, server: Server, http: Http, tmp_path: Path, damage: str) -> None:
        digest = put(server, "team/app:1")
        asked = [f"{server.host}/team/app@{digest}"]
        first = look_up(asked, registries(http, cache=tmp_path))
        path = tmp_path / digest.replace(":", "-")
        data = path.read_bytes()
        if damage == "folder":
            path.unlink()
            path.mkdir()
        else:
            damaged = {
                "other": data.replace(b"arm64", b"riscv"),
                "empty": b"",
                "short": data[:-1],
                "type": b"text/html" + data[data.index(b"\n") :],
            }
            path.write_bytes(damaged[damage])
        assert look_up(asked, registries(http, cache=tmp_path)) == first
        assert len(server.seen) == 2

    def test_a_cache_that_cannot_be_written(self, server: Server, http: Http, tmp_path: Path) -> None:
        put(server, "team/app:1")
        (tmp_path / "file").write_bytes(b"")
        reached = registries(http, cache=tmp_path / "file" / "cache")
        assert found_in(look_up([f"{server.host}/team/app:1"], reached)) == [[*BOTH]]

    def test_nothing_half_written_stays(self, server: Server, http: Http, tmp_path: Path) -> None:
        digest = put(server, "team/app:1")
        look_up([f"{server.host}/team/app:1"], registries(http, cache=tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == [digest.replace(":", "-")]

    def test_what_was_not_what_its_digest_says_is_not_kept(self, server: Server, http: Http, tmp_path: Path) -> None:
        wanted = "sha256:" + "0" * 64
        server.on("GET", f"/v2/team/app/manifests/{wanted}", Answer(200, index_of(*BOTH), {"Content-Type": OCI_INDEX}))
        found = look_up_one(f"{server.host}/team/app@{wanted}", registries(http, cache=tmp_path))
        assert isinstance(found.error, RegistryError)
        assert found.error.kind is Kind.DIGEST
        assert not list(tmp_path.iterdir())


LEFT = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600", "docker-ratelimit-source": "192.0.2.1"}


class TestDockerHub:
    """Docker Hub counts what is got by GET; what is asked by HEAD is free."""

    def hub(self, server: Server) -> tuple[Endpoint, ...]:
        return (Endpoint(server.host, plain_http=True),)

    def test_the_first_time_one_get_and_then_head(self, server: Server, http: Http, tmp_path: Path) -> None:
        digest = put(server, "library/alpine:3.20")
        reached = registries(http, cache=tmp_path, docker_io=self.hub(server))
        first = look_up(["alpine:3.20"], reached)
        assert found_in(first) == [[*BOTH]]
        server.on("HEAD", "/v2/library/alpine/manifests/3.20", Answer(200, headers={"Docker-Content-Digest": digest}))
        again = registries(http, cache=tmp_path, docker_io=self.hub(server))
        assert look_up(["alpine:3.20"], again) == first
        path = "/v2/library/alpine/manifests/3.20"
        assert server.requests() == [f"GET {path}", f"HEAD {path}"]
        assert OCI_INDEX in server.seen[1].headers["accept"]

    @pytest.mark.parametrize(
        "head", [Answer(200, headers={"Docker-Content-Digest": "sha256:" + "0" * 64}), Answer(405)]
    )
    def test_a_tag_that_moved_is_got(self, server: Server, http: Http, tmp_path: Path, head: Answer) -> None:
        put(server, "library/alpine:3.20", index_of("linux/amd64"))
        look_up(["alpine:3.20"], registries(http, cache=tmp_path, docker_io=self.hub(server)))
        put(server, "library/alpine:3.20")
        server.on("HEAD", "/v2/library/alpine/manifests/3.20", head)
        reached = registries(http, cache=tmp_path, docker_io=self.hub(server))
        assert found_in(look_up(["alpine:3.20"], reached)) == [[*BOTH]]
        assert [seen.method for seen in server.seen] == ["GET", "HEAD", "GET"]

    def test_what_is_left_is_known(self, server: Server, http: Http) -> None:
        put(server, "library/alpine:3.20", None, OCI_INDEX, **LEFT)
        reached = registries(http, docker_io=self.hub(server))
        look_up(["alpine:3.20"], reached)
        assert reached.limits() == (("docker.io", Limit(100, 76, 21600)),)

    @pytest.mark.parametrize("header", ["", "many", "-1;w=1", "1;w=x", "9" * 5000, "100, 100"])
    def test_nonsense_for_a_limit(self, server: Server, http: Http, header: str) -> None:
        put(server, "library/alpine:3.20", None, OCI_INDEX, **{**LEFT, "ratelimit-remaining": header})
        reached = registries(http, docker_io=self.hub(server))
        assert found_in(look_up(["alpine:3.20"], reached)) == [[*BOTH]]
        assert reached.limits() == ()

    def test_after_too_many_requests_nothing_more_is_asked(self, server: Server, http: Http) -> None:
        put(server, "team/app:1")
        asked = [f"team/app:{number}" for number in range(1, 301)]
        server.interfere = lambda _number, seen: (
            Answer(429, headers={"ratelimit-remaining": "0;w=21600"}) if seen.path.startswith("/v2/hub/") else None
        )
        reached = registries(http, docker_io=(Endpoint(server.host, "hub", plain_http=True),))
        *refused, healthy = look_up([*asked, f"{server.host}/team/app:1"], reached)
        for image in refused:
            assert isinstance(image.error, RegistryError)
            assert image.error.kind is Kind.RATE_LIMIT
            assert image.error.where == image.asked
            assert "docker login" in (image.error.hint or "")
        assert found_in((healthy,)) == [[*BOTH]]
        before = len(server.seen)
        assert before < 300
        (later,) = look_up(["other/app:1"], reached)
        assert isinstance(later.error, RegistryError)
        assert (later.error.kind, later.error.where) == (Kind.RATE_LIMIT, "other/app:1")
        assert len(server.seen) == before


class TestAlternatives:
    def alternatives(self, found: ImagePlatforms) -> list[tuple[str, str]]:
        return [(other.reference, other.reason) for other in found.alternatives]

    def test_tags_that_have_it_are_pinned_and_those_that_have_not_are_not_named(
        self, server: Server, http: Http
    ) -> None:
        for tag in ("5.6", "5.7", "8.3"):
            put(server, f"team/app:{tag}", index_of("linux/amd64"))
        good = put(server, "team/app:8.4")
        put_tags(server, "team/app", "5.6", "5.7", "8.3", "8.4", "9.0")  # 9.0 is listed, but not there
        found = look_up_one(f"{server.host}/team/app:5.7", registries(http), wanted=[ARM64])
        assert found.error is None
        assert self.alternatives(found) == [
            (f"{server.host}/team/app:8.4@{good}", "another tag of the same repository")
        ]
        assert found.alternatives[0].digest == good

    def test_an_older_tag_is_told_as_one(self, server: Server, http: Http) -> None:
        put(server, "team/app:2", index_of("linux/amd64"))
        put(server, "team/app:1")
        put_tags(server, "team/app", "1", "2")
        found = look_up_one(f"{server.host}/team/app:2", registries(http), wanted=[ARM64])
        assert [reason for _, reason in self.alternatives(found)] == ["an older tag"]

    def test_a_tag_for_one_architecture(self, server: Server, http: Http) -> None:
        put(server, "team/app:1-amd64", index_of("linux/amd64"))
        put_single(server, "team/app:1-arm64")
        put_tags(server, "team/app", "1-amd64", "1-arm64")
        found = look_up_one(f"{server.host}/team/app:1-amd64", registries(http), wanted=[ARM64])
        assert [reason for _, reason in self.alternatives(found)] == ["the same for one platform"]

    def test_all_that_is_wanted_must_be_there(self, server: Server, http: Http) -> None:
        put(server, "team/app:1", index_of("linux/amd64"))
        put(server, "team/app:2", index_of("linux/arm64"))
        put_tags(server, "team/app", "1", "2")
        found = look_up_one(f"{server.host}/team/app:1", registries(http), wanted=[AMD64, ARM64])
        assert not found.alternatives

    def test_an_image_that_has_all_is_not_looked_further_at(self, server: Server, http: Http) -> None:
        put(server, "team/app:1")
        put_tags(server, "team/app", "1", "2")
        assert not look_up_one(f"{server.host}/team/app:1", registries(http), wanted=[ARM64]).alternatives
        assert len(server.seen) == 1

    def test_without_a_wish_none_is_looked_for(self, server: Server, http: Http) -> None:
        put(server, "team/app:1", index_of("linux/amd64"))
        look_up([f"{server.host}/team/app:1"], registries(http))
        assert len(server.seen) == 1

    def test_tags_are_listed_once_however_many_images_need_them(self, server: Server, http: Http) -> None:
        asked = [f"{server.host}/team/app:1.{number}" for number in range(10)]
        for number in range(10):
            put(server, f"team/app:1.{number}", index_of("linux/amd64"))
        put(server, "team/app:2.0")
        put_tags(server, "team/app", "2.0", *(f"1.{number}" for number in range(10)))
        found = look_up(asked, registries(http), wanted=[ARM64])
        assert {other.reference.partition("@")[0] for image in found for other in image.alternatives} == {
            f"{server.host}/team/app:2.0"
        }
        assert len(server.requests()) == len(set(server.requests()))

    def test_successors_of_the_catalogue(self, server: Server, http: Http) -> None:
        put(server, "library/mysql:5.7", index_of("linux/amd64"))
        good = put(server, "library/mysql:8.4")
        put(server, "library/mysql:8.0", index_of("linux/amd64"))
        put_tags(server, "library/mysql", "5.7")
        reached = registries(http, docker_io=(Endpoint(server.host, plain_http=True),))
        found = look_up_one("mysql:5.7", reached, wanted=[ARM64])
        assert [other.reference for other in found.alternatives] == [f"mysql:8.4@{good}"]
        assert found.alternatives[0].source.startswith("https://")

    @pytest.mark.parametrize(
        "answer", [Answer(404), Answer(403), Answer(200, b"<html>"), Answer(500), Answer(200, b"{}")]
    )
    def test_a_registry_that_lists_no_tags(self, server: Server, http: Http, answer: Answer) -> None:
        put(server, "team/app:1", index_of("linux/amd64"))
        server.on("GET", "/v2/team/app/tags/list", answer)
        found = look_up_one(f"{server.host}/team/app:1", registries(http), wanted=[ARM64])
        assert found.error is None
        assert found_in((found,)) == [["linux/amd64"]]
        assert not found.alternatives


class TestTags:
    def page(self, server: Server, *tags: str, following: str = "") -> Answer:
        headers = {"Link": following} if following else {}
        return Answer(200, to_json({"name": "team/app", "tags": tags}), headers)

    @pytest.mark.parametrize(
        "link",
        [
            '</v2/team/app/tags/list?n=2&last=b>; rel="next"',
            "<http://elsewhere.example/v2/team/app/tags/list?last=b&n=2>; rel=next",
            '</other>; rel="prev", <?n=2&last=b>; rel="next"; title="x"',
        ],
    )
    def test_page_by_page(self, server: Server, http: Http, link: str) -> None:
        path = "/v2/team/app/tags/list"
        server.on("GET", path, self.page(server, "1.0", "1.1", following=link), self.page(server, "2.0", "1.1"))
        found = find_tags(parse_reference(f"{server.host}/team/app"), "*", registries(http))
        assert set(found) == {"1.0", "1.1", "2.0"}
        assert len(found) == 3
        assert [seen.path for seen in server.seen] == [path, path]
        assert "last=b" in server.seen[1].query

    def test_pages_without_end(self, server: Server, http: Http) -> None:
        def page(number: int) -> Answer:
            return self.page(server, str(number), following=f'<?n=1&last={number}>; rel="next"')

        server.on("GET", "/v2/team/app/tags/list", page)
        assert find_tags(parse_reference(f"{server.host}/team/app"), "*", registries(http))
        assert len(server.seen) == 50

    def test_a_page_that_leads_to_itself(self, server: Server, http: Http) -> None:
        server.on("GET", "/v2/team/app/tags/list", self.page(server, "1", following='<?n=1&last=x>; rel="next"'))
        assert find_tags(parse_reference(f"{server.host}/team/app"), "*", registries(http)) == ("1",)
        assert len(server.seen) == 2

    def test_only_those_that_match(self, server: Server, http: Http) -> None:
        put_tags(server, "team/app", "16-alpine", "16.1-alpine", "16", "15-alpine")
        found = find_tags(parse_reference(f"{server.host}/team/app"), "16*-alpine", registries(http))
        assert set(found) == {"16-alpine", "16.1-alpine"}

    @pytest.mark.parametrize("body", [b'{"tags": null}', b'{"tags": []}', b"{}"])
    def test_no_tags(self, server: Server, http: Http, body: bytes) -> None:
        server.on("GET", "/v2/team/app/tags/list", Answer(200, body))
        assert find_tags(parse_reference(f"{server.host}/team/app"), "*", registries(http)) == ()

    @pytest.mark.parametrize("body", [b'{"tags": 1}', b'{"tags": [1]}', b"[]", b"<html>", b'{"tags": {"a": 1}}'])
    def test_no_list_of_tags(self, server: Server, http: Http, body: bytes) -> None:
        server.on("GET", "/v2/team/app/tags/list", Answer(200, body))
        with pytest.raises(RegistryError, match="list of tags") as caught:
            find_tags(parse_reference(f"{server.host}/team/app"), "*", registries(http))
        assert caught.value.hint


class TestMirrors:
    def both(self, mirror: str, server: Server) -> tuple[Endpoint, ...]:
        return (Endpoint(mirror, "hub", plain_http=True, mirror=True), Endpoint(server.host, plain_http=True))

    def test_a_mirror_is_asked_first_and_alone(self, server: Server, http: Http) -> None:
        with Server() as mirror:
            put(mirror, "hub/library/alpine:3.20")
            reached = registries(http, docker_io=self.both(mirror.host, server))
            assert found_in(look_up(["alpine:3.20"], reached)) == [[*BOTH]]
            assert (mirror.requests(), server.seen) == (["GET /v2/hub/library/alpine/manifests/3.20"], [])

    @pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
    def test_what_a_mirror_does_not_give_the_registry_does(self, server: Server, http: Http, status: int) -> None:
        with Server() as mirror:
            mirror.interfere = lambda _number, _seen: Answer(status)
            put(server, "library/alpine:3.20")
            reached = registries(http, docker_io=self.both(mirror.host, server))
            assert found_in(look_up(["alpine:3.20"], reached)) == [[*BOTH]]
            assert len(mirror.seen) <= 2
            assert len(server.seen) == 1

    def test_a_mirror_that_is_down_is_asked_no_more(self, server: Server, http: Http) -> None:
        with Server() as mirror:
            mirror.interfere = lambda _number, _seen: Answer(200, b"{}", cut=0)
            for number in range(6):
                put(server, f"team/app:{number}")
            reached = registries(http, docker_io=self.both(mirror.host, server))
            assert found_in(look_up(["team/app:0"], reached)) == [[*BOTH]]
            before = len(mirror.seen)
            assert found_in(look_up([f"team/app:{number}" for number in range(1, 6)], reached)) == [[*BOTH]] * 5
            assert len(mirror.seen) == before <= 2

    def test_nothing_listens_where_a_mirror_should_be(self, server: Server, http: Http) -> None:
        put(server, "team/app:1")
        reached = registries(http, docker_io=self.both(f"127.0.0.1:{closed_port()}", server))
        assert found_in(look_up(["team/app:1"], reached)) == [[*BOTH]]

    def test_what_the_registry_says_is_told_when_no_mirror_helps(self, server: Server, http: Http) -> None:
        reached = registries(http, docker_io=self.both(f"127.0.0.1:{closed_port()}", server))
        found = look_up_one("team/app:1", reached)
        assert isinstance(found.error, RegistryError)
        assert "(its mirror 127.0.0.1:" in (found.error.hint or "")
        assert (found.error.hint or "").endswith("the connection was refused)")
        assert (found.error.kind, found.error.where) == (Kind.NO_TAG, "team/app:1")
        assert "docker.io" in found.error.what

    @pytest.mark.parametrize("body", [b"<html>a login page</html>", b""])
    def test_a_page_of_a_mirror_is_no_manifest(self, server: Server, http: Http, body: bytes) -> None:
        with Server() as mirror:
            mirror.interfere = lambda _number, _seen: Answer(200, body, {"Content-Type": "text/html"})
            put(server, "team/app:1")
            reached = registries(http, docker_io=self.both(mirror.host, server))
            assert found_in(look_up(["team/app:1"], reached)) == [[*BOTH]]
