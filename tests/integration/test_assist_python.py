"""Python in assisted builds: pip runs natively and chooses for the target; what it starts is emulated."""

from __future__ import annotations

import pytest
from assisted_site import Site

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation"), pytest.mark.timeout(1200)]

PROBE = """\
import os, sys
if "PROBE" in os.environ:
    print("probe", os.environ["PROBE"], os.readlink("/proc/self/exe"), os.uname().machine, sys.executable)
"""
PROJECT = {
    "setup.py": "from setuptools import Extension, setup\n"
    'setup(name="answer", version="1", packages=["answers"], ext_modules=[Extension("answer", ["answer.c"])])\n',
    "answers/__init__.py": 'def ask(of):\n    return of in {"one", "two", "three"}\n',
    "answer.c": "#include <Python.h>\n"
    'static struct PyModuleDef answer = {PyModuleDef_HEAD_INIT, "answer"};\n'
    "PyMODINIT_FUNC PyInit_answer(void)\n"
    "{\n"
    "    PyObject *module = PyModule_Create(&answer);\n"
    "#ifdef __aarch64__\n"
    '    PyModule_AddStringConstant(module, "machine", "compiled for aarch64");\n'
    "#endif\n"
    "    return module;\n"
    "}\n",
}
# Options in front are none of the calls that run natively, so `python3 -u -m pip` is pip as it is emulated.
WORK = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-pip python3-venv
COPY project /project
COPY sitecustomize.py /probe/
RUN python3 -m pip debug --verbose >/native && python3 -u -m pip debug --verbose >/emulated \\
    && grep -c linux_aarch64 /native && cmp /native /emulated && echo same tags
ENV PYTHONPATH=/probe
RUN PROBE=program python3 -c 'print()' && PROBE=module python3 -m pip --version && PROBE=script pip3 --version \\
    && PROBE=options python3 -u -m pip --version
RUN python3 -m venv --system-site-packages /venv && PROBE=venv /venv/bin/pip --version \\
    && /venv/bin/pip wheel --no-index --no-build-isolation --wheel-dir /wheels /project && ls /wheels \\
    && /venv/bin/pip install --no-index /wheels/*.whl && /venv/bin/python -c 'import answer; print(answer.machine)'
ENV PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=0
RUN install="-m pip install --no-index --ignore-installed --prefix /one" \\
    && python3 $install /wheels/*.whl && mv /one /native-one \\
    && python3 -u $install /wheels/*.whl && mv /one /emulated-one \\
    && diff -r /native-one /emulated-one && echo same files
"""


@pytest.mark.parametrize("site", ["buildx"], indirect=True)
def test_pip_runs_natively_and_does_what_the_emulated_one_does(site: Site, debian: str) -> None:
    (site.context / "sitecustomize.py").write_text(PROBE)
    for name, text in PROJECT.items():
        (site.context / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (site.context / "project" / name).write_text(text)
    site.build(WORK.format(base=debian))
    assert site.said == []
    native, emulated = "/.crossdock/root/usr/bin/python3.11 aarch64", "/usr/bin/python3.11 aarch64"
    for line in (
        "same tags",
        "same files",
        f"probe program {emulated} /usr/bin/python3",
        f"probe options {emulated} /usr/bin/python3",
        f"probe module {native} /usr/bin/python3",
        f"probe script {native} /usr/bin/python3",
        f"probe venv {native} /venv/bin/python3",
        "answer-1-cp311-cp311-linux_aarch64.whl",
        "compiled for aarch64",
    ):
        assert line in site.output
