"""Every setting that --registry can make means the same to ``image/settings``, which reads these files."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.builders.settings import RegistryOption, files, parse_registries
from crossdock.image.settings import Settings, read_settings
from crossdock.image.settings_files import ClientCertificate, Host, Mirror, Place

CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
HOSTS = st.sampled_from(
    ["docker.io", "a.lan", "b.lan:5000", "10.0.0.5", "c-d.example.com:443", "[fd00::1]:5000", "R.Lan"]
)
NAMES = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/,~="), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)
"""Of files, with quotes, backslashes and letters of all scripts."""


@st.composite
def registries(draw: st.DrawFn) -> list[str]:
    """Arguments of --registry that have a meaning; files are called ``ca``, ``cert`` and ``key`` and then anything."""
    texts = []
    for host in draw(st.lists(HOSTS, min_size=1, max_size=3, unique=True)):
        others = draw(st.lists(HOSTS.filter(lambda other, host=host: other != host), max_size=2))  # type: ignore[misc]
        fields = [f"mirror={other}{draw(st.sampled_from(['', '/hub', '/a/b-c']))}" for other in others]
        kinds = [[], ["ca"], ["cert", "key"], ["ca", "cert", "key"]]
        if host != "docker.io":
            kinds += [["http"], ["insecure"], ["http", "insecure"]]
        for kind in draw(st.sampled_from(kinds)):
            fields.append(f"{kind}={kind}{draw(NAMES)}" if kind in {"ca", "cert", "key"} else kind)
        texts.append(",".join([host, *draw(st.permutations(fields))]))
    return texts


def written(options: tuple[RegistryOption, ...], program: str, root: Path, folder: str) -> Settings:
    """What is read from the files that are made for a program."""
    for name, content in files(options, program).items():
        path = root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return read_settings({"HOME": "/root"}, root=root)


def options_of(texts: list[str], folder: Path) -> tuple[RegistryOption, ...]:
    """With all the files that they name."""
    options = parse_registries(texts, folder)
    for option in options:
        for file in option.files:
            file.write_text(CERTIFICATE)
    return options


@settings(max_examples=150, deadline=None)
@given(registries())
def test_for_buildkit(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options = options_of(texts, Path(folder))
        read = written(options, "buildkit", Path(folder), "etc/buildkit")
        assert read.problems == ()
        assert read.hosts == {
            option.host: Host(
                tuple(Mirror(Place(mirror.host, mirror.path)) for mirror in option.mirrors),
                plain_http=option.http and not option.insecure,
                insecure=option.insecure,
                authorities=(option.ca,) if option.ca else (),
                client=ClientCertificate(option.cert, option.key) if option.cert and option.key else None,
            )
            for option in options
        }
        assert files(options, "buildkit") == files(options, "buildkit")


@settings(max_examples=150, deadline=None)
@given(registries())
def test_for_podman(texts: list[str]) -> None:
    """It knows no plain HTTP alone: that is insecure there."""
    with tempfile.TemporaryDirectory() as folder:
        options = options_of(texts, Path(folder))
        root = Path(folder)
        read = written(options, "podman", root, "etc/containers")
        assert read.problems == ()
        insecure = {option.host for option in options if option.http or option.insecure}
        for option in options:
            *mirrors, last = read.endpoints(option.host, "team/app")
            assert last.insecure == (option.host in insecure)
            expected = [(str(mirror), mirror.host in insecure) for mirror in option.mirrors]
            shown = [
                ("/".join(filter(None, (m.host, m.prefix))).replace("registry-1.", ""), m.insecure) for m in mirrors
            ]
            assert shown == expected
            trust = read.trust(option.host)
            certs = root / "etc/containers/certs.d" / option.host
            assert trust.authorities == ((certs / "ca.crt",) if option.ca else ())
            assert trust.certificate == (certs / "client.cert" if option.cert else None)
