//! Where records end up: the contract that every destination keeps, and the list of them.
//!
//! Must never see a connector or a configuration file: a destination gets load packages and nothing else.

mod cells;
mod duckdb;
mod families;
mod files;
mod json_lines;
mod layout;
mod pipeline_state;
mod postgres;
mod printable;
mod sql;
mod sqlite;
mod stdout;

use std::io::Write;
use std::path::Path;

use self::files::Format;

use crate::error::{Error, ErrorKind, Result};
use crate::package::{LoadPackage, LoadReceipt};
use crate::schema::{MergeStrategy, Schema, TableSchema, WriteDisposition};
use crate::state::State;

/// Where records end up.
///
/// `load` may be called again with a package that it has already loaded, after a crash: it must leave the same rows.
/// Calls block; the pipeline makes them on a thread of their own.
pub trait Destination: Send {
    /// What it can do, so that a run is refused before it begins and not in its middle.
    fn capabilities(&self) -> Capabilities;

    /// What it may hold in memory of its own, where it has a limit on that. Called before anything is read or loaded.
    fn limit_memory(&mut self, _bytes: u64) -> Result<()> {
        Ok(())
    }

    /// Keeps texts from being formulas where what is written is opened by spreadsheets. Called as `limit_memory` is.
    fn escape_formulas(&mut self) {}

    /// What earlier runs of the pipeline left; nothing (`Stored::default()`) the first time.
    fn read(&mut self, pipeline: &str) -> Result<Stored>;

    /// Writes tables, rows, state and load id so that a reader sees all of it or nothing.
    fn load(&mut self, package: &LoadPackage) -> Result<LoadReceipt>;

    /// Puts another state in the place of the one that the last package left. Called while no run is under way.
    fn write_state(&mut self, pipeline: &str, state: &State) -> Result<()>;
}

#[derive(Debug, Clone)]
pub struct Capabilities {
    /// For messages: `DuckDB`.
    pub name: &'static str,
    /// All merge strategies.
    pub merge: bool,
    /// Longest identifier, in bytes.
    pub max_identifier_length: usize,
    /// Names in lower case that no column can have, because the destination has columns of those names itself.
    pub reserved_columns: &'static [&'static str],
    /// What no table's name can begin with, in lower case.
    pub reserved_tables: &'static [&'static str],
    /// Of one table.
    pub max_columns: usize,
    /// A text is no longer than its column's precision.
    pub limits_text: bool,
    /// State survives the run; without it every run is a full one.
    pub keeps_state: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Stored {
    pub state: State,
    pub schema: Schema,
}

/// What a URL's scheme opens: the scheme, how the rest is written, and the function.
type Opener = fn(rest: &str, dataset: &str, pipeline: &str) -> Result<Box<dyn Destination>>;

/// Every destination, by the scheme of its URL.
const DESTINATIONS: &[(&str, &str, Opener)] = &[
    ("duckdb", "duckdb:PATH", |rest, dataset, _| Ok(Box::new(duckdb::open(Path::new(rest), dataset)?))),
    ("postgres", "postgres://…", |url, dataset, _| Ok(Box::new(postgres::open(url, dataset)?))),
    ("postgresql", "postgresql://…", |url, dataset, _| Ok(Box::new(postgres::open(url, dataset)?))),
    ("sqlite", "sqlite:PATH", |rest, dataset, _| Ok(Box::new(sqlite::open(Path::new(rest), dataset)?))),
    ("parquet", "parquet:DIR", |rest, dataset, _| Ok(Box::new(files::open(rest, dataset, Format::Parquet)?))),
    ("jsonl", "jsonl:DIR", |rest, dataset, _| Ok(Box::new(files::open(rest, dataset, Format::Jsonl)?))),
    ("csv", "csv:DIR", |rest, dataset, _| Ok(Box::new(files::open(rest, dataset, Format::Csv)?))),
];

/// What names standard output.
const STDOUT: &[(&str, stdout::Format)] =
    &[("-", stdout::Format::JsonLines), ("jsonl:-", stdout::Format::JsonLines), ("arrow:-", stdout::Format::Arrow)];

/// Opens what `--to` names. The file or server must be reachable; the dataset may be missing and is made by the first
/// `load`.
///
/// Errors: `Usage` for a URL that is no destination's, `Unavailable` or `Busy` for one that can't be reached now,
/// `Destination` for one that will never work (a file of another kind).
pub fn open(url: &str, dataset: &str, pipeline: &str) -> Result<Box<dyn Destination>> {
    if let Some((_, format)) = STDOUT.iter().find(|(form, _)| *form == url) {
        return Ok(Box::new(stdout::open(Box::new(std::io::stdout()), *format)));
    }
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let Some((_, form, opener)) = DESTINATIONS.iter().find(|(known, ..)| *known == scheme) else {
        return Err(unknown(url, scheme));
    };
    // `postgres://` needs its whole URL; the others name a path.
    let rest = if form.contains("//") { url } else { rest };
    if rest.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("no path in `{url}`")).with_help(format!("write {form}")));
    }
    opener(rest, dataset, pipeline).map_err(|error| error.without(&passwords(url)))
}

/// As they stand in a URL, in its query or among words `password=…`, and as they are meant.
fn passwords(url: &str) -> Vec<String> {
    let parsed = url::Url::parse(url).ok();
    let of_user = parsed.as_ref().and_then(|url| url.password()).map(str::to_owned);
    let named = url.split(['?', '&', ' ']).filter_map(|pair| pair.split_once('='));
    let named = named.filter(|(key, _)| key.to_ascii_lowercase().contains("pass")).map(|(_, value)| value.to_owned());
    let written: Vec<String> = of_user.into_iter().chain(named).collect();
    let meant = |text: &String| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let all = written.iter().map(meant).chain(written.iter().cloned());
    // A shorter one would tell itself by what is missing.
    all.filter(|password| password.len() >= 4).collect()
}

/// Rows as JSON Lines to a writer, as `-` writes them to standard output.
pub fn to_writer(writer: Box<dyn Write + Send>) -> Box<dyn Destination> {
    Box::new(stdout::open(writer, stdout::Format::JsonLines))
}

/// Whether rows go to standard output.
pub fn is_stdout(url: &str) -> bool {
    STDOUT.iter().any(|(form, _)| *form == url)
}

/// What follows the scheme: a path of this machine, or `//HOST…`, or the URL of an object store.
fn is_path(rest: &str) -> bool {
    !rest.starts_with("//") && !rest.contains("://")
}

/// Whether a URL names a path at which there is nothing yet, so that opening it would make it.
pub fn is_missing(url: &str) -> bool {
    match url.split_once(':') {
        Some((_, path)) if is_path(path) => !Path::new(path).exists(),
        _ => false,
    }
}

/// A database's file lies in a folder that is there: a new one is more likely a slip of the pen.
fn check_folder(file: &Path) -> Result<()> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        None => Ok(()),
        Some(folder) => Err(Error::new(ErrorKind::Usage, format!("there is no folder {}", folder.display()))
            .with_help("make it first, or name another place with --to")),
    }
}

/// The error for a pipeline that a destination knows nothing of.
fn unknown_pipeline(pipeline: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("nothing is remembered of a pipeline `{pipeline}` here"))
        .with_help("--pipeline, --to and --dataset are those of its runs")
}

/// What tells a destination from another one: a path counts from the root, not from where the program was started.
pub fn identity(url: &str, dataset: &str) -> String {
    let whole = match url.split_once(':') {
        Some((scheme, path)) if is_path(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
            format!("{scheme}:{}", path.display())
        }
        _ => url.to_owned(),
    };
    format!("{whole} {dataset}")
}

/// Names the scheme and never the whole URL, which may hold a password.
fn unknown(url: &str, scheme: &str) -> Error {
    let known = DESTINATIONS.iter().map(|(_, form, _)| *form);
    let forms: Vec<&str> = known.chain(STDOUT.iter().map(|(form, _)| *form)).collect();
    let message = match scheme {
        "" => format!("`{url}` names no kind of destination"),
        scheme => format!("unknown kind of destination `{scheme}`"),
    };
    let suggestion = match scheme {
        "" if Path::new(url)
            .extension()
            .is_some_and(|end| ["duckdb", "db", "ddb"].iter().any(|known| end == *known)) =>
        {
            Some(format!("did you mean `duckdb:{url}`?"))
        }
        "arrow" => Some("did you mean `arrow:-`?".to_owned()),
        "pg" | "postgre" | "psql" => Some("did you mean `postgres://…`?".to_owned()),
        scheme => DESTINATIONS
            .iter()
            .find(|(known, ..)| !scheme.is_empty() && (known.starts_with(scheme) || scheme.starts_with(known)))
            .map(|(_, form, _)| format!("did you mean `{form}`?")),
    };
    let error = Error::new(ErrorKind::Usage, message).with_help(format!("one of {}", forms.join(", ")));
    match suggestion {
        Some(suggestion) => error.with_help(suggestion),
        None => error,
    }
}

/// Whether a stream's rows only make sense together, so that they must be collected (`Replacement` with `begins` and
/// `ends`) instead of taking effect package by package.
///
/// So it is when what is missing counts (`replace`, scd2), when a package could delete what an earlier one of the same
/// run wrote (a merge key), and when one row is chosen out of all of a run (`dedup_sort`).
pub fn needs_whole_stream(root: &TableSchema) -> bool {
    match root.write_disposition {
        WriteDisposition::Replace => true,
        WriteDisposition::Append | WriteDisposition::Skip => false,
        WriteDisposition::Merge => match root.merge_strategy {
            MergeStrategy::Scd2(_) => true,
            MergeStrategy::DeleteInsert => {
                root.columns.values().any(|column| column.merge_key || column.dedup_sort.is_some())
            }
            MergeStrategy::Upsert | MergeStrategy::InsertOnly => false,
        },
    }
}

/// Says which table an error is about. What concerns all tables alike, such as a full disk, is about none.
fn about_table(error: Error, table: &str) -> Error {
    match error.kind() {
        ErrorKind::Destination if !error.message().ends_with(DISK_FULL) => error.with_context(TABLE, table),
        ErrorKind::Config | ErrorKind::Internal => error.with_context(TABLE, table),
        _ => error,
    }
}

const TABLE: &str = "table";
const DISK_FULL: &str = "disk is full";

/// The table that a destination has refused, when an error of `load` is about one alone: without it, and those above and
/// below it, the package can be loaded.
pub fn refused_table(error: &Error) -> Option<&str> {
    let is_refusal = matches!(error.kind(), ErrorKind::Destination | ErrorKind::Config);
    let table = error.context().iter().find(|(key, _)| *key == TABLE).map(|(_, table)| table.as_str());
    table.filter(|_| is_refusal)
}

/// The table at the top of a table's line of parents.
fn root_table<'a>(schema: &'a Schema, table: &'a TableSchema) -> &'a TableSchema {
    schema.tables.get(schema.root_of(&table.name)).unwrap_or(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_no_password() {
        for url in
            ["postgres://u:hunter2%21@h/d", "postgres://h/d?user=u&password=hunter2!", "host=h password=hunter2!"]
        {
            let error = Error::new(ErrorKind::Destination, "can't connect with hunter2!")
                .with_context("url", url)
                .with_help("is hunter2! right?")
                .with_source(std::io::Error::other("bad: hunter2!"));
            let error = error.without(&passwords(url));
            let told = format!("{error} {:?} {:?} {error:?}", error.help(), error.causes());
            assert!(!told.contains("hunter2") && told.contains("bad: ***"), "{told}");
        }
    }

    #[test]
    fn a_url_that_is_no_destinations_is_told_what_there_is() {
        let cases = [
            ("mysql://root:hunter2@host/db", "unknown kind of destination `mysql`", None),
            ("pm.duckdb", "`pm.duckdb` names no kind of destination", Some("did you mean `duckdb:pm.duckdb`?")),
            ("sqlite3:pm.db", "unknown kind of destination `sqlite3`", Some("did you mean `sqlite:PATH`?")),
            ("pg://host", "unknown kind of destination `pg`", Some("did you mean `postgres://…`?")),
            ("duckdb:", "no path in `duckdb:`", Some("write duckdb:PATH")),
        ];
        for (url, message, help) in cases {
            let Err(error) = open(url, "d", "p") else { panic!("{url} opened") };
            assert_eq!((error.kind(), error.message()), (ErrorKind::Usage, message));
            assert!(help.is_none_or(|help| error.help().iter().any(|line| line == help)), "{:?}", error.help());
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
