//! Tells the linker where a prebuilt libduckdb lies, relative to the program: `target/libduckdb` beside `target/release`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for place in ["$ORIGIN", "$ORIGIN/../libduckdb", "$ORIGIN/../../libduckdb"] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{place}");
    }
}
