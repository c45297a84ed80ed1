"""Random repositories with a Dockerfile: everything that decides what BuildKit reads, in as few names as possible."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.oracle.client import Base, Case, File

if TYPE_CHECKING:
    from random import Random

NAMES = ("a", "b", "c.md", ".d", "ab", "x y", "é", "[z]", "s*r", "Dockerfile.a", "a.b", "B")
LINKS = (
    "a",
    "b",
    "../a",
    "/a",
    "/b/a",
    "../../../b",
    "a/b",
    ".",
    "..",
    "/",
    "nowhere",
    "./b/../a",
    "b//a/",
    "ab",
    "c.md",
)
PLATFORMS = (
    ("linux/amd64",),
    ("linux/amd64", "linux/arm64"),
    ("linux/arm64",),
    ("linux/arm/v7", "linux/amd64"),
    ("linux/386",),
)
IMAGES = (
    "one",
    "two:1",
    "docker.io/library/one",
    "example.org/x/three",
    "one:latest",
    "ONE",
    "scratch",
    "localhost/a@sha256:" + "0" * 64,
)
VARIABLES = ("V", "W", "TARGETARCH", "BUILDPLATFORM", "PATH", "TARGETSTAGE", "HOME")
VALUES = ("a", "b", "a/b", "*", "", "a b", "c.md", "one", "s0", "..", "ab", "/a", "a*", "amd64", "x y")
GLOBS = (
    "*", "a*", "?", "*/b", "*/*", "**", "**/*.md", "**/b", "[^a]", "[a-c]*", "[a-c", "a[/]b", ".*", "*.md", "a/*",
    "a/**", "[[]z]", "s\\*r", "\\a", "[^b]*/*", "*b", "é*", "a*/a*", "?/?", "[!a]*", "a\\", "**/a/**", "*/../b", "a/?*",
    "./*",
)  # fmt: skip
PLAIN = (
    ".", "./", "/", "..", "../a", "a/", "a/.", "./a", "/a", "a/..", "a/../b", "a//b", "./a/b", "a/b/", "nope", "",
    "b/a/..", "/../b", "...", "a/./b", "./a/./b", "a/./*", "*/./b", "./", "a/b/./c.md", "b/./", "/./a",
)  # fmt: skip
RULES = (
    "a", "b", "*.md", "**/*.md", "!a", "!a/b", "a/", "/a", "/a/", "*", "!*.md", "**", "!**/b", "a/*", "a/**", "**/a",
    "# a", "", " a ", "!", "! b", "./a", "a//b", "../a", "a/../b", ".*", "!.d", "[a-c]", "?", "\\a", "é", "x y",
    "Dockerfile*", ".dockerignore", "**/b/**", "!**", "*/b", "!*/b", "\\!a", "\ufeffa", "[", "a/b", "!a/b/c.md", "lib",
    "**b", "a**",
)  # fmt: skip
CONTEXT_VALUES = (
    "lib",
    "docker-image://one",
    "docker-image://two:1",
    "docker-image://scratch",
    "https://example.org/r.git",
    "b",
    ".",
)
REMOTES = (
    "https://example.org/f", "http://example.org/a.git", "https://github.com/o/r.git#main", "git@github.com:o/r.git",
    "github.com/o/r.git", "git://example.org/r", "https://example.org/r.git#" + "1" * 40, "ssh://git@example.org/r", "ftp://a",
    "./git@github.com:a", "HTTPS://example.org/x",
)  # fmt: skip
MODIFIED = (
    "${%s}", "$%s", "${%s:-a}", "${%s:+b}", "${%s-a}", "${%s+a}", "${%s#a}", "${%s##*/}", "${%s%%b}", "${%s%%%%/*}",
    "${%s/a/b}", "${%s//a/b}", "\\$%s", "'$%s'", '"$%s"', "x$%s", "$%s/b", "${%s}/*", "${%s:?}", "./$%s", "${%s/#a/b}",
)  # fmt: skip


def case(rnd: Random) -> Case:
    """One repository."""
    maker = _Maker(rnd)
    return maker.case()


class _Maker:
    def __init__(self, rnd: Random) -> None:
        self.rnd = rnd
        self.stages: list[str] = []
        self.handed_down = False  # the commands are triggers of an outside image
        self.there: list[str] = []  # what a source can name

    def often(self, share: float) -> bool:
        return self.rnd.random() < share

    def pick(self, *choices: str) -> str:
        return self.rnd.choice(choices)

    def case(self) -> Case:
        rnd = self.rnd
        context = self.pick(".", ".", ".", "ctx", "a")
        dockerfile = self.pick(
            "Dockerfile", "Dockerfile", "Dockerfiles/Dockerfile.app", f"{context}/Dockerfile", "b/Dockerfile"
        )
        dockerfile = dockerfile.removeprefix("./")
        contexts = {}
        for name in ("lib", "one", "s0", "one::linux/arm64", "docker.io/library/two:1"):
            if self.often(0.07):
                contexts[name] = self.pick(*CONTEXT_VALUES)
        files = self.tree(context)
        self.there = [path.removeprefix(f"{context}/") for path in files]
        if "lib" in contexts.values():
            files |= {f"lib/{path}": file for path, file in self.tree(".").items()}
        if self.often(0.5):
            files[f"{context}/.dockerignore".removeprefix("./")] = File(self.rules())
        if self.often(0.1):
            files["lib/.dockerignore"] = File(self.rules())
        if self.often(0.15):
            files[f"{dockerfile}.dockerignore"] = File(self.rules() if self.often(0.7) else "")
        bases = {
            f"docker.io/library/{name}": self.base()
            for name in ("one:latest", "two:1", "one:latest linux/arm64")
            if self.often(0.4)
        }
        text = self.dockerfile()
        if self.often(0.02):
            files[f"{dockerfile}.real"] = File(text)
            files[dockerfile] = File(link=f"{dockerfile.rpartition('/')[2]}.real")
        else:
            files[dockerfile] = File(text)
        args = {name: self.pick(*VALUES) for name in ("V", "W", "TARGETARCH", "HTTP_PROXY") if self.often(0.15)}
        hidden_args = tuple(name for name in args if self.often(0.1))
        return Case(
            files=without_clashes(files),
            dockerfile=dockerfile,
            context=context,
            contexts=contexts,
            args=args,
            target=self.target(),
            platforms=rnd.choice(PLATFORMS) if self.often(0.3) else PLATFORMS[0],
            builder=self.pick("linux/amd64", "linux/arm64") if self.often(0.2) else "linux/amd64",
            bases=bases,
            hidden_args=hidden_args,
            hidden_bases=self.hidden(bases),
        )

    def hidden(self, bases: dict[str, Base]) -> tuple[str, ...]:
        """Bases whose ENV is not known; triggers that nobody knows could read anything."""
        with_triggers = {key.split()[0] for key, base in bases.items() if base.onbuild}
        return tuple(sorted({key.split()[0] for key in bases if self.often(0.2)} - with_triggers))

    def target(self) -> str:
        if not self.often(0.25):
            return ""
        return self.pick("S0", "nope", "0") if self.often(0.1) else self.pick(*(self.stages or [""]))

    def tree(self, context: str) -> dict[str, File]:
        files: dict[str, File] = {}
        for _ in range(self.rnd.randrange(1, 9)):
            path = self.path()
            if context != "." and self.often(0.9):
                path = f"{context}/{path}"
            if self.often(0.2):
                files[path] = File(link=self.pick(*LINKS))
            else:
                files[path] = File(text=self.pick("1", "2", ""), exec=self.often(0.2))
        return files

    def path(self) -> str:
        deep = self.rnd.choice((1, 1, 2, 2, 3))
        return "/".join(self.pick("a", "b", *NAMES) for _ in range(deep))

    def rules(self) -> str:
        end = "\r\n" if self.often(0.1) else "\n"
        text = end.join(self.pick(*RULES) for _ in range(self.rnd.randrange(1, 5)))
        return ("\ufeff" if self.often(0.05) else "") + text + (end if self.often(0.5) else "")

    def base(self) -> Base:
        # BuildKit never ends where an image's trigger copies from an image with triggers: these copy from others
        self.handed_down = True
        env = [f"{self.pick(*VARIABLES)}={self.pick(*VALUES)}" for _ in range(self.rnd.randrange(3))]
        onbuild = [self.command(trigger=True) for _ in range(self.rnd.randrange(1, 3))] if self.often(0.4) else []
        self.handed_down = False
        return Base(tuple(env), tuple(line for line in onbuild if line))

    # --- the Dockerfile ---

    def dockerfile(self) -> str:
        lines = [f"ARG {self.assignment()}" for _ in range(self.rnd.randrange(3))]
        if self.often(0.15):
            lines.append("ARG BASE=one")
        for index in range(self.rnd.choice((1, 1, 2, 2, 3, 4))):
            name = self.pick(f"s{index}", f"s{index}", f"S{index}", "", "")
            lines.append(self.from_line(index, name))
            self.stages.append(name)
            lines.extend(self.command() for _ in range(self.rnd.randrange(1, 5)))
        return self.written([line for line in lines if line])

    def written(self, lines: list[str]) -> str:
        escape = "`" if self.often(0.05) else "\\"
        head = []
        if escape == "`":
            head.append("# escape=`")
        if self.often(0.06):
            head.insert(
                self.rnd.randrange(len(head) + 1),
                self.pick(
                    "# syntax=docker/dockerfile:1",
                    "#syntax = docker/dockerfile-upstream:master",
                    "# syntax=other/front:1",
                ),
            )
        text = "\n".join([*head, *(self.layout(line, escape) for line in lines)]) + ("\n" if self.often(0.8) else "")
        if self.often(0.05):
            text = text.replace("\n", "\r\n")
        return ("\ufeff" if self.often(0.03) else "") + text

    def layout(self, line: str, escape: str) -> str:
        """The same instruction in another layout."""
        head, blank, rest = line.partition(" ")
        if self.often(0.1):
            head = self.pick(head.lower(), head.capitalize())
        if "<<" in line or "\n" in line:
            return head + blank + rest
        if rest and self.often(0.15):
            between = self.pick("", "", "# comment\n", "\n", "  # comment \\\n", "#\n\n")
            rest = rest.replace(" ", f" {escape}{self.pick('', ' ', '  ')}\n{between}", 1)
        if self.often(0.1):
            head = self.pick("  ", "\t") + head
        if self.often(0.1):
            blank = self.pick("\t", "   ")
        return (
            self.pick("", "", "", "", "# comment\n", "\n", "   \n")
            + head
            + blank
            + rest
            + (" " if self.often(0.1) else "")
        )

    def from_line(self, index: int, name: str) -> str:
        known = [stage.lower() for stage in self.stages if stage] or ["one"]
        usual = ("one", "two:1", "scratch", *known, *known, *known)
        base = (
            self.pick(*IMAGES, "lib", "$BASE", "${V:-one}", "s$W", "s${TARGETARCH:+0}")
            if self.often(0.15)
            else self.pick(*usual)
        )
        platform = (
            self.pick("$BUILDPLATFORM", "linux/arm64", "$TARGETPLATFORM", "${V:-linux/amd64}")
            if self.often(0.1)
            else ""
        )
        return f"FROM {f'--platform={platform} ' if platform else ''}{base}" + (
            f" {self.pick('AS', 'as')} {name}" if name else ""
        )

    def command(self, *, trigger: bool = False) -> str:
        kind = self.rnd.choice(
            ("copy", "copy", "copy", "copy", "copy", "add", "run", "run", "env", "arg", "heredoc", "onbuild", "other")
        )
        if kind == "copy":
            return self.copy("COPY")
        if kind == "add":
            return self.copy("ADD")
        if kind == "run":
            return self.run()
        if kind == "env":
            return "ENV " + self.pick(self.assignment(), f"{self.assignment()} {self.assignment()}", "V a", "V $W b")
        if kind == "arg":
            return "ARG " + self.pick(
                self.assignment(), self.pick(*VARIABLES), f"{self.assignment()} {self.pick(*VARIABLES)}"
            )
        if kind == "heredoc":
            return self.heredoc()
        if kind == "onbuild":
            return "" if trigger else f"ONBUILD {self.command(trigger=True) or 'RUN true'}"
        return self.pick(
            "WORKDIR /w",
            "LABEL a=$V",
            "USER a",
            'SHELL ["/bin/sh"]',
            "CMD true",
            "EXPOSE 80",
            "VOLUME /v",
            "STOPSIGNAL 9",
        )

    def assignment(self) -> str:
        value = self.pick(*VALUES, *(self.variable() for _ in range(4)), "$V", "${W}/a")
        quote = self.pick('"', "'", '"') if " " in value and value[0] not in "'\"" else ""
        return f"{self.pick('V', 'V', 'W', 'W', *VARIABLES)}={quote}{value}{quote}"

    def variable(self) -> str:
        return self.pick(*MODIFIED) % self.pick("V", "W", "TARGETARCH", "V", "W", *VARIABLES)

    def source(self) -> str:
        kind = self.rnd.random()
        if kind < 0.4 and self.there:
            path = self.pick(*self.there)
            return self.pick(path, path, path.rpartition("/")[0] or path, f"/{path}", f"./{path}/", path[:1] + "*")
        if kind < 0.65:
            return self.pick(*GLOBS)
        if kind < 0.75:
            return self.pick(".", "/", ".", "./", *PLAIN)
        if kind < 0.9:
            return self.variable()
        if kind < 0.95:
            return self.path()
        return self.pick("'a'", '"a"', "'x", '"$V"/b', "a#b", "#", '"x y"', "x\\ y")

    def origin(self) -> str:
        known = [stage for stage in self.stages[:-1] if stage] or ["one"]
        if self.handed_down:
            return self.pick("example.org/x/three", "scratch", "0")
        rare = ("lib", "0", "1", "s0", "S0", "s1", "scratch", "$V", "example.org/x/three")
        return self.pick(*rare) if self.often(0.1) else self.pick("one", "two:1", *known, *known)

    def copy(self, name: str) -> str:
        flags = []
        if name == "COPY" and self.often(0.15):
            flags.append(f"--from={self.origin()}")
        if name == "COPY" and self.often(0.2):
            flags.append(self.pick("--parents", "--parents", "--parents", "--parents=false", "--parents=true"))
        if self.often(0.25):
            flags.append(f"--exclude={self.pick(*GLOBS, *RULES, 'a', 'b', '$V')}".replace(" ", "").replace("\n", ""))
        if self.often(0.1):
            flags.append(self.pick("--link", "--link", "--chmod=755", "--chown=a:b", "--chown=1", "--link=false"))
        sources = [self.source() for _ in range(self.rnd.choice((1, 1, 1, 2, 3)))]
        if name == "ADD" and self.often(0.3):
            sources[0] = self.pick(*REMOTES)
        target = self.pick("/x/", "/x/", "/", "./", "$V/", "/y")
        if self.often(0.15) and all("\\" not in one for one in sources):
            return " ".join([name, *flags, json.dumps([*sources, target], ensure_ascii=False)])
        return " ".join([name, *flags, *(one if " " not in one or one[0] in "'\"" else "a" for one in sources), target])

    def run(self) -> str:
        mounts = []
        for _ in range(self.rnd.choice((0, 1, 1, 1, 2))):
            kind = self.pick("bind", "bind", "bind", "", "cache", "tmpfs", "secret", "ssh", "$V")
            fields = [f"type={kind}" if kind else ""]
            if kind in ("secret", "ssh"):
                mounts.append(f"--mount={fields[0]},id=x")
                continue
            if self.often(0.5):
                fields.append(f"{self.pick('source', 'src')}={self.mount_source()}")
            if self.often(0.3):
                fields.append(f"from={self.origin()}")
            fields.append(self.pick("target=/t", "dst=/t", "destination=/t/$V", "target=t"))
            if self.often(0.2):
                fields.append(self.pick("rw", "ro", "readonly=true", "required=true", "id=x", "rw=false"))
            mounts.append("--mount=" + ",".join(field for field in fields if field))
        return " ".join(["RUN", *mounts, self.pick("true", "make $V", '["true"]', "echo <<<x $((1<<2))", "cat a")])

    def mount_source(self) -> str:
        rare = ("a", "b", "a/b", "/a", ".", "..", "*", "", "nope", "$V", "${W:-b}")
        found = self.pick(*rare) if self.often(0.5) or not self.there else self.pick(*self.there)
        return found if "," not in found and " " not in found else "a"

    def heredoc(self) -> str:
        marker = self.pick("EOF", "EOF", "'EOF'", '"EOF"', "-EOF")
        body = self.pick("COPY b /b", "FROM one", "text $V", "\tEOF" if marker == "-EOF" else "x", "")
        if self.often(0.1):
            return self.pick('COPY "<<{}" /f', "RUN cat <<<{}", "RUN cat 3<<{}").format(marker)
        start = self.pick("COPY <<{} /f", "COPY a <<{} /x/", "RUN <<{}", "ADD <<{} /f", "COPY --exclude=b . <<{} /x/")
        return f"{start.format(marker)}\n{body}\nEOF"


def without_clashes(files: dict[str, File]) -> dict[str, File]:
    """Without the files that would have to be a folder too."""
    folders = {path[:at] for path in files for at, char in enumerate(path) if char == "/"}
    return {path: file for path, file in files.items() if path not in folders}
