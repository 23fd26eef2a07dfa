//! Generated from `wit/`: the host's side of the contract.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "connector-with-secrets",
    exports: { default: async },
    additional_derives: [serde::Serialize, serde::Deserialize],
});
