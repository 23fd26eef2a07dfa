#!/usr/bin/env bash
# Puts the stripped program, the library that it needs and the connector together into FOLDER/lib/airlock, with a link in
# FOLDER/bin; or, as `install.sh --tarball FOLDER`, into an archive there that unpacks to the same.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
archive=
if [ "${1:-}" = --tarball ]; then archive=yes && shift; fi
folder=${1:?usage: install.sh [--tarball] FOLDER}
mkdir -p "$folder"
version=$("$target/release/host" --version | cut -d' ' -f2)
place=$folder
if [ -n "$archive" ]; then
  place=$(mktemp -d)/airlock-$version
  trap 'rm -rf "$(dirname "$place")"' EXIT
fi
mkdir -p "$place/bin" "$place/lib/airlock"
install -m 755 -s "$target/release/host" "$place/lib/airlock/host"
install -m 644 target/libduckdb/libduckdb.so "$place/lib/airlock/"
install -m 644 "$target/wasm32-wasip2/release/connector.wasm" "$place/lib/airlock/"
# The program looks for its library where it lies itself, and not where the link lies.
ln -sf ../lib/airlock/host "$place/bin/host"
if [ -n "$archive" ]; then
  name=airlock-$version-$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m).tar.gz
  tar -C "$(dirname "$place")" -czf "$folder/$name" "airlock-$version"
  echo "$folder/$name"
else
  echo "$place/bin/host, and the connector: $place/lib/airlock/connector.wasm"
fi
