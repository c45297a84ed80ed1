"""From the plan to a docker-bake file, the form in which buildx takes it.

The file is plain and portable: `docker buildx bake --file FILE` from the repository root, where all of its paths begin,
does the same build on any builder. Source of the keys: the bake file reference of docker's documentation.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from imagewright.builds.caches import NO_LINES, CacheLines, Lines, Mode
from imagewright.builds.job import Part
from imagewright.builds.labels import labels
from imagewright.builds.plan import Plan, PlanImage
from imagewright.images.model import BuildSecret
from imagewright.references import InvalidReferenceError, Reference

EPOCH = "SOURCE_DATE_EPOCH"

Output = Literal["push", "load", "tar", "oci", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeOptions:
    """What the command line says about the builds of one run."""

    output: Output = "push"
    no_cache: bool = False
    build_args: Mapping[str, str] = field(default_factory=dict)
    secret_build_args: Sequence[str] = ()
    declare_epoch: Collection[str] = ()  # images whose Dockerfile has `ARG SOURCE_DATE_EPOCH`
    absent: Collection[BuildSecret] = ()  # optional secrets that are not there
    generated: Mapping[str, str] = field(default_factory=dict)  # Dockerfiles that are made from templates, by path
    source: str | None = None  # the repository's address, for the label
    bases: Callable[[str], Mapping[str, str]] = lambda _name: {}  # the outside images' digests
    cache: Lines = lambda _name, _platform: NO_LINES  # what the images read and write of the layer cache
    apart: bool = False  # whether other machines build other platforms of the same images
    untagged: bool = False  # push what is built by its digest alone: its tags are put on it afterwards
    dist: str = "dist"  # where archives go


def target_name(name: str) -> str:
    """A legal bake target for an image's name: bake takes letters, digits, `_` and `-` only."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda match: f"_{ord(match[0]):x}_", name)


def bake_plan(plan: Plan, options: BakeOptions) -> dict[str, Any]:
    """One file for the whole plan: a target for each image, children linked to the targets of their parents."""
    targets = {
        target_name(item.name): _target(
            plan, item, options, _links(item, {}), _output(plan, item, options), cache=options.cache(item.name, None)
        )
        for item in plan.to_build
    }
    return _document(list(targets), targets, plan.to_build, options)


def bake_image(
    plan: Plan, name: str, options: BakeOptions, digests: Mapping[str, str], part: Part | None = None
) -> dict[str, Any]:
    """The file that builds one image of the plan, or the `part` of it that one node of the builder builds.

    A parent in `digests` (just pushed by this run, or reused) stands as exactly that digest in the registry. One
    that is not is linked as a target without an output of its own: its steps are in the builder's cache, and a
    linked target with an output would be pushed again.
    """
    items = {item.name: item for item in plan.to_build}
    linked = _linked(name, items, digests)
    targets = {}
    for member in linked:
        item = items[member] if part is None else replace(items[member], platforms=part.platforms)
        is_own = member == name
        output = _output(plan, item, options) if is_own else ["type=cacheonly"]
        # What a linked target writes was written by its own call before.
        lines = _cache_lines(options, member, part, "use" if part is None else part.cache)
        cache = lines if is_own else CacheLines(lines.sources)
        target = _target(plan, item, options, _links(item, digests), output, cache=cache)
        if member != name or _is_untagged(options):
            del target["tags"]
        targets[target_name(member)] = target
    return _document([target_name(name)], targets, [items[member] for member in linked], options)


def _cache_lines(options: BakeOptions, name: str, part: Part | None, mode: Mode) -> CacheLines:
    # The first platform stands for all that are built together: no other part has it.
    platform = part.platforms[0] if part and (part.apart or options.apart) else None
    return options.cache(name, platform).for_mode(mode)


def _document(
    default: Sequence[str], targets: Mapping[str, Any], items: Iterable[PlanImage], options: BakeOptions
) -> dict[str, Any]:
    secret = sorted({name for item in items for name in _secret_args(item, options)})
    # bake gives a variable the value of the environment variable of that name: no value stands in the file.
    variables: dict[str, Any] = {"variable": {name: {} for name in secret}} if secret else {}
    return {**variables, "group": {"default": {"targets": list(default)}}, "target": targets}


def _linked(name: str, items: Mapping[str, PlanImage], digests: Collection[str]) -> Sequence[str]:
    found, queue = [name], [name]
    while queue:
        for parent in items[queue.pop()].parents:
            if parent.name not in digests and not parent.digest and parent.name not in found:
                found.append(parent.name)
                queue.append(parent.name)
    return found


def _links(item: PlanImage, digests: Mapping[str, str]) -> dict[str, str]:
    links = {}
    for parent in item.parents:
        digest = digests.get(parent.name) or parent.digest
        for text in parent.references:
            named = item.image.contexts.get(text, "").removeprefix("docker-image://")
            key = _context_key(text)
            if key and (not named or _context_key(named)):
                pinned = f"docker-image://{parent.repository}@{digest}"
                links[key] = pinned if digest else f"target:{target_name(parent.name)}"
    return links


def _context_key(text: str) -> str | None:
    """The name under which BuildKit looks for a context that replaces a reference (dockerui/namedcontext.go).

    None for a reference with a digest: who pins a parent gets that parent.
    """
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return text
    tag = f":{reference.tag}" if reference.tag and reference.tag != "latest" else ""
    return None if reference.digest else f"{reference.familiar_repository}{tag}"


def _target(
    plan: Plan,
    item: PlanImage,
    options: BakeOptions,
    links: Mapping[str, str],
    output: Sequence[str],
    *,
    cache: CacheLines,
) -> dict[str, Any]:
    image = item.image
    tag = item.tags[0].rpartition(":")[2]
    args = {**image.build_args, **options.build_args}
    if plan.head.time is not None and item.name in options.declare_epoch:
        args.setdefault(EPOCH, str(plan.head.time))
    for name in _secret_args(item, options):
        args.pop(name, None)
    target: dict[str, Any] = {
        "context": image.context,
        "dockerfile": posixpath.relpath(image.dockerfile, image.context),
        # Not from disk: what is there may be of another state, or of another registry's run beside this one.
        "dockerfile-inline": options.generated.get(image.dockerfile),
        "args": args,
        "contexts": {**image.contexts, **links},
        "labels": dict(
            labels(
                image,
                plan.head,
                source=options.source,
                tag=tag,
                fingerprint=item.inputs.fingerprint if item.inputs else None,
                bases=options.bases(item.name),
            )
        ),
        "platforms": list(item.platforms),
        "tags": list(item.tags),
        "target": image.target,
        "secret": [_secret(secret) for secret in image.secrets if secret not in options.absent],
        "no-cache": options.no_cache or None,
        "cache-from": [] if options.no_cache else list(cache.sources),
        "cache-to": list(cache.targets),
        # Provenance holds the times of the run: with it, the same content would get another digest every time.
        "attest": ["type=provenance,disabled=true"],
        "output": list(output),
    }
    literal = {key: _literal(value) for key, value in target.items()}
    # null would not do: bake drops such an argument. What is left is the one kind of template that is meant as such.
    from_environment = {name: f"${{{name}}}" for name in _secret_args(item, options)}
    literal["args"] = dict(sorted({**literal["args"], **from_environment}.items()))
    return {key: value for key, value in literal.items() if value not in (None, {}, [])}


def _secret_args(item: PlanImage, options: BakeOptions) -> Sequence[str]:
    return (*item.image.secret_build_args, *options.secret_build_args)


def _literal(value: Any) -> Any:
    """The value as bake reads it: each string of a JSON bake file is a template of HCL (its JSON specification)."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, dict):
        return {_literal(key): _literal(inner) for key, inner in value.items()}
    return [_literal(inner) for inner in value] if isinstance(value, list) else value


def _is_untagged(options: BakeOptions) -> bool:
    return options.untagged and options.output == "push"


def _output(plan: Plan, item: PlanImage, options: BakeOptions) -> list[str]:
    by_digest = f"type=image,name={item.image.repository},push=true,push-by-digest=true,name-canonical=true"
    exporter = {
        "push": by_digest if _is_untagged(options) else "type=registry",
        "load": "type=docker",
        "none": "type=cacheonly",
        "tar": f"type=oci,dest={archive(item, options)}",
        "oci": f"type=oci,tar=false,dest={archive(item, options)}",
    }[options.output]
    if plan.head.time is None or options.output == "none":
        return [exporter]
    # The commit's time goes to the exporter. As a build argument, which is docker's other way, it would be a part of
    # each WORKDIR's cache key: every commit would run again all that comes behind one.
    return [f"{exporter},source-date-epoch={plan.head.time}"]


def archive(item: PlanImage, options: BakeOptions) -> str:
    """Where `--output` puts an image: `dist/<name>/<tag>/image.tar`, or the folder `image` for an OCI layout."""
    tag = item.tags[0].rpartition(":")[2]
    name = "image.tar" if options.output == "tar" else "image"
    return posixpath.join(options.dist, item.name.partition(":")[0], tag, name)


def _secret(secret: BuildSecret) -> str:
    source = f"{secret.kind}={secret.source}"
    if re.search('[,"]', source):  # the whole is a line of CSV (RFC 4180)
        source = '"' + source.replace('"', '""') + '"'
    return f"id={secret.id},{source}"
