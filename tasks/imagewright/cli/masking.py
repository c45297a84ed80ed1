"""The secrets of a run: they must be there before it begins, and are masked in whatever it shows or keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.cache.use import secrets_of
from imagewright.errors import UsageError

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
    """The values: of variables, of files, and the keys of the layer cache."""
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
    files = {root / secret.source for item in plan.to_build for secret in item.image.secrets if secret.kind == "src"}
    found = (file for file in sorted(files) if file.is_file() and file.stat().st_size <= _MASKED_FILE_BYTES)
    return tuple(file.read_text(encoding="utf-8", errors="replace") for file in found)
