//! Loads a component and says what it is: its digest, what it imports, what it exports.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::ConnectorWithSecretsPre;
use super::imports::{InstanceState, handle};
use super::{Engine, Wasm, bindings, cache, compile, isolated, printable, signature};
use crate::config::settings::Limits;
use crate::error::{Error, ErrorKind, Result};

/// The contract that this host speaks: `airlock:connector/source@0.1.x`.
const CONTRACT: &str = "airlock:connector/source@";
const CONTRACT_VERSION: (u64, u64) = (0, 1);

/// A loaded connector. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    pub(super) code: Code,
    pub(super) limits: Arc<Limits>,
    surface: Arc<Surface>,
}

/// Where it was compiled, and runs.
#[derive(Clone)]
pub(super) enum Code {
    Here(Box<Compiled>),
    Isolated(Arc<isolated::Sandbox>),
}

/// A component in this process, ready to make instances of.
#[derive(Clone)]
pub(super) struct Compiled {
    pub(super) engine: Engine,
    pub(super) pre: ConnectorWithSecretsPre<InstanceState>,
    /// So that others find it.
    _component: Arc<Component>,
}

/// What a component says that it needs and gives.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Interfaces {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

/// What can be said of a component without running it.
#[derive(Debug, Clone)]
pub struct Surface {
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    pub bytes: usize,
    /// What the signer says of it, if a signature was asked for.
    pub signed: Option<String>,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

impl Surface {
    /// Whether it imports secrets in plain text.
    pub fn wants_secrets(&self) -> bool {
        wants_secrets(&self.imports)
    }
}

pub(super) fn wants_secrets(imports: &[String]) -> bool {
    imports.iter().any(|import| import.starts_with("airlock:connector/secrets@"))
}

impl Connector {
    /// Errors: no such file (`Usage`); not a component, not a connector, another version of the contract, an import
    /// that no connector gets (`Connector`). With a public key, it must be signed.
    pub fn load(engine: &Engine, wasm: &Wasm, public_key: Option<&str>) -> Result<Self> {
        let about = |error: Error| error.with_context("connector", wasm.name());
        let bytes = wasm.read(engine.limits.component_bytes).map_err(about)?;
        let signed = public_key.map(|key| signature::check(wasm, &bytes, key)).transpose().map_err(about)?;
        Self::from_bytes(engine, &bytes, signed).map_err(about)
    }

    fn from_bytes(engine: &Engine, bytes: &[u8], signed: Option<String>) -> Result<Self> {
        check_kind(bytes)?;
        let (digest, size) = (cache::hex(&Sha256::digest(bytes)), bytes.len());
        let (code, interfaces) = match &engine.isolation {
            Some(program) => {
                let (sandbox, interfaces) = isolated::Sandbox::start(program, engine, bytes, &digest)?;
                (Code::Isolated(Arc::new(sandbox)), interfaces)
            }
            None => {
                let component = compile::compiled(engine, bytes, &digest)?;
                let (compiled, interfaces) = Compiled::new(engine, component)?;
                (Code::Here(Box::new(compiled)), interfaces)
            }
        };
        let Interfaces { imports, exports } = interfaces;
        let surface = Surface { digest, bytes: size, signed, imports, exports };
        Ok(Self { code, limits: engine.limits.clone(), surface: Arc::new(surface) })
    }

    pub fn surface(&self) -> &Surface {
        &self.surface
    }
}

impl Compiled {
    /// Errors (`Connector`): no connector, another version of the contract, an import that no connector gets.
    pub(super) fn new(engine: &Engine, component: Arc<Component>) -> Result<(Self, Interfaces)> {
        let types = component.component_type();
        let name = |(name, _): (&str, ComponentItem)| name.to_owned();
        let interfaces = Interfaces {
            imports: types.imports(&engine.wasmtime).map(|(n, item)| name((n, item.ty))).collect(),
            exports: types.exports(&engine.wasmtime).map(|(n, item)| name((n, item.ty))).collect(),
        };
        check_contract(&interfaces.exports)?;
        let linker = linker(engine).map_err(|source| {
            Error::new(ErrorKind::Internal, "the imports can't be linked").with_source(source.to_string())
        })?;
        let pre = linker.instantiate_pre(&component).and_then(ConnectorWithSecretsPre::new).map_err(|source| {
            Error::new(ErrorKind::Connector, "the component asks for something that no connector gets")
                .with_source(printable(&format!("{source:#}")))
                .with_help("a connector may import wasi:http/outgoing-handler, clocks, random, io, an empty wasi:cli, and airlock:connector/log")
        })?;
        Ok((Self { engine: engine.clone(), pre, _component: component }, interfaces))
    }
}

/// As this version of wasmtime-wasi-http names it; connectors of any earlier 0.2 get the same.
const OUTGOING_HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

fn linker(engine: &Engine) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(&engine.wasmtime);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    linker.instance(OUTGOING_HANDLER)?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, InstanceState>, (request, options)| {
            Ok((handle(store.data_mut(), request, options)?,))
        },
    )?;
    linker.allow_shadowing(false);
    bindings::airlock::connector::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    bindings::airlock::connector::secrets::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// The first eight bytes of a binary tell a component from a core module (component model, binary format).
fn check_kind(bytes: &[u8]) -> Result<()> {
    let error = |message: &str| Error::new(ErrorKind::Connector, message);
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(error("a core WebAssembly module, not a component")
            .with_help("build it for the target wasm32-wasip2, or wrap it with `wasm-tools component new`")),
        Some([0, b'a', b's', b'm', ..]) => Err(error("a WebAssembly file of a version that is not known")),
        _ => Err(Error::new(ErrorKind::Usage, "not a WebAssembly file")
            .with_help("give the path of a .wasm file that holds a component")),
    }
}

fn check_contract(exports: &[String]) -> Result<()> {
    let Some(version) = exports.iter().find_map(|export| export.strip_prefix(CONTRACT)) else {
        return Err(Error::new(
            ErrorKind::Connector,
            "a component, but not a connector: it does not export airlock:connector/source",
        )
        .with_help(format!(
            "it exports: {}",
            if exports.is_empty() { "nothing".to_owned() } else { printable(&exports.join(", ")) }
        )));
    };
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    if (major, minor) == (Some(CONTRACT_VERSION.0), Some(CONTRACT_VERSION.1)) {
        return Ok(());
    }
    let (major, minor) = CONTRACT_VERSION;
    Err(Error::new(
        ErrorKind::Connector,
        format!("built for version {} of the contract, and this host knows {major}.{minor}", printable(version)),
    )
    .with_help("use a host or a connector of a fitting version"))
}
