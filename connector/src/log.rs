//! Messages to the person who runs the connector.
//!
//! Knows where they go (the host's `log` import, or a list in tests) and which were said before. Must never hold what a
//! response contained beyond names of fields.

use std::cell::RefCell;
use std::collections::BTreeSet;

/// The levels of the WIT's `log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warning,
}

/// Where messages go.
pub type Sink = Box<dyn Fn(Level, &str)>;

/// Says each message once: thousands of partitions of one stream would otherwise repeat it thousands of times.
pub struct Log {
    sink: Sink,
    said: RefCell<BTreeSet<String>>,
}

impl Log {
    pub fn new(sink: Sink) -> Self {
        Self { sink, said: RefCell::default() }
    }

    pub fn warn(&self, message: &str) {
        self.write(Level::Warning, message);
    }

    pub fn info(&self, message: &str) {
        self.write(Level::Info, message);
    }

    /// A warning that is said once, though what it says of `subject` may differ from time to time.
    pub fn warn_of(&self, subject: &str, what: &str) {
        if self.said.borrow_mut().insert(subject.to_owned()) {
            (self.sink)(Level::Warning, &format!("{subject}{what}"));
        }
    }

    fn write(&self, level: Level, message: &str) {
        if self.said.borrow_mut().insert(message.to_owned()) {
            (self.sink)(level, message);
        }
    }
}

#[cfg(test)]
pub mod recorded {
    //! A log that remembers, for tests.

    use std::rc::Rc;

    use super::*;

    pub fn log() -> (Rc<Log>, Rc<RefCell<Vec<String>>>) {
        let messages = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&messages);
        let sink = move |level: Level, text: &str| kept.borrow_mut().push(format!("{level:?}: {text}"));
        (Rc::new(Log::new(Box::new(sink))), messages)
    }

    #[test]
    fn a_message_is_said_once() {
        let (log, messages) = log();
        log.warn("a");
        log.warn("a");
        log.info("b");
        assert_eq!(*messages.borrow(), ["Warning: a", "Info: b"]);
    }
}
