"""What well-known programs print on a given platform: architecture sources, and text filters over known input."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

from crossdock.platforms import ALPINE, DEBIAN, MULTIARCH, UNAME, Platform
from crossdock.read.pieces import HOLE, compiled, split, substitute
from crossdock.read.values import UNKNOWN, Fragment, Value, join, literal


def output(words: Sequence[Value], stdin: Value | None, machine: Platform, target: Platform) -> Value | None:
    """What the command prints, or None when that cannot be told.

    ``machine`` is what the command runs on, ``target`` what the build is for (they differ in a stage that always runs
    on the build platform; cross helpers such as ``xx-info`` answer for the target).
    """
    texts = [word.render() for word in words]
    if not texts:
        return None
    name, arguments = texts[0].rsplit("/", 1)[-1], texts[1:]
    told = _machine(name, arguments, machine.architecture, target.architecture)
    if told is not None:
        return literal(told + "\n")
    filter_ = _FILTERS.get(name)
    return filter_(words[1:], stdin) if filter_ else None


def _machine(name: str, arguments: list[str], arch: str, target: str) -> str | None:
    """The answer of a program that reports the machine."""
    uname = UNAME.get(arch, arch)
    line = " ".join(arguments)
    if name == "uname":
        return _uname("".join(flag.lstrip("-") for flag in arguments if not flag.startswith("--")) or "s", uname)
    if name == "arch" and not arguments:
        return uname
    if name == "dpkg" and "--print-architecture" in arguments:
        return DEBIAN.get(arch, arch)
    if name == "apk" and "--print-arch" in arguments:
        return ALPINE.get(arch, arch)
    if name == "rpm" and re.search(r"(^|\s)(-E|--eval)\b|%\{?_?(arch|ARCH|target_cpu|host_cpu)", line):
        return uname if re.search(r"%\{?_?(arch|target_cpu|host_cpu)", line, re.I) else None
    if name == "getconf" and "LONG_BIT" in arguments:
        return "32" if arch in {"386", "arm"} else "64"
    if name == "dpkg-architecture":
        return _dpkg_architecture(line, arch)
    if name == "xx-info":
        return {
            "arch": target,
            "": MULTIARCH.get(target, target),
            "march": UNAME.get(target, target),
            "alpine-arch": ALPINE.get(target, target),
            "debian-arch": DEBIAN.get(target, target),
            "os": "linux",
        }.get(arguments[0] if arguments else "")
    if name in {"gcc", "cc", "g++", "clang"} and "-print-multiarch" in arguments:
        return MULTIARCH.get(arch)
    if name in {"gcc", "cc", "g++"} and "-dumpmachine" in arguments:
        return MULTIARCH.get(arch)
    if name == "go" and arguments == ["env", "GOARCH"]:
        return arch
    if re.fullmatch(r"python[\d.]*", name) and "platform.machine()" in line:
        return uname
    if name == "node" and "process.arch" in line:
        return {"amd64": "x64"}.get(arch, arch)
    return None


def _uname(flags: str, uname: str) -> str | None:
    known = {"s": "Linux", "m": uname, "p": uname, "i": uname, "o": "GNU/Linux"}
    if flags == "a":
        return f"Linux {HOLE} {uname} GNU/Linux"
    if all(flag in known for flag in flags):
        return " ".join(known[flag] for flag in "smpio" if flag in flags)
    return None


def _dpkg_architecture(line: str, arch: str) -> str | None:
    asked = re.search(r"-q\s*DEB_(?:HOST|BUILD|TARGET)_(\w+)", line)
    if not asked:
        return None
    triplet = MULTIARCH.get(arch, arch)
    return {
        "ARCH": DEBIAN.get(arch, arch),
        "ARCH_CPU": arch,
        "MULTIARCH": triplet,
        "GNU_TYPE": triplet,
        "GNU_CPU": UNAME.get(arch, arch),
        "ARCH_OS": "linux",
        "GNU_SYSTEM": "linux-gnu",
        "ARCH_BITS": "64",
        "ARCH_ENDIAN": "little",
    }.get(asked[1])


# Filters: each takes the argument Values and the standard input, and gives the output or None.


def node_status(arguments: Sequence[Value], machine: Platform) -> bool | None:
    """Whether ``node -p "process.arch === 'x64' ? … : process.exit(1)"`` succeeds; None for any other program."""
    text = " ".join(word.render() for word in arguments)
    match = re.search(r"process\.arch\s*(===?|!==?)\s*['\"](\w+)['\"]\s*\?(.*):([^:]*)$", text, re.DOTALL)
    if not match:
        return None
    equal = {"amd64": "x64"}.get(machine.architecture, machine.architecture) == match[2]
    taken = match[3] if equal == (match[1][0] == "=") else match[4]
    return not re.search(r"process\.exit\(\s*[1-9]", taken)


def _echo(arguments: Sequence[Value], _: Value | None) -> Value | None:
    rest = list(arguments)
    newline = "\n"
    while rest and rest[0].text and re.fullmatch(r"-[neE]+", rest[0].text):
        newline = "" if "n" in rest[0].text else newline
        rest.pop(0)
    return join(rest) + literal(newline)


def _printf(arguments: Sequence[Value], _: Value | None) -> Value | None:
    if not arguments or arguments[0].text is None:
        return None
    if arguments[0].text == "--":
        arguments = arguments[1:]
    rest = list(arguments[1:])
    pattern = re.compile(r"%s|%%|\\n|\\t|\\\\|%[bdq]|%|\\")

    def replace(match: re.Match[str]) -> Value:
        what = match[0]
        if what in {"%s", "%b", "%d", "%q"}:
            return rest.pop(0) if rest else Value()
        plain = {"%%": "%", "\\n": "\n", "\\t": "\t", "\\\\": "\\"}.get(what)
        return UNKNOWN if plain is None else literal(plain)

    out = Value()
    for _number in range(16):
        before = len(rest)
        out += substitute(arguments[0], pattern, replace, 0)
        if not rest or len(rest) == before:
            break
    return out


def _operands(arguments: Sequence[Value], with_value: str = "") -> tuple[dict[str, Value], list[Value]]:
    """Short options (``with_value`` lists those that take one, joined or apart) and what is left."""
    options: dict[str, Value] = {}
    rest: list[Value] = []
    queue = list(arguments)
    while queue:
        word = queue.pop(0)
        text = word.render()
        if text == "--":
            rest += queue
            break
        if text.startswith("--") and "=" in text:
            key, _, _value = text.partition("=")
            options[key] = word.slice(len(key) + 1, len(text))
        elif text.startswith("-") and len(text) > 1:
            for index, flag in enumerate(text[1:], 1):
                if flag in with_value:
                    tail = word.slice(index + 1, len(text))
                    options[flag] = tail if tail.fragments else (queue.pop(0) if queue else Value())
                    break
                options[flag] = Value()
        else:
            rest.append(word)
    return options, rest


def _cut(arguments: Sequence[Value], stdin: Value | None) -> Value | None:
    options, rest = _operands(arguments, "dfcb")
    if stdin is None or rest:
        return None
    delimiter = options.get("d", options.get("--delimiter", literal("\t"))).text
    fields = (options.get("f") or options.get("--fields") or Value()).text
    characters = (options.get("c") or options.get("b") or Value()).text
    if fields and delimiter:
        wanted = _ranges(fields)
        return _each_line(stdin, lambda line: _select(split(line, delimiter), wanted, delimiter)) if wanted else None
    if characters:
        wanted = _ranges(characters)
        if wanted and len(wanted) == 1:
            low, high = wanted[0]
            return _each_line(stdin, lambda line: line.slice(low - 1, high))
    return None


def _select(fields: list[Value], wanted: list[tuple[int, int]], delimiter: str) -> Value:
    if len(fields) == 1:
        return fields[0]
    chosen = [f for n, f in enumerate(fields, 1) if any(low <= n <= high for low, high in wanted)]
    return join(chosen, delimiter)


def _ranges(text: str) -> list[tuple[int, int]]:
    out = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d*)(-?)(\d*)", part)
        if not match or not (match[1] or match[3]):
            return []
        low = int(match[1] or 1)
        out.append((low, int(match[3] or 10**6) if match[2] else low))
    return out


def _each_line(value: Value, change: Callable[[Value], Value]) -> Value:
    lines = split(value, "\n")
    ended = len(lines) > 1 and not lines[-1].fragments
    body = join((change(line) for line in (lines[:-1] if ended else lines)), "\n")
    return body + literal("\n") if ended else body


def _tr(arguments: Sequence[Value], stdin: Value | None) -> Value | None:
    options, rest = _operands(arguments)
    if stdin is None or any(word.text is None for word in rest):
        return None
    sets = [_tr_set(word.text or "") for word in rest]
    if "d" in options and len(sets) == 1:
        gone = re.compile(f"[{re.escape(sets[0])}]") if sets[0] else None
        return substitute(stdin, gone, lambda _match: Value(), 0) if gone else stdin
    if len(sets) != 2 or not sets[0] or not sets[1] or {"c", "s"} & options.keys():
        return None
    second = sets[1].ljust(len(sets[0]), sets[1][-1])
    table = str.maketrans(dict(zip(sets[0], second, strict=False)))
    return Value(
        tuple(Fragment(f.text and f.text.translate(table), f.origin, f.variable, f.choices) for f in stdin.fragments)
    )


def _tr_set(text: str) -> str:
    text = text.replace("[:upper:]", "A-Z").replace("[:lower:]", "a-z").replace("[:digit:]", "0-9")
    text = text.replace("[:space:]", " \t\n").replace("\\n", "\n").replace("\\t", "\t")

    def span(match: re.Match[str]) -> str:
        return "".join(map(chr, range(ord(match[1]), ord(match[2]) + 1)))

    return re.sub(r"(\w)-(\w)", span, text)


def _awk(arguments: Sequence[Value], stdin: Value | None) -> Value | None:
    options, rest = _operands(arguments, "Fv")
    if stdin is None or len(rest) != 1 or rest[0].text is None:
        return None
    match = re.fullmatch(r"\{\s*print\s+\$(\d+|NF)\s*;?\s*\}", rest[0].text.strip())
    separator = options.get("F", Value()).text
    if not match or (separator and len(separator) != 1):
        return None

    def field(line: Value) -> Value:
        fields = split(line, separator or None)
        number = len(fields) if match[1] == "NF" else int(match[1])
        if number == 0:
            return line
        return fields[number - 1] if number <= len(fields) else Value()

    return _each_line(stdin, field)


def _sed(arguments: Sequence[Value], stdin: Value | None) -> Value | None:
    options, rest = _operands(arguments, "e")
    extended = "E" in options or "r" in options
    scripts = [word for n, word in enumerate(arguments) if n and arguments[n - 1].text in {"-e", "-re", "-Ee"}]
    if not scripts:
        scripts, rest = rest[:1], rest[1:]
    if stdin is None or rest or "n" in options or "i" in options or not scripts:
        return None
    value = stdin
    for script in scripts:
        steps = _sed_steps(script, extended)
        if steps is None:
            return None
        for pattern, replacement, count in steps:
            value = _each_line(value, partial(_sed_step, pattern=pattern, replacement=replacement, count=count))
    return value


def _sed_step(line: Value, pattern: re.Pattern[str], replacement: Value, count: int) -> Value:
    return substitute(line, pattern, lambda match: _sed_replacement(line, match, replacement), count)


def _sed_replacement(line: Value, match: re.Match[str], replacement: Value) -> Value:
    def group(found: re.Match[str]) -> Value:
        if found[0] == "&":
            return line.slice(match.start(), match.end())
        number = found[0][1:]
        if not number.isdigit():
            return replacement.slice(found.start() + 1, found.end())
        if int(number) > (match.re.groups or 0) or match.start(int(number)) < 0:
            return Value()
        return line.slice(match.start(int(number)), match.end(int(number)))

    return substitute(replacement, re.compile(r"&|\\."), group, 0)


def _sed_steps(script: Value, extended: bool) -> list[tuple[re.Pattern[str], Value, int]] | None:
    """The ``s`` commands of a script, or None when it has anything else."""
    text = script.render()
    steps: list[tuple[re.Pattern[str], Value, int]] = []
    at = 0
    while True:
        while at < len(text) and text[at] in " \t\n;":
            at += 1
        if at >= len(text):
            return steps
        if text[at] != "s" or at + 1 >= len(text):
            return None
        delimiter = text[at + 1]
        middle = _until(text, at + 2, delimiter)
        end = _until(text, middle + 1, delimiter)
        if end >= len(text) or HOLE in text[at:middle]:
            return None
        flags = re.match(r"[gIip\d]*", text[end + 1 :])
        letters = flags[0] if flags else ""
        body = text[at + 2 : middle]
        if delimiter not in "|":
            body = body.replace("\\" + delimiter, delimiter)
        pattern = compiled(_posix(body, extended), re.IGNORECASE if "i" in letters.lower() else 0)
        if pattern is None:
            return None
        steps.append((pattern, script.slice(middle + 1, end), 0 if "g" in letters else 1))
        at = end + 1 + len(letters)


def _until(text: str, at: int, delimiter: str) -> int:
    while at < len(text) and text[at] != delimiter:
        at += 2 if text[at] == "\\" else 1
    return min(at, len(text))


def posix_regex(text: str, extended: bool) -> re.Pattern[str] | None:
    """A POSIX regular expression compiled for Python, or None."""
    return compiled(_posix(text, extended), 0)


def _posix(text: str, extended: bool) -> str:
    """A POSIX expression (basic, with GNU's escapes, or extended) in Python's syntax."""
    for name, chars in {"space": r"\s", "digit": r"\d", "alpha": "a-zA-Z", "alnum": "a-zA-Z0-9"}.items():
        text = text.replace(f"[:{name}:]", chars)
    if extended:
        return text

    def turn(match: re.Match[str]) -> str:
        what = match[0]
        if what[0] == "[":
            return what
        if what[0] == "\\":
            return what[1] if what[1] in "(){}|+?" else what
        return "\\" + what

    return re.sub(r"\[\^?\]?[^\]]*\]|\\.|[(){}|+?]", turn, text)


def _basename(arguments: Sequence[Value], _: Value | None) -> Value | None:
    if not arguments:
        return None
    text = arguments[0].render().rstrip("/")
    found = arguments[0].slice(text.rfind("/") + 1, len(text))
    suffix = arguments[1].text if len(arguments) == 2 else ""
    if suffix and found.render().endswith(suffix) and found.render() != suffix:
        return found.slice(0, len(found.render()) - len(suffix))
    return found


def _dirname(arguments: Sequence[Value], _: Value | None) -> Value | None:
    if not arguments:
        return None
    text = arguments[0].render().rstrip("/")
    slash = text.rfind("/")
    return arguments[0].slice(0, slash) if slash > 0 else literal("/" if slash == 0 else ".")


def _through(arguments: Sequence[Value], stdin: Value | None) -> Value | None:
    return stdin if not arguments else None


def _tee(_: Sequence[Value], stdin: Value | None) -> Value | None:
    return stdin


def _grep(arguments: Sequence[Value], stdin: Value | None) -> Value | None:
    matched = grep(arguments, stdin)
    return None if matched is None else (stdin if matched else Value())


def grep(arguments: Sequence[Value], stdin: Value | None) -> bool | None:
    """Whether grep finds its pattern on a known standard input of one line."""
    options, rest = _operands(arguments, "e")
    patterns = [options["e"]] if "e" in options else rest[:1]
    if stdin is None or stdin.text is None or not patterns or patterns[0].text is None:
        return None
    if ("e" in options and rest) or len(rest) > 1 or "\n" in stdin.text.rstrip("\n"):
        return None
    text = re.escape(patterns[0].text) if "F" in options else _posix(patterns[0].text, "E" in options or "P" in options)
    pattern = compiled(text, re.IGNORECASE if "i" in options else 0)
    if pattern is None:
        return None
    return bool(pattern.search(stdin.text)) != ("v" in options)


_FILTERS: dict[str, Callable[[Sequence[Value], Value | None], Value | None]] = {
    "awk": _awk,
    "basename": _basename,
    "cat": _through,
    "cut": _cut,
    "dirname": _dirname,
    "echo": _echo,
    "egrep": lambda arguments, stdin: _grep([literal("-E"), *arguments], stdin),
    "gawk": _awk,
    "grep": _grep,
    "head": _tee,
    "mawk": _awk,
    "printf": _printf,
    "sed": _sed,
    "tail": _tee,
    "tee": _tee,
    "tr": _tr,
    "xargs": _through,
}
