#!/bin/sh
# start-postgresql [OPTION...]: makes the cluster on the first start, with the extension in every new database.
# The password of the superuser is read from the file that POSTGRES_PASSWORD_FILE names.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        --pwfile="${POSTGRES_PASSWORD_FILE:?the file with the password of the superuser}"
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "CREATE EXTENSION vector" | postgres --single -D "$PGDATA" template1
fi
exec postgres -c listen_addresses='*' "$@"
