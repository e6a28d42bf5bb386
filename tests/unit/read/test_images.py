"""Which images a file uses: Dockerfile, compose file, Kubernetes manifest."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossdock.errors import CrossdockError, InputError
from crossdock.read.image_uses import ImagesFound
from crossdock.read.images import find_images
from crossdock.source import Source


def find(
    text: str | bytes,
    path: str = "-",
    *,
    build_args: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> ImagesFound:
    data = text.encode() if isinstance(text, str) else text
    return find_images(Source(path, data), build_args=build_args or {}, environ=environ or {})


def texts(text: str | bytes, path: str = "-", **more: Mapping[str, str]) -> list[str]:
    """The images; nothing may have been skipped."""
    found = find(text, path, **more)
    assert found.skipped == ()
    return [image.text for image in found.images]


def why(text: str | bytes, path: str = "-", **more: Mapping[str, str]) -> str:
    """The one thing that was skipped, when nothing was found."""
    found = find(text, path, **more)
    assert found.images == ()
    (skipped,) = found.skipped
    return f"{skipped.what}: {skipped.why}"


def places(text: str | bytes, path: str = "-", **more: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each image with what is written at its place."""
    data = text.encode() if isinstance(text, str) else text
    return [(use.text, Source(path, data).text(use.location.span)) for use in find(data, path, **more).images]


# --- Dockerfiles -----------------------------------------------------------------------------------------------------


def test_a_dockerfile_with_everything() -> None:
    text = """\
# syntax=docker/dockerfile:1.7
ARG GO=1.22
ARG REGISTRY
FROM --platform=$BUILDPLATFORM golang:${GO} AS build
COPY --from=busybox:1.36 /bin/sh /
RUN --mount=type=bind,from=ghcr.io/astral-sh/uv:0.4,source=/uv,target=/uv uv sync
FROM scratch AS empty
COPY --from=0 /x /x
FROM build AS again
RUN --mount=type=cache,target=/root/.cache go build
FROM gcr.io/distroless/static:nonroot
COPY --from=build /app /app
COPY --from=again /app /app
ONBUILD COPY --from=composer:2 /usr/bin/composer /
ADD https://example.org/x /x
"""
    assert places(text) == [
        ("docker/dockerfile:1.7", "docker/dockerfile:1.7"),
        ("golang:1.22", "golang:${GO}"),
        ("busybox:1.36", "busybox:1.36"),
        ("ghcr.io/astral-sh/uv:0.4", "ghcr.io/astral-sh/uv:0.4"),
        ("gcr.io/distroless/static:nonroot", "gcr.io/distroless/static:nonroot"),
        ("composer:2", "composer:2"),
    ]
    assert [use.location.line for use in find(text).images] == [1, 4, 5, 6, 11, 14]
    assert find(text).skipped == ()


def test_both_platforms_where_they_differ() -> None:
    text = "FROM tool-${TARGETARCH} AS tool\nFROM debian\n"
    assert texts(text) == ["tool-amd64", "tool-arm64", "debian"]
    stages = "FROM a AS tool-amd64\nFROM b AS tool-arm64\nFROM tool-$TARGETARCH\n"
    assert texts(stages) == ["a", "b"]
    assert texts("FROM a AS tool-arm64\nFROM tool-$TARGETARCH\n") == ["a", "tool-amd64"]


@pytest.mark.parametrize(
    ("text", "build_args", "images"),
    [
        ("ARG V=1\nFROM a:$V\n", {"V": "2"}, ["a:2"]),
        ("ARG V\nFROM a:${V}\n", {"V": "2"}, ["a:2"]),
        ("ARG V\nFROM a:${V:-3}\n", {}, ["a:3"]),
        ("ARG V=\nFROM a${V}\n", {}, ["a"]),
        ("ARG R\nFROM ${R:+$R/}a\n", {}, ["a"]),
        ("ARG R\nFROM ${R:+$R/}a\n", {"R": "r.example"}, ["r.example/a"]),
        ("ARG A=1\nARG B=x$A\nFROM ${B:-$C}\n", {}, ["x1"]),
        ('ARG A="one"\nFROM $A\n', {}, ["one"]),
        ("FROM a:${V}\n", {"V": "2"}, None),
    ],
)
def test_arguments(text: str, build_args: Mapping[str, str], images: list[str] | None) -> None:
    if images is None:
        assert "V has no value" in why(text, build_args=build_args)
    else:
        assert texts(text, build_args=build_args) == images


def test_what_has_no_value_is_told() -> None:
    assert why("ARG REGISTRY\nFROM ${REGISTRY}/a:1\n") == (
        "image ${REGISTRY}/a:1 in -:2: REGISTRY has no value; give it one with --build-arg REGISTRY=…"
    )
    assert "V: must-be-given" in why("FROM ${V:?must-be-given}\n")
    assert "nothing is left" in why('ARG V=""\nFROM ${V}\n')
    found = find("ARG V=${W:?no}\nFROM a:$V\nFROM b\n")
    assert [use.text for use in found.images] == ["b"]
    assert [entry.what for entry in found.skipped] == ["ARG V=${W:?no} in -:1", "image a:$V in -:2"]


def test_variables_where_buildkit_takes_none() -> None:
    found = find("ARG V=1\nFROM a\nCOPY --from=b:$V /x /\nRUN --mount=from=c:${V},target=/c x\n")
    assert [use.text for use in found.images] == ["a"]
    assert [entry.what for entry in found.skipped] == ["image b:$V in -:3", "image c:${V} in -:4"]


def test_one_image_at_two_places_is_there_twice() -> None:
    found = find("FROM a\nFROM a\n")
    assert [(use.text, use.location.line) for use in found.images] == [("a", 1), ("a", 2)]


def test_line_ends_byte_order_mark_and_continuation() -> None:
    assert texts(b"\xef\xbb\xbf# syntax=d/f:1\r\nFROM \\\r\n  a:1 \\\r\n  AS x\r\n", "Dockerfile") == ["d/f:1", "a:1"]
    assert places(b"\xef\xbb\xbf# syntax = d/f:1\r\nFROM a\r\n")[0] == ("d/f:1", "d/f:1")


def test_a_dockerfile_that_cannot_be_read() -> None:
    with pytest.raises(InputError, match="Dockerfile:1:1: 'FORM' is no instruction"):
        find("FORM a\n", "Dockerfile")
    with pytest.raises(InputError, match="before the first FROM"):
        find("RUN x\n")


# --- compose files ---------------------------------------------------------------------------------------------------


def test_services() -> None:
    text = """\
name: shop
x-base: &base
  restart: always
  image: &image "redis:7"
services:
  web:
    image: nginx:1.25 # the front
    volumes:
      - type: image
        source: data:1
        target: /data
  cache:
    <<: *base
  queue: {<<: [{}, *base], image: rabbitmq}
  copy:
    image: *image
  child:
    extends: {service: web}
"""
    assert places(text, "compose.yaml") == [
        ("redis:7", "redis:7"),
        ("nginx:1.25", "nginx:1.25"),
        ("data:1", "data:1"),
        ("rabbitmq", "rabbitmq"),
    ]
    assert texts(text) == ["redis:7", "nginx:1.25", "data:1", "rabbitmq"]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("a:$TAG", "a:1"),
        ("a:${TAG}", "a:1"),
        ("a:${TAG:-2}", "a:1"),
        ("a:${NO:-2}", "a:2"),
        ("a:${EMPTY:-2}", "a:2"),
        ("a${EMPTY-2}", "a"),
        ("a${EMPTY}", "a"),
        ("a:${NO:-${TAG:-3}}", "a:1"),
        ("a:${TAG:-${NO}}", "a:1"),
        ("${TAG:+x/}a", "x/a"),
        ("${NO:+x/}a", "a"),
        ("${NO+x/}a", "a"),
        ("a:${TAG:?needed}", "a:1"),
        ("a$$b", "a$b"),
        ("a$", "a$"),
    ],
)
def test_interpolation(written: str, text: str) -> None:
    compose = f"services:\n  a:\n    image: '{written}'\n"
    assert texts(compose, environ={"TAG": "1", "EMPTY": ""}) == [text]
    assert places(compose, environ={"TAG": "1", "EMPTY": ""}) == [(text, written)]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("a:$TAG", "TAG has no value; set it in the environment, or in .env beside the file"),
        ("${REGISTRY}a", "REGISTRY has no value"),
        ("a:${TAG:?say which}", "TAG has no value: say which"),
        ("a:${TAG", "no closing brace"),
        ("a:${TAG/x/y}", "no substitution"),
        ("a:${}", "no substitution"),
        ("${" * 100 + "}" * 100, "no substitution"),
        ("${A:-" * 100 + "}" * 100, "no substitution"),
        ("${A:-}", "it is empty"),
        ("{{ image }}", "template"),
    ],
)
def test_images_that_cannot_be_told(written: str, reason: str) -> None:
    found = find(f"services:\n  a:\n    image: '{written}'\n  b: {{image: b}}\n")
    assert [use.text for use in found.images] == ["b"]
    (skipped,) = found.skipped
    assert skipped.what.endswith("in -:3")
    assert reason in skipped.why


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("{build: .}", "built here from Dockerfile; name its Dockerfile"),
        ("{build: ./web/, image: mine}", "built here from web/Dockerfile;"),
        ("{build: {context: web, dockerfile: docker/Dockerfile.dev}}", "built here from web/docker/Dockerfile.dev;"),
        ("{build: {dockerfile: /x/Dockerfile}}", "built here from /x/Dockerfile;"),
        ("{build: {dockerfile_inline: FROM a}}", "inside the compose file"),
        ("{build: 'https://github.com/a/b.git'}", "built from https://github.com/a/b.git"),
        ("{extends: {file: base.yml, service: web}}", "it extends a service of base.yml"),
        ("{ports: ['80:80']}", "neither `image` nor `build`"),
        ("null", "it is empty"),
        ("[]", "it is empty"),
        ("{image: [a]}", "this is none"),
        ("{image: null}", "neither"),
        ("{image: !reset null}", "neither"),
    ],
)
def test_services_without_an_image(service: str, reason: str) -> None:
    said = why(f"services:\n  web: {service}\n")
    assert said.startswith(("service web in -:2: ", "image [a] in -:2: "))
    assert reason in said


def test_a_service_that_is_built_names_its_dockerfile_as_seen_from_here() -> None:
    said = why("services: {a: {build: {context: ../web, dockerfile: Dockerfile.dev}}}", "deploy/compose.yaml")
    assert said == "service a in deploy/compose.yaml:1: built here from web/Dockerfile.dev; name its Dockerfile"


def test_variables_from_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(
        b"\xef\xbb\xbf# comment\r\n"
        b"TAG=1 # comment\r\n\r\nexport REGISTRY=\"r.example:5000\"\nNAME='it$x'\nBOTH=${REGISTRY}/${OTHER:-o}\n"
        b'COLON: c\nHASH=a#b\nGIVEN=no\nESCAPED="a\\$b\\""\nMISSING=${NO}\nLINES=\'a\nTAG=9\'\nnot an entry\nEMPTY=\n'
    )
    path = str(tmp_path / "compose.yaml")

    def image(text: str) -> str:
        (found,) = texts(f"services: {{a: {{image: '{text}'}}}}", path, environ={"GIVEN": "yes"})
        return found

    assert image("$REGISTRY/a:$TAG") == "r.example:5000/a:1"
    assert image("$BOTH") == "r.example:5000/o"
    assert image("$COLON-$HASH-$GIVEN${EMPTY}") == "c-a#b-yes"
    assert image("$ESCAPED $NAME") == 'a$b" it$x'
    assert "MISSING has no value" in why("services: {a: {image: $MISSING}}", path)


def test_a_folder_called_env_is_no_file_of_variables(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert texts("services: {a: {image: '${A:-a}'}}", str(tmp_path / "compose.yaml")) == ["a"]


@pytest.mark.parametrize("data", [b"A=\xff", b"A=" + b"x" * (1 << 21)])
def test_variables_that_cannot_be_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / ".env").write_bytes(data)
    assert texts("services: {a: {image: a}}", str(tmp_path / "compose.yaml")) == ["a"], "no variable is used"
    with pytest.raises(InputError, match=r"\.env"):
        find("services: {a: {image: $A}}", str(tmp_path / "compose.yaml"))


def test_variables_that_double_each_other(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A0=xxxxxxxxxx\n" + "".join(f"A{n + 1}=$A{n}$A{n}\n" for n in range(100)))
    assert "A100 has no value" in why("services: {a: {image: $A100}}", str(tmp_path / "compose.yaml"))


def test_the_first_format_and_files_without_services() -> None:
    assert texts("web:\n  image: nginx\n  links: [db]\ndb:\n  image: postgres:9\n", "docker-compose.yml") == [
        "nginx",
        "postgres:9",
    ]
    assert texts("volumes: {data: {}}\nx-note: hello\n") == []
    assert texts("services:\n") == []
    assert "name them too" in why("include:\n  - other.yaml\nservices: {}\n")


# --- Kubernetes ------------------------------------------------------------------------------------------------------

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  labels: {image: no-image}
spec:
  template:
    spec:
      initContainers:
      - name: wait
        image: busybox:1.36
      containers:
      - name: web
        image: "registry.example:5000/web@sha256:%s"
      - {name: side, image: envoy:1}
      volumes:
      - name: model
        image: {reference: models/llama:1, pullPolicy: Always}
      - name: other
        configMap: {name: x}
"""


def test_pods_wherever_they_stand() -> None:
    cron = """\
---
# a comment
apiVersion: batch/v1
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, image: cron:1}]}}}}}
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  spec:
    containers: [{name: a, image: pod:1}]
    ephemeralContainers: [{name: b, image: debug:1}]
---
apiVersion: example.org/v1
kind: Special
spec:
  podTemplate: {containers: [{image: special:1}, {name: without}, {image: null}]}
---
"""
    digest = "0" * 64
    expected = [
        "busybox:1.36",
        f"registry.example:5000/web@sha256:{digest}",
        "envoy:1",
        "models/llama:1",
        "cron:1",
        "pod:1",
        "debug:1",
        "special:1",
    ]
    text = DEPLOYMENT % digest + cron
    assert texts(text) == expected
    assert texts(text, "deploy.yml") == expected
    assert all(image == written for image, written in places(text))
    assert texts(text.replace("\n", "\r\n").encode("utf-8-sig")) == expected
    assert [use.location.line for use in find(text).images][:3] == [10, 13, 14]


def test_json_with_tabs_and_escapes() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "é😀", "image": "a/b:1"}]}}
    for text in (
        json.dumps(pod),
        json.dumps(pod, indent="\t"),
        json.dumps(pod, indent=2, ensure_ascii=False),
        json.dumps([pod]),
    ):
        assert texts(text, "pod.json") == ["a/b:1"]
        assert places(text) == [("a/b:1", "a/b:1")]
    assert texts(json.dumps(pod).replace("a/b", "a\\/b")) == ["a/b:1"]


def test_places_after_characters_of_several_bytes() -> None:
    text = "apiVersion: v1\nkind: Pod\nnote: 龙芯 😀\nspec:\n  containers:\n  - {name: 龙, image: a:1}\n"
    (image,) = find(text, "pod.yaml").images
    assert str(image.location) == "pod.yaml:6:22"
    assert places(text) == [("a:1", "a:1")]


def test_anchors_tags_and_block_scalars() -> None:
    text = """\
apiVersion: v1
kind: Pod
spec:
  containers:
  - image: &img !!str "a:1"
  - image: *img
  - image: >-
      b:1
  - image: &c c:1\t
  - image:\td:1\t# tab
  - &base {image: e:1}
  - {<<: *base, name: x}
"""
    assert texts(text) == ["a:1", "b:1", "c:1", "d:1", "e:1"]
    assert [written for _, written in places(text) if ">" not in written] == ["a:1", "c:1", "d:1", "e:1"]


def test_what_is_no_image_of_a_container_is_told() -> None:
    text = """\
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
spec:
  image: quay.io/prometheus/prometheus:v2
  containers:
  - image: "{{ .Values.image }}"
  - image: {{ .Values.image }}
  - image: ${IMAGE}
  - image: ko://example.org/cmd
  - image: {repository: a}
  - image: ""
  - image: good
"""
    found = find(text)
    assert [use.text for use in found.images] == ["good"]
    assert [(entry.what.split(" in ")[-1], entry.why.split(";")[0]) for entry in found.skipped] == [
        ("-:6", "a template"),
        ("-:7", "a template"),
        ("-:8", "a placeholder"),
        ("-:9", "an address, not an image"),
        ("-:10", "an image is a text, and this is none"),
        ("-:11", "it is empty"),
        ("-:4", "not the image of a pod's container"),
    ]


def test_documents_without_pods_are_not_read() -> None:
    head = "---\r\napiVersion: v1\r\nkind: Service\r\nspec: {ports: [[[\r\n--- # é\n"
    schema = "kind: CustomResourceDefinition\nspec: {containers: [{image: none}]}\napiVersion: x/v1\n--- \n"
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers: [{image: a}]\n"
    (image,) = find(head + schema + pod).images
    assert (image.text, image.location.line, image.location.column) == ("a", 13, 24)
    assert texts(head) == texts(schema) == texts(head + schema) == []
    assert texts("apiVersion: v1\nkind: Service\n") == []
    with pytest.raises(InputError, match="not valid YAML"):
        find(head + pod + "  [")


def test_what_the_cluster_says_of_itself_is_passed_over() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"managedFields": [{"containers": [{"image": "m"}]}]},
        "spec": {"containers": [{"image": "a:1"}]},
        "status": {"containerStatuses": [{"image": "docker.io/library/a:1", "imageID": "x"}]},
    }
    assert texts(json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod]})) == ["a:1"]


def test_a_template_is_told_from_braces_in_quotes() -> None:
    with pytest.raises(InputError, match="this is not valid YAML"):
        find("services:\n  a: {image: a, hostname: '{{.Node.Hostname}}'\n", "stack.yml")
    for line in ("{{ if x }}", "  - {{ x }}: b", "image: {{ a }}:{{ b }}", "{% if x %}"):
        with pytest.raises(InputError, match="this is a template"):
            find(f"services:\n{line}\n]", "stack.yml")


def test_a_helm_template_says_how_to_render_it() -> None:
    text = "{{- if .Values.on }}\napiVersion: v1\nkind: Pod\n{{- end }}\n"
    with pytest.raises(InputError, match=r"helm template \. \| crossdock platforms -f -"):
        find(text, "templates/pod.yaml")


def test_kustomizations() -> None:
    text = """\
resources: [deployment.yaml]
images:
- name: nginx
  newTag: "1.25"
- name: app
  newName: registry.example/app
  digest: sha256:abc
- {name: moved, newName: elsewhere}
- {}
- text
"""
    for head in ("", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"):
        found = find(head + text, "kustomization.yaml")
        assert [use.text for use in found.images] == ["nginx:1.25", "registry.example/app@sha256:abc"]
        assert [entry.what for entry in found.skipped] == [
            f"image elsewhere in kustomization.yaml:{8 + head.count(chr(10))}",
            "the resources of kustomization.yaml",
        ]


# --- what a file is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Dockerfile", "a/Dockerfile.dev", "web.Dockerfile", "x.dockerfile", "Containerfile", "dockerfile", "any"]
)
def test_dockerfiles_by_name_and_content(name: str) -> None:
    assert texts("\n# note\n  from a\n", name) == ["a"]


def test_the_name_decides_before_the_content() -> None:
    with pytest.raises(InputError, match="Dockerfile"):
        find("services: {a: {image: a}}", "Dockerfile")
    with pytest.raises(InputError, match="no compose file"):
        find("FROM a\n", "a.yaml")


def test_keys_that_look_like_instructions() -> None:
    assert texts("volume : {image: a}\n") == ["a"]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("", "-", "empty"),
        (" \n", "a.yaml", "empty"),
        ("hello\n", "notes.txt", "no Dockerfile"),
        ("a: b\n", "a.yaml", "services"),
        ("- a\n- b\n", "a.yaml", "no compose file"),
        ('{{ include "chart.pod" . }}\n', "a.yaml", "template"),
        ("{{ pod }}\n", "a.yaml", "template"),
        ("[a]: b\n", "a.yaml", "no compose file"),
        ("services: [a]\n", "a.yaml", "no compose file"),
        ("services: {\n", "a.yaml", r"a\.yaml:\d:\d: this is not valid YAML"),
        ("services:\n\tweb: {image: a}\n", "a.yaml", r"a\.yaml:2:1: .*\n.*spaces"),
        ("services:\n  a: *b\n", "a.yaml", r"a\.yaml:2:6: no anchor &b"),
        ("services: &s\n  a: *s\n", "a.yaml", r"a\.yaml:2:6: .*inside its own anchor"),
        (b"a: \0\n", "a.yaml", "binary"),
        (b"\xff\xfea\0", "a.yaml", "UTF-16"),
        (b"a: b\nc: \xff\n", "a.yaml", r"a\.yaml:2:4: .*UTF-8"),
        ('a: "\\UFFFFFFFF"\n', "a.yaml", "not valid YAML"),
        ("a: \x01\n", "a.yaml", r"a\.yaml:1:4: this is not valid YAML"),
    ],
)
def test_what_cannot_be_read_says_where(text: str | bytes, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        find(text, path)
    assert raised.value.where
    assert raised.value.hint


# --- hostile files ---------------------------------------------------------------------------------------------------


def _laughs(levels: int, line: str) -> str:
    names = [f"a{n}" for n in range(levels)]
    lines = [f"{name}: &{name} {line.format(below)}" for below, name in zip(["base", *names], names, strict=False)]
    return "\n".join(["base: &base {image: x}", *lines, "services: {w: {image: x}}"])


@pytest.mark.parametrize(
    "text",
    [
        _laughs(40, "[*{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}, *{0}]"),
        _laughs(40, "{{<<: [*{0}, *{0}, *{0}], b: *{0}}}"),
        "services:\n" + "[" * 100_000,
        "services: " + "{a: " * 50_000,
        "- " * 50_000,
        "services: " + "? " * 50_000,
        "x-" + "a" * 200_000 + ": [" * 300,
        "a: " + "x" * (11 << 20),
    ],
    ids=lambda text: text[:40],
)
def test_bombs_end_quickly_with_an_error(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(InputError):
        find(text, "compose.yaml")
    assert time.monotonic() - started < 5


def test_duplicate_keys_do_no_harm() -> None:
    assert texts("services:\n  a: {image: x, image: y}\n") == ["y"]
    assert texts("apiVersion: v1\nkind: Pod\ncontainers: [{image: x}]\n") == ["x"]


YAML_PIECES = st.sampled_from(
    [
        *"services: image: build: containers: apiVersion: kind: Kustomization images: name: <<: - [ ] { } , :".split(),
        *"? & * &a *a << ! !!str !x | > |- \" ' # % %YAML --- ... $A ${A:-b} ${ $$ {{ }} é 😀 a b 1 null ~".split(),
        *("\n", "\n  ", "\n    ", "\r\n", "\t", " ", "\ufeff", "\u2028", "\x85", "\\", "\\ud83d", "@", "`"),
    ]
)


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(["", "services:\n a:\n  image: ", "services:\n a: {", "kind: Pod\napiVersion: v1\ncontainers: "]),
    st.lists(YAML_PIECES, max_size=30).map("".join),
    st.sampled_from(["a.yaml", "-"]),
)
@example("services: {a: {<<: 1, image: !reset}}", "", "-")
@example("%YAML 1.1.1.1\n---\na: b", "", "a.yaml")
@example("a: !<\n", "", "a.yaml")
def test_any_yaml_is_read_or_refused(head: str, rest: str, path: str) -> None:
    text = head + rest
    try:
        found = find(text, path)
    except CrossdockError:
        return
    source = Source(path, text.encode())
    for use in found.images:
        assert use.text
        assert 0 <= use.location.span.start <= use.location.span.end <= len(source.data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["Dockerfile", "a.yaml", "-"]))
def test_any_bytes_are_read_or_refused(data: bytes, path: str) -> None:
    with contextlib.suppress(CrossdockError):
        find(data, path)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30))
def test_every_text_is_found_as_json_writes_it(text: str) -> None:
    text = f"a{text}z"
    pod = {"kind": "Pod", "apiVersion": "v1", "spec": {"containers": [{"image": text}]}}
    for ascii_only in (True, False):
        found = find(json.dumps(pod, ensure_ascii=ascii_only), "pod.json")
        assert [use.text for use in found.images] == [text] or found.skipped
