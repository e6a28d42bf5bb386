"""Docker as static programs in /usr/local/bin, for systems that nobody builds packages for.

Docker publishes no checksum of them, so whoever installs them gives one: until then the step stops, says what it got,
and installs nothing.
"""

from __future__ import annotations

import shlex

from crossdock.doctor.docker_table import Static
from crossdock.host.steps import Step

SHA256 = "DOCKER_SHA256"
"""The environment variable that holds the checksum."""
_UNIT_FILE = "/etc/systemd/system/docker.service"
_UNIT = """\
[Unit]
Description=Docker (static programs in /usr/local/bin)
Documentation=https://docs.docker.com
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=/usr/local/bin/dockerd
ExecReload=/bin/kill -s HUP $MAINPID
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Delegate=yes
KillMode=process
LimitNOFILE=1048576
TasksMax=infinity
Restart=on-failure

[Install]
WantedBy=multi-user.target"""


def static_steps(programs: Static, address: str) -> tuple[Step, ...]:
    """Fetch, compare, unpack; then a unit for systemd, and the group that may use the socket."""
    return (_programs(programs, address), _unit(programs), _group())


def _programs(programs: Static, address: str) -> Step:
    url = shlex.quote(f"{address}/{programs.path}")
    return Step(
        id="install-docker-static",
        title=f"Install Docker {programs.version} into /usr/local/bin",
        why=f"{programs.documentation}. Docker publishes no checksum of the archive: get its SHA-256 from somebody you "
        f"trust and set {SHA256} to it; it stops if there is none, or another.",
        done=f"/usr/local/bin/dockerd --version 2>/dev/null | grep -qF 'version {programs.version},'",
        run=f"""\
for program in curl tar iptables groupadd; do
  command -v "$program" >/dev/null || fail "Docker's static programs need $program: install it and run this again"
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
curl -fsSL --connect-timeout 30 --retry 3 -o "$folder/docker.tgz" {url} ||
  fail "it could not be fetched:" {url}
sum=$(sha256sum <"$folder/docker.tgz" | cut -d ' ' -f 1)
if [ -z "${{{SHA256}:-}}" ]; then
  fail {url} "has the SHA-256 $sum. Compare it with what somebody else got, and run this again with {SHA256}=$sum"
fi
[ "$sum" = "${SHA256}" ] || fail {url} "has the SHA-256 $sum, not the one in {SHA256}. Nothing was installed"
tar -xzf "$folder/docker.tgz" -C "$folder"
for program in "$folder"/docker/*; do
  put "/usr/local/bin/${{program##*/}}" 755 <"$program"
done""",
    )


def _unit(programs: Static) -> Step:
    return Step(
        id="docker-unit",
        title="Let systemd run Docker",
        why=f"The archive has no unit of its own ({programs.documentation}).",
        done=f'[ "$(cat {_UNIT_FILE} 2>/dev/null)" = {shlex.quote(_UNIT)} ]',
        run=f"put {_UNIT_FILE} 644 <<'END'\n{_UNIT}\nEND",
    )


def _group() -> Step:
    return Step(
        id="docker-group",
        title="Make the group docker",
        why="Docker's socket belongs to it; packages make it themselves.",
        done="getent group docker >/dev/null",
        run="groupadd --system docker",
    )
