"""Docker from its own package repository, as its documentation has it: make room, trust its key, name it, install.

The key is trusted only if its fingerprint is the one that the catalogue has, and the repository is named only after
that. A mirror does not have to be trusted, then: what it serves has to be signed by Docker.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from crossdock.doctor.docker_table import Offer
from crossdock.host.package_steps import install_step, remove_step
from crossdock.host.steps import Step
from crossdock.platforms import Platform

KEYRING = "/etc/apt/keyrings/docker.gpg"
APT_SOURCE = "/etc/apt/sources.list.d/docker.list"
RPM_KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-docker-ce"
RPM_SOURCE = "/etc/yum.repos.d/docker-ce.repo"
_FINGERPRINTS = """awk -F: '$1 == "pub" { primary = 1 } $1 == "fpr" && primary { print $10; primary = 0 }'"""
"""Of what ``gpg --with-colons`` prints, the fingerprints of primary keys; those of subkeys follow ``sub``."""

_BUILDX_19 = "DOCKER_CLI_EXPERIMENTAL=enabled docker buildx version"


def repository_steps(
    offer: Offer, platform: Platform, address: str, words: Sequence[str], installed: Sequence[str] = ()
) -> tuple[Step, ...]:
    """Install Docker from the mirror at ``address``. ``words`` install packages; ``installed`` names the packages
    that are there, of which those that conflict are removed first."""
    in_the_way = [name for name in offer.replaces if name in installed]
    remove = [_remove(offer, in_the_way, words)] if in_the_way else []
    first = [*remove, _prerequisites(offer, words), _key(offer, address)]
    if offer.kind == "rpm":
        return (*first, _rpm_source(offer, platform, address), _install(offer, words))
    line = offer.apt_line(platform, address, KEYRING)
    return (_apt_others(offer, line), *first, _apt_source(offer, line), _install(offer, words))


def _remove(offer: Offer, names: Sequence[str], words: Sequence[str]) -> Step:
    why = f"They conflict with Docker's own packages ({offer.documentation}). Images, containers and volumes stay "
    why += "where they are; --undo does not bring the packages back."
    return remove_step("remove-old-docker", why, names, words, stops="the containers that run by them")


def _prerequisites(offer: Offer, words: Sequence[str]) -> Step:
    why = f"They fetch Docker's key and show its fingerprint ({offer.documentation})."
    if offer.kind == "deb":
        names = ["ca-certificates", "curl", "gnupg", *([offer.https] if offer.https else [])]
        return install_step("docker-prerequisites", why, names, words)
    # By program, not by package: curl-minimal will do, and it conflicts with curl.
    missing = {"curl": "curl", "gpg": "gnupg2"}
    return Step(
        id="docker-prerequisites",
        title="Install curl and gpg",
        why=why,
        done=" && ".join(f"command -v {program} >/dev/null" for program in missing),
        run="\n".join(
            f"if ! command -v {program} >/dev/null; then\n  {' '.join(words)} {package}\n  note packages {package}\nfi"
            for program, package in missing.items()
        ),
    )


def _key(offer: Offer, address: str) -> Step:
    """Whatever else is in the file that was fetched, only the key with this fingerprint comes out of it."""
    url = shlex.quote(f"{address}/{offer.path}/{offer.key.file}")
    keyring, armor = (KEYRING, "") if offer.kind == "deb" else (RPM_KEY, "--armor ")
    fingerprint = offer.key.fingerprint
    folder = "folder=$(mktemp -d)\ntrap 'rm -rf \"$folder\"' EXIT\n"
    return Step(
        id="docker-key",
        title="Trust the key that Docker signs its packages with",
        why=f"Its fingerprint must be {_grouped(fingerprint)} (known from {offer.key.source}); nothing is trusted if "
        "it is another.",
        done=f"""\
[ -s {keyring} ]
command -v gpg >/dev/null
{folder}seen=$(gpg --homedir "$folder" --batch --with-colons --with-fingerprint {keyring} 2>/dev/null | {_FINGERPRINTS})
[ "$seen" = {fingerprint} ]""",
        run=f"""\
{folder}curl -fsSL --connect-timeout 30 --retry 3 -o "$folder/fetched" {url} ||
  fail "Docker's key could not be fetched from" {url}
gpg --homedir "$folder" --batch --quiet --import "$folder/fetched" ||
  fail "there is no key in" {url}
seen=$(gpg --homedir "$folder" --batch --with-colons --fingerprint --list-keys | {_FINGERPRINTS})
case " $(echo "$seen" | tr '\\n' ' ') " in
  *" {fingerprint} "*) ;;
  *) fail {url} "is not Docker's key: its fingerprint is $seen, not {fingerprint}. Nothing was trusted" ;;
esac
gpg --homedir "$folder" --batch {armor}--export {fingerprint} >"$folder/key"
put {keyring} 644 <"$folder/key\"""",
    )


def _apt_others(offer: Offer, line: str) -> Step:
    """Before anything else: a source that does not work fails ``apt-get update``, and apt refuses to work when two name
    the same repository with different keys."""
    docker = r"download\.docker\.com/linux|/docker-ce/linux"
    each = f"""\
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
  if ! grep -qsE '^[^#]*({docker})' "$file"; then continue; fi
  if [ "$file" = {APT_SOURCE} ] && [ "$(cat "$file")" = {shlex.quote(line)} ]; then continue; fi
"""
    return Step(
        id="docker-other-sources",
        title="Switch off other sources of Docker's packages",
        why="apt refuses to work when two sources name the same repository with different keys, or when one of them "
        f"does not exist there. The right one is for {offer.base.name} and comes after this.",
        done=f"{each}  exit 1\ndone",
        run=f"""\
{each}  case $file in
    *.list)
      keep "$file"
      sed -i -E '\\#^[^\\#]*({docker})# s/^/# /' "$file"
      ;;
    *)
      if grep -E '^URIs:' "$file" | grep -qvE '{docker}'; then
        fail "$file names Docker's repository among others: remove that by hand"
      fi
      keep "$file"
      rm -f "$file"
      ;;
  esac
done""",
    )


def _apt_source(offer: Offer, line: str) -> Step:
    return Step(
        id="docker-source",
        title="Add Docker's package source",
        why=f"{offer.documentation}. The codename is that of {offer.base.name}, written out.",
        done=f'[ "$(cat {APT_SOURCE} 2>/dev/null)" = {shlex.quote(line)} ]',
        run=f"put {APT_SOURCE} 644 <<'END'\n{line}\nEND",
    )


def _rpm_source(offer: Offer, platform: Platform, address: str) -> Step:
    """``module_hotfixes`` keeps the modules of EL 8 (container-tools) from hiding containerd.io, which has runc inside
    (dnf.modularity(7)); older and newer package managers pay no attention to it."""
    text = f"""\
[docker-ce-stable]
name=Docker CE Stable
baseurl={address}/{offer.rpm_folder(platform)}
enabled=1
gpgcheck=1
gpgkey=file://{RPM_KEY}
module_hotfixes=1"""
    return Step(
        id="docker-source",
        title="Add Docker's package source",
        why=f"{offer.documentation}. Release and architecture are those of {offer.base.name}, written out, because "
        "$releasever is the derivative's own number.",
        done=f'[ "$(cat {RPM_SOURCE} 2>/dev/null)" = {shlex.quote(text)} ]',
        run=f"put {RPM_SOURCE} 644 <<'END'\n{text}\nEND",
    )


def _install(offer: Offer, words: Sequence[str]) -> Step:
    why = f"{offer.documentation}."
    if offer.last:
        why += f" Docker {offer.last} is the last for {offer.base.name}."
    return install_step(
        "install-docker",
        why,
        offer.packages,
        words,
        title="Install Docker",
        check=f"docker --version && {_BUILDX_19 if offer.last.startswith('19.') else 'docker buildx version'}",
    )


def _grouped(fingerprint: str) -> str:
    """``9DC8 5822 …``, as people compare it."""
    return " ".join(fingerprint[start : start + 4] for start in range(0, len(fingerprint), 4))
