"""crossdock explain: what a rule finds, why it breaks on arm64, and how to mend it."""

from __future__ import annotations

import difflib
import sys

import click

from crossdock.cli.options import format_option
from crossdock.cli.output import style_of, write
from crossdock.errors import ExitCode, UsageError
from crossdock.rules import RULES
from crossdock.rules.base import Rule


@click.command("explain")
@click.argument("name", default="", metavar="[RULE]")
@format_option
def command(name: str, format_: str) -> int:
    """Tell what a rule of `crossdock check` finds, why that breaks on arm64, and how to mend it, with examples.

    Without RULE all rules are listed. The pages are also in docs/rules.

    Exit code: 0 told, 2 there is no such rule.

    \b
    Examples:
      crossdock explain
      crossdock explain pinned-platform
    """
    rules = (find_rule(name),) if name else RULES
    if format_ == "json":
        from crossdock.report.json import encode, explain_report

        write(encode(explain_report(rules)))
        return ExitCode.DONE
    from crossdock.report.rule_page import rule_page, rules_text

    write(rule_page(rules[0]) if name else rules_text(rules, style_of(sys.stdout)))
    return ExitCode.DONE


def find_rule(name: str) -> type[Rule]:
    """A rule by its id. Raises UsageError that names the nearest one."""
    known = {rule.id: rule for rule in RULES}
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        raise UsageError(
            f"there is no rule {name!r}",
            hint=(f"Did you mean {close[0]!r}? " if close else "") + "`crossdock explain` lists all rules.",
        )
    return known[name]
