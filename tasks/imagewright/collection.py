"""Which task stands where in the namespace; nothing else."""

from __future__ import annotations

from invoke.collection import Collection

from imagewright.cli import (
    build,
    builder,
    cache,
    changed,
    cleanup,
    doctor,
    generate,
    login,
    merge,
    new,
    promote,
    services,
    show,
    tags,
)

ns = Collection()
for _task in (
    build.build,
    build.plan,
    builder.builder,
    merge.merge,
    changed.changed,
    changed.build_changed,
    changed.why,
    changed.inputs,
    show.list_images,
    show.graph,
    tags.tags,
    new.new,
    generate.generate,
    promote.promote,
    promote.retag,
    promote.mirror,
    cleanup.cleanup,
    cleanup.sizes,
    cache.cache,
    doctor.doctor,
    login.login,
    services.start,
    services.stop,
    services.status,
):
    ns.add_task(_task)
