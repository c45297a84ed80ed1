"""A repository of images for one test, and the commands run in it as a user does."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.e2e.conftest import Inv, LocalEngine

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

    def digest(self, reference: str) -> str | None:
        """What the registry has under a reference, by docker's own word."""
        done = subprocess.run(
            ["docker", "buildx", "imagetools", "inspect", reference, "--format", "{{.Manifest.Digest}}"],
            env={**self.engine.env, "DOCKER_CONFIG": str(self.engine.docker_config)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 or "not found" in done.stderr, done.stderr
        return done.stdout.strip() or None

    def image(self, reference: str) -> Any:
        """The image's configuration in the registry; of an index one for each platform, by that."""
        shown = self.engine.docker("buildx", "imagetools", "inspect", reference, "--format", "{{json .Image}}")
        return json.loads(shown.stdout)

    def layers(self, reference: str) -> list[str]:
        """The image's filesystem layers, as the digests of their content, the lowest first."""
        found: list[str] = self.image(reference)["rootfs"]["diff_ids"]
        return found

    def content(self, reference: str, path: str) -> str:
        """A file of an image in the registry, read by other means than ours."""
        scratch = self.root.parent / "content"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        (scratch / "Dockerfile").write_text(f"FROM scratch\nCOPY --from={reference} {path} /file\n")
        self.engine.build(scratch, "--output", f"type=local,dest={scratch / 'out'}")
        return (scratch / "out/file").read_text()
