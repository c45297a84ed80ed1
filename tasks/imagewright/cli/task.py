"""The `@task` of this package: Invoke's, with errors told in words and a `--help` that always helps."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from invoke.exceptions import Exit, UnexpectedExit
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from imagewright.cli.positional import OptionalPositional
from imagewright.errors import ImagewrightError

INTERRUPTED = 130


class ImagewrightTask(Task):  # type: ignore[type-arg]
    """Maps this package's errors to one message and an exit code: no traceback for what a user can cause."""

    def __init__(self, body: Callable[..., Any], *, defaults: Mapping[str, str] | None = None, **options: Any) -> None:
        """`defaults` names the positional arguments that may be left out, with the values they have then."""
        self.defaults = defaults or {}
        super().__init__(body, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task; `Exit` with the error's text and code where it fails in an expected way."""
        # Invoke hands `--help` to a positional argument (as it does any next token), so it never sees the flag.
        if any(value in ("--help", "-h") for value in (*args[1:], *kwargs.values()) if isinstance(value, str)):
            print(self.help_text())  # noqa: T201
            return None
        try:
            try:
                return super().__call__(*args, **kwargs)
            finally:
                sys.stdout.flush()  # a reader that went away is met here, and not when Python ends
        except ImagewrightError as error:
            raise Exit(f"error: {error}", code=error.exit_code) from None
        except KeyboardInterrupt:
            raise Exit("interrupted", code=INTERRUPTED) from None
        except BrokenPipeError:
            # The reader of our output went away (`| head`): what is still to be written goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Exit(code=1) from None
        except (Exit, UnexpectedExit):
            raise
        except Exception as error:  # noqa: BLE001 (told as a bug, with a log file)
            raise Exit(_log_of_bug(self.name, error), code=1) from None

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Invoke's, which takes the help texts out as it reads them: here a second call finds them too."""
        texts = dict(self.help)
        try:
            arguments = super().get_arguments(ignore_unknown_help)
        finally:
            self.help = texts
        return [
            OptionalPositional.like(argument, fallback)
            if (fallback := self.defaults.get(argument.name or "")) is not None
            else argument
            for argument in arguments
        ]

    def help_text(self) -> str:
        """What `invoke --help TASK` prints, made from the same parts."""
        context = ParserContext(name=self.name, args=self.get_arguments())
        rows = context.help_tuples()
        width = max((len(left) for left, _ in rows), default=0)
        positional = " ".join(
            f"[{argument.name.upper()}]" if argument.name in self.defaults else argument.name.upper()
            for argument in context.positional_args
            if argument.name
        )
        usage = f"Usage: invoke {self.name} {positional} [--options]".replace("  ", " ")
        doc = inspect.cleandoc(self.__doc__ or "")
        lines = "\n".join(f"  {left:<{width}}   {right or ''}".rstrip() for left, right in rows)
        return f"{usage}\n\n{doc}\n\nOptions:\n{lines}"


def task(**options: Any) -> Callable[[Callable[..., Any]], ImagewrightTask]:
    """`invoke.task` with this package's error handling; the same options, and `defaults` (see ImagewrightTask).

    No short flags: Invoke deals them out by itself, and another option can change what `-p` means
    (which is the password itself for `docker login`).
    """
    options.setdefault("auto_shortflags", False)
    return invoke_task(klass=ImagewrightTask, **options)


def _log_of_bug(name: str, error: BaseException) -> str:
    import platform
    import tempfile
    import traceback
    from pathlib import Path

    with tempfile.NamedTemporaryFile("w", prefix="imagewright-", suffix=".log", delete=False) as log:
        log.write(f"task: {name}\npython: {platform.python_version()} on {platform.platform()}\n\n")
        log.write("".join(traceback.format_exception(error)))
    return (
        f"error: this is a bug of imagewright: {type(error).__name__}: {error}\n  The details are in {Path(log.name)}"
    )
