#!/usr/bin/env bash
# Runs the host and the native floor in turn against the demo API, RUNS (5) times each, and prints the medians of their processor
# seconds, with the ratio of the two. HOST and COMPONENT name others than those that were built last.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
host=${HOST:-$target/release/host} component=${COMPONENT:-$target/wasm32-wasip2/release/connector.wasm}
runs=${RUNS:-5} tasks=${TASKS:-100000} port=${PORT:-18800}
export BENCH_URL=http://127.0.0.1:$port AIRLOCK_SECRET_API_KEY=demo-key-4f6c1d
export LD_LIBRARY_PATH=$PWD/target/libduckdb${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

(cd benches/native && CARGO_TARGET_DIR=target cargo build --release --quiet)
native=benches/native/target/release/native
out=$(mktemp -d)
"$target/release/demo" serve --port "$port" --tasks "$tasks" --fail-every 0 >"$out/api" &
api=$!
trap 'kill $api; rm -rf "$out"' EXIT
until grep -q http "$out/api"; do sleep 0.1; done

# Processor seconds of a command; what it wrote is gone afterwards.
seconds() {
  local TIMEFORMAT='%U %S'
  { time "$@" >"$out/said" 2>&1; } 2>"$out/time" || { cat "$out/said" >&2; exit 1; }
  awk 'END { printf "%.3f\n", $1 + $2 }' "$out/time"
  rm -rf "$out"/loaded*
}
median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
ours() { seconds "$host" run "$component" --config "benches/$1.yaml" --to "$2" -q; }

# NAME CONFIGURATION DESTINATION NATIVE-FORMAT
compare() {
  local ours=() floor=()
  for _ in $(seq "$runs"); do
    ours+=("$(ours "$2" "$3")")
    floor+=("$(seconds "$native" "$4" "127.0.0.1:$port" "$out/loaded.file")")
  done
  local o f
  o=$(printf '%s\n' "${ours[@]}" | median) f=$(printf '%s\n' "${floor[@]}" | median)
  awk -v name="$1" -v o="$o" -v f="$f" 'BEGIN { printf "%-26s %6.2f s   native %5.2f s   %.1f times\n", name, o, f, o / f }'
}

echo "$tasks tasks, pages of 1,000; processor seconds, medians of $runs runs"
compare "JSONL" flat "jsonl:$out/loaded" jsonl
compare "JSONL, jq filter" filter "jsonl:$out/loaded" jsonl
compare "JSONL, jq map" map "jsonl:$out/loaded" jsonl
compare "Parquet" flat "parquet:$out/loaded" parquet
compare "DuckDB" flat "duckdb:$out/loaded.duckdb" duckdb
compare "DuckDB, child tables" tasks "duckdb:$out/loaded.duckdb" duckdb
