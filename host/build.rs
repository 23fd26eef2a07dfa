//! Tells the program where libduckdb lies: beside itself, in `target/libduckdb`, or where it was linked from.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    #[expect(clippy::disallowed_methods, reason = "cargo tells build scripts by variables")]
    let linked_from = std::env::var("DUCKDB_LIB_DIR").unwrap_or_default();
    for place in ["$ORIGIN", "$ORIGIN/../libduckdb", "$ORIGIN/../../libduckdb", &linked_from] {
        if !place.is_empty() {
            println!("cargo:rustc-link-arg=-Wl,-rpath,{place}");
        }
    }
}
