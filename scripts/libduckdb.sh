#!/usr/bin/env bash
# Puts a prebuilt libduckdb into DIRECTORY (the only argument), once. Its version must be the one that the
# `duckdb` crate in host/Cargo.toml speaks (1.10506.x is DuckDB 1.5.6).
# Must never: compile DuckDB (the better part of an hour; `cargo build --features bundled` does that).
set -euo pipefail

directory=${1:?usage: libduckdb.sh DIRECTORY}
version=1.5.6
[ -f "$directory/libduckdb.so" ] && [ "$(cat "$directory/version" 2>/dev/null)" = "$version" ] && exit 0

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) package=linux-x64 release=linux-amd64 ;;
  Linux-aarch64) package=linux-arm64 release=linux-arm64 ;;
  *) echo "no prebuilt libduckdb for $(uname -sm): set DUCKDB_LIB_DIR, or build with --features bundled" >&2; exit 1 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$directory"
if command -v npm >/dev/null && (cd "$work" && npm pack --silent "@duckdb/node-bindings-$package@$version-r.1" >/dev/null 2>&1); then
  tar -xzf "$work"/*.tgz -C "$work" package/libduckdb.so
  mv "$work/package/libduckdb.so" "$directory/libduckdb.so"
else
  curl -fsSL -o "$work/libduckdb.zip" "https://github.com/duckdb/duckdb/releases/download/v$version/libduckdb-$release.zip"
  unzip -qo "$work/libduckdb.zip" libduckdb.so -d "$directory"
fi
echo "$version" > "$directory/version"
