"""A repository of many images in three tiers, written the way people write them."""

from __future__ import annotations

import subprocess
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


def generate(root: Path, images: int) -> None:
    """Write a git repository of that many images (at least three): one percent bases, nine percent tooling, apps."""
    bases = [f"base-{number:03}" for number in range(max(1, images // 100))]
    tooling = [f"tooling-{number:04}" for number in range(max(1, images * 9 // 100))]
    apps = [f"app-{number:05}" for number in range(images - len(bases) - len(tooling))]
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
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for args in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "--message=images"),
    ):
        subprocess.run(("git", *args), cwd=root, check=True)
