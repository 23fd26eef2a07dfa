#!/usr/bin/env bash
# Lets every fuzz target (or those named) run for FUZZ_SECONDS. What makes one panic is left in fuzz/artifacts: mend it,
# and keep it as a seed in fuzz/seeds/TARGET, which the tests replay.
set -euo pipefail
cd "$(dirname "$0")/.."
rustup run nightly rustc --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
command -v cargo-fuzz >/dev/null || cargo +nightly install cargo-fuzz --locked
for target in ${*:-$(cd fuzz/targets && ls | sed 's/\.rs$//')}; do
	mkdir -p "fuzz/corpus/$target"
	# Panics are looked for, and there is no unsafe code to be checked by a sanitizer.
	cargo +nightly fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
		-max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -max_len=4096
done
