"""A repository of images for one test, and the commands run in it as a user does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from imagewright.references import Reference
from imagewright.registry.client import Registry
from imagewright.registry.credentials import find_credential
from imagewright.registry.model import Deletion

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine

_T = TypeVar("_T")
_NUMBERS = count(1)
COMMIT_TIME = 1_700_000_000  # 2023-11-14T22:13:20Z


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How `invoke build --json` ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Mapping[str, Any]:
        """The JSON, which is all there is on standard output."""
        found: Mapping[str, Any] = json.loads(self.stdout)
        return found

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """What came of one image."""
        found: Mapping[str, Any] = next(one for one in self.document["images"] if one["name"] == name)
        return found

    def digests(self) -> Mapping[str, str]:
        return {one["name"]: one["digest"] for one in self.document["images"]}


class Repository:
    """Dockerfiles, a configuration and git history in a folder, with names in the registry that no other test has."""

    def __init__(self, root: Path, engine: LocalEngine, inv: Inv, base: str = "scratch") -> None:
        self.root = root
        self.engine = engine
        self.base = base
        self.prefix = f"{engine.registry}/test-{next(_NUMBERS)}"
        self._inv = inv
        self.write("tasks.py", "from imagewright import ns\n")
        self.write(".dockerignore", "dist\n")
        self.configure("")

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def configure(self, text: str) -> None:
        """config/images.yml; the repositories' names are given. BASE and PREFIX are filled in."""
        name = self.prefix.partition("/")[2]
        self.write("config/images.yml", self._filled(f'repository: "{{registry}}/{name}/{{name}}"\n{text}'))

    def dockerfile(self, name: str, *lines: str) -> None:
        """Dockerfiles/Dockerfile.NAME. BASE and PREFIX are filled in."""
        self.write(f"Dockerfiles/Dockerfile.{name}", self._filled("\n".join(lines) + "\n"))

    def _filled(self, text: str) -> str:
        return text.replace("BASE", self.base).replace("PREFIX", self.prefix)

    def git(self, *args: str) -> str:
        identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
        when = {"GIT_AUTHOR_DATE": f"{COMMIT_TIME} +0000", "GIT_COMMITTER_DATE": f"{COMMIT_TIME} +0000"}
        return subprocess.run(
            ["git", *identity, *args],
            cwd=self.root,
            env={**self.engine.env, **when},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self) -> str:
        """Everything, committed at COMMIT_TIME; the commit's 40 digits."""
        if not (self.root / ".git").exists():
            self.git("init", "-q")
        self.git("add", "--all")
        self.git("commit", "-q", "--message", "state")
        return self.git("rev-parse", "HEAD")

    def invoke(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        done = self._inv(self.root, *args, env=env)
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return done

    def build(self, *args: str, env: Mapping[str, str] | None = None, code: int = 0) -> Outcome:
        """`invoke build ARGS --json`, which must end with `code`."""
        done = self.invoke("build", *args, "--json", env=env)
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def reference(self, name: str, tag: str = "dev") -> str:
        return f"{self.prefix}/{name}:{tag}"

    def _ask(self, reference: str, question: Callable[[Registry, str, str], _T]) -> _T:
        parsed = Reference.parse(reference)
        credentials = partial(find_credential, environ=self.engine.env)
        with Registry(parsed.domain, credentials=credentials) as registry:
            return question(registry, parsed.path, parsed.digest or parsed.tag or "latest")

    def digest(self, reference: str) -> str | None:
        """What the registry has under a reference."""
        found = self._ask(reference, Registry.resolve)
        return found.digest if found else None

    def tags(self, name: str) -> tuple[str, ...]:
        """All tags of an image in the registry."""
        return self._ask(self.reference(name), lambda registry, path, _tag: registry.tags(path)) or ()

    def delete_tag(self, name: str, tag: str) -> None:
        """The tag alone: its image stays."""
        assert self._ask(self.reference(name, tag), Registry.delete_tag) is Deletion.DONE

    def images(self, reference: str) -> Mapping[str, Any]:
        """The images' configurations (OCI image-spec, config.md) in the registry, by platform."""

        def ask(registry: Registry, path: str, what: str) -> Mapping[str, Any]:
            top = registry.manifest(path, what)
            assert top, f"{reference} is not in the registry"
            manifests = [registry.manifest(path, one.digest) for one in top.manifests] if top.is_index else [top]
            configs = [registry.config(path, one.config.digest) for one in manifests if one and one.config]
            return {f"{one['os']}/{one['architecture']}": one for one in configs if one}

        return self._ask(reference, ask)

    def image(self, reference: str) -> Any:
        """The configuration of an image for one platform."""
        (found,) = self.images(reference).values()
        return found

    def layers(self, reference: str) -> list[str]:
        """The image's filesystem layers, as the digests of their content, the lowest first."""
        found: list[str] = self.image(reference)["rootfs"]["diff_ids"]
        return found

    def contents(self, *files: tuple[str, str]) -> list[str]:
        """Files, each given as a reference and a path, out of images in the registry, by other means than ours."""
        folder = self.root.parent / "contents"
        folder.mkdir()
        lines = [f"COPY --from={reference} {path} /{number}" for number, (reference, path) in enumerate(files)]
        (folder / "Dockerfile").write_text("\n".join(["FROM scratch", *lines, ""]))
        self.engine.build(folder, "--output", f"type=local,dest={folder / 'out'}")
        return [(folder / f"out/{number}").read_text() for number in range(len(files))]
