from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from imagewright.config.environment import variables
from imagewright.config.load import load
from imagewright.config.models import Settings
from imagewright.errors import ConfigError
from tests.counting import calls_each


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


def load_text(root: Path, text: str, **environ: str) -> Settings:
    (root / "config/images.yml").write_text(text, encoding="utf-8")
    return load(root, environ)


def refusal(root: Path, text: str, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_text(root, text, **environ)
    return caught.value


def test_no_file_means_the_defaults_and_needs_no_yaml(tmp_path: Path) -> None:
    assert load(tmp_path, {"PATH": "x"}) == Settings()
    code = (
        "import sys; from pathlib import Path; import imagewright.config.load as l;"
        "early = {'pydantic', 'yaml'} & set(sys.modules);"
        "l.load(Path(sys.argv[1]), {}); print(sorted(early), 'yaml' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["[]", "False"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "builder:\nimages:\nregistry:\n"])
def test_what_has_no_value_has_its_default(root: Path, text: str) -> None:
    assert load_text(root, text) == Settings()


def test_an_image_without_a_value_is_there(root: Path) -> None:
    assert list(load_text(root, "images:\n  app:\n    target:\n").images) == ["app"]


def test_texts_are_taken_as_written_and_numbers_where_the_models_want_them(root: Path) -> None:
    text = 'builder: {jobs: 8}\nimages:\n  app:\n    version: 2025.10\n    build_args: {DEBUG: yes, X: 010, S: " a "}\n'
    settings = load_text(root, text)
    assert settings.builder.jobs == 8
    assert settings.images["app"].version == "2025.10"
    assert settings.images["app"].build_args == {"DEBUG": "yes", "X": "010", "S": " a "}


def test_a_byte_order_mark_is_no_part_of_the_text(root: Path) -> None:
    (root / "config/images.yml").write_bytes(b"\xef\xbb\xbfregistry: ghcr.io/me\n")
    assert load(root, {}).registry == ("ghcr.io/me",)


# What wins


def test_the_environment_wins_over_the_file_key_by_key(root: Path) -> None:
    settings = load_text(
        root,
        "registry: ghcr.io/me\nplatforms: [linux/amd64]\nbuilder: {name: mine, jobs: 2}\n",
        IMAGEWRIGHT_PLATFORMS="linux/arm64, linux/riscv64,",
        IMAGEWRIGHT_BUILDER_JOBS="7",
    )
    assert settings.registry == ("ghcr.io/me",)
    assert settings.platforms == ("linux/arm64", "linux/riscv64")
    assert (settings.builder.name, settings.builder.jobs) == ("mine", 7)


def test_the_environment_needs_no_file(tmp_path: Path) -> None:
    environ = {"IMAGEWRIGHT_SERVICES_S3_PORT": "4000", "IMAGEWRIGHT_REGISTRY": "ghcr.io/me"}
    settings = load(tmp_path, environ)
    assert (settings.services.s3_port, settings.registry) == (4000, ("ghcr.io/me",))


def test_an_empty_variable_is_not_set(root: Path) -> None:
    assert load_text(root, "registry: ghcr.io/me", IMAGEWRIGHT_REGISTRY=" ").registry == ("ghcr.io/me",)


def test_several_registries_stand_in_a_list(root: Path) -> None:
    both = ("ghcr.io/me", "localhost:5050")
    assert load_text(root, "registry: [ghcr.io/me, localhost:5050]").registry == both
    assert load_text(root, "registry: quay.io/me", IMAGEWRIGHT_REGISTRY="ghcr.io/me, localhost:5050").registry == both


def test_tag_rules_are_read_as_written(root: Path) -> None:
    text = (
        "tags:\n  rules:\n"
        "    nightly: {tags: ['{branch}-{date}'], when: {event: [schedule], default_branch: yes}}\n"
        "    latest: false\n"
    )
    rules = load_text(root, text).tags.rules
    assert rules["nightly"].tags == ("{branch}-{date}",)
    assert (rules["nightly"].when.event, rules["nightly"].when.default_branch) == (("schedule",), True)
    assert rules["latest"].tags == (), "switched off"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("tags: []", "`tags.rules.x.tags` must not be empty"),
        ("tags: ['']", "`tags.rules.x.tags[0]`: a tag must not be empty"),
        ("tags: [a, '{brunch}']", "`tags.rules.x.tags[1]`: `{brunch}` in `{brunch}` means nothing; `{sha}`, `{sha7}`"),
        ("tags: ['{}']", "`{}` in `{}` means nothing"),
        ("tags: ['{branch']", "`{branch`: `{` stands alone"),
        ("tags: ['{{branch}}']", "stands alone"),
        ("tags: ['{version}+{sha7}']", "`{version}+{sha7}`: '+' is no character of a tag"),
        ("tags: ['a/b']", "'/' is no character of a tag"),
        ("tags: ['ü']", "'ü' is no character of a tag"),
        ("tags: ['-{branch}']", "`-{branch}`: a tag starts with a letter, a digit or `_`"),
        (f"tags: ['{'a' * 100}{{branch}}{'b' * 29}']", "has 129 characters: a tag has 128 at most"),
        ("tags: [a], when: {event: [pusch]}", "`tags.rules.x.when.event[0]` must be 'push', 'tag'"),
        ("tags: [a], when: {event: []}", "`tags.rules.x.when.event` must not be empty"),
        ("tags: [a], when: {default_branch: maybe}", "`tags.rules.x.when.default_branch` must be `true` or `false`"),
        ("tags: [a], when: {branches: [a]}", "unknown key `tags.rules.x.when.branches`"),
        ("tag: [a]", "unknown key `tags.rules.x.tag`"),
    ],
)
def test_a_rule_that_could_give_no_tag_is_refused_with_its_line(root: Path, rule: str, message: str) -> None:
    error = refusal(root, f"tags:\n  rules:\n    x: {{{rule}}}\n")
    assert error.where == "config/images.yml:3"
    assert message in str(error)


@pytest.mark.parametrize("version", ["1.2.3+build", "a b", "-1", f"'{'1' * 129}'", "''"])
def test_a_version_that_is_no_tag_is_refused(root: Path, version: str) -> None:
    error = refusal(root, f"images:\n  app:\n    version: {version}\n")
    assert error.where == "config/images.yml:3"
    assert "is no tag" in error.message
    assert ("leave it out" in error.message) == ("+" in version)


def test_a_glob_that_fits_no_tag_is_refused(root: Path) -> None:
    error = refusal(root, "tags:\n  protected:\n  - latest\n  - release/*\n")
    assert error.where == "config/images.yml:4"
    assert error.message.startswith("`tags.protected[1]`: `release/*` fits no tag, which has letters, digits, `_.-`")


def test_reserved_variables_and_those_of_others_are_left_alone(root: Path) -> None:
    settings = load_text(root, "", IMAGEWRIGHT_CACHE_DIR="/x", INVOKE_RUN_ECHO="1")
    assert settings == Settings()


# What is wrong


def test_all_problems_are_listed_by_line_then_by_variable(root: Path) -> None:
    error = refusal(
        root,
        "plattforms: [linux]\n"
        "builder: {jobs: four}\n"
        "images:\n"
        "  app:\n"
        "    platforms: linux/amd64\n"
        "    wat: 1\n"
        "  app: {}\n"
        "layers: [base]\n",
        IMAGEWRIGHT_BUILDER_RETRIES="often",
        IMAGEWRIGHT_PLATFORM="linux/amd64",
    )
    heads = [line for line in str(error).splitlines() if not line.startswith("  ")]
    assert heads == [
        "config/images.yml:1: unknown key `plattforms`",
        "config/images.yml:2: `builder.jobs` must be a whole number, not `four`",
        "config/images.yml:5: `images.app.platforms` must be a list, not a text",
        "config/images.yml:6: unknown key `images.app.wat`",
        "config/images.yml:7: `app` stands twice: here and in line 4",
        "config/images.yml:8: `layers` must be a mapping, not a list",
        "environment IMAGEWRIGHT_BUILDER_RETRIES: `builder.retries` must be a whole number, not `often`",
        "environment IMAGEWRIGHT_PLATFORM: no such setting",
    ]
    assert error.where == "config/images.yml:1"


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("plattforms: []", 1, "unknown key `plattforms`", "did you mean `platforms`?"),
        ("\nxyz: 1", 2, "unknown key `xyz`", "known keys: `registry`, `repository`, `discover`"),
        ("xyz:", 1, "unknown key `xyz`", "known keys"),
        ("images:\n a:\n  taget: x", 3, "unknown key `images.a.taget`", "did you mean `target`?"),
        ("images: {a: {secrets: [{id: x, sorc: y, env: z}]}}", 1, "`images.a.secrets[0].sorc`", "did you mean `src`?"),
        ("- a", 1, "the file must be a mapping, not a list", "key: value"),
        ("registry: {a: b}", 1, "`registry` must be a text or a list of texts, not a mapping", ""),
        ("registry:\n- ghcr.io/me\n- [a]", 3, "`registry[1]` must be a text, not a list", "put quotes"),
        ("registry:\n- ghcr.io/me\n- Hello World", 3, "`registry[1]`: `Hello World` is no registry host", ""),
        ("registry: [ghcr.io/me, ghcr.io/me]", 1, "`registry`: `ghcr.io/me` stands twice", ""),
        ("registry: []", 1, "`registry` must not be empty", ""),
        ("repository: {registry}", 1, "`repository` must be a text, not a mapping", "put quotes"),
        ("images: {a: {build_args: {X: }}}", 1, "`images.a.build_args.X` must be a text, not nothing", '""'),
        ("services:\n  s3_port: 70000", 2, "`services.s3_port` must be at most 65535, not `70000`", ""),
        ("builder:\n  jobs: 1.5", 2, "`builder.jobs` must be a whole number, not `1.5`", ""),
        ("platforms:\n- linux/amd64\n- arm64", 3, "`platforms[1]`: `arm64` is no platform, such as `linux/amd64`", ""),
        ("bases:\n  x: {include: [a]}", 2, "`bases.x.debootstrap` is missing", ""),
        ("images:\n  a:\n    secrets:\n    - id: x", 4, "`images.a.secrets[0]` must have either `env` or `src`", ""),
        ("discover: []", 1, "`discover` must not be empty", ""),
        ("discover: [Dockerfiles/x]", 1, "`Dockerfiles/x` must contain `<name>` exactly once", ""),
        ("repository: '{registry}/{tag}'", 1, "`{tag}` in `{registry}/{tag}` means nothing", ""),
        ("registry: Hello World", 1, "`Hello World` is no registry host", ""),
        ("a: [", 1, "this is not YAML", ""),
    ],
)
def test_each_problem_says_what_and_where_and_what_to_do(
    root: Path, text: str, line: int, message: str, hint: str
) -> None:
    error = refusal(root, text)
    assert error.where == f"config/images.yml:{line}"
    assert message in error.message
    assert "\n" not in error.message, "one problem, one line"
    assert hint in (error.hint or "")


def test_a_list_of_wrong_items_is_not_called_empty(root: Path) -> None:
    assert "empty" not in str(refusal(root, "discover: [a, b]"))


def test_a_password_is_never_repeated(root: Path) -> None:
    text = "registry: https://me:hunter2@ghcr.io\nimages: hunter2\nbuilder: {password: hunter2}\nplatforms: hunter2\n"
    assert "hunter2" not in str(refusal(root, text))


def test_an_unknown_variable_is_refused(root: Path) -> None:
    error = refusal(root, "", IMAGEWRIGHT_PLATFORM="x")
    assert (error.where, error.hint) == ("environment IMAGEWRIGHT_PLATFORM", "did you mean `IMAGEWRIGHT_PLATFORMS`?")


def test_what_is_no_text_file_is_refused(root: Path) -> None:
    path = root / "config/images.yml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"images\.yml:2: this is not UTF-8"):
        load(root, {})
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match=r"images\.yml: this is no file"):
        load(root, {})
    path.rmdir()
    path.symlink_to(path)
    with pytest.raises(ConfigError, match=r"images\.yml: cannot be read"):
        load(root, {})


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    with pytest.raises(ConfigError, match="this is no file"):
        load(tmp_path, {})


def test_an_unreadable_file_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # file modes do not stop root, who may run this
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load(root, {})


SNIPPETS = [
    *("registry", "images", "app", "layers", "platforms", "builder", "jobs", "secrets", "linux/amd64", "4", "~"),
    *(
        "- ",
        ": ",
        ":\n",
        "\n",
        "  ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "'",
        '"',
        "#",
        "\t",
        "? ",
    ),
]


@limits(deadline=None)  # the machine may be busy
@given(st.one_of(st.text(), st.lists(st.sampled_from(SNIPPETS), max_size=40).map("".join), st.binary()))
def test_no_text_raises_anything_but_a_config_error(content: str | bytes) -> None:
    data = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config/images.yml"
        path.parent.mkdir()
        path.write_bytes(data)
        with suppress(ConfigError):
            load(Path(folder), {})


@limits(deadline=None)
@given(st.dictionaries(st.sampled_from([*variables(), "IMAGEWRIGHT_X"]), st.text()))
def test_no_environment_raises_anything_but_a_config_error(environ: dict[str, str]) -> None:
    with suppress(ConfigError):
        load(Path("not there"), environ)


def test_many_images_load_fast(root: Path) -> None:
    entry = "  image-{0:04}:\n    context: a/{0}\n    build_args: {{V: {0}, D: yes}}\n    platforms: [linux/amd64]\n"

    def loading(number: int) -> Callable[[], object]:
        text = "images:\n" + "".join(entry.format(i) for i in range(number))
        assert len(load_text(root, text).images) == number
        return lambda: load(root, {})

    assert calls_each(loading) < 120  # 103
