//! What one instance may hold: memory, tables, instances. Remembers what it refused, so that the error can name it.

use wasmtime::ResourceLimiter;

/// Enough for a Python component, far too little for a bomb.
const TABLE_ELEMENTS: usize = 100_000;
const INSTANCES: usize = 100;
const TABLES: usize = 100;
const MEMORIES: usize = 20;

#[derive(Debug)]
pub(super) struct InstanceLimits {
    memory_bytes: usize,
    /// All memories of the instance together.
    memory_held: usize,
    /// The first limit that was hit.
    pub(super) refused: Option<String>,
}

impl InstanceLimits {
    pub(super) fn new(memory_bytes: usize) -> Self {
        Self { memory_bytes, memory_held: 0, refused: None }
    }

    fn refuse(&mut self, limit: String) {
        self.refused.get_or_insert(limit);
    }
}

impl ResourceLimiter for InstanceLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let held = self.memory_held.saturating_add(desired.saturating_sub(current));
        if held > self.memory_bytes {
            self.refuse(format!("{} MiB of memory (host.limits.memory_bytes)", self.memory_bytes >> 20));
            return Ok(false);
        }
        self.memory_held = held;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= TABLE_ELEMENTS;
        if !allowed {
            self.refuse(format!("{TABLE_ELEMENTS} table elements"));
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}
