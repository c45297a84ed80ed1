"""A Docker engine for one test module: Debian's, unpacked and run beside the system, with everything its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imagewright.services import programs
from imagewright.services.buildkitd import cgroup
from imagewright.tools import apt
from imagewright.tools.docker import Docker
from tests.e2e.buildkitds import sweep

if TYPE_CHECKING:
    from imagewright.services.places import Places
    from tests.e2e.conftest import Isolated

_SECONDS = 60
_NO_NETWORK = ("--iptables=false", "--ip6tables=false", "--bridge=none")
_RUNTIME = '''#!{python}
"""runc, with a privileged container given what this machine has to give: this engine's version asks for all there is.

Later ones leave out by themselves what they cannot give (moby, oci/caps/utils_linux.go, `GetAllCapabilities`).
"""

import json
import os
import re
import sys

arguments = sys.argv[1:]
bounding = int(re.search(r"CapBnd:\\s*(\\w+)", open("/proc/self/status").read())[1], 16)
for option, name in (("--bundle", "config.json"), ("--process", "")):
    if option in arguments and not bounding >> 24 & 1:  # linux/capability.h
        path = os.path.join(arguments[arguments.index(option) + 1], name).rstrip("/")
        document = json.load(open(path))
        for names in document.get("process", document).get("capabilities", {{}}).values():
            names[:] = [name for name in names if name != "CAP_SYS_RESOURCE"]
        with open(path, "w") as file:
            json.dump(document, file)
os.execv("{runc}", ["{runc}", *arguments])
'''


@dataclass(kw_only=True)
class Engine:
    """dockerd with the containerd that it starts; no bridge, and no rules of a firewall are touched."""

    folder: Path
    isolated: Isolated
    child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"unix://{self.folder / 's'}"

    def start(self) -> None:
        tree = apt.unpack(["docker.io"], cache=self.isolated.places.tools, say=print)
        folders = ("usr/sbin", "usr/bin", "sbin", "bin")
        path = ":".join([*(str(tree / one) for one in folders), os.environ["PATH"]])
        own = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        options = [f"--{option}={self.folder / name}" for option, name in own.items()]
        runtime = self.folder / "runtime"
        runtime.write_text(_RUNTIME.format(python=sys.executable, runc=tree / "usr/sbin/runc"))
        runtime.chmod(0o755)
        options += [f"--add-runtime=here={runtime}", "--default-runtime=here"]
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [tree / "usr/sbin/dockerd", "--host", self.address, *_NO_NETWORK, *options],
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": path, "LD_LIBRARY_PATH": apt.library_path(tree)},
            )
        until = time.monotonic() + _SECONDS
        while not Docker(environ={"DOCKER_HOST": self.address}).engine_running():
            if self.child.poll() is not None or time.monotonic() > until:
                raise AssertionError((self.folder / "log").read_text())
            time.sleep(0.05)

    def stop(self) -> None:
        """It ends its containers, and containerd."""
        if self.child is not None:
            self.child.terminate()
            self.child.wait(_SECONDS)
            self.child = None
        for left in (self.folder / "exec/netns").glob("*"):  # of containers without a network of their own
            subprocess.run(["umount", "--lazy", left], check=True)
        shutil.rmtree(self.folder)
        sweep(self._places)

    @property
    def cgroup(self) -> str:
        """For the containers that are made, so that nothing is left of them."""
        return cgroup(self._places)

    @property
    def _places(self) -> Places:
        return replace(self.isolated.places, state=self.folder)


def buildkit_image(context: Path, isolated: Isolated) -> None:
    """What a BuildKit image is made of: buildkitd and buildctl, which are static, and runc with its libraries."""
    (context / "bin").mkdir(parents=True)
    for name in ("buildkitd", "buildctl", "runc"):
        found = programs.provide(name, tools=isolated.places.tools, environ=os.environ, say=print)
        shutil.copy(found.path, context / "bin" / name)
    said = subprocess.run(
        ["ldd", context / "bin/runc"], env={**os.environ, **found.env}, check=True, capture_output=True, text=True
    ).stdout
    for library in (word for line in said.splitlines() for word in line.split() if word.startswith("/")):
        (context / library[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, context / library[1:])
    (context / "tmp").mkdir()
    (context / "Dockerfile").write_text(
        'FROM scratch\nCOPY --exclude=Dockerfile . /\nENV PATH=/bin\nENTRYPOINT ["/bin/buildkitd"]\n'
    )
