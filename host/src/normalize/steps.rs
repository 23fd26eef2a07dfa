//! Counts what is done, in tests: that what foreign data makes the host do grows with the data and not with its square.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// So many steps more.
#[cfg(test)]
pub(super) fn count(steps: usize) {
    STEPS.with(|count| count.set(count.get() + steps));
}

#[cfg(not(test))]
#[inline(always)]
pub(super) fn count(_steps: usize) {}

/// The steps that some work takes.
#[cfg(test)]
pub(super) fn of<T>(work: impl FnOnce() -> T) -> usize {
    let before = STEPS.with(std::cell::Cell::get);
    work();
    STEPS.with(std::cell::Cell::get) - before
}
