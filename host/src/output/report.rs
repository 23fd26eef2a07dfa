//! A run's report as people read it: what was read, what was loaded, what changed.

use std::fmt::Write as _;
use std::time::Duration;

use super::escape::shown;
use super::printer::{BAD, DIM, GOOD, WARNING};
use crate::report::{Report, StreamReport, TableReport};
use crate::schema::WriteDisposition;

pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let failed = report.failure.is_some() || report.streams.iter().any(|stream| stream.error.is_some());
    let (style, verb) = match (failed, report.interrupted) {
        (true, _) => (BAD, "Failed"),
        (false, true) => (WARNING, "Stopped"),
        (false, false) => (GOOD, "Done"),
    };
    let resumed = if report.resumed { ", going on where the last run stopped" } else { "" };
    let _ = writeln!(text, "{style}{verb}{style:#} `{}` in {}{resumed}", report.pipeline, duration(report.duration));
    if !report.streams.is_empty() {
        let _ = writeln!(text, "\nRead");
        let width = report.streams.iter().map(|stream| stream.name.chars().count()).max().unwrap_or(0);
        for stream in &report.streams {
            let _ = writeln!(text, "  {}", stream_line(stream, width));
        }
    }
    if report.load_ids.is_empty() {
        let why = if failed { "Nothing was loaded" } else { "Nothing new to load" };
        let _ = writeln!(text, "\n{why} into {} (dataset `{}`)", report.destination, report.dataset);
    } else {
        let packages = counted(report.load_ids.len() as u64, "package");
        let _ = writeln!(text, "\nLoaded {packages} into {} (dataset `{}`)", report.destination, report.dataset);
        let width = report.tables.iter().map(|table| table.name.chars().count()).max().unwrap_or(0);
        for table in &report.tables {
            let _ = writeln!(text, "  {}", table_line(table, width));
        }
    }
    for change in &report.changes {
        let _ = writeln!(
            text,
            "  ~ {}: new column `{}` ({})",
            shown(&change.table),
            shown(&change.column),
            change.data_type.name()
        );
    }
    let some_failed = report.streams.iter().any(|stream| stream.error.is_some());
    if some_failed && !report.load_ids.is_empty() {
        let _ =
            writeln!(text, "\nThe next run goes on with what failed and begins anew with the rest; --select chooses.");
    }
    let broke_off = report.failure.is_some() && !report.load_ids.is_empty();
    if report.interrupted || broke_off {
        let _ = writeln!(text, "\nWhat is loaded is whole; the same command goes on from here.");
    }
    for stream in report.streams.iter().filter(|stream| stream.masked > 0) {
        let _ = writeln!(
            text,
            "{WARNING}warning{WARNING:#}: stream `{}`: a secret of a credential stood in its records {}, and is masked there as ${{secrets.…}}",
            stream.name,
            if stream.masked == 1 { "once".to_owned() } else { format!("{} times", number(stream.masked)) },
        );
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "{WARNING}warning{WARNING:#}: {}", shown(warning));
    }
    text
}

fn stream_line(stream: &StreamReport, width: usize) -> String {
    let mut parts = vec![
        format!("{:>9} {}", number(stream.records), plural(stream.records, "record")),
        format!("{:>6} {}", number(stream.requests), plural(stream.requests, "request")),
    ];
    if stream.retries > 0 {
        parts.push(format!("{} retried", number(stream.retries)));
    }
    parts.push(bytes(stream.bytes));
    if !stream.loaded {
        parts.push(format!("{DIM}for its children only{DIM:#}"));
    }
    if stream.error.is_some() {
        parts.push(format!("{BAD}failed{BAD:#}"));
    } else if stream.unfinished {
        parts.push(format!("{WARNING}not finished{WARNING:#}"));
    }
    format!("{:<width$}  {}", stream.name, parts.join("  "))
}

fn table_line(table: &TableReport, width: usize) -> String {
    let how = match table.write_disposition {
        _ if table.waits => "collected, to take effect when the stream is read to its end",
        WriteDisposition::Append => "appended",
        WriteDisposition::Replace => "replaced",
        WriteDisposition::Merge => "merged",
        WriteDisposition::Skip => "skipped",
    };
    let new = if table.is_new { format!("  {DIM}new table{DIM:#}") } else { String::new() };
    format!("+ {:<width$}  {:>9} {} {how}{new}", shown(&table.name), number(table.rows), plural(table.rows, "row"))
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("{word} ") } else { format!("{word}s") }
}

fn counted(count: u64, word: &str) -> String {
    format!("{} {}", number(count), plural(count, word).trim_end())
}

/// `12403` → `12,403`.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(super) fn bytes(count: u64) -> String {
    let mut size = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}

pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        ..1.0 => format!("{:.0} ms", seconds * 1000.0),
        ..120.0 => format!("{seconds:.1} s"),
        _ => format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.5 MB");
        assert_eq!(duration(Duration::from_millis(42)), "42 ms");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
    }
}
