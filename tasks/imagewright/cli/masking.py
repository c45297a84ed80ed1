"""The secrets of a run: they must be there before it begins, and are masked in whatever it shows or keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.cache.use import secrets_of
from imagewright.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from imagewright.builds.plan import Plan
    from imagewright.builds.request import Request
    from imagewright.cli.layer_cache import LayerCache
    from imagewright.cli.project import Project

# A larger file is a bundle of certificates or an archive: thousands of lines to look for in every line of output.
_MASKED_FILE_BYTES = 8192


def require_secrets(plan: Plan, asked: Request, environ: Mapping[str, str]) -> None:
    """UsageError for a secret of the environment that is not there; a file that is not there is the build's error."""
    for name, what in _variables(plan, asked, environ).items():
        if name not in environ:
            raise UsageError(f"the {what} {name} has no value", hint=f"set {name} in the environment")


def masked(project: Project, plan: Plan, asked: Request, caches: LayerCache | None) -> tuple[str, ...]:
    """The values: of variables, of small files, and the keys of the layer cache.

    ConfigError for a file that cannot be read; one that is not there is the build's error.
    """
    environ = project.environ
    given = (environ[name] for name in _variables(plan, asked, environ))
    keys = (*secrets_of(environ), *secrets_of(caches.env)) if caches else ()
    return (*given, *_contents(plan, project.root), *keys)


def _variables(plan: Plan, asked: Request, environ: Mapping[str, str]) -> Mapping[str, str]:
    names = dict.fromkeys(asked.secret_build_args, "build argument")
    for item in plan.to_build:
        names |= dict.fromkeys(item.image.secret_build_args, f"build argument of {item.name}")
        names |= {
            secret.source: f"secret of {item.name}"
            for secret in item.image.secrets
            if secret.kind == "env" and not (secret.optional and secret.source not in environ)
        }
    return names


def _contents(plan: Plan, root: Path) -> tuple[str, ...]:
    users = {
        secret.source: item.name for item in plan.to_build for secret in item.image.secrets if secret.kind == "src"
    }
    return tuple(_content(root / source, source, user) for source, user in sorted(users.items()))


def _content(file: Path, source: str, user: str) -> str:
    """What there is to mask of it: nothing of what is large, or no file."""
    try:
        if not file.is_file() or file.stat().st_size > _MASKED_FILE_BYTES:
            return ""
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"the file of a secret cannot be read: {source} ({error.strerror})",
            where=user,
            hint="give the user who builds leave to read it, or take it out of the image's `secrets`",
        ) from error
