"""Every error that a user can cause: what happened, where, and what to do next.

The command line prints these without a traceback and exits with `exit_code`; anything else that is raised
is a bug of this package.
"""

from __future__ import annotations

from typing import ClassVar


class ImagewrightError(Exception):
    """Something failed, or a check found something."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        """`where` is a file with its line (`config/images.yml:7`), an image or a reference; `hint` says what to do."""
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  {self.hint}" if self.hint else text


class UsageError(ImagewrightError):
    """The command line asks for something that cannot be: an unknown name, options that contradict."""

    exit_code = 2


class ConfigError(ImagewrightError):
    """The configuration, or what it points at, is wrong."""

    exit_code = 2


class EnvironmentMissingError(ImagewrightError):
    """The machine lacks something: no builder, a registry that cannot be reached, a program not found."""

    exit_code = 3


class DockerfileError(ImagewrightError):
    """A Dockerfile that BuildKit would refuse, or would make another image from than it says."""


class BuildError(ImagewrightError):
    """A build that ran and failed."""


class RegistryError(ImagewrightError):
    """A registry answered, and the answer is no."""
