"""The Dockerfile that a new image begins with: small, and sound in what is easily forgotten."""

from __future__ import annotations


def dockerfile(name: str, base: str, *, reset_user: bool = False) -> str:
    """A Dockerfile on a base with apt. `reset_user` where the base may already have given up root.

    Title, source, revision and dates are left out: every build sets those labels.
    """
    root = "\n# The base runs as another user, who may not install packages.\nUSER root\n" if reset_user else ""
    return f"""\
FROM {base}
{root}
LABEL org.opencontainers.image.description="{name}: say here what it is for"

# The package lists go in the same step that fetched them, so that no filesystem layer keeps them.
RUN apt-get update \\
    && apt-get install --yes --no-install-recommends ca-certificates \\
    && rm -rf /var/lib/apt/lists/*

# A fixed number: Kubernetes checks runAsNonRoot by it, and files on volumes keep their owner.
RUN getent passwd 10001 > /dev/null || useradd --uid 10001 --user-group --create-home app
USER 10001:10001
WORKDIR /home/app

CMD ["cat", "/etc/os-release"]
"""
