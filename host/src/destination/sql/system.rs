//! dlt's system tables: which packages are loaded, the schema's versions, the pipeline's state.
//!
//! Must never count a package as loaded in another transaction than its rows.

use jiff::Timestamp;

use super::Database;
use super::dialect::{Area, Dialect, identifier, literal};
use super::tables::Catalog;
use crate::destination::pipeline_state::{self, SCHEMA_ENGINE_VERSION, STATE_ENGINE_VERSION};
use crate::destination::{Stored, unknown_pipeline};
use crate::error::{Error, ErrorKind, Result};
use crate::package::LoadPackage;
use crate::schema::Schema;
use crate::state::State;

const LOADS: &str = "_dlt_loads";
const VERSION: &str = "_dlt_version";
const STATE: &str = "_dlt_pipeline_state";

/// What earlier runs left: the newest state, and the newest schema of the pipeline (or of the dlt pipeline of that name).
pub(super) fn read(database: &mut impl Database, dataset: &str, catalog: &Catalog, pipeline: &str) -> Result<Stored> {
    let dialect = database.dialect();
    let mut stored = Stored::default();
    let mut schema_name = pipeline.to_owned();
    if catalog.has(Area::Dataset, STATE) {
        let query = format!(
            "SELECT state FROM {} WHERE pipeline_name = {} ORDER BY _dlt_load_id DESC LIMIT 1",
            table(dialect, dataset, STATE),
            literal(pipeline)
        );
        if let Some(text) = single(database.query(&query)?) {
            let read = pipeline_state::decode(&text)?;
            stored.state = read.state.unwrap_or_default();
            schema_name = read.schema_name.unwrap_or(schema_name);
        }
    }
    if let Some(version) = newest_version(database, dataset, catalog, &schema_name)? {
        let document = serde_json::from_str(&version.schema)
            .map_err(|error| Error::new(ErrorKind::Destination, "the stored schema is broken").with_source(error))?;
        stored.schema = Schema::from_stored(&document)?;
    }
    Ok(stored)
}

struct Version {
    number: u64,
    hash: String,
    schema: String,
}

fn newest_version(
    database: &mut impl Database,
    dataset: &str,
    catalog: &Catalog,
    schema_name: &str,
) -> Result<Option<Version>> {
    if !catalog.has(Area::Dataset, VERSION) {
        return Ok(None);
    }
    let query = format!(
        "SELECT CAST(version AS VARCHAR), version_hash, {} FROM {} WHERE schema_name = {} ORDER BY inserted_at DESC LIMIT 1",
        identifier("schema"),
        table(database.dialect(), dataset, VERSION),
        literal(schema_name)
    );
    let row = database.query(&query)?.into_iter().next();
    Ok(row.map(|row| {
        let mut fields = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || fields.next().unwrap_or_default();
        Version { number: next().parse().unwrap_or(0), hash: next(), schema: next() }
    }))
}

/// A query that has a row if the package is loaded.
pub(super) fn is_loaded(dialect: &dyn Dialect, dataset: &str, package: &LoadPackage) -> String {
    format!(
        "SELECT load_id FROM {} WHERE load_id = {} AND schema_name = {} AND status = 0",
        table(dialect, dataset, LOADS),
        literal(&package.load_id),
        literal(&package.pipeline)
    )
}

/// Writes the schema if it changed, the state in place of the last one, and the load id.
pub(super) fn record(
    database: &mut impl Database,
    dataset: &str,
    catalog: &Catalog,
    package: &LoadPackage,
) -> Result<()> {
    let dialect = database.dialect();
    let now = dialect.timestamp(Timestamp::now().as_microsecond());
    let pipeline = literal(&package.pipeline);
    let newest = newest_version(database, dataset, catalog, &package.pipeline)?;
    let known = newest.as_ref().map(|newest| (newest.number, newest.hash.as_str()));
    let schema = package.schema.to_stored(known);
    if known.is_none_or(|(_, hash)| hash != schema.version_hash) {
        database.execute(&format!(
            "INSERT INTO {} (version, engine_version, inserted_at, schema_name, version_hash, {}) VALUES ({}, \
             {SCHEMA_ENGINE_VERSION}, {now}, {pipeline}, {}, {})",
            table(dialect, dataset, VERSION),
            identifier("schema"),
            schema.version,
            literal(&schema.version_hash),
            literal(&schema.content.to_string())
        ))?;
    }

    write_state(database, dataset, &package.pipeline, &package.load_id, &package.state)?;

    database.execute(&format!(
        "INSERT INTO {} (load_id, schema_name, status, inserted_at, schema_version_hash) VALUES ({}, {pipeline}, 0, {now}, \
         {})",
        table(dialect, dataset, LOADS),
        literal(&package.load_id),
        literal(&schema.version_hash)
    ))?;
    Ok(())
}

/// Writes another state in place of the last one, as if the last package had brought it.
pub(super) fn replace_state(
    database: &mut impl Database,
    dataset: &str,
    catalog: &Catalog,
    pipeline: &str,
    state: &State,
) -> Result<()> {
    if !catalog.has(Area::Dataset, STATE) {
        return Err(unknown_pipeline(pipeline));
    }
    let states = table(database.dialect(), dataset, STATE);
    let last = format!("SELECT MAX(_dlt_load_id) FROM {states} WHERE pipeline_name = {}", literal(pipeline));
    let load_id = single(database.query(&last)?).ok_or_else(|| unknown_pipeline(pipeline))?;
    write_state(database, dataset, pipeline, &load_id, state)
}

fn write_state(
    database: &mut impl Database,
    dataset: &str,
    pipeline_name: &str,
    load_id: &str,
    state: &State,
) -> Result<()> {
    let dialect = database.dialect();
    let now = dialect.timestamp(Timestamp::now().as_microsecond());
    let (states, pipeline) = (table(dialect, dataset, STATE), literal(pipeline_name));
    let last = format!("SELECT CAST(MAX(version) AS VARCHAR) FROM {states} WHERE pipeline_name = {pipeline}");
    let number = single(database.query(&last)?).and_then(|number| number.parse().ok()).unwrap_or(0_u64) + 1;
    let state = pipeline_state::encode(pipeline_name, number, state)?;
    database.execute(&format!("DELETE FROM {states} WHERE pipeline_name = {pipeline}"))?;
    database.execute(&format!(
        "INSERT INTO {states} (version, engine_version, pipeline_name, state, created_at, version_hash, _dlt_load_id, \
         _dlt_id) VALUES ({number}, {STATE_ENGINE_VERSION}, {pipeline}, {}, {now}, {}, {load}, {})",
        literal(&state),
        literal(&pipeline_state::digest(&state)),
        literal(&pipeline_state::digest(&format!("{pipeline_name}/{load_id}"))[..14]),
        load = literal(load_id),
    ))?;
    Ok(())
}

/// The package's time in microseconds since the epoch, from its load id (Unix time with a fraction).
pub(super) fn load_time(load_id: &str) -> i64 {
    let (seconds, fraction) = load_id.split_once('.').unwrap_or((load_id, ""));
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    match (seconds.parse::<i64>(), digits.parse::<i64>()) {
        (Ok(seconds), Ok(fraction)) => seconds.saturating_mul(1_000_000).saturating_add(fraction),
        _ => Timestamp::now().as_microsecond(),
    }
}

fn table(dialect: &dyn Dialect, dataset: &str, name: &str) -> String {
    dialect.locate(dataset, Area::Dataset, name).quoted()
}

fn single(rows: Vec<Vec<Option<String>>>) -> Option<String> {
    rows.into_iter().next()?.into_iter().next()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_id_is_a_time() {
        let cases =
            [("1795345642.2245898", 1_795_345_642_224_589), ("1795345642", 1_795_345_642_000_000), ("1.5", 1_500_000)];
        for (load_id, expected) in cases {
            assert_eq!(load_time(load_id), expected, "{load_id}");
        }
    }
}
