#!/bin/sh
# Runs each extension and prints one JSON object of what they say, by their names.
set -eu
for extension in /usr/local/lib/report/*.sh; do
    sh "$extension" | jq --raw-input --arg name "$(basename "$extension" .sh)" '{key: $name, value: .}'
done | jq --slurp --sort-keys from_entries
