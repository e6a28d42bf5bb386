"""Runs a program in a native Python that tells the architecture of the container: python_target.py ARGUMENT...

The arguments are those of a call of Python: options, then a script, ``-m MODULE`` or ``-c CODE``, and what is theirs.
All that is Python code comes from the container, also what says how its Python was built; from the pack come only the
interpreter and the standard library's extension modules. What it starts is started as ever, as the environment stays
what it was. It is started with -S, so that nothing of the container runs before it.
"""

import os
import posix
import sys

_OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}


def _tell_target():
    """Exchange what the interpreter was compiled with, and what the kernel says of the machine."""
    told = os.uname()
    machine = _OTHER[told.machine]

    def uname():
        return os.uname_result((*told[:4], machine))

    os.uname = posix.uname = uname
    # The name by which sysconfig looks for the container's own _sysconfigdata.
    sys.implementation._multiarch = sys.implementation._multiarch.replace(told.machine, machine)
    pack = os.path.dirname(__file__) + "/root"
    sys.path[:] = [pack + path if path.endswith("/lib-dynload") else path for path in sys.path]


def _divided(given):
    """Options, how the program is given ("-c", "-m"; nothing for a script), the program, its own arguments."""
    options = []
    while given[0].startswith("-"):
        word = given.pop(0)
        at = next((index for index, letter in enumerate(word) if letter in "cmWX"), len(word))
        if at > 1:
            options.append(word[:at])
        if at < len(word):
            value = word[at + 1 :] or given.pop(0)
            if word[at] in "cm":
                return options, ["-" + word[at]], value, given
            options += ["-" + word[at], value]
    return options, [], given[0], given[1:]


def _is_imported(path):
    """Whether it is a folder or an archive, whose own ``__main__`` is the program."""
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _run():
    options, how, program, own = _divided(sys.argv[1:])
    if options:
        # They count only where Python itself sees them. In the C locale it has added to its environment (PEP 538).
        with open("/proc/self/environ", "rb") as file:
            environment = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
        os.execve("/proc/self/exe", [sys.executable, *options, "-S", __file__, *how, program, *own], environment)

    first = not getattr(sys.flags, "safe_path", sys.flags.isolated)
    if first:
        del sys.path[0]
    _tell_target()
    import site

    site.main()
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[1:] = [*how, program, *own]
    sys.argv[:] = [*(how or [program]), *own]
    # A main module with nothing of this one in it.
    main = sys.modules["__main__"] = type(sys)("__main__")
    main.__builtins__ = __builtins__

    if how == ["-m"]:
        import runpy

        if first:
            sys.path.insert(0, os.getcwd())
        runpy._run_module_as_main(program)
    elif how:
        if first:
            sys.path.insert(0, "")
        exec(compile(program, "<string>", "exec", dont_inherit=True), main.__dict__)
    elif _is_imported(program):
        import runpy

        sys.path.insert(0, program)
        runpy._run_module_as_main("__main__", False)
    else:
        if first:
            sys.path.insert(0, os.path.dirname(os.path.realpath(program)))
        main.__file__ = program
        main.__loader__ = type(__loader__)("__main__", program)
        with open(program, "rb") as file:
            code = file.read()
        exec(compile(code, program, "exec", dont_inherit=True), main.__dict__)


_run()
