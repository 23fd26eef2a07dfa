//! Splits a fixed range into windows, each a partition of its own.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::value::{CursorValue, shift};
use crate::error::Error;
use crate::plan::Incremental;

/// A part of the range; both bounds in the format of the configuration's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    pub start: Value,
    pub end: Value,
}

/// More windows than this are a mistake.
const MOST: usize = 100_000;

/// The windows of a range, if it is to be split.
pub fn windows(plan: &Incremental) -> Result<Option<Vec<Window>>, Error> {
    let (Some(size), Some(first), Some(last)) = (plan.window, &plan.initial_value, &plan.end_value) else {
        return Ok(None);
    };
    let format = plan.cursor_format.as_ref();
    let read = |value: &Value| CursorValue::new(value.clone(), format).map_err(Error::Other);
    let end = read(last)?;
    let mut windows = Vec::new();
    let mut start = first.clone();
    loop {
        let next = shift(&start, size, format).map_err(Error::Other)?;
        let advanced = read(&next)?.compare(&read(&start)?).map_err(Error::Other)?;
        if advanced != Ordering::Greater || windows.len() >= MOST {
            return Err(Error::other(format!("a `window` of {size} does not split {first}..{last} sensibly")));
        }
        if read(&next)?.compare(&end).map_err(Error::Other)? != Ordering::Less {
            windows.push(Window { start, end: last.clone() });
            return Ok(Some(windows));
        }
        windows.push(Window { start, end: next.clone() });
        start = next;
    }
}

/// The incremental of one window: bounds between windows belong to the later one.
pub fn within(plan: &Incremental, window: &Window) -> Incremental {
    let first = plan.initial_value.as_ref() == Some(&window.start);
    let last = plan.end_value.as_ref() == Some(&window.end);
    Incremental {
        initial_value: Some(window.start.clone()),
        end_value: Some(window.end.clone()),
        range_start_open: plan.range_start_open && first,
        range_end_closed: plan.range_end_closed && last,
        ..plan.clone()
    }
}
