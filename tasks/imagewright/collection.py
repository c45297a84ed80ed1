"""Which task stands where in the namespace; nothing else."""

from __future__ import annotations

from invoke.collection import Collection

from imagewright.cli import build, changed, cleanup, doctor, generate, login, new, promote, services, show, tags

ns = Collection()
for _task in (
    build.build,
    build.plan,
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
    doctor.doctor,
    login.login,
    services.start,
    services.stop,
    services.status,
):
    ns.add_task(_task)
