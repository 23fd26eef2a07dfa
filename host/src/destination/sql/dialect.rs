//! How the SQL of one database differs from the others', and how names and values are quoted in all of them.
//!
//! Must never do I/O: it makes text. Must never put a value into SQL but as a quoted literal.

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use crate::schema::{Column, shortened};

/// The two places of a dataset: what readers see, and what stands beside it until it takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Area {
    Dataset,
    /// dlt's `<dataset>_staging`.
    Staging,
}

/// A table's place in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    /// None where a database has no schemas.
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

impl TableName {
    /// As SQL.
    pub(crate) fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", identifier(schema), identifier(&self.table)),
            None => identifier(&self.table),
        }
    }
}

/// What a database has of its own.
pub(crate) trait Dialect: Sync {
    /// For messages: `DuckDB`.
    fn name(&self) -> &'static str;

    /// Longest identifier, in bytes.
    fn max_identifier_length(&self) -> usize;

    /// Of one table.
    fn max_columns(&self) -> usize {
        usize::MAX
    }

    /// Whether a text is no longer than its column's precision.
    fn limits_text(&self) -> bool {
        false
    }

    /// Names in lower case of columns that every table has already.
    fn reserved_columns(&self) -> &'static [&'static str] {
        &[]
    }

    /// What no table's name can begin with, in lower case.
    fn reserved_tables(&self) -> &'static [&'static str] {
        &[]
    }

    fn column_type(&self, column: &Column) -> String;

    /// Where a table of an area lies. By default in a schema of the dataset's name.
    fn locate(&self, dataset: &str, area: Area, table: &str) -> TableName {
        TableName { schema: Some(self.schema(dataset, area)), table: table.to_owned() }
    }

    /// A schema's name; longer than identifiers may be, it is shortened by ourselves, for a database would cut its end off.
    fn schema(&self, dataset: &str, area: Area) -> String {
        match area {
            Area::Dataset => dataset.to_owned(),
            Area::Staging => shortened(&format!("{dataset}_staging"), self.max_identifier_length()),
        }
    }

    /// Makes an area unless it is there; none where there is nothing to make.
    fn create_area(&self, dataset: &str, area: Area) -> Option<String> {
        let schema = self.locate(dataset, area, "").schema?;
        Some(format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(&schema)))
    }

    /// A query for what is there, one row per column: area (`dataset`, `staging`), table, column, whether it may be null
    /// (`YES`, `NO`).
    fn catalog(&self, dataset: &str) -> String {
        let dataset_schema = literal(&self.schema(dataset, Area::Dataset));
        let staging_schema = literal(&self.schema(dataset, Area::Staging));
        format!(
            "SELECT CASE WHEN table_schema = {dataset_schema} THEN 'dataset' ELSE 'staging' END, table_name, column_name, \
             is_nullable FROM information_schema.columns WHERE table_catalog = current_catalog AND table_schema IN \
             ({dataset_schema}, {staging_schema}) ORDER BY table_schema, table_name, ordinal_position"
        )
    }

    /// Whether a column can be declared `NOT NULL`: only where that can be taken back.
    fn drop_not_null(&self, table: &TableName, column: &str) -> Option<String> {
        Some(format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", table.quoted(), identifier(column)))
    }

    fn begin(&self) -> &'static str {
        "BEGIN"
    }

    /// The pseudo-column that ascends in the order in which rows were appended to a staging table.
    fn row_order(&self) -> &'static str {
        "rowid"
    }

    /// Deletes all rows of a table.
    fn clear(&self, table: &TableName) -> String {
        format!("DELETE FROM {}", table.quoted())
    }

    /// The condition that a row's value is in no row of another table; neither column holds nulls.
    fn absent(&self, row: &str, column: &str, other_table: &str, other_column: &str) -> String {
        let (row, column, other) = (identifier(row), identifier(column), identifier(other_column));
        format!("NOT EXISTS (SELECT 1 FROM {other_table} AS \"other\" WHERE \"other\".{other} = {row}.{column})")
    }

    /// A literal of the type that timestamps have, from microseconds since the epoch.
    fn timestamp(&self, microseconds: i64) -> String {
        format!("CAST({} AS TIMESTAMP WITH TIME ZONE)", literal(&timestamp_text(microseconds)))
    }
}

/// A name as SQL.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as SQL, with commas.
pub(crate) fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(identifier).collect::<Vec<_>>().join(", ")
}

/// A text value as SQL.
pub(crate) fn literal(text: &str) -> String {
    // No database here keeps a NUL in text.
    format!("'{}'", text.replace('\0', "\u{fffd}").replace('\'', "''"))
}

/// The epoch as a date and time of UTC: unlike an instant of jiff's, these reach to the end of the year 9999, which
/// stands for "still valid" in many a table.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// `2024-01-02T03:04:05.000006Z`: always with six digits, so that it sorts as text too.
pub(crate) fn timestamp_text(microseconds: i64) -> String {
    let moment = EPOCH.saturating_add(SignedDuration::from_micros(microseconds));
    moment.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Microseconds since the epoch, from an ISO timestamp or date; without a zone it is UTC.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_microsecond());
    }
    let moment: DateTime = text.trim_end_matches(['Z', 'z']).parse().ok()?;
    i64::try_from(moment.duration_since(EPOCH).as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_cannot_leave_their_quotes() {
        let cases = [("a", "\"a\"", "'a'"), ("a\"b", "\"a\"\"b\"", "'a\"b'"), ("it's", "\"it's\"", "'it''s'")];
        for (text, name, value) in cases {
            assert_eq!((identifier(text), literal(text)), (name.to_owned(), value.to_owned()));
        }
        assert_eq!(literal("a\0b"), "'a\u{fffd}b'");
    }

    #[test]
    fn timestamps_have_six_digits() {
        assert_eq!(timestamp_text(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(timestamp_text(1_704_164_645_000_006), "2024-01-02T03:04:05.000006Z");
        assert_eq!(timestamp_text(253_402_300_799_000_000), "9999-12-31T23:59:59.000000Z");
    }

    #[test]
    fn timestamps_are_read_in_any_usual_form() {
        let cases = [
            ("2024-01-02T03:04:05Z", Some("2024-01-02T03:04:05.000000Z")),
            ("2024-01-02T03:04:05.5+01:00", Some("2024-01-02T02:04:05.500000Z")),
            ("2024-01-02 03:04:05", Some("2024-01-02T03:04:05.000000Z")),
            ("9999-12-31", Some("9999-12-31T00:00:00.000000Z")),
            ("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59.000000Z")),
            ("soon", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_timestamp(text).map(timestamp_text).as_deref(), expected, "{text}");
        }
    }
}
