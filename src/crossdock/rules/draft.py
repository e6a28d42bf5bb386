"""A fix while it is put together: how a word follows the architecture, and everything that has to change for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossdock.findings import Claim, Fix, Safety
from crossdock.rules.edits import Choice, declared, expanding
from crossdock.rules.place import Place
from crossdock.source import Edit, Span


@dataclass(frozen=True)
class Spelling:
    """How an amd64 word is written so that it follows the architecture: ``expansion`` takes the place of ``part``.

    ``argument`` is the platform argument it needs, which is known to every instruction; everything else only a shell
    expands. ``choice`` sets the variable that it is; ``local`` says that only the same RUN knows it.
    """

    part: str
    expansion: str
    argument: str = ""
    choice: Choice | None = None
    local: bool = False


class CannotWrite(Exception):
    """What the draft needs cannot be written at that place."""


@dataclass
class Draft:
    """Collects edits. A choice is made once in each RUN or script, whatever asks for it."""

    safety: Safety = Safety.SAFE
    claims: list[Claim] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    doubt: str = ""
    _choices: dict[tuple[str, int], tuple[Place, list[Choice]]] = field(default_factory=dict)

    def write(self, place: Place, span: Span, spelling: Spelling) -> None:
        """Let the word at ``span`` follow the architecture. Raises CannotWrite."""
        written = place.source.text(span)
        if spelling.part not in written:
            raise CannotWrite
        if not place.shell and not place.script and not spelling.argument:
            raise CannotWrite
        text = written.replace(spelling.part, spelling.expansion)
        self.expand(place, span, text, exported=spelling.choice is None and not spelling.local)
        if spelling.choice:
            self.choose(place, spelling.choice)
        if spelling.argument:
            self.declare(place, spelling.argument)

    def expand(self, place: Place, span: Span, text: str, *, exported: bool = True) -> None:
        """Write text that is expanded; ``exported``: programs that are started know what it names as well."""
        self.edits += expanding(place.source, place.shell_start, span, text, exported=exported)

    def choose(self, place: Place, choice: Choice) -> None:
        """Set a variable by architecture at the beginning of the RUN or script. Raises CannotWrite."""
        beginning = place.beginning()
        if beginning is None or (place.builds and place.script):
            raise CannotWrite
        if choice in beginning.chosen():
            return
        _, choices = self._choices.setdefault((place.source.path, beginning.at), (place, []))
        if choice not in choices:
            choices.append(choice)
        if not place.script:
            self.declare(place, "TARGETARCH")

    def declare(self, place: Place, name: str) -> None:
        if place.stage:
            self.edits += declared(place.project, place.stage.stage, name, place.instruction)

    def lower(self, doubt: str = "") -> None:
        """Make the fix unsafe, for a reason that Fix.doubt describes."""
        self.safety = Safety.UNSAFE
        self.doubt = self.doubt or doubt

    def fix(self, title: str) -> Fix:
        edits = list(self.edits)
        for place, choices in self._choices.values():
            beginning = place.beginning()
            if beginning:
                edits += beginning.choosing(choices)
        return Fix(title, self.safety, tuple(dict.fromkeys(edits)), tuple(dict.fromkeys(self.claims)), self.doubt)
