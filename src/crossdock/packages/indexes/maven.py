"""Maven repositories: whether an artifact exists with a classifier for arm64.

Source: Maven's repository layout (``GROUP/ARTIFACT/VERSION/ARTIFACT-VERSION-CLASSIFIER.EXTENSION``) and
os-maven-plugin, which names the classifiers (``linux-x86_64``, ``linux-aarch_64``).
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from crossdock.packages.indexes.documents import Documents
from crossdock.packages.model import Answer, PackageRequest, Status

DETECTED = "${os.detected.classifier}"
"""The classifier that os-maven-plugin fills in by the machine that builds."""
_NAMES = (("x86_64", "aarch_64"), ("x86_64", "aarch64"), ("amd64", "arm64"), ("x86_64", "arm64"), ("x64", "arm64"))


def counterparts(classifier: str) -> tuple[str, ...]:
    """What a classifier for x86-64 can be called for arm64, the most usual first."""
    if classifier == DETECTED:
        return ("linux-aarch_64",)
    found = [classifier.replace(its, ours) for its, ours in _NAMES if its in classifier]
    return tuple(dict.fromkeys(found or [f"{classifier}-arm64"]))


async def ask(request: PackageRequest, documents: Documents, repository: str) -> Answer:
    """Ask a repository by its address."""
    host = urlsplit(repository).hostname or repository
    group, _, artifact = request.name.partition(":")
    version = request.exact
    if not version:
        return Answer(Status.UNKNOWN, "its version is not written in the file")
    detected = request.classifier == DETECTED
    folder = f"{repository.rstrip('/')}/{quote(group.replace('.', '/'))}/{quote(artifact)}/{quote(version)}"

    async def there(classifier: str) -> bool:
        name = f"{folder}/{quote(f'{artifact}-{version}-{classifier}')}"
        return await documents.exists(f"{name}.exe") or (not detected and await documents.exists(f"{name}.jar"))

    if not await there("linux-x86_64" if detected else request.classifier):
        return Answer(Status.UNKNOWN, f"{host} has no such artifact")
    for classifier in counterparts(request.classifier):
        if await there(classifier):
            if detected:
                return Answer(Status.AVAILABLE, source=host)
            return Answer(
                Status.MISSING,
                f"the classifier {request.classifier} is for x86-64; {classifier} exists as well",
                instead=f"Let os-maven-plugin choose it: {DETECTED}" if re.search("aarch_64", classifier) else "",
                source=host,
                certain=False,
            )
    return Answer(Status.MISSING, f"{host} has it for x86-64 only", source=host, certain=detected)
