#!/bin/bash
# pg-backup REMOTE:PATH: the database that PGHOST, PGDATABASE, PGUSER and PGPASSWORD name, dumped, compressed, uploaded.
# Fails when any of the three fails, and leaves no half of a dump under the final name.
set -euo pipefail
target=${1:?usage: pg-backup REMOTE:PATH}
name=${PGDATABASE:?the database to dump}-$(date --utc +%Y%m%dT%H%M%SZ).dump.zst
pg_dump --format=custom --compress=none | zstd --quiet | rclone rcat "$target/.unfinished-$name"
rclone moveto "$target/.unfinished-$name" "$target/$name"
echo "$target/$name"
