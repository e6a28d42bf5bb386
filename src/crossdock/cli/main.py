"""The command ``crossdock``: finds the verb, runs it, and turns whatever happens into a message and an exit code.

Help, version and the Docker plugin's metadata are answered here without importing click, so that they are quick; a
verb's module, and with it click and everything heavy, is imported only when that verb is asked for.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
from collections.abc import Sequence

from crossdock import __version__
from crossdock.cli.messages import say, say_error
from crossdock.errors import CrossdockError, ExitCode, UsageError

VERBS: dict[str, tuple[str, str]] = {
    "doctor": ("crossdock.cli.doctor", "tell what this machine lacks for Arm images, and mend it"),
    "check": ("crossdock.cli.check", "find what ties a Dockerfile and its scripts to amd64"),
    "port": ("crossdock.cli.port", "rewrite it for both architectures: show the diff, or write it"),
    "explain": ("crossdock.cli.explain", "tell what a rule of check finds, and how to mend it"),
    "plan": ("crossdock.cli.plan", "show how each stage would be built for each platform, and why"),
    "build": ("crossdock.cli.build", "check, port, build, verify, then load, export or push"),
    "verify": ("crossdock.cli.verify", "prove that an image really is what its labels say"),
    "run": ("crossdock.cli.run", "run an image of another architecture, and tell why it fails"),
    "platforms": ("crossdock.cli.platforms", "show which platforms images have, and what to use instead"),
    "push": ("crossdock.cli.push", "push an archive or a layout, or several as one index"),
    "pull": ("crossdock.cli.pull", "copy an image into a file, to carry it into a closed network"),
    "index": ("crossdock.cli.index", "join images that were built separately into one index"),
    "arch": ("crossdock.cli.arch", "tell which architecture binary files are for"),
    "builder": ("crossdock.cli.builder", "make builders of several machines, each for its own platform"),
    "registry": ("crossdock.cli.registry", "run a registry on this machine, for a test or a closed network"),
}
"""Verb → the module that holds its click command as ``command``, and one line about it."""

PLUGIN_NAME = "docker-crossdock"
SUMMARY = "Make container projects built for amd64 run on Arm"

HELP = """\
Usage: {program} VERB [OPTIONS] [ARGUMENTS]

{summary}: find what is tied to
amd64, rewrite it, build for both platforms, verify what came out, and only then
publish it.

Verbs:
{verbs}

  {program} VERB --help    options and examples of one verb

Examples:
  {program} build --port .                            everything in one go
  {program} build --port --push -t HOST/app:1 .       and push one image index
  {program} check .                                   what breaks on arm64
  {program} port --write .                            rewrite it, in place
  {program} platforms --require linux/arm64 -f compose.yaml
  {program} verify --require linux/amd64,linux/arm64 HOST/app:1
  {program} run HOST/app:1 -- uname -m                arm64, on this machine
  {program} arch ./lib/*.so
  {program} doctor                                    is this machine ready?

Exit codes:
  0    done, nothing wrong
  1    findings, or a verification that failed
  2    wrong usage
  3    could not be done: engine, network, registry, unreadable input
  130  interrupted
  run ends with the program's own exit code, or 124, 126 or 127 (see its help)

Environment:
  NO_COLOR, CLICOLOR_FORCE   switch colour off, or on where there is no terminal
  CROSSDOCK_DEBUG=1          show the traceback of an internal error
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name; default: ``sys.argv``) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_missing_streams()
    # Loading a verb makes some 34,000 objects and no garbage; Python would look through them every 700 objects. What is
    # left at the end goes with the process; Python would look through all of that as well, for 15 ms.
    gc.set_threshold(50_000, 20, 20)
    atexit.register(gc.freeze)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except CrossdockError as error:
        say_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        say("crossdock: interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _discard_output()  # whoever read the output has seen enough
        return ExitCode.CANNOT
    except OSError as error:
        _discard_output()
        say_error(_refused(error))
        return ExitCode.CANNOT
    except Exception as error:
        _report_defect(error)
        return ExitCode.CANNOT
    return code


def _run(arguments: list[str]) -> int:
    program = "crossdock"
    if arguments[:1] == ["docker-cli-plugin-metadata"]:
        print(_plugin_metadata())
        return ExitCode.DONE
    if os.path.basename(sys.argv[0]).removesuffix(".exe") == PLUGIN_NAME:  # noqa: PTH119 (pathlib costs 8 ms)
        program, arguments = "docker crossdock", _without_docker_words(arguments)
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        if len(arguments) > 1 and arguments[0] == "help":
            return _run_verb(program, arguments[1], ["--help"])
        print(help_text(program), end="")
        return ExitCode.DONE if arguments else ExitCode.USAGE
    if arguments[0] in {"-V", "--version"}:
        print(f"crossdock {__version__}")
        return ExitCode.DONE
    return _run_verb(program, arguments[0], arguments[1:])


def help_text(program: str = "crossdock") -> str:
    """What ``crossdock --help`` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {summary}" for name, (_, summary) in VERBS.items())
    return HELP.format(program=program, summary=SUMMARY, verbs=verbs)


def _run_verb(program: str, verb: str, arguments: list[str]) -> int:
    if verb.startswith("-"):
        raise UsageError(f"{verb} is no option of {program} itself", hint=f"Options follow the verb: {program} --help")
    if verb not in VERBS:
        raise UsageError(f"there is no verb {verb!r}", hint=f"{_did_you_mean(verb)}See {program} --help")
    from crossdock.cli.verbs import invoke

    return invoke(VERBS[verb][0], f"{program} {verb}", arguments)


def _did_you_mean(word: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, VERBS, n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


# ---------------------------------------------------------------- Docker's plugin protocol


def _plugin_metadata() -> str:
    """Docker's description of a CLI plugin (docker/cli, cli-plugins/metadata: SchemaVersion 0.1.0)."""
    import json

    return json.dumps(
        {"SchemaVersion": "0.1.0", "Vendor": "crossdock", "Version": __version__, "ShortDescription": SUMMARY}
    )


_DOCKER_OPTIONS = {
    "--context": "DOCKER_CONTEXT",
    "-c": "DOCKER_CONTEXT",
    "--host": "DOCKER_HOST",
    "-H": "DOCKER_HOST",
    "--config": "DOCKER_CONFIG",
}


def _without_docker_words(arguments: list[str]) -> list[str]:
    """``docker --context arm crossdock check .`` reaches the plugin as ``--context arm crossdock check .``: what
    stands before the word ``crossdock`` is Docker's own, and goes on to the engine by environment."""
    if "crossdock" not in arguments:
        return arguments  # started by hand, as `docker-crossdock check`
    if arguments[0] == "help":  # docker help crossdock check
        return ["help", *arguments[arguments.index("crossdock") + 1 :]]
    rest = list(arguments)
    while rest[0] != "crossdock":
        name, equals, value = rest.pop(0).partition("=")
        if name in _DOCKER_OPTIONS:
            os.environ[_DOCKER_OPTIONS[name]] = value if equals else rest.pop(0)
        elif name not in {"-D", "--debug"}:
            raise UsageError(
                f"crossdock cannot pass docker's option {name} on",
                hint="Set it in a docker context, or use DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.",
            )
    return rest[1:]


# ---------------------------------------------------------------- messages


def _report_defect(error: Exception) -> None:
    if os.environ.get("CROSSDOCK_DEBUG"):
        _show_traceback()
    text = " ".join(f"{type(error).__name__}: {error}".split())
    say(
        f"crossdock: internal error: {text[:300]}\n"
        f"  This is a defect of crossdock {__version__}. Run the command again with CROSSDOCK_DEBUG=1 and report the "
        "output, with the Dockerfile if you can share it."
    )


def _refused(error: OSError) -> CrossdockError:
    """The system's refusal (a full disk, a missing permission) in words, wherever it came from."""
    if os.environ.get("CROSSDOCK_DEBUG"):
        _show_traceback()
    return CrossdockError(
        f"the system refused: {error.strerror or error}",
        where=str(error.filename) if error.filename is not None else None,
        hint="Free some space or grant the permission, and run again; CROSSDOCK_DEBUG=1 shows where it happened.",
    )


def _show_traceback() -> None:
    import traceback

    say(traceback.format_exc().rstrip())


def _open_missing_streams() -> None:
    """Standard output or error may have been closed by whoever started this; writing there must still be possible."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123


def _discard_output() -> None:
    """Let what is still buffered vanish; otherwise Python complains about it when it closes stdout at its exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
