//! A bar per stream on stderr, on a terminal only: pages, records, bytes, retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Printer;
use super::report::{bytes, number};
use crate::extract::StreamActivity;

/// Shows what streams do until it is dropped.
pub struct Progress {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    pub fn start(printer: &Printer, activity: Arc<IndexMap<String, StreamActivity>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = printer.shows_progress().then(|| {
            let stopped = stop.clone();
            std::thread::spawn(move || show(&activity, &stopped))
        });
        Self { stop, thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only draws: if it broke down, the run is none the worse.
            let _ = thread.join();
        }
    }
}

fn show(activity: &IndexMap<String, StreamActivity>, stopped: &AtomicBool) {
    let all = MultiProgress::new();
    let style = ProgressStyle::with_template("{spinner:.cyan} {prefix} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let width = activity.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let bars: Vec<ProgressBar> = activity
        .keys()
        .map(|name| {
            all.add(ProgressBar::new_spinner()).with_style(style.clone()).with_prefix(format!("{name:<width$}"))
        })
        .collect();
    while !stopped.load(Ordering::Relaxed) {
        for (bar, stream) in bars.iter().zip(activity.values()) {
            bar.set_message(line(stream));
            if stream.done.load(Ordering::Relaxed) { bar.finish() } else { bar.tick() }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // The report says it all again, in its final form.
    let _ = all.clear();
}

fn line(stream: &StreamActivity) -> String {
    let retries = stream.traffic.retries.load(Ordering::Relaxed);
    let retried = if retries == 0 { String::new() } else { format!("  {} retried", number(retries)) };
    format!(
        "{:>6} pages {:>11} records {:>10}{retried}",
        number(stream.pages.load(Ordering::Relaxed)),
        number(stream.records.load(Ordering::Relaxed)),
        bytes(stream.traffic.bytes.load(Ordering::Relaxed)),
    )
}
