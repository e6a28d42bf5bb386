"""Node.js in assisted builds: npm and its like run natively and see the target; what they start is emulated."""

from __future__ import annotations

import pytest
from assisted_site import Site

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation"), pytest.mark.timeout(1200)]

TELL = """\
const os = require('os')
const fs = require('fs')
const { fork } = require('child_process')
const { Worker } = require('worker_threads')
if (process.argv[2]) {
  console.log(process.argv[2], fs.readlinkSync('/proc/self/exe'))
} else {
  const { arch, osMachine, glibcVersionRuntime } = process.report.getReport().header
  const { env, execArgv, execPath, release, versions, features } = process
  console.log(process.arch, os.arch(), os.machine(), execPath, process.argv[0], execArgv, Object.keys(env).sort())
  console.log(arch, osMachine, glibcVersionRuntime, release, versions, features, JSON.stringify(process.config))
  console.log(new (require('vm').Script)('6 * 7', { filename: 'six' }).runInThisContext())
  import('os').then((found) => console.log(found.machine(), found.arch()))
  new Worker('console.log(process.arch, process.execPath, require("os").machine())', { eval: true })
}
if (process.argv[2] === 'parent') {
  fork('/tell.js', ['child'])
}
"""
# The same program under a name that is run natively, and under one that is not.
WORK = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends nodejs
COPY tell.js /tell.js
COPY tell.js /usr/bin/npm
RUN node /usr/bin/npm >/native && node /tell.js >/emulated && diff /native /emulated && echo same answers
RUN node /usr/bin/npm parent && node /tell.js other && echo 'console.log("one")' | node -
"""


@pytest.mark.parametrize("site", ["buildx"], indirect=True)
def test_npm_runs_natively_and_sees_what_the_emulated_one_sees(site: Site, debian: str) -> None:
    (site.context / "tell.js").write_text(TELL)
    site.build(WORK.format(base=debian))
    assert site.said == []
    for line in (
        "same answers",
        "parent /.crossdock/root/usr/bin/node",
        "child /usr/bin/node",
        "other /usr/bin/node",
        "one",
    ):
        assert line in site.output
