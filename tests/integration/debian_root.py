"""A throwaway Debian, and an apt repository that stands in for Docker's, signed with a key of its own."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from busybox import configured_archive

VERSIONS = {"docker-ce": "5:29.9.9-1", "docker-ce-cli": "5:29.9.9-1", "containerd.io": "2.9.9-1"}
VERSIONS |= {"docker-buildx-plugin": "0.99.0-1", "docker-compose-plugin": "9.9.9-1"}
_NOTHING: Mapping[str, str] = {}
_DOCKER = """\
#!/bin/sh
if [ "$1" = buildx ]; then exec /usr/libexec/docker/cli-plugins/docker-buildx version; fi
echo "Docker version 29.9.9, build test"
"""


@dataclass(frozen=True)
class Root:
    """A Debian below ``folder``. Nothing starts services there, and no program outlives the command that started it,
    unless it is ``entered`` by a command that says otherwise (``with_own_kernel_list``)."""

    folder: Path
    entered: tuple[str, ...] = ()

    def command(self, *command: str) -> tuple[str, ...]:
        isolated = ("unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.folder}/proc")
        return (*(self.entered or isolated), "chroot", str(self.folder), *command)

    def run(self, *command: str, environment: Mapping[str, str] = _NOTHING) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*command),
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    def script(
        self, text: str, *arguments: str, environment: Mapping[str, str] = _NOTHING
    ) -> subprocess.CompletedProcess[str]:
        (self.folder / "root/script.sh").write_text(text)
        return self.run("sh", "/root/script.sh", *arguments, environment=environment)

    def path(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def state(self) -> dict[str, tuple[int, int, int]]:
        """Path → mode, size, time of the last change of its content, of all that is not temporary."""
        found = {}
        for folder, names, files in os.walk(self.folder):
            if folder == str(self.folder):
                names[:] = [name for name in names if name not in ("proc", "dev", "tmp", "root")]
            for name in files:
                stat = (Path(folder) / name).lstat()
                found[f"{folder}/{name}"] = (stat.st_mode, stat.st_size, stat.st_mtime_ns)
        return found


def make_archive(codename: str, archive: Path) -> None:
    """A minimal system as a tar archive; Debian's own archive is where it comes from."""
    _, address = configured_archive()
    command = ["mmdebstrap", "--variant=apt", "--quiet", "--aptopt=Acquire::Retries 3", codename, str(archive), address]
    subprocess.run(command, check=True, timeout=240)


def unpack(archive: Path, folder: Path) -> Root:
    folder.mkdir()
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True, timeout=120)
    policy = folder / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    (folder / "etc/resolv.conf").write_text(Path("/etc/resolv.conf").read_text())
    return Root(folder)


@contextmanager
def with_own_kernel_list(root: Root) -> Iterator[Root]:
    """The same with a binfmt_misc of its own (Linux 6.7 or newer), which is empty and not mounted at first.

    A user namespace has it; all users are the same in there as outside. Namespaces and mounts last until the end.
    """
    proc = f"{root.folder}/proc"
    # What the machine has registered stays in force until the namespace has had a binfmt_misc mounted.
    script = f"read -r go && mount -t proc proc {proc} && cd {proc}/sys/fs && mount -t binfmt_misc none binfmt_misc && "
    script += "umount binfmt_misc && echo ready && exec sleep 600"
    unshare = ["unshare", "--user", "--mount", "--pid", "--fork"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen([*unshare, "sh", "-c", script], stdin=pipe, stdout=pipe, text=True) as holder,
        ExitStack() as stack,
    ):
        stack.callback(holder.kill)
        assert holder.stdin
        assert holder.stdout
        child = _first_child(holder.pid)
        stack.callback(os.kill, child, signal.SIGKILL)
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{kind}").write_text("0 0 4294967295")
        holder.stdin.write("go\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "ready\n", "binfmt_misc cannot be mounted in a user namespace"
        yield replace(root, entered=("nsenter", f"--target={child}", "--user", "--mount", "--pid"))


def _first_child(process: int) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.02)
    raise RuntimeError("unshare did not start; see user namespaces in unshare(1)")


@dataclass(frozen=True)
class Signer:
    """A key pair in a folder of its own."""

    home: Path
    fingerprint: str

    def gpg(self, *arguments: str) -> bytes:
        return subprocess.run(
            ["gpg", "--homedir", str(self.home), "--batch", "--pinentry-mode=loopback", "--passphrase=", *arguments],
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout


@contextmanager
def signing(home: Path) -> Iterator[Signer]:
    home.mkdir(mode=0o700)
    signer = Signer(home, "")
    try:
        signer.gpg("--quick-generate-key", "Test <test@example.org>", "ed25519", "sign", "never")
        listed = signer.gpg("--with-colons", "--list-keys").decode().splitlines()
        yield Signer(home, next(line.split(":")[9] for line in listed if line.startswith("fpr")))
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, timeout=30)


def write_repository(folder: Path, codename: str, signer: Signer, architecture: str = "amd64") -> None:
    """What https://download.docker.com has below /linux/debian, with programs that only tell their version."""
    pool = folder / f"linux/debian/dists/{codename}/pool"
    pool.mkdir(parents=True)
    stanzas = [
        _package(folder / "linux/debian", pool, name, version, architecture) for name, version in VERSIONS.items()
    ]
    index = f"stable/binary-{architecture}/Packages"
    packages = pool.parent / index
    packages.parent.mkdir(parents=True)
    packages.write_text("\n".join(stanzas))
    zipped = packages.with_suffix(".gz")
    zipped.write_bytes(gzip.compress(packages.read_bytes()))
    lines = [f"Suite: {codename}", f"Codename: {codename}", f"Architectures: {architecture}", "Components: stable"]
    lines += ["Date: Wed, 01 Jan 2025 00:00:00 UTC", "SHA256:"]
    for path in (packages, zipped):
        content = path.read_bytes()
        lines.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {path.relative_to(pool.parent)}")
    release = pool.parent / "Release"
    release.write_text("\n".join([*lines, ""]))
    signer.gpg("--clearsign", "--output", str(pool.parent / "InRelease"), str(release))
    (folder / "linux/debian/gpg").write_bytes(signer.gpg("--armor", "--export", signer.fingerprint))


def _package(base: Path, pool: Path, name: str, version: str, architecture: str) -> str:
    tree = pool / f"{name}.tree"
    (tree / "DEBIAN").mkdir(parents=True)
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Test <test@example.org>\n"
    )
    control += "Description: stands in for Docker's package\n"
    if name == "docker-ce":
        control = control.replace("Description", "Depends: docker-ce-cli, containerd.io\nDescription")
    (tree / "DEBIAN/control").write_text(control)
    programs = {"docker-ce-cli": ("usr/bin/docker", _DOCKER)}
    programs["docker-buildx-plugin"] = ("usr/libexec/docker/cli-plugins/docker-buildx", "#!/bin/sh\necho v0.99.0\n")
    if name in programs:
        path, text = programs[name]
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_text(text)
        (tree / path).chmod(0o755)
    deb = pool / f"{name}_{architecture}.deb"
    build = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)]
    subprocess.run(build, check=True, capture_output=True, timeout=60)
    content = deb.read_bytes()
    where = f"Filename: {deb.relative_to(base)}\nSize: {len(content)}\n"
    return f"{control}{where}SHA256: {hashlib.sha256(content).hexdigest()}\n"


def write_static(file: Path, version: str) -> str:
    """An archive like Docker's static programs, which only tell their version. Returns its SHA-256."""
    text = f'#!/bin/sh\necho "Docker version {version}, build test"\n'.encode()
    file.parent.mkdir(parents=True)
    with tarfile.open(file, "w:gz") as archive:
        for name in ("docker", "dockerd", "containerd", "runc"):
            member = tarfile.TarInfo(f"docker/{name}")
            member.size, member.mode = len(text), 0o755
            archive.addfile(member, io.BytesIO(text))
    return hashlib.sha256(file.read_bytes()).hexdigest()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Not into the tests' output."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address at which ``folder`` is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
