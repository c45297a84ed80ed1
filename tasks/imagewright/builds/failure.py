"""Why a build failed, in words: which line of which Dockerfile, what it said, and what to do next.

What BuildKit and buildx print for each case is kept in tests/builds/data, from real failures of buildkit 0.33 and
buildx 0.37. What is not recognized is shown as BuildKit says it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from imagewright.builds.progress import Progress, Step
from imagewright.builds.transient import is_cut_off, why_again
from imagewright.errors import BuildError, EnvironmentMissingError, ImagewrightError
from imagewright.tools.docker import BUILDX_HINT, is_plugin_missing

OUTPUT_LINES = 20

Kind = Literal[
    "run",
    "emulator",
    "cache",
    "base",
    "source",
    "dockerfile",
    "secret",
    "context",
    "disk",
    "credentials",
    "registry",
    "unreachable",
    "builder",
    "canceled",
    "unknown",
]

_ENVIRONMENT: frozenset[Kind] = frozenset({"unreachable", "builder", "disk", "cache"})

_PROCESS = re.compile(r'process "(?P<command>.*)" did not complete successfully: (?P<how>.*)', re.DOTALL)
_EXCERPT = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+)\n-{10,}$", re.MULTILINE)
_REFUSED = re.compile(
    r"401 Unauthorized|403 Forbidden|\bdenied\b|authorization failed|authentication required|insufficient_scope"
    r"|no basic auth credentials",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\b(?:429|5\d\d) [A-Z][A-Za-z -]+")
_CODED = re.compile(r"(?<=: )(?:unknown|unavailable|toomanyrequests)\b.*")  # OCI distribution spec, "Error Codes"
_UNREACHABLE = re.compile(
    r"dial tcp|no such host|connection refused|connection reset|\bEOF\b|timeout|x509:"
    r"|server gave HTTP response to HTTPS|failed to do request"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed build. `detail` is BuildKit's own text, `output` the last lines of the step that failed."""

    kind: Kind
    image: str
    message: str
    detail: str
    where: str | None = None  # "Dockerfiles/Dockerfile.app:12"
    hint: str | None = None
    reference: str | None = None  # the base image that was not to be had
    stage: str | None = None
    step: str | None = None  # "2/4"
    command: str | None = None  # "RUN make"
    exit_code: int | None = None  # of the command
    output: tuple[str, ...] = ()

    @property
    def error(self) -> BuildError | EnvironmentMissingError:
        """The same as an error of this package."""
        lines = [f"{self.image}: {self.message}", *(f"    | {line}" for line in self.output)]
        cause = EnvironmentMissingError if self.kind in _ENVIRONMENT else BuildError
        return cause("\n".join(lines), where=self.where, hint=self.hint)

    @property
    def transient(self) -> str | None:
        """Why trying again may help; None where it will not. A failing RUN never is, whatever it printed."""
        return why_again(self.kind, self.detail)


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules below look at."""

    error: str
    step: Step | None
    builder: str
    is_parse_error: bool

    @property
    def pushing(self) -> bool:
        return "failed to push" in self.error

    @property
    def reference(self) -> str:
        """The image that the error is about."""
        pattern = r"failed to push (\S+?):? |source metadata for (\S+?): |^(\S+?): "
        found = re.search(pattern, f"{self.error} ")
        return next((group for group in found.groups() if group), "") if found else ""

    @property
    def host(self) -> str:
        """The registry that the error is about."""
        found = re.search(r"https?://([^/\s\"]+)", self.error)
        host = self.reference.partition("/")[0]
        return found[1] if found else host if re.search(r"[.:]|^localhost$", host) else "docker.io"


_Answer = tuple[Kind, str, str | None]


def analyse(image: str, progress: Progress, *, builder: str, files: Mapping[str, str]) -> Failure:
    """What went wrong, from the final state and buildx's own text.

    `files` maps the names that BuildKit gives Dockerfiles (without folder) to paths that a person can open.
    """
    text = "\n".join(progress.text)
    step, excerpt = progress.failed, _EXCERPT.search(text)
    error = _error(text, step)
    case = _Case(error, step, builder, is_parse_error=excerpt is not None and excerpt["file"] in files and step is None)
    kind, message, hint = next(answer for rule in _RULES if (answer := rule(case)))
    process = _PROCESS.search(error)
    code = re.fullmatch(r"exit code: (\d+)", process["how"].strip()) if process else None
    is_instruction = step is not None and step.is_instruction
    return Failure(
        kind=kind,
        image=image,
        message=message,
        detail=error,
        # The line that wanted something of a cache is not to blame for what the cache lacks.
        where=f"{files.get(excerpt['file'], excerpt['file'])}:{excerpt['line']}"
        if excerpt and kind != "cache"
        else None,
        hint=hint,
        reference=case.reference or None if kind in ("base", "unreachable") else None,
        stage=step.stage if step and is_instruction else None,
        step=step.number if step and is_instruction else None,
        command=step.instruction if step and is_instruction else None,
        exit_code=int(code[1]) if code else None,
        output=_last(step.tail) if step and is_instruction else (),
    )


def _error(text: str, step: Step | None) -> str:
    """buildx's last word, which may be several lines; the step's where buildx died without one."""
    _, found, last = f"\n{text}".rpartition("\nERROR: ")
    error = last if found else (step.error or "" if step else "") or text
    return re.sub(r"^(target \S+: )?(failed to solve: )?", "", error.strip())


def _last(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(lines[-OUTPUT_LINES:])


def _builder(case: _Case) -> _Answer | None:
    if _PROCESS.search(case.error):  # a command that was executed may have any of the words below in it
        return None
    if is_plugin_missing(case.error):
        return "builder", "docker has no buildx plugin", BUILDX_HINT
    if found := re.search(r'no builder "(\S+)" found', case.error):
        return "builder", f"there is no builder {found[1]}", "`docker buildx ls` shows those that there are"
    if found := re.search(r"unsupported frontend capability (\S+)", case.error):
        hint = "update the Docker engine to 23 or newer, or use a builder of its own: `docker buildx create --use`"
        return "builder", f"the BuildKit of builder {case.builder} is too old: it does not know {found[1]}", hint
    hint = f"`docker buildx inspect {case.builder}` shows its state; a local one: `invoke status buildkitd`"
    if case.step and re.search(r"waiting for connection|booting buildkit", case.step.name):
        return "builder", f"builder {case.builder} cannot be reached: {_one_line(case.error)}", hint
    if is_cut_off(case.error) or re.search(r"Unavailable: connection error|code = Unavailable|dial unix", case.error):
        return "builder", f"builder {case.builder} went away while it built", hint
    return None


def _disk(case: _Case) -> _Answer | None:
    tail = "\n".join(_last(case.step.tail)) if case.step else ""
    if re.search(r"no space left on device", f"{case.error}\n{tail}", re.IGNORECASE):
        hint = f"`docker buildx prune --builder {case.builder}` frees the build cache; `df -h` shows which disk is full"
        return "disk", f"the disk of builder {case.builder} is full (no space left on device)", hint
    return None


def _run(case: _Case) -> _Answer | None:
    process = _PROCESS.search(case.error)
    if process is None:
        return None
    at = _at(case.step)
    last = case.step.tail[-1] if case.step and case.step.tail else ""
    if found := re.fullmatch(r"exec (\S+): exec format error", last):
        message = f"{found[1]} cannot be executed on the builder's machine (exec format error){at}"
        return (
            "emulator",
            message,
            (
                "an image for another platform needs QEMU there: `apt-get install qemu-user-static binfmt-support`; "
                "a script needs a first line with `#!`"
            ),
        )
    instruction = case.step.instruction if case.step else f"RUN {process['command']}"
    how = process["how"].strip().replace("exit code:", "exit code")
    hint = "137 is a process that was killed, mostly for want of memory" if how == "exit code 137" else None
    return "run", f"failed with {how}{at}: {_shortened(instruction)}", hint


def _secret(case: _Case) -> _Answer | None:
    if found := re.search(r"\bsecret (\S+): not found", case.error):
        return (
            "secret",
            f"the build needs the secret {found[1]!r}, and none is given",
            (f"`secrets: [{{id: {found[1]}, env: VARIABLE}}]` (or `src: FILE`) in the image's settings"),
        )
    if found := re.fullmatch(r"failed to stat (.+?): stat .*: no such file or directory", case.error):
        return "secret", f"the file of a secret is not there: {found[1]}", "see `secrets` in the image's settings"
    return None


def _credentials(case: _Case) -> _Answer | None:
    if not _REFUSED.search(case.error):
        return None
    doing = f"the push of {case.reference}" if case.pushing else f"the pull of {case.reference}"
    return "credentials", f"{case.host} refuses {doing}: {_reason(case.error)}", f"`invoke login {case.host}`"


def _cache(case: _Case) -> _Answer | None:
    if not re.search(r"operation error S3:", case.error):
        return None
    return "cache", f"the layer cache cannot be used: {cache_trouble(case.error)}", CACHE_HINT


def _registry(case: _Case) -> _Answer | None:
    found = _STATUS.search(case.error)
    if found is None and case.pushing and (found := _CODED.search(case.error)):
        # Of an answer with an error's code in it BuildKit tells the status beforehand alone, where it tries again.
        found = _STATUS.search("\n".join(_last(case.step.tail)) if case.step else "") or found
    if found:
        doing = "the push" if case.pushing else "the pull"
        message = f"{case.host} answers {found[0].strip()} to {doing} of {case.reference}"
        return "registry", message, "try again later; the registry's own log says more"
    return None


def _unreachable(case: _Case) -> _Answer | None:
    if not (_UNREACHABLE.search(case.error) and re.search(r"failed to do request|dial tcp|TLS|x509", case.error)):
        return None
    hint = "is the registry up, and its name right? A local one: `invoke start registry`"
    if not case.pushing:
        hint += "; where it cannot be reached at all, `bases:` can make a Debian base image here"
    return "unreachable", f"registry {case.host} cannot be reached: {_reason(case.error)}", hint


def _base(case: _Case) -> _Answer | None:
    if "no match for platform in manifest" in case.error:
        return (
            "base",
            f"base image {case.reference} is not there for the platform that is built",
            ("build for fewer platforms (`platforms:`, `--platform`), or take a base image that has them"),
        )
    if re.search(r"source metadata for .*not found", case.error, re.DOTALL):
        return "base", f"base image {case.reference} was not found", "are name and tag right?"
    return None


def _source(case: _Case) -> _Answer | None:
    found = re.search(r'checksum of ref \S+ "(.+)": not found', case.error) or re.search(
        r"lstat (.+): no such file or directory", case.error
    )
    if found is None:
        return None
    hint = "is it in the build context, and not excluded by .dockerignore?"
    if case.step and "--from=" in case.step.instruction:
        hint = "the stage or image that it is copied from does not have it"
    return "source", f"{found[1]} is not there to be copied", hint


def _dockerfile(case: _Case) -> _Answer | None:
    if found := re.search(r'target stage "(.+)" could not be found', case.error):
        return "dockerfile", f"the Dockerfile has no stage {found[1]!r}", "see `target` in the image's settings"
    if case.is_parse_error:
        return "dockerfile", re.sub(r"^dockerfile parse error on line \d+: ", "", case.error), None
    return None


def _context(case: _Case) -> _Answer | None:
    if found := re.search(r'unable to prepare context: path "(.+)" not found', case.error):
        return "context", f"the build context {found[1]} is not there", "see `context` in the image's settings"
    return None


def _canceled(case: _Case) -> _Answer | None:
    return ("canceled", "canceled", None) if re.search(r"context canceled$", case.error) else None


def _unknown(case: _Case) -> _Answer:
    return "unknown", case.error or "buildx failed without a word", None


_RULES: tuple[Callable[[_Case], _Answer | None], ...] = (
    _builder,
    _disk,
    _run,
    _secret,
    _cache,
    _credentials,
    _registry,
    _source,
    _unreachable,
    _base,
    _dockerfile,
    _context,
    _canceled,
    _unknown,
)


CACHE_HINT = "`invoke cache status` shows whether the store answers, `invoke cache verify` whether all of it is there"


def of_error(image: str, error: ImagewrightError, *, kind: Kind | None = None) -> Failure:
    """What went wrong around a build, as its end."""
    environment: Kind = "builder" if isinstance(error, EnvironmentMissingError) else "unknown"
    return Failure(
        kind=kind or environment,
        image=image,
        message=error.message,
        detail=str(error),
        where=error.where,
        hint=error.hint,
    )


def cache_trouble(error: str) -> str:
    """What a cache's store said, without the layers of software that the word went through."""
    if is_lost_blob(error):
        return "a blob that it needs is not there"
    status = re.search(r"StatusCode: ([1-9]\d*)", error)
    return f"{_reason(error)}{f' (HTTP {status[1]})' if status else ''}"


def is_lost_blob(error: str) -> bool:
    """Whether a cache names a blob that its store does not have: other caches in it are as good as before."""
    return re.search(r"failed to copy: operation error S3: GetObject.*\b(NotFound|NoSuchKey)\b", error) is not None


def _at(step: Step | None) -> str:
    if step is None or not step.is_instruction:
        return ""
    parts = (f"stage {step.stage}" if step.stage else "", f"step {step.number}", step.platform or "")
    return f" ({', '.join(part for part in parts if part)})"


def _reason(error: str) -> str:
    """The last clause, which says what happened: `connect: connection refused`."""
    return _one_line(error).rpartition(": ")[2]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shortened(text: str, limit: int = 200) -> str:
    line = _one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
