//! What instances may hold: memory (each, and all together), tables, instances. Remembers what it refused, so that the
//! error can name it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

/// Enough for a Python component, far too little for a bomb.
const TABLE_ELEMENTS: usize = 100_000;
const INSTANCES: usize = 100;
const TABLES: usize = 100;
const MEMORIES: usize = 20;

/// The memory that all instances of an engine share.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    total: usize,
    held: AtomicUsize,
}

impl MemoryBudget {
    pub(super) fn new(total: usize) -> Self {
        Self { total, held: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        let with = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.total);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with).is_ok()
    }
}

#[derive(Debug)]
pub(super) struct InstanceLimits {
    memory_bytes: usize,
    /// All memories of the instance together; given back to the budget with the instance.
    memory_held: usize,
    budget: Arc<MemoryBudget>,
    /// The first limit that was hit.
    pub(super) refused: Option<String>,
}

impl InstanceLimits {
    pub(super) fn new(memory_bytes: usize, budget: Arc<MemoryBudget>) -> Self {
        Self { memory_bytes, memory_held: 0, budget, refused: None }
    }

    fn refuse(&mut self, limit: String) {
        self.refused.get_or_insert(limit);
    }
}

impl Drop for InstanceLimits {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.memory_held, Ordering::Relaxed);
    }
}

impl ResourceLimiter for InstanceLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let held = self.memory_held.saturating_add(more);
        if held > self.memory_bytes {
            self.refuse(format!("{} of memory (host.limits.memory_bytes)", shown(self.memory_bytes)));
            return Ok(false);
        }
        if !self.budget.take(more) {
            let total = shown(self.budget.total);
            self.refuse(format!("{total} of memory for all its instances (host.limits.total_memory_bytes)"));
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

/// A size for people: in MiB if it is a number of them.
fn shown(bytes: usize) -> String {
    match bytes {
        0 => "0 bytes".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back() {
        let budget = Arc::new(MemoryBudget::new(10 << 20));
        let mut first = InstanceLimits::new(8 << 20, budget.clone());
        assert!(first.memory_growing(0, 6 << 20, None).unwrap());
        assert!(!first.memory_growing(6 << 20, 9 << 20, None).unwrap());
        assert_eq!(first.refused.as_deref(), Some("8 MiB of memory (host.limits.memory_bytes)"));
        let mut second = InstanceLimits::new(8 << 20, budget);
        assert!(!second.memory_growing(0, 5 << 20, None).unwrap());
        assert!(second.refused.as_ref().unwrap().contains("host.limits.total_memory_bytes"), "{second:?}");
        drop(first);
        assert!(second.memory_growing(0, 5 << 20, None).unwrap());
        assert_eq!(shown(65_536), "65536 bytes");
    }
}
