"""What files other than Dockerfiles declare: pins, platform lists, images, missing steps; and edits by span."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from crossdock.errors import InputError
from crossdock.read.declared import Declared, DockerfileUse, FileKind, Mend
from crossdock.read.files import read_declared
from crossdock.read.hcl import read_hcl
from crossdock.read.yaml_tree import read_yaml
from crossdock.source import Source, apply_edits


def read(path: str, text: str, **environ: str) -> Declared:
    return read_declared(Source(path, text.encode()), environ)


def mended(declared: Declared, mend: Mend | None) -> str:
    assert mend is not None
    return apply_edits(declared.source, mend.edits).data.decode()


def platforms(declared: Declared) -> list[tuple[str, ...]]:
    return [found.platforms for found in declared.lists]


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("compose.yaml", "services:\n  a:\n    image: b\n", FileKind.COMPOSE),
        ("stack.yml", "services:\n  a:\n    image: b\n", FileKind.COMPOSE),
        ("x.yaml", "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: a}]}\n", FileKind.KUBERNETES),
        (".github/workflows/x.yml", "on: push\njobs:\n  a:\n    steps: []\n", FileKind.WORKFLOW),
        (".gitlab-ci.yml", "a:\n  script: true\n", FileKind.PIPELINE),
        ("ci/build.gitlab-ci.yml", "include: x\n", FileKind.PIPELINE),
        ("docker-bake.hcl", 'target "a" {}\n', FileKind.BAKE),
        ("docker-bake.json", '{"target": {"a": {}}}', FileKind.BAKE),
    ],
)
def test_kinds(path: str, text: str, kind: FileKind) -> None:
    assert read(path, text).kind is kind


def test_what_is_none_of_them_is_told() -> None:
    with pytest.raises(InputError, match="this is no compose file"):
        read("x.yaml", "a: 1\n")


class TestCompose:
    def test_a_pin_goes_with_its_line(self) -> None:
        text = "services:\n  a:\n    platform: 'linux/amd64'  # for Macs\n    image: b\n"
        found = read("compose.yaml", text)
        (pin,) = found.pins
        assert (pin.what, pin.certain) == ("service a", True)
        assert mended(found, pin.mend) == "services:\n  a:\n    image: b\n"

    @pytest.mark.parametrize("platform", ["linux/arm64", "${PLATFORM}", "windows/amd64", "nonsense", "''"])
    def test_what_is_no_pin(self, platform: str) -> None:
        assert read("compose.yaml", f"services:\n  a:\n    image: b\n    platform: {platform}\n").pins == ()

    def test_a_variable_decides(self) -> None:
        text = "services:\n  a:\n    image: b\n    platform: ${P:-linux/amd64}\n"
        (pin,) = read("compose.yaml", text).pins
        assert (pin.certain, pin.mend) == (False, None)
        assert read("compose.yaml", text, P="linux/arm64").pins == ()

    def test_flow_style_is_left_to_the_author(self) -> None:
        for text in (
            "services: {a: {image: b, platform: linux/amd64}}\n",
            '{\n  "services": {\n    "a": {\n      "image": "b",\n      "platform": "linux/amd64"\n    }\n  }\n}\n',
        ):
            (pin,) = read("compose.yaml", text).pins
            assert pin.mend is None

    def test_a_pin_in_an_anchor_is_one(self) -> None:
        text = (
            "x-base: &base\n  platform: linux/amd64\nservices:\n  a:\n    <<: *base\n    image: b\n"
            "  c:\n    <<: *base\n    image: d\n"
        )
        found = read("compose.yaml", text)
        assert len({pin.span for pin in found.pins}) == 1

    def test_images_but_not_of_what_is_built(self) -> None:
        text = "services:\n  a:\n    image: b:${T:-1}\n  c:\n    build: .\n    image: c\n"
        found = read("compose.yaml", text)
        assert [use.text for use in found.images] == ["b:1"]

    @pytest.mark.parametrize(
        ("build", "dockerfile", "context"),
        [
            (".", "deploy/Dockerfile", "deploy"),
            ("../app", "app/Dockerfile", "app"),
            ("{context: .., dockerfile: docker/api.Dockerfile}", "docker/api.Dockerfile", "."),
        ],
    )
    def test_dockerfiles_with_their_contexts(self, build: str, dockerfile: str, context: str) -> None:
        found = read("deploy/compose.yaml", f"services:\n  a:\n    build: {build}\n")
        assert found.dockerfiles == (DockerfileUse(dockerfile, context),)

    def test_platforms_of_a_build(self) -> None:
        text = "services:\n  a:\n    build:\n      context: .\n      platforms:\n        - linux/amd64\n"
        found = read("compose.yaml", text)
        assert platforms(found) == [("linux/amd64",)]
        assert mended(found, found.lists[0].mend) == text + "        - linux/arm64\n"


POD = "apiVersion: v1\nkind: Pod\nspec:\n  {}\n  containers:\n    - image: a:1\n"


class TestKubernetes:
    def test_a_selector_with_one_label_goes_as_a_whole(self) -> None:
        text = POD.format('nodeSelector:\n    "kubernetes.io/arch": amd64')
        found = read("pod.yaml", text)
        assert [use.text for use in found.images] == ["a:1"]
        assert (
            mended(found, found.pins[0].mend) == "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - image: a:1\n"
        )

    def test_another_label_stays(self) -> None:
        text = POD.format("nodeSelector:\n    disk: ssd\n    beta.kubernetes.io/arch: amd64")
        found = read("pod.yaml", text)
        assert mended(found, found.pins[0].mend) == POD.format("nodeSelector:\n    disk: ssd")

    @pytest.mark.parametrize(
        "selector",
        [
            "nodeSelector: {kubernetes.io/arch: arm64}",
            "nodeSelector: {kubernetes.io/os: linux}",
            "nodeSelector: {kubernetes.io/arch: amd64, kubernetes.io/os: windows}",
            "labels: {kubernetes.io/arch: amd64}",
        ],
    )
    def test_what_is_no_pin(self, selector: str) -> None:
        assert read("pod.yaml", POD.format(selector)).pins == ()

    @pytest.mark.parametrize(
        ("values", "after"),
        [
            ("[amd64]", "[amd64, arm64]"),
            ('["amd64","s390x"]', '["amd64","s390x","arm64"]'),
            ("\n              - amd64", "\n              - amd64\n              - arm64"),
        ],
    )
    def test_affinity_gets_arm64(self, values: str, after: str) -> None:
        affinity = (
            "affinity:\n    nodeAffinity:\n      requiredDuringSchedulingIgnoredDuringExecution:\n"
            "        nodeSelectorTerms:\n        - matchExpressions:\n          - key: kubernetes.io/arch\n"
            "            operator: In\n            values: "
        )
        found = read("pod.yaml", POD.format(affinity + values))
        assert mended(found, found.pins[0].mend) == POD.format(affinity + after)

    def test_both_architectures_are_fine(self) -> None:
        term = "{key: kubernetes.io/arch, operator: In, values: [amd64, arm64]}"
        assert read("pod.yaml", POD.format(f"affinity: {{x: {{matchExpressions: [{term}]}}}}")).pins == ()


class TestHelm:
    def test_images_and_pins_of_values(self, tmp_path: Path) -> None:
        (tmp_path / "Chart.yaml").write_text("name: x\nappVersion: 1.2.3\n")
        text = (
            "image:\n  registry: ghcr.io\n  repository: team/app\n  tag: ''\nsidecar:\n  image:\n"
            "    repository: proxy\n    tag: v2\nsource:\n  repository: https://example.com/x.git\n  tag: v1\n"
            "nodeSelector:\n  kubernetes.io/arch: amd64\n"
        )
        found = read(str(tmp_path / "values.yaml"), text)
        assert found.kind is FileKind.HELM
        assert [use.text for use in found.images] == ["ghcr.io/team/app:1.2.3", "proxy:v2"]
        assert len(found.pins) == 1


WORKFLOW = "on: push\njobs:\n  image:\n    runs-on: {}\n    steps:\n{}"
BUILD = "      - uses: docker/build-push-action@v6\n        with:\n          push: true\n"
SETUP = "      - uses: docker/setup-qemu-action@v3\n      - uses: docker/setup-buildx-action@v3\n"


def workflow(steps: str, runner: str = "ubuntu-latest", head: str = "") -> Declared:
    return read(".github/workflows/x.yml", head + WORKFLOW.format(runner, steps))


class TestWorkflow:
    def test_platforms_of_the_build_action(self) -> None:
        found = workflow(BUILD + "          platforms: linux/amd64, linux/386\n")
        assert platforms(found) == [("linux/amd64", "linux/386")]
        assert "platforms: linux/amd64, linux/386, linux/arm64\n" in mended(found, found.lists[0].mend)

    def test_none_at_all_is_for_the_runner(self) -> None:
        assert platforms(workflow(BUILD)) == [()]
        assert workflow(BUILD).lists[0].published
        assert not workflow(BUILD.replace("true", "false")).lists[0].published

    def test_expressions_of_env_and_matrix(self) -> None:
        step = BUILD + "          platforms: ${{ env.P }}\n"
        assert platforms(workflow(step, head="env:\n  P: linux/amd64\n")) == [("linux/amd64",)]
        assert platforms(workflow(step)) == []
        matrix = (
            "x\n    strategy:\n      matrix:\n        p: [linux/amd64]\n        include:\n          - p: linux/arm64"
        )
        found = workflow(step.replace("env.P", "matrix.p"), matrix)
        assert platforms(found) == [("linux/amd64", "linux/arm64")]

    def test_commands_of_run(self) -> None:
        steps = (
            "      - run: |\n          docker login\n          docker buildx build \\\n"
            "            --platform linux/amd64 \\\n            -t é --push .\n      - run: docker build .\n"
        )
        found = workflow(steps)
        assert platforms(found) == [("linux/amd64",), ()]
        assert [found_list.published for found_list in found.lists] == [True, False]
        assert found.source.text(found.lists[0].span) == "linux/amd64"
        assert "--platform linux/amd64,linux/arm64 \\\n" in mended(found, found.lists[0].mend)

    def test_a_platform_that_is_not_known_names_nothing(self) -> None:
        (found,) = workflow("      - run: docker buildx build --platform ${{ inputs.p }} .\n").lists
        assert not found.names_amd64
        assert not found.names_arm64
        assert found.mend is None

    def test_missing_steps(self) -> None:
        both = BUILD + "          platforms: linux/amd64,linux/arm64\n"
        (missing,) = workflow(both).missing
        assert missing.what.endswith("without emulation and a builder for several platforms")
        assert workflow(SETUP + both).missing == ()
        assert workflow("      - uses: docker/setup-buildx-action@v3\n" + both).missing == ()
        (buildx,) = workflow("      - uses: docker/setup-qemu-action@v3\n" + both).missing
        assert "emulation" not in buildx.what
        matrix = "ubuntu-latest\n    strategy:\n      matrix:\n        p: [linux/amd64, linux/arm64]"
        (one_each,) = workflow(BUILD + "          platforms: ${{ matrix.p }}\n", matrix).missing
        assert one_each.what.endswith("without emulation")
        (qemu,) = workflow(BUILD + "          platforms: linux/arm64\n").missing
        assert qemu.what.endswith("without emulation")

    @pytest.mark.parametrize(
        "step",
        [
            "      - uses: ./.github/actions/prepare\n",
            "      - uses: depot/setup-action@v1\n",
            "      - run: docker run --privileged tonistiigi/binfmt --install all\n",
            "      - uses: docker/setup-buildx-action@v3\n        with:\n          driver: remote\n",
        ],
    )
    def test_what_may_set_up_is_trusted(self, step: str) -> None:
        assert workflow(step + BUILD + "          platforms: linux/amd64,linux/arm64\n").missing == ()

    @pytest.mark.parametrize("runner", ["ubuntu-24.04-arm", "self-hosted", "${{ matrix.os }}", "[self-hosted, linux]"])
    def test_other_runners_are_not_judged(self, runner: str) -> None:
        assert workflow(BUILD + "          platforms: linux/arm64\n", runner).missing == ()


class TestPipeline:
    def test_variables_and_lists(self) -> None:
        text = (
            "variables:\n  PLATFORMS: linux/amd64\nbuild:\n  before_script:\n    - docker login\n  script:\n"
            "    - docker buildx build --platform=$PLATFORMS --push .\n    - buildah bud --platform 'linux/amd64' .\n"
        )
        found = read(".gitlab-ci.yml", text)
        assert platforms(found) == [("linux/amd64",), ("linux/amd64",)]
        assert found.lists[0].mend is None
        assert "--platform 'linux/amd64,linux/arm64' .\n" in mended(found, found.lists[1].mend)

    def test_a_push_in_another_line_publishes(self) -> None:
        text = "a:\n  script:\n    - docker build --platform linux/amd64 -t x .\n    - docker {} x\n"
        assert read(".gitlab-ci.yml", text.format("push")).lists[0].published
        assert not read(".gitlab-ci.yml", text.format("run")).lists[0].published

    def test_kaniko(self) -> None:
        text = "a:\n  script:\n    - /kaniko/executor --context . --custom-platform=linux/amd64 --destination x\n"
        assert platforms(read(".gitlab-ci.yml", text)) == [("linux/amd64",)]

    def test_what_builds_no_image_is_nothing(self) -> None:
        script = "    - cargo build --platform linux/amd64\n    - docker push x\n"
        text = f"a:\n  image: x\n  tags: [amd64]\n  script:\n{script}"
        assert read(".gitlab-ci.yml", text).lists == ()


class TestBake:
    def test_lists_in_hcl(self) -> None:
        text = (
            '// platforms = ["linux/386"]\nvariable "TAG" { default = "a \\" b ${"}"} c" }\n'
            'target "a" {\n  args = { x = "y" }\n  platforms = [\n    "linux/amd64",\n    "linux/386", # old\n  ]\n}\n'
            'target "b" { platforms = split(",", P) }\ngroup "default" { targets = ["a"] }\n'
        )
        found = read("docker-bake.hcl", text)
        assert platforms(found) == [("linux/amd64", "linux/386")]
        after = mended(found, found.lists[0].mend)
        assert '    "linux/386",\n    "linux/arm64", # old\n  ]' in after
        assert platforms(read("docker-bake.hcl", after)) == [("linux/amd64", "linux/386", "linux/arm64")]

    def test_a_list_of_one_on_its_own_line(self) -> None:
        found = read("docker-bake.hcl", 'target "a" {\n  platforms = [\n    "linux/amd64",\n  ]\n}\n')
        after = mended(found, found.lists[0].mend)
        assert after == 'target "a" {\n  platforms = [\n    "linux/amd64",\n    "linux/arm64",\n  ]\n}\n'

    def test_lists_in_json(self) -> None:
        text = '{"target": {"a": {"platforms": ["linux/amd64"]}}}'
        found = read("docker-bake.json", text)
        assert mended(found, found.lists[0].mend) == text.replace('"]', '", "linux/arm64"]')

    @pytest.mark.parametrize("text", ['a = "b', "target {", "= 1", "a = <<X\n", "a b c\n"])
    def test_what_is_no_hcl_is_told_with_its_place(self, text: str) -> None:
        with pytest.raises(InputError) as caught:
            read("docker-bake.hcl", text)
        assert caught.value.where
        assert caught.value.where.startswith("docker-bake.hcl:")


@settings(deadline=None)
@given(st.text("ab=[]{}\"$%\\\n,# /*<-'", max_size=60))
def test_any_text_is_hcl_or_an_input_error(text: str) -> None:
    source = Source("docker-bake.hcl", text.encode())
    try:
        for attribute in read_hcl(source):
            for token in attribute.value:
                if token.kind == "string" and token.plain:
                    assert source.text(token.span) == token.text
    except InputError:
        pass


@settings(deadline=None)
@given(st.lists(st.sampled_from(["linux/amd64", "linux/386", "linux/s390x"]), min_size=1, max_size=4), st.booleans())
def test_an_item_is_added_at_the_end(items: list[str], flow: bool) -> None:
    value = f"[{', '.join(items)}]" if flow else "".join(f"\n        - {item}" for item in items)
    found = read("compose.yaml", f"services:\n  a:\n    build:\n      platforms: {value}\n")
    again = read("compose.yaml", mended(found, found.lists[0].mend))
    assert platforms(again) == [(*items, "linux/arm64")]


WORDS = st.sampled_from(
    "linux/amd64 linux/arm64 amd64 linux/amd64,linux/386 ubuntu-latest docker/build-push-action@v6 true 1.2 a:1 In "
    "docker/setup-buildx-action@v3 kubernetes.io/arch ${X} ${{matrix.p}} {{x}}".split()
) | st.just("docker buildx build --platform linux/amd64 .")
KEYS = st.sampled_from(
    "services jobs on build platform platforms image steps uses with run runs-on script variables env strategy matrix "
    "include p spec containers nodeSelector kubernetes.io/arch matchExpressions key operator values target push "
    "apiVersion kind x-bake".split()
)
TREES = st.recursive(
    WORDS | st.none() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(KEYS, TREES, max_size=4),
    st.sampled_from(["compose.yaml", ".github/workflows/x.yml", ".gitlab-ci.yml", "docker-bake.json", "x.yaml"]),
    st.booleans(),
)
def test_whatever_stands_in_a_file_it_is_read_and_mends_keep_it_valid(
    document: dict[str, object], path: str, block: bool
) -> None:
    text = dumped(document) if block and not path.endswith(".json") else json.dumps(document)
    try:
        declared = read(path, text)
    except InputError:
        return
    for mend in (found.mend for found in (*declared.pins, *declared.lists, *declared.missing)):
        if mend:
            read_yaml(apply_edits(declared.source, mend.edits))


def dumped(document: dict[str, object]) -> str:
    out = io.StringIO()
    YAML().dump(document, out)
    return out.getvalue()
