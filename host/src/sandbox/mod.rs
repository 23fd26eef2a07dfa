//! The sandbox: a connector as a WebAssembly component, with memory, processor time and wall time limited, and no way
//! out but the egress.
//!
//! `Connector` is a loaded component; an `Instance` is one running copy of it, which opens the configuration once and
//! reads one partition after another. Must never link anything that reaches a disk, a socket or a variable.

mod allowance;
mod asked;
mod bindings;
mod cache;
mod call;
mod compile;
mod component;
mod engine;
mod failure;
mod imports;
mod inside;
mod instance;
pub(crate) mod isolated;
mod limits;
mod outlet;
mod page;
mod remark;
mod said;
mod signature;
mod spec;
mod wasm;

pub use asked::{CredentialRequest, GrantRequest};
pub use component::{Connector, Surface};
pub use engine::Engine;
pub use instance::{Description, Instance};
pub use page::{Page, PageRecords, Partition};
pub use remark::{LogLevel, LogSink, Remark};
pub use wasm::Wasm;

/// A foreign text, made safe to show: one line, no control characters, not endless.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 4096;
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= LONGEST {
            shown.push('…');
            break;
        }
        let invisible = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            _ if invisible => shown.extend(c.escape_unicode()),
            _ => shown.push(c),
        }
    }
    shown
}
