"""Reports for programs keep to their published schemas."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
import report_samples as sample

from crossdock.findings import Skipped
from crossdock.image.binary import identify
from crossdock.image.inspect import inspect_file
from crossdock.report import json as reports
from crossdock.rules import RULES

PUBLISHED = Path(__file__).parents[3] / "docs/schemas"


def dry_run() -> reports.BuildReport:
    return reports.build_report(engine="buildah", port=None, plan=sample.PLAN, commands=("buildah build",))


def samples() -> dict[str, msgspec.Struct]:
    return {
        "check": reports.check_report(sample.CHECKED),
        "check-clean": reports.check_report(sample.CLEAN),
        "port": reports.port_report(sample.PORTED, written=True),
        "explain": reports.explain_report(RULES),
        "plan": reports.plan_report(sample.PLAN),
        "verify": reports.verify_report(sample.VERIFIED),
        "verify-broken": reports.verify_report(sample.BROKEN),
        "build": reports.build_report(
            engine="buildx",
            port=sample.PORTED,
            plan=sample.PLAN,
            digest=sample.DIGEST,
            verified=sample.VERIFIED,
            published=("registry.example/app:1",),
            fallbacks=sample.FALLBACKS,
            proofs=(sample.PROOF,),
        ),
        "build-dry-run": dry_run(),
        "builds": reports.builds_report(
            [
                ("app", "services/app", 0, reports.encode(dry_run()).encode()),
                ("web", "services/web", 3, b""),
            ]
        ),
        "registry": reports.registry_report(sample.SERVED),
        "push": reports.sent_report(sample.SENT, "push"),
        "pull": reports.sent_report(sample.SENT, "pull"),
        "index": reports.sent_report(sample.SENT, "index"),
        "platforms": reports.platforms_report(sample.LOOKED),
        "platforms-only": reports.platforms_report(sample.LOOKED_ONLY),
        "builder": reports.builder_report(sample.BUILDERS),
        "doctor": reports.doctor_report(sample.DIAGNOSIS),
        "arch": reports.arch_report([inspect_file(Path(__file__)), inspect_file(Path("/bin/sh"))]),
    }


@pytest.mark.parametrize("name", samples())
def test_keeps_to_the_published_schema(name: str) -> None:
    verb = name.partition("-")[0]
    schema = json.loads((PUBLISHED / f"{verb}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(reports.encode(samples()[name]))
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert document["schema"] == f"crossdock.{verb}/v1"


def test_what_native_programs_did_is_told_with_its_reasons() -> None:
    document = json.loads(reports.encode(samples()["build"]))
    assert document["fallback"] == [
        {
            "reason": "for 600 s it printed nothing, wrote nothing and used no processor time",
            "hung": True,
            "step": "RUN make",
            "where": "Dockerfile:3",
            "stage": "build",
            "platform": "linux/arm64",
        },
        {"reason": "x", "hung": False, "step": None, "where": None, "stage": None, "platform": None},
    ]
    (proof,) = document["proof"]
    assert (proof["same"], proof["seconds"]) == (False, {"assisted": 10.0, "emulated": 120.0, "packs": 20.0})
    assert [(one["nature"], one["counts"], one["created_by"]) for one in proof["differences"]] == [
        ("code", True, "RUN make"),
        ("time", False, None),
    ]


@pytest.mark.parametrize("verb", reports.REPORTS)
def test_a_schema_refuses_what_is_wrong(verb: str) -> None:
    schema = json.loads((PUBLISHED / f"{verb}.json").read_text())
    document = json.loads(reports.encode(samples()[verb]))
    for wrong in ({**document, "schema": "other/v1"}, {k: v for k, v in document.items() if k != "schema"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema, cls=jsonschema.Draft202012Validator)


def test_a_finding_has_exactly_the_documented_fields() -> None:
    document = json.loads(reports.encode(reports.check_report(sample.CHECKED)))
    assert document.keys() == {"schema", "findings", "skipped"}
    pinned, _, _, library = document["findings"]
    assert pinned == {
        "rule": "pinned-platform",
        "severity": "error",
        "confidence": "high",
        "path": "app/Dockerfile",
        "line": 1,
        "end_line": 1,
        "column": 6,
        "end_column": 28,
        "message": "the stage is built for linux/amd64 whatever is asked for",
        "fix": {
            "title": "remove --platform",
            "safety": "safe",
            "edits": [{"path": "app/Dockerfile", "start": 5, "end": 28, "replacement": ""}],
        },
        "explain": "crossdock explain pinned-platform",
    }
    assert library["fix"] is None
    assert library["column"] == 32
    assert document["skipped"] == [
        {"what": "app/build.sh:7", "why": "ignored by comment (amd64-download): only used in CI"}
    ]


def test_edits_applied_by_a_program_give_what_port_writes() -> None:
    (edit,) = reports.check_report(sample.CHECKED).findings[0].fix.edits
    data = sample.DOCKERFILE.data
    assert data[: edit.start] + edit.replacement.encode() + data[edit.end :] == sample.PORTED.dockerfile.data


def test_names_that_are_no_text_do_not_break_json() -> None:
    from dataclasses import replace

    checked = replace(sample.CHECKED, skipped=(Skipped("caf\udce9/Dockerfile", "x"),))
    document = json.loads(reports.encode(reports.check_report(checked)))
    assert document["skipped"][0]["what"] == "caf\ufffd/Dockerfile"


def test_a_binary_is_told_in_words_and_parts() -> None:
    binary = identify(Path("/bin/sh").resolve().read_bytes()[:4096])
    assert binary is not None
    found = reports.arch_report([inspect_file(Path("/bin/sh"))]).files[0].binary
    assert found is not None
    assert found.description == binary.describe()
    assert found.architectures == binary.architectures


def test_an_image_that_failed_has_an_error_and_nothing_else() -> None:
    document = json.loads(reports.encode(reports.platforms_report(sample.LOOKED)))
    assert document["images"][3] == {
        "reference": "registry.example/team/gone:1",
        "digest": None,
        "platforms": [],
        "manifests": [],
        "alternatives": [],
        "error": {
            "kind": "no-such-tag",
            "message": "there is no tag 1 in registry.example",
            "hint": "Check name and tag.",
        },
    }
    assert document["images"][4]["error"]["kind"] == "not-a-reference"
    assert document["images"][0]["platforms"] == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert [entry["size"] for entry in document["images"][0]["manifests"]] == [3_626_897, 4_091_672, None]
    assert [other["reference"] for other in document["images"][2]["alternatives"]] == [
        f"mysql:8.4@{sample.DIGEST}",
        f"mariadb:10.11@{sample.SECOND}",
    ]
