# Every target is a line or two; what needs an `if` is in scripts/. All build the whole workspace: with a part of it, cargo picks other
# features for the dependencies, and compiles wasmtime twice.
WASM := CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 CARGO_PROFILE_RELEASE_STRIP=true CARGO_PROFILE_RELEASE_PANIC=abort \
	cargo build --release --target wasm32-wasip2

.PHONY: build install dist run test lint fmt bless crash hostile bench fuzz toolchain libduckdb connector guests clean

build: connector libduckdb ## the binary at target/release/host, the connector at target/wasm32-wasip2/release/connector.wasm
	cargo build --release --workspace --bins

install: build ## the stripped program with its library and the connector, into PREFIX (~/.local)
	scripts/install.sh $(or $(PREFIX),$(HOME)/.local)

dist: build ## the same as an archive in dist/
	scripts/install.sh --tarball dist

run: build ## the demo API on this machine, read into DuckDB
	$(or $(CARGO_TARGET_DIR),target)/release/demo run

test: connector guests libduckdb ## everything that CI checks
	scripts/services.sh
	cargo test --release --workspace

lint: toolchain libduckdb
	scripts/features.sh
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings

fmt:
	cargo fmt --all

bless: connector guests libduckdb ## accept what the screens show now
	INSTA_UPDATE=always cargo test --release --workspace --test tests screens

crash: connector guests libduckdb ## the crash test at several hundred points, and SEQUENCES (3000) random sequences of runs
	CRASH_KILLS=300 SEQUENCES=$(or $(SEQUENCES),3000) cargo test --release --workspace --test tests -- crash sequences --nocapture

hostile: connector guests libduckdb ## HOSTILE_RUNS (10000) whole runs of random connectors against random APIs
	HOSTILE_RUNS=$(or $(HOSTILE_RUNS),10000) cargo test --release --workspace --test tests -- attacks::generator --nocapture

bench: build ## the host and a native floor in turn, as ratios of processor time
	scripts/bench.sh

fuzz: ## each parser for FUZZ_SECONDS (60): what panics is left in fuzz/artifacts
	scripts/fuzz.sh $(TARGETS)

connector: toolchain
	$(WASM) -p connector

guests: toolchain ## the malicious connector that the tests run
	$(WASM) -p guests

libduckdb:
	scripts/libduckdb.sh target/libduckdb

# rustup does not add a target to a toolchain that is already there, unless it is asked.
toolchain:
	rustup toolchain install

clean:
	cargo clean
