#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (60 unless set). Installs cargo-fuzz if it is missing; needs a nightly toolchain.
# What a target finds is left in fuzz/artifacts. Must never change the lock file of the workspace.
set -euo pipefail
cd "$(dirname "$0")/.."
rustup run nightly rustc --version >/dev/null 2>&1 || { echo "fuzzing needs a nightly toolchain: rustup toolchain install nightly" >&2; exit 1; }
command -v cargo-fuzz >/dev/null || cargo +nightly install --locked cargo-fuzz
# The same versions as the program that is shipped.
[ -f fuzz/Cargo.lock ] || cp Cargo.lock fuzz/Cargo.lock
for target in config records state selectors links; do
  cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -rss_limit_mb=4096 -timeout=10
done
