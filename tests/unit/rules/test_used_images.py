"""Which images a build for arm64 takes, and what check says of those that cannot be looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from crossdock.errors import RegistryError
from crossdock.findings import Finding, Safety, Severity
from crossdock.image.availability import Alternative, ImagePlatforms, PlatformImage
from crossdock.platforms import AMD64, ARM64, Platform, parse_platform
from crossdock.read.dockerfile import parse
from crossdock.read.files import read_declared
from crossdock.read.trace import trace
from crossdock.rules.check import CheckReport, check_declared, check_dockerfile
from crossdock.rules.images import references, used_images
from crossdock.source import Source, apply_edits

ONE, INDEX, OTHER = (f"sha256:{digit * 64}" for digit in "123")


def image(
    text: str, *platforms: Platform, digest: str = INDEX, alternatives: tuple[Alternative, ...] = ()
) -> ImagePlatforms:
    """An index with these platforms; amd64's image has the digest ONE."""
    have = tuple(PlatformImage(platform, ONE if platform == AMD64 else OTHER) for platform in platforms)
    return ImagePlatforms(text, digest, have, alternatives)


def single(text: str, platform: Platform = AMD64) -> ImagePlatforms:
    return ImagePlatforms(text, ONE, (PlatformImage(platform, ONE),))


def check(text: str, *images: ImagePlatforms, **build_args: str) -> CheckReport:
    known = {found.asked: found for found in images}

    def look_up(asked: Sequence[str]) -> Mapping[str, ImagePlatforms]:
        return {name: known[name] for name in asked}

    return check_dockerfile(Source("Dockerfile", text.encode()), context=None, build_args=build_args, look_up=look_up)


def found(text: str, *images: ImagePlatforms, **build_args: str) -> list[tuple[str, str]]:
    source = Source("Dockerfile", text.encode())
    report = check(text, *images, **build_args)
    return [(finding.rule, source.text(finding.location.span)) for finding in report.findings]


def asked(text: str) -> tuple[str, ...]:
    return references(used_images(trace(parse(Source("Dockerfile", text.encode())))))


def fixed(text: str, finding: Finding) -> str:
    return apply_edits(Source("Dockerfile", text.encode()), finding.fixes[0].edits).data.decode()


class TestWhatIsLookedUp:
    def test_from_copy_and_mount(self) -> None:
        text = (
            "FROM a:1\nCOPY --from=b:1 /x /x\n"
            "RUN --mount=type=bind,from=c:1,target=/c --mount=type=cache,target=/d true\n"
        )
        assert asked(text) == ("a:1", "b:1", "c:1")

    def test_not_scratch_and_not_stages(self) -> None:
        assert asked("FROM a AS s\nFROM scratch\nCOPY --from=s /x /x\nCOPY --from=0 /y /y\n") == ("a",)

    def test_not_what_the_last_stage_does_not_need(self) -> None:
        assert asked("FROM a AS lint\nCOPY --from=b / /\nFROM c\n") == ("c",)

    def test_not_the_base_of_a_stage_on_the_build_platform(self) -> None:
        text = "FROM --platform=$BUILDPLATFORM a AS s\nFROM s AS t\nRUN make\nFROM b\nCOPY --from=t /x /x\n"
        assert asked(text) == ("b",)

    def test_what_such_a_stage_copies_from_is_for_the_target(self) -> None:
        text = "FROM --platform=$BUILDPLATFORM a AS s\nCOPY --from=b /x /x\nFROM scratch\nCOPY --from=s /x /x\n"
        assert asked(text) == ("b",)

    def test_only_the_stage_for_arm64_where_there_is_one_each(self) -> None:
        text = "FROM a AS t-amd64\nFROM b AS t-arm64\nFROM t-${TARGETARCH}\n"
        assert asked(text) == ("b",)

    def test_not_a_stage_for_a_third_platform(self) -> None:
        assert asked("FROM --platform=linux/386 a AS s\nFROM b\nCOPY --from=s /x /x\n") == ("b",)

    def test_variables_are_replaced(self) -> None:
        assert asked("ARG TAG=1.2\nFROM a:$TAG-${TARGETARCH}\n") == ("a:1.2-arm64",)

    def test_the_tag_beside_a_digest_is_looked_up_too(self) -> None:
        assert asked(f"FROM a:1@{ONE}\nCOPY --from=b@{ONE} / /\n") == (f"a:1@{ONE}", "a:1", f"b@{ONE}")

    def test_nothing_for_a_file_without_images(self) -> None:
        assert asked("FROM scratch\n") == ()


class TestBaseWithoutArm64:
    def test_with_arm64_is_fine(self) -> None:
        assert found("FROM a:1\n", image("a:1", AMD64, ARM64)) == []

    def test_what_is_no_amd64_image_is_no_matter(self) -> None:
        assert found("FROM a:1\n", image("a:1", parse_platform("windows/amd64"))) == []
        assert found("FROM a:1\n", image("a:1", parse_platform("linux/s390x"))) == []

    def test_the_place_is_where_the_reference_is_written(self) -> None:
        lacking = image("a:1", AMD64)
        assert found("ARG BASE=a:1\nFROM $BASE\n", lacking) == [("base-without-arm64", "a:1")]
        assert found("ARG V=1\nFROM a:$V\n", lacking) == [("base-without-arm64", "a:$V")]
        assert found("FROM $BASE\n", lacking, BASE="a:1") == []  # without ARG a build argument is no value
        assert found("ARG BASE\nFROM $BASE\n", lacking, BASE="a:1") == [("base-without-arm64", "$BASE")]

    def test_a_pinned_stage_needs_it_as_well(self) -> None:
        rules = {rule for rule, _ in found("FROM --platform=linux/amd64 a:1\n", image("a:1", AMD64))}
        assert rules == {"pinned-platform", "base-without-arm64"}

    def test_an_image_that_is_named_for_amd64_is_another_rules(self) -> None:
        assert [rule for rule, _ in found("FROM amd64/a:1\n", image("amd64/a:1", AMD64))] == ["arch-prefixed-image"]

    def test_alternatives_are_named_and_the_first_that_has_both_is_the_fix(self) -> None:
        text = "ARG V=5.7\nFROM mysql:${V}\n"
        others = (
            Alternative(f"mysql:5.7-arm64@{ONE}", ONE, "the same for one platform", platforms=(ARM64,)),
            Alternative(f"mysql:8.4@{INDEX}", INDEX, "another tag of the same repository", platforms=(AMD64, ARM64)),
            Alternative(f"mariadb:10.11@{INDEX}", INDEX, "it is close to it", platforms=(AMD64, ARM64)),
        )
        (finding,) = check(text, image("mysql:5.7", AMD64, alternatives=others)).findings
        assert finding.severity is Severity.ERROR
        assert "mysql:5.7-arm64 (the same for one platform); mysql:8.4 (another tag" in finding.message
        assert finding.fixes[0].safety is Safety.UNSAFE
        assert fixed(text, finding) == "ARG V=8.4\nFROM mysql:${V}\n"

    def test_who_pins_gets_a_pin(self) -> None:
        other = Alternative(f"a:2@{OTHER}", OTHER, "another tag", platforms=(AMD64, ARM64))
        text = f"FROM a:1@{INDEX}\n"
        (finding,) = check(
            text, image(f"a:1@{INDEX}", AMD64, alternatives=(other,)), image("a:1", AMD64, alternatives=(other,))
        ).findings
        assert fixed(text, finding) == f"FROM a:2@{OTHER}\n"

    def test_another_repository_does_not_go_into_pieces(self) -> None:
        other = Alternative(f"b:2@{OTHER}", OTHER, "its successor", platforms=(AMD64, ARM64))
        (finding,) = check("ARG V=1\nFROM a:$V\n", image("a:1", AMD64, alternatives=(other,))).findings
        assert finding.fixes == ()

    def test_nothing_is_known_of_most_images_offline(self) -> None:
        def offline(text: str) -> list[Finding]:
            return [*check_dockerfile(Source("Dockerfile", text.encode()), context=None, build_args={}).findings]

        assert offline("FROM a:1\n") == []
        assert offline("FROM mysql:8.4\n") == []
        assert offline(f"FROM mysql@{ONE}\n") == []
        (finding,) = offline("FROM mysql:5.7\n")
        assert finding.severity is Severity.WARNING
        assert "not looked up" in finding.message
        assert "mysql:8.4" in finding.message
        assert finding.message.endswith("Debian's package mariadb-server")

    def test_without_another_image_there_may_be_a_package(self) -> None:
        (finding,) = check("FROM rabbitmq:3.6.1\n", image("rabbitmq:3.6.1", AMD64)).findings
        assert finding.message.endswith(
            "no other tag or image was found that has it: Debian has it as package rabbitmq-server"
        )

    def test_what_has_no_arm64_since_a_version_is_not_said_of_tags_without_one(self) -> None:
        text = "FROM quay.io/keycloak/keycloak:latest\n"
        assert check_dockerfile(Source("Dockerfile", text.encode()), context=None, build_args={}).findings == ()


class TestSingleArchDigest:
    PINNED = f"FROM a:1@{ONE}\n"

    def test_the_tags_index_is_safe_while_it_holds_the_pinned_image(self) -> None:
        (finding,) = check(self.PINNED, single(f"a:1@{ONE}"), image("a:1", AMD64, ARM64)).findings
        assert (finding.rule, finding.fixes[0].safety) == ("single-arch-digest", Safety.SAFE)
        assert fixed(self.PINNED, finding) == f"FROM a:1@{INDEX}\n"

    def test_a_tag_that_has_moved_on_is_unsafe(self) -> None:
        moved = ImagePlatforms("a:1", INDEX, (PlatformImage(AMD64, OTHER), PlatformImage(ARM64, OTHER)))
        (finding,) = check(self.PINNED, single(f"a:1@{ONE}"), moved).findings
        assert finding.fixes[0].safety is Safety.UNSAFE
        assert "newer image" in finding.fixes[0].title

    def test_a_tag_without_arm64_lacks_more_than_another_digest(self) -> None:
        report = check(self.PINNED, single(f"a:1@{ONE}"), image("a:1", AMD64))
        assert [finding.rule for finding in report.findings] == ["base-without-arm64"]

    def test_without_a_tag_there_is_no_fix(self) -> None:
        (finding,) = check(f"FROM a@{ONE}\n", single(f"a@{ONE}")).findings
        assert (finding.rule, finding.fixes) == ("single-arch-digest", ())
        assert "without a tag" in finding.message

    def test_a_tag_that_cannot_be_looked_up_is_told(self) -> None:
        lost = ImagePlatforms("a:1", error=RegistryError("there is no such tag"))
        (finding,) = check(self.PINNED, single(f"a:1@{ONE}"), lost).findings
        assert finding.fixes == ()
        assert "there is no such tag" in finding.message

    def test_an_arm64_image_that_is_pinned_is_no_matter(self) -> None:
        assert found(self.PINNED, single(f"a:1@{ONE}", ARM64), image("a:1", AMD64, ARM64)) == []

    @pytest.mark.parametrize(
        "text",
        [
            f"FROM scratch\nCOPY --from=a:1@{ONE} /x /x\n",
            f"FROM scratch\nRUN --mount=type=bind,from=a:1@{ONE},target=/a true\n",
            f"ARG BASE=a:1@{ONE}\nFROM $BASE\n",
            f"ARG DIGEST={ONE}\nFROM a:1@$DIGEST\n",
        ],
    )
    def test_wherever_it_is_written(self, text: str) -> None:
        (finding,) = check(text, single(f"a:1@{ONE}"), image("a:1", AMD64, ARM64)).findings
        assert fixed(text, finding) == text.replace(ONE, INDEX)


class TestWhatCannotBeToldIsSkipped:
    def test_an_image_that_was_not_reached(self) -> None:
        lost = ImagePlatforms("mysql:5.7", error=RegistryError("docker.io cannot be reached"))
        report = check("FROM mysql:5.7\n", lost)
        assert report.findings == ()
        assert [(skipped.what, skipped.why) for skipped in report.skipped] == [
            ("image mysql:5.7", "docker.io cannot be reached")
        ]

    def test_a_variable_without_a_value(self) -> None:
        (skipped,) = check("ARG BASE\nFROM $BASE\n").skipped
        assert skipped.what == "image $BASE in Dockerfile:2"
        assert skipped.why == "BASE has no value; give it one with --build-arg BASE=…"


class TestPinsOfWhatNeedsThem:
    """An image without arm64 runs on an Arm machine only because it is pinned, so the pin is not taken away."""

    COMPOSE = "services:\n  a:\n    image: a:1\n    platform: linux/amd64\n"

    def pin(self, *images: ImagePlatforms, text: str = COMPOSE) -> Finding:
        declared = read_declared(Source("compose.yaml", text.encode()), {})
        report = check_declared(declared, {found.asked: found for found in images} if images else None)
        return next(finding for finding in report.findings if finding.rule == "pinned-platform")

    def test_in_compose_files(self) -> None:
        assert self.pin(image("a:1", AMD64, ARM64)).fixes[0].safety is Safety.SAFE
        assert self.pin(image("a:1", AMD64)).fixes == ()
        assert self.pin(text=self.COMPOSE.replace("a:1", "mysql:5.7")).fixes == ()

    def test_what_was_not_looked_up_is_unsafe_and_says_so(self) -> None:
        (fix,) = self.pin().fixes
        assert fix.safety is Safety.UNSAFE
        assert fix.title.endswith("whether a:1 has linux/arm64 was not looked up")
        lost = ImagePlatforms("a:1", error=RegistryError("not reached"))
        assert self.pin(lost).fixes[0].safety is Safety.UNSAFE

    def test_in_dockerfiles(self) -> None:
        text = "FROM --platform=linux/amd64 a:1\n"
        pins = {f.rule: f for f in check(text, image("a:1", AMD64)).findings}
        assert pins["pinned-platform"].fixes == ()
        (pin,) = check(text, image("a:1", AMD64, ARM64)).findings
        assert pin.fixes[0].safety is Safety.SAFE

    @pytest.mark.parametrize("platform", ["linux/amd64", "$BUILDPLATFORM"])
    def test_what_a_stage_goes_on_from(self, platform: str) -> None:
        text = f"FROM --platform={platform} a:1 AS base\nRUN true\nFROM base\nRUN true\n"
        assert references(used_images(trace(parse(Source("Dockerfile", text.encode()))))) == ("a:1",)
        unseen = check(text, ImagePlatforms("a:1", error=RegistryError("not reached"))).findings[0]
        assert unseen.fixes[0].safety is Safety.UNSAFE
        assert unseen.fixes[0].doubt == "whether a:1 has linux/arm64 was not looked up"
        (seen,) = check(text, image("a:1", AMD64, ARM64)).findings
        assert seen.fixes[0].safety is Safety.SAFE
        lacking = check(text, image("a:1", AMD64)).findings
        assert {finding.rule for finding in lacking} > {"base-without-arm64"}
        assert all(finding.fixes == () for finding in lacking)
