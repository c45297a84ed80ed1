"""A repository of many images in three tiers, written the way people write them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

BASE = """\
# syntax=docker/dockerfile:1
FROM debian:trixie-slim
ARG DEBIAN_FRONTEND=noninteractive
COPY docker/scripts/install-packages.sh /usr/local/bin/install-packages
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \\
    install-packages ca-certificates curl tini
COPY bases/{name}/ /etc/
ENV LANG=C.UTF-8 \\
    TZ=UTC
LABEL org.opencontainers.image.title="{name}"
"""

TOOLING = """\
# syntax=docker/dockerfile:1
ARG REGISTRY=localhost:5050
ARG BASE_IMAGE=${{REGISTRY}}/{parent}

FROM ${{BASE_IMAGE}} AS build
WORKDIR /src
COPY tools/{name}/requirements.txt ./
RUN --mount=type=bind,source=docker/scripts,target=/scripts \\
    /scripts/install-packages.sh build-essential python3-venv \\
    && python3 -m venv /opt/tools \\
    && /opt/tools/bin/pip install --no-cache-dir -r requirements.txt

FROM ${{BASE_IMAGE}}
COPY --from=build /opt/tools /opt/tools
COPY tools/{name}/*.sh /usr/local/bin/
ENV PATH=/opt/tools/bin:$PATH
"""

APP = """\
# syntax=docker/dockerfile:1
ARG VERSION=1.0.{number}
FROM localhost:5050/{parent} AS assets
COPY apps/{name}/assets /assets
RUN gzip -9 --keep /assets/*

FROM localhost:5050/{parent}
ARG VERSION
RUN groupadd --system app && useradd --system --gid app --home-dir /srv/app app
WORKDIR /srv/app
COPY --chown=app:app apps/{name}/main.py apps/{name}/settings.toml ./
COPY --chown=app:app shared/ ./shared/
COPY --from=assets /assets ./assets
USER app
EXPOSE 8080
HEALTHCHECK --interval=30s CMD ["curl", "--fail", "http://127.0.0.1:8080/health"]
LABEL org.opencontainers.image.version="${{VERSION}}"
ENTRYPOINT ["tini", "--"]
CMD ["python3", "main.py"]
"""


TIME = 1_700_000_000  # seconds since 1970, of the first commit: the same repository has the same commits every time


def generate(root: Path, images: int, *, files: int = 0, commits: int = 1) -> None:
    """Write a git repository of that many images (at least three): one percent bases, nine percent tooling, apps.

    Files beyond what these need are assets of the apps, and so each is an input of an image. The first commit has
    everything; each later one edits one file of one app.
    """
    bases = [f"base-{number:03}" for number in range(max(1, images // 100))]
    tooling = [f"tooling-{number:04}" for number in range(max(1, images * 9 // 100))]
    apps = [f"app-{number:05}" for number in range(images - len(bases) - len(tooling))]
    tree = _files_of_images(bases, tooling, apps)
    for number in range(files - len(tree)):
        tree[f"apps/{apps[number % len(apps)]}/assets/pages/{number // len(apps):04}.html"] = f"<p>{number}</p>\n"
    edits = (apps[number % len(apps)] for number in range(1, commits))
    later = ({f"apps/{app}/main.py": f"print({app!r}, {number})\n"} for number, app in enumerate(edits, 1))
    _commit(root, tree, later)


def generate_layered(root: Path, images: int) -> None:
    """Write a git repository, of one commit, of that many images (at least three) that build from nothing at all.

    Bases of three filesystem layers, tooling with three more, and apps with four more: ten in all, as many as an app
    on one of the official images of a language has. Each layer is a file of its own; nothing is run.
    """
    bases = [f"base-{number}" for number in range(max(1, images // 25))]
    tooling = [f"tooling-{number}" for number in range(max(1, images // 6))]
    apps = [f"app-{number:03}" for number in range(images - len(bases) - len(tooling))]
    parents = dict.fromkeys(bases, "scratch")
    parents |= {name: f"{{registry}}/{bases[number % len(bases)]}" for number, name in enumerate(tooling)}
    parents |= {name: f"{{registry}}/{tooling[number % len(tooling)]}" for number, name in enumerate(apps)}
    tree = {"tasks.py": "from imagewright import ns\n"}
    arguments = []
    for name, parent in parents.items():
        layers = 4 if name in apps else 3
        copies = "".join(f"COPY files/{name}/{layer} /{name}/{layer}\n" for layer in range(layers))
        tree[f"Dockerfiles/Dockerfile.{name}"] = f"ARG PARENT=scratch\nFROM ${{PARENT}}\n{copies}"
        tree |= {f"files/{name}/{layer}": f"{name} {layer}\n" * 100 for layer in range(layers)}
        arguments.append(f'  {name}: {{build_args: {{PARENT: "{parent}"}}}}\n')
    tree["config/images.yml"] = f"images:\n{''.join(arguments)}"
    _commit(root, tree)


def _files_of_images(bases: Sequence[str], tooling: Sequence[str], apps: Sequence[str]) -> dict[str, str]:
    files = {
        "tasks.py": "from imagewright import ns\n",
        "docker/scripts/install-packages.sh": '#!/bin/sh\nset -eu\napt-get update\napt-get install -y "$@"\n',
        "shared/logging.toml": "level = 'info'\n",
        ".dockerignore": ".git\n**/__pycache__\n**/*.md\n!README.md\n",
    }
    for name in bases:
        files[f"Dockerfiles/Dockerfile.{name}"] = BASE.format(name=name)
        files[f"bases/{name}/motd"] = f"{name}\n"
    for number, name in enumerate(tooling):
        files[f"Dockerfiles/Dockerfile.{name}"] = TOOLING.format(name=name, parent=bases[number % len(bases)])
        files[f"tools/{name}/requirements.txt"] = "requests\n"
        files[f"tools/{name}/run.sh"] = "#!/bin/sh\n"
    for number, name in enumerate(apps):
        parent = tooling[number % len(tooling)]
        files[f"Dockerfiles/Dockerfile.{name}"] = APP.format(name=name, parent=parent, number=number)
        files[f"apps/{name}/main.py"] = f"print({name!r})\n"
        files[f"apps/{name}/settings.toml"] = f"port = {8000 + number}\n"
        files[f"apps/{name}/assets/index.html"] = f"<h1>{name}</h1>\n"
    return files


def _commit(root: Path, tree: Mapping[str, str], later: Iterable[Mapping[str, str]] = ()) -> None:
    """A commit of `tree`, one after it for each of `later`, and the last one checked out."""
    root.mkdir(parents=True, exist_ok=True)
    subprocess.run(("git", "init", "--quiet", "--initial-branch=main"), cwd=root, check=True)
    with subprocess.Popen(("git", "fast-import", "--quiet"), cwd=root, stdin=subprocess.PIPE) as importing:
        assert importing.stdin is not None
        for number, files in enumerate((tree, *later)):
            importing.stdin.write(_record(number, files))
    if importing.returncode:
        raise subprocess.CalledProcessError(importing.returncode, importing.args)
    subprocess.run(("git", "reset", "--quiet", "--hard"), cwd=root, check=True)
    # Git reads files again and again that are as young as its index. These are not, once `git status` has seen them.
    for path in tree:
        os.utime(root / path, (TIME, TIME))
    subprocess.run(("git", "status", "--porcelain"), cwd=root, check=True)


def _record(number: int, files: Mapping[str, str]) -> bytes:
    """A commit on main in the language of git-fast-import, one minute after the one before."""
    parts = [
        f"commit refs/heads/main\ncommitter bench <bench@localhost> {TIME + 60 * number} +0000\n",
        _data(f"commit {number}\n"),
        *(f"M 100644 inline {path}\n{_data(text)}" for path, text in files.items()),
    ]
    return "".join(parts).encode()


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"
