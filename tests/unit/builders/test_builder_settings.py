"""Settings for registries: what is said comes back from the files as BuildKit and podman read them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from crossdock.builders.settings import RegistryOption, buildkitd_toml, files, parse_registries, registries_conf
from crossdock.errors import InputError, UsageError

HERE = Path("/here")


def test_a_mirror_without_tls_has_a_section_of_its_own() -> None:
    options = parse_registries(["docker.io,mirror=http://10.0.0.5:5000/hub"], HERE)
    read = tomllib.loads(buildkitd_toml(options))["registry"]
    assert read == {"docker.io": {"mirrors": ["10.0.0.5:5000/hub"]}, "10.0.0.5:5000": {"http": True}}


def test_everything_that_can_be_said() -> None:
    options = parse_registries(
        ["a.lan:5000,http", "b.lan,insecure", "c.lan,http,insecure", "d.lan,ca=ca.pem,cert=c.pem,key=/k.pem"], HERE
    )
    assert tomllib.loads(buildkitd_toml(options))["registry"] == {
        "a.lan:5000": {"http": True},
        "b.lan": {"insecure": True},
        "c.lan": {"http": True, "insecure": True},
        "d.lan": {"ca": ["/here/ca.pem"], "keypair": [{"key": "/k.pem", "cert": "/here/c.pem"}]},
    }
    read = tomllib.loads(registries_conf(options))["registry"]
    assert read == [{"location": host, "insecure": True} for host in ("a.lan:5000", "b.lan", "c.lan")]


def test_a_mirror_for_podman() -> None:
    options = parse_registries(["docker.io,mirror=http://m.lan:5000,mirror=n.lan"], HERE)
    (hub, mirror) = tomllib.loads(registries_conf(options))["registry"]
    assert hub["mirror"] == [{"location": "m.lan:5000", "insecure": True}, {"location": "n.lan"}]
    assert mirror == {"location": "m.lan:5000", "insecure": True}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["https://r.lan"], "takes no scheme"),
        (["r.lan:99999"], "is not HOST"),
        (["r.lan,what"], "has no meaning"),
        (["r.lan", "r.lan,http"], "is given twice"),
        (["docker.io,http"], "never concern a registry's mirrors"),
        (["r.lan,cert=c.pem"], "cert= and key= belong together"),
        (["r.lan,http,ca=c.pem"], "plain HTTP has no certificates"),
        (["r.lan,insecure,ca=c.pem"], "no certificate is verified"),
        (["r.lan,mirror=r.lan"], "its own mirror"),
        (["r.lan,mirror=ftp://x"], "is not HOST"),
        (["r.lan,ca=a/x.pem,cert=b/x.pem,key=k.pem"], "different names"),
    ],
)
def test_what_has_no_meaning(texts: list[str], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_registries(texts, HERE)
    assert words in raised.value.what
    assert raised.value.hint


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(UsageError) as raised:
        parse_registries(["https://me:geheim@r.lan"], HERE)
    assert "geheim" not in str(raised.value)


def test_certificates_are_copied_and_looked_at(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    good.write_text("-----BEGIN CERTIFICATE-----\n")
    bad.write_text("nothing")
    written = files((RegistryOption("r.lan", ca=good),), "podman")
    assert written["certs.d/r.lan/ca.crt"] == good.read_bytes()
    with pytest.raises(InputError, match=r"bad\.pem"):
        files((RegistryOption("r.lan", ca=bad),), "podman")
    with pytest.raises(InputError, match="cannot be read"):
        files((RegistryOption("r.lan", ca=tmp_path / "none.pem"),), "buildkit")
