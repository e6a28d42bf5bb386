"""Where a fix changes text: a word of an instruction, of a RUN's shell, of a script, or of a definition."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from crossdock.read.model import Instruction
from crossdock.read.trace import Role, ScriptRun, StageTrace, Step
from crossdock.rules.base import Project
from crossdock.rules.edits import Beginning, run_beginning, script_beginning
from crossdock.rules.sinks import DefinedBy, Definition, Mark, Sink
from crossdock.source import Source, Span


@dataclass(frozen=True)
class Place:
    """The step and file in which ``marks`` were written. ``shell`` says that a shell reads them."""

    project: Project
    source: Source
    marks: tuple[Mark, ...]
    stage: StageTrace | None
    step: Step
    shell: bool
    script: ScriptRun | None
    definition: Definition | None

    @staticmethod
    def of(project: Project, sink: Sink, marks: tuple[Mark, ...]) -> Place | None:
        """None where nothing can be changed: files that are not in the context, text that nobody would expand."""
        definition = marks[0].definition
        if definition and definition.by is not DefinedBy.SHELL:
            if definition.step is None or definition.origin.path != project.dockerfile.source.path:
                return None
            source = project.dockerfile.source
            return Place(project, source, marks, definition.stage, definition.step, False, None, definition)
        step, stage, script = sink.step, sink.stage, sink.script
        if definition:
            step, stage, script = definition.step or step, definition.stage or stage, definition.script
        if script is not None and not script.context_path:
            return None
        shell = sink.command is not None
        if script is None:
            if shell and (step.instruction.keyword != "RUN" or step.instruction.exec_form is not None):
                return None
            if not expands(step.instruction, marks):
                return None
        return Place(project, project.source(marks[0].origin.path), marks, stage, step, shell, script, definition)

    @property
    def instruction(self) -> Instruction:
        return self.step.instruction

    @property
    def builds(self) -> bool:
        """Whether it runs on the platform that builds, which says nothing of the target."""
        return self.stage is not None and self.stage.role is Role.BUILD

    @property
    def shell_start(self) -> int:
        """Where the text that the shell reads begins."""
        return 0 if self.script else self.instruction.span.start

    def at(self, stage: StageTrace | None, step: Step, *, shell: bool) -> Place:
        """The same fix, at another step of the Dockerfile."""
        source = self.project.dockerfile.source
        return replace(self, source=source, stage=stage, step=step, shell=shell, script=None, definition=None)

    def beginning(self) -> Beginning | None:
        """Where a choice goes that the marks can use."""
        return script_beginning(self.source) if self.script else run_beginning(self.project, self.instruction)


def expands(instruction: Instruction, marks: tuple[Mark, ...] = ()) -> bool:
    """Whether a variable written there would be expanded: not in heredocs that are files or are quoted."""
    for heredoc in instruction.heredocs:
        if not marks or any(mark.origin.span in heredoc.body for mark in marks):
            whole = re.fullmatch(r"\s*<<-?\s*\S+\s*", instruction.arguments.text)
            if not whole or instruction.keyword != "RUN":
                return False
    return True


def inside(span: Span, instruction: Instruction) -> bool:
    return span in instruction.span
