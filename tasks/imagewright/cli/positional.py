"""Positional arguments that may be left out, which Invoke does not have: its own are required, default or not."""

from __future__ import annotations

from typing import Any

from invoke.parser.argument import Argument
from invoke.parser.parser import ParseMachine


class OptionalPositional(Argument):
    """A positional argument whose value is `fallback` where the command line gives none."""

    def __init__(self, *, fallback: str, **options: Any) -> None:
        super().__init__(positional=True, **options)
        self.fallback = fallback

    @classmethod
    def like(cls, argument: Argument, fallback: str) -> OptionalPositional:
        """The same argument, made optional."""
        return cls(fallback=fallback, names=argument.names, attr_name=argument.attr_name, help=argument.help)


def _fill_what_was_left_out() -> None:
    # An argument is given a token only while its value is None, and a task is refused at its end when one still is.
    # Invoke has no place between the two where a default could be filled in, hence this one.
    complete = ParseMachine.complete_context

    def complete_context(machine: ParseMachine) -> None:
        for argument in machine.context.missing_positional_args if machine.context else ():
            if isinstance(argument, OptionalPositional):
                argument.value = argument.fallback
        complete(machine)

    ParseMachine.complete_context = complete_context  # type: ignore[assignment]


_fill_what_was_left_out()
