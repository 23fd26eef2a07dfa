//! What staged rows do to a dataset's tables, as SQL: replace, and the merge strategies of dlt.
//!
//! Every statement works on whole sets (hash joins), never row by row, so that merging into a large table stays fast.
//! Rows of child tables follow their parents by `_dlt_parent_id`. Must never touch a database: it makes text.

use std::collections::HashMap;

use super::LOAD_ID;
use super::dialect::{Area, Dialect, identifier, identifiers, literal, parse_timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::{Column, DataType, MergeStrategy, Scd2, SortOrder, TableSchema};

/// A root table and the tables below it, parents before children. All of them exist in both areas.
pub(crate) struct Family<'a> {
    pub(crate) dialect: &'a dyn Dialect,
    pub(crate) dataset: &'a str,
    pub(crate) tables: Vec<&'a TableSchema>,
    /// The same by their names.
    by_name: HashMap<&'a str, &'a TableSchema>,
}

/// How staged rows are merged, in four steps: the children need a look only if the first one deleted something, and the
/// dataset's rows only if some key is there already, which the first load's are not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Merge {
    /// Deletes from staging all but one row of each key; none where every row counts.
    pub(crate) deduplicate: Option<String>,
    /// Deletes from staging the children of those.
    pub(crate) deduplicate_children: Vec<String>,
    /// Deletes the dataset's rows of staged keys: a query that has a row if there are any, and the statements.
    pub(crate) delete: Vec<(String, Vec<String>)>,
    /// Brings what is left to the dataset.
    pub(crate) apply: Vec<String>,
}

/// Which of several staged rows with one key stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    First,
    Last,
}

impl<'a> Family<'a> {
    pub(crate) fn new(dialect: &'a dyn Dialect, dataset: &'a str, tables: Vec<&'a TableSchema>) -> Self {
        let by_name = tables.iter().map(|table| (table.name.as_str(), *table)).collect();
        Self { dialect, dataset, tables, by_name }
    }

    /// All rows of the dataset's tables go, the staged ones come.
    pub(crate) fn replace(&self) -> Vec<String> {
        let clear =
            |table: &&TableSchema| self.dialect.clear(&self.dialect.locate(self.dataset, Area::Dataset, &table.name));
        let mut statements: Vec<String> = self.tables.iter().rev().map(clear).collect();
        statements.extend(self.insert());
        statements
    }

    /// The staged rows come.
    pub(crate) fn insert(&self) -> Vec<String> {
        self.tables.iter().map(|table| self.insert_table(table)).collect()
    }

    /// The rows of these loads go from one of the two areas: children first, they are found by their parents.
    pub(crate) fn take_back(&self, area: Area, loads: &[String]) -> Vec<String> {
        if loads.is_empty() {
            return Vec::new();
        }
        let loads = loads.iter().map(|load| literal(load)).collect::<Vec<_>>().join(", ");
        let taken = format!("{} IN ({loads})", identifier(LOAD_ID));
        self.tables.iter().rev().map(|table| self.delete_below(area, table, &taken)).collect()
    }

    /// The staged rows are merged; `now` is the package's time in microseconds since the epoch.
    pub(crate) fn merge(&self, strategy: &MergeStrategy, now: i64) -> Result<Merge> {
        let Some(root) = self.tables.first() else {
            return Ok(Merge::default());
        };
        let order = self.dialect.row_order();
        if let Some(table) = self.tables.iter().find(|table| table.columns.contains_key(order)) {
            // It would hide the pseudo-column, and the wrong rows would go.
            let message = format!("a column named `{order}` can't be merged in {}", self.dialect.name());
            return Err(Error::new(ErrorKind::Destination, message).with_context("table", table.name.clone()));
        }
        let primary_key = names(root, |column| column.primary_key);
        let merge_key = names(root, |column| column.merge_key);
        let merge = match strategy {
            MergeStrategy::DeleteInsert => Merge {
                deduplicate: self.deduplicate(root, &primary_key, Keep::Last),
                deduplicate_children: self.orphans(),
                delete: [&primary_key, &merge_key].into_iter().filter_map(|key| self.delete_matched(key)).collect(),
                apply: [self.hard_delete(root), self.insert()].concat(),
            },
            MergeStrategy::Upsert => Merge {
                deduplicate: self.deduplicate(root, required(root, &primary_key, "upsert")?, Keep::Last),
                deduplicate_children: self.orphans(),
                delete: self.delete_matched(&primary_key).into_iter().collect(),
                apply: [self.hard_delete(root), self.insert()].concat(),
            },
            MergeStrategy::InsertOnly => {
                let known = format!(
                    "DELETE FROM {} WHERE {} IN (SELECT {} FROM {})",
                    self.staged(root),
                    row(&primary_key),
                    identifiers(primary_key.iter().copied()),
                    self.target(root)
                );
                Merge {
                    deduplicate: self.deduplicate(root, required(root, &primary_key, "insert-only")?, Keep::First),
                    deduplicate_children: self.orphans(),
                    delete: Vec::new(),
                    apply: [vec![known], self.orphans(), self.hard_delete(root), self.insert()].concat(),
                }
            }
            MergeStrategy::Scd2(options) => Merge {
                deduplicate: self.deduplicate(root, &["_dlt_id"], Keep::First),
                deduplicate_children: self.first_versions(),
                delete: Vec::new(),
                apply: self.scd2(root, options, &merge_key, now)?,
            },
        };
        Ok(merge)
    }

    /// Deletes the dataset's rows whose key is staged: children first, they are found by their parents.
    fn delete_matched(&self, key: &[&str]) -> Option<(String, Vec<String>)> {
        let root = self.tables.first().filter(|_| !key.is_empty())?;
        let columns = identifiers(key.iter().copied());
        let matched = format!("{} IN (SELECT {columns} FROM {})", row(key), self.staged(root));
        let query = format!("SELECT 'matched' FROM {} WHERE {matched} LIMIT 1", self.target(root));
        let tables = self.tables.iter().rev();
        Some((query, tables.map(|table| self.delete_below(Area::Dataset, table, &matched)).collect()))
    }

    /// Deletes the rows of a table that belong to root rows which meet a condition.
    fn delete_below(&self, area: Area, table: &TableSchema, root_condition: &str) -> String {
        format!("DELETE FROM {} WHERE {}", self.quoted(area, table), self.below(area, table, root_condition))
    }

    /// The condition under which a table's rows belong to root rows that meet a condition.
    fn below(&self, area: Area, table: &TableSchema, root_condition: &str) -> String {
        match self.parent(table) {
            None => root_condition.to_owned(),
            Some(parent) => format!(
                "\"_dlt_parent_id\" IN (SELECT \"_dlt_id\" FROM {} WHERE {})",
                self.quoted(area, parent),
                self.below(area, parent, root_condition)
            ),
        }
    }

    /// Deletes from staging what only says that a row is gone.
    fn hard_delete(&self, root: &TableSchema) -> Vec<String> {
        let marks: Vec<String> = root.columns.values().filter(|column| column.hard_delete).map(is_marked).collect();
        if marks.is_empty() {
            return Vec::new();
        }
        let mut statements = vec![format!("DELETE FROM {} WHERE {}", self.staged(root), marks.join(" OR "))];
        statements.extend(self.orphans());
        statements
    }

    fn deduplicate(&self, root: &TableSchema, key: &[&str], keep: Keep) -> Option<String> {
        if key.is_empty() {
            return None;
        }
        let (order, staged) = (self.dialect.row_order(), self.staged(root));
        let mut sort: Vec<String> = root
            .columns
            .values()
            .filter(|_| root.merge_strategy == MergeStrategy::DeleteInsert)
            .filter_map(|column| Some((identifier(&column.name), column.dedup_sort?)))
            .map(|(name, direction)| match direction {
                SortOrder::Ascending => format!("{name} ASC NULLS LAST"),
                SortOrder::Descending => format!("{name} DESC NULLS LAST"),
            })
            .collect();
        sort.push(format!("{order} {}", if keep == Keep::Last { "DESC" } else { "ASC" }));
        let (key, sort) = (identifiers(key.iter().copied()), sort.join(", "));
        Some(format!(
            "DELETE FROM {staged} WHERE {order} IN (SELECT \"place\" FROM (SELECT {order} AS \"place\", ROW_NUMBER() OVER \
             (PARTITION BY {key} ORDER BY {sort}) AS \"number\" FROM {staged}) AS \"ranked\" WHERE \"number\" > 1)"
        ))
    }

    /// Rows that were collected over several packages may be there more than once, and the children of all of them name
    /// the same parent. Such rows are alike to their last child: of the children, the first series from list index 0 on
    /// stays.
    fn first_versions(&self) -> Vec<String> {
        let order = self.dialect.row_order();
        let mut statements: Vec<String> = self
            .children()
            .map(|table| {
                let staged = self.staged(table);
                format!(
                    "DELETE FROM {staged} WHERE {order} IN (SELECT \"place\" FROM (SELECT {order} AS \"place\", \
                     SUM(CASE WHEN \"_dlt_list_idx\" = 0 THEN 1 ELSE 0 END) OVER (PARTITION BY \"_dlt_parent_id\" ORDER \
                     BY {order}) AS \"starts\" FROM {staged}) AS \"counted\" WHERE \"starts\" > 1)"
                )
            })
            .collect();
        statements.extend(self.orphans());
        statements
    }

    /// Deletes staged children whose parents are not staged (any more).
    fn orphans(&self) -> Vec<String> {
        let statement = |table: &TableSchema| {
            let parent = self.parent(table)?;
            let orphaned = self.dialect.absent("row", "_dlt_parent_id", &self.staged(parent), "_dlt_id");
            Some(format!("DELETE FROM {} AS \"row\" WHERE {orphaned}", self.staged(table)))
        };
        self.children().filter_map(statement).collect()
    }

    /// Retires active rows that are not staged as they are, adds the staged ones that are not active.
    fn scd2(&self, root: &TableSchema, options: &Scd2, merge_key: &[&str], now: i64) -> Result<Vec<String>> {
        let timestamp = |text: &Option<String>| text.as_deref().map(microseconds).transpose();
        let (from, to) = (identifier(&options.valid_from), identifier(&options.valid_to));
        let boundary = self.dialect.timestamp(timestamp(&options.boundary_timestamp)?.unwrap_or(now));
        let (active_value, active) = match timestamp(&options.active_record_timestamp)? {
            Some(moment) => (self.dialect.timestamp(moment), format!("{to} = {}", self.dialect.timestamp(moment))),
            None => ("NULL".to_owned(), format!("{to} IS NULL")),
        };
        let (target, staged) = (self.target(root), self.staged(root));
        let scope = match merge_key {
            [] => String::new(),
            key => format!(" AND {} IN (SELECT {} FROM {staged})", row(key), identifiers(key.iter().copied())),
        };
        let absent = self.dialect.absent("row", "_dlt_id", &staged, "_dlt_id");
        let columns =
            root.columns.values().filter(|column| column.name != options.valid_from && column.name != options.valid_to);
        let columns = identifiers(columns.map(|column| column.name.as_str()));
        let mut statements = vec![
            format!("UPDATE {target} AS \"row\" SET {to} = {boundary} WHERE {active} AND {absent}{scope}"),
            format!("DELETE FROM {staged} WHERE \"_dlt_id\" IN (SELECT \"_dlt_id\" FROM {target} WHERE {active})"),
            format!(
                "INSERT INTO {target} ({columns}, {from}, {to}) SELECT {columns}, {boundary}, {active_value} FROM {staged}"
            ),
        ];
        for table in self.children() {
            let (target, staged) = (self.target(table), self.staged(table));
            statements.push(format!("DELETE FROM {staged} WHERE \"_dlt_id\" IN (SELECT \"_dlt_id\" FROM {target})"));
            statements.push(self.insert_table(table));
        }
        Ok(statements)
    }

    fn insert_table(&self, table: &TableSchema) -> String {
        let columns = identifiers(table.columns.keys().map(String::as_str));
        format!("INSERT INTO {} ({columns}) SELECT {columns} FROM {}", self.target(table), self.staged(table))
    }

    fn children(&self) -> impl Iterator<Item = &TableSchema> {
        self.tables.iter().skip(1).copied()
    }

    fn parent(&self, table: &TableSchema) -> Option<&TableSchema> {
        self.by_name.get(table.parent.as_deref()?).copied()
    }

    fn target(&self, table: &TableSchema) -> String {
        self.quoted(Area::Dataset, table)
    }

    fn staged(&self, table: &TableSchema) -> String {
        self.quoted(Area::Staging, table)
    }

    fn quoted(&self, area: Area, table: &TableSchema) -> String {
        self.dialect.locate(self.dataset, area, &table.name).quoted()
    }
}

fn names(table: &TableSchema, chosen: impl Fn(&Column) -> bool) -> Vec<&str> {
    table.columns.values().filter(|column| chosen(column)).map(|column| column.name.as_str()).collect()
}

fn required<'a>(table: &TableSchema, key: &'a [&'a str], strategy: &str) -> Result<&'a [&'a str]> {
    if key.is_empty() {
        let message = format!("table `{}` has no primary key, which a merge by `{strategy}` needs", table.name);
        return Err(Error::new(ErrorKind::Destination, message)
            .with_context("stream", table.stream.clone())
            .with_help("give the resource a primary_key"));
    }
    Ok(key)
}

/// A column, or several as a row value.
fn row(columns: &[&str]) -> String {
    match columns {
        [column] => identifier(column),
        columns => format!("({})", identifiers(columns.iter().copied())),
    }
}

fn is_marked(column: &Column) -> String {
    match column.data_type {
        DataType::Bool => format!("{} IS TRUE", identifier(&column.name)),
        _ => format!("{} IS NOT NULL", identifier(&column.name)),
    }
}

fn microseconds(text: &str) -> Result<i64> {
    parse_timestamp(text).ok_or_else(|| Error::new(ErrorKind::Config, format!("{} is no timestamp", literal(text))))
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;
    use crate::schema::WriteDisposition;

    struct Plain;

    impl Dialect for Plain {
        fn name(&self) -> &'static str {
            "SQL"
        }

        fn max_identifier_length(&self) -> usize {
            63
        }

        fn column_type(&self, _column: &Column) -> String {
            "TEXT".to_owned()
        }
    }

    fn table(name: &str, parent: Option<&str>, columns: Vec<Column>) -> TableSchema {
        TableSchema {
            name: name.to_owned(),
            stream: "t".to_owned(),
            shared_with: Vec::new(),
            source: None,
            parent: parent.map(str::to_owned),
            write_disposition: WriteDisposition::Merge,
            merge_strategy: MergeStrategy::DeleteInsert,
            columns: columns.into_iter().map(|column| (column.name.clone(), column)).collect::<IndexMap<_, _>>(),
        }
    }

    fn key(name: &str) -> Column {
        Column { primary_key: true, ..Column::new(name, DataType::Text) }
    }

    #[test]
    fn rows_are_deleted_by_sets_from_the_bottom_up() {
        let root = table("t", None, vec![key("a"), key("b\"")]);
        let child = table("t__c", Some("t"), vec![Column::new("k", DataType::Text)]);
        let grandchild = table("t__c__g", Some("t__c"), vec![Column::new("g", DataType::Text)]);
        let family = Family::new(&Plain, "d", vec![&root, &child, &grandchild]);
        let merge = family.merge(&MergeStrategy::DeleteInsert, 0).unwrap();
        let matched = r#"("a", "b""") IN (SELECT "a", "b""" FROM "d_staging"."t")"#;
        let of_root = format!(r#""_dlt_parent_id" IN (SELECT "_dlt_id" FROM "d"."t" WHERE {matched})"#);
        let of_child = format!(r#""_dlt_parent_id" IN (SELECT "_dlt_id" FROM "d"."t__c" WHERE {of_root})"#);
        let query = format!(r#"SELECT 'matched' FROM "d"."t" WHERE {matched} LIMIT 1"#);
        let deleted = vec![
            format!(r#"DELETE FROM "d"."t__c__g" WHERE {of_child}"#),
            format!(r#"DELETE FROM "d"."t__c" WHERE {of_root}"#),
            format!(r#"DELETE FROM "d"."t" WHERE {matched}"#),
        ];
        assert_eq!(merge.delete, [(query, deleted)]);
        let expected = [
            r#"INSERT INTO "d"."t" ("a", "b""") SELECT "a", "b""" FROM "d_staging"."t""#.to_owned(),
            r#"INSERT INTO "d"."t__c" ("k") SELECT "k" FROM "d_staging"."t__c""#.to_owned(),
            r#"INSERT INTO "d"."t__c__g" ("g") SELECT "g" FROM "d_staging"."t__c__g""#.to_owned(),
        ];
        assert_eq!(merge.apply, expected);
    }

    #[test]
    fn what_cannot_be_merged_is_refused() {
        let keyless = table("t", None, vec![Column::new("a", DataType::Text)]);
        let hidden = table("t", None, vec![key("rowid")]);
        let timeless = MergeStrategy::Scd2(Scd2 { boundary_timestamp: Some("soon".to_owned()), ..Scd2::default() });
        let cases = [
            (&keyless, MergeStrategy::Upsert, ErrorKind::Destination),
            (&keyless, MergeStrategy::InsertOnly, ErrorKind::Destination),
            (&keyless, timeless, ErrorKind::Config),
            (&hidden, MergeStrategy::DeleteInsert, ErrorKind::Destination),
        ];
        for (root, strategy, kind) in cases {
            let family = Family::new(&Plain, "d", vec![root]);
            assert_eq!(family.merge(&strategy, 0).unwrap_err().kind(), kind, "{strategy:?}");
        }
    }
}
