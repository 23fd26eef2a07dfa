#!/usr/bin/env bash
# Fails if `cargo build` and `cargo test` ask for different features of one crate: each would compile it, and all that stands on
# it, once more. The remedy is to ask for the tests' features in tests/demo/Cargo.toml.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

# `CRATE VERSION|FEATURES`; several lines for a crate that is compiled several times.
crates() {
  cargo tree --locked --quiet --workspace --edges "$1" --prefix none --no-dedupe --format '{p}|{f}' | sort --unique
}
build=$(crates normal,build)
test=$(crates normal,build,dev)
lost=$(comm -23 <(echo "$build") <(echo "$test"))
if [ -n "$lost" ]; then
  echo "these crates are compiled anew for the tests, with other features (>) than for the program (<):" >&2
  diff <(echo "$lost") <(join -t '|' -o 2.1,2.2 <(echo "$lost") <(echo "$test")) | grep '^[<>]' >&2
  exit 1
fi
