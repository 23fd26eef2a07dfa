//! The grammar of a resource and of what it tells the destination. Our additions: `batch_parents`, `batch_separator`.

use super::super::shape::{Key, Object, Shape, key, required};
use super::endpoint::{COLUMN_NAMES, ENDPOINT};

pub(super) const RESOURCE: Object = Object {
    name: "resource",
    description: "One kind of record.",
    keys: &[
        &[required("name", Shape::Text, "Unique. Also the table's name, unless there is a `table_name`.")],
        KEYS,
        HINTS,
    ],
    free_prefix: None,
};

pub(super) const RESOURCE_DEFAULTS: Object = Object {
    name: "resource_defaults",
    description: "What every resource starts from. A resource's key replaces it; `endpoint` is merged key by key, \
                  `params`, `json` and `columns` entry by entry.",
    keys: &[KEYS, HINTS],
    free_prefix: None,
};

const KEYS: &[Key] = &[
    key("endpoint", ENDPOINT, "What to ask for. A text is short for `{path: TEXT}`."),
    key("include_from_parent", Shape::List(&Shape::Text), "Parent fields that each record gets as `_PARENT_FIELD`."),
    key("processing_steps", Shape::List(&Shape::Object(&PROCESSING_STEP)), "Changes to each record, in order."),
    key("selected", Shape::Boolean, "False: read only for its children, not loaded. Default: true."),
    key("parallelized", Shape::Boolean, "Accepted for dlt; children are read side by side anyway."),
    key("max_table_nesting", Shape::Integer(0), "How deep lists become tables of their own."),
    key("table_name", Shape::Text, "The table's name. Default: the resource's."),
    key("nested_hints", Shape::Map(&Shape::Object(&NESTED_HINTS)), "Hints for child tables, by name."),
    key("batch_parents", Shape::Integer(1), "How many parent records share one request. Default: 1. Not in dlt."),
    key("batch_separator", Shape::Text, "What joins the values of a batch in texts. Default: `,`. Not in dlt."),
];

const NESTED_HINTS: Object =
    Object { name: "nested_hints", description: "Hints for a child table.", keys: &[HINTS], free_prefix: None };

const HINTS: &[Key] = &[
    key("write_disposition", WRITE_DISPOSITION, "How records meet those already there. Default: `append`."),
    key("primary_key", COLUMN_NAMES, "Columns that tell records apart."),
    key("merge_key", COLUMN_NAMES, "Columns that say which records a merge replaces."),
    key("columns", COLUMNS, "What is known about columns, by name or as a list with names."),
    key("schema_contract", SCHEMA_CONTRACT, "What to do with tables, columns and types that are new."),
    key("table_format", Shape::Choice(&["iceberg", "delta", "hive", "native"]), "Format of the table."),
    key("file_format", Shape::Text, "Format of load files."),
    key("parent_table_name", Shape::Text, "Name of the parent table."),
    key("references", Shape::List(&Shape::Object(&REFERENCE)), "References to other tables."),
];

const PROCESSING_STEP: Object = Object {
    name: "processing_step",
    description: "One change to each record, as a jq program. dlt takes Python functions here.",
    keys: &[&[
        key("filter", Shape::Text, "Keeps the record when the first output is neither false nor null."),
        key("map", Shape::Text, "The first output takes the record's place."),
        key("yield_map", Shape::Text, "Every output becomes a record."),
    ]],
    free_prefix: None,
};

const WRITE_DISPOSITION: Shape =
    Shape::Either(&[Shape::Choice(DISPOSITIONS), Shape::Object(&WRITE_DISPOSITION_OBJECT)]);

const DISPOSITIONS: &[&str] = &["append", "replace", "merge", "skip"];

const WRITE_DISPOSITION_OBJECT: Object = Object {
    name: "write_disposition",
    description: "How records meet those already there.",
    keys: &[&[
        required("disposition", Shape::Choice(DISPOSITIONS), "The disposition."),
        key(
            "strategy",
            Shape::Choice(&["delete-insert", "upsert", "insert-only", "scd2"]),
            "How to merge. Default: `delete-insert`.",
        ),
        key("deduplicated", Shape::Boolean, "Records are known to be unique."),
        key("source_filter", Shape::Text, "SQL condition on loaded records."),
        key("destination_scope", Shape::Text, "SQL condition on the records that a merge may delete or retire."),
        key("skip_unchanged_rows", Shape::Boolean, "Leaves records alone that are the same."),
        key("row_version_column_name", Shape::Text, "Column that changes when a record does."),
        key("validity_column_names", Shape::List(&Shape::Text), "Names of the two validity columns."),
        key("active_record_timestamp", Shape::Text, "End of validity of active records. Default: null."),
        key("boundary_timestamp", Shape::Text, "Time at which records change. Default: now."),
    ]],
    free_prefix: None,
};

/// The strategies for which an option of a write disposition has a meaning.
pub(crate) const STRATEGY_OPTIONS: &[(&str, &[&str])] = &[
    ("deduplicated", &["delete-insert"]),
    ("source_filter", &["delete-insert", "scd2", "upsert"]),
    ("destination_scope", &["delete-insert", "scd2"]),
    ("skip_unchanged_rows", &["upsert"]),
    ("row_version_column_name", &["scd2", "upsert"]),
    ("validity_column_names", &["scd2"]),
    ("active_record_timestamp", &["scd2"]),
    ("boundary_timestamp", &["scd2"]),
];

pub(super) const SCHEMA_CONTRACT: Shape =
    Shape::Either(&[Shape::Choice(MODES), Shape::Object(&SCHEMA_CONTRACT_OBJECT)]);

const MODES: &[&str] = &["evolve", "freeze", "discard_row", "discard_value"];

const SCHEMA_CONTRACT_OBJECT: Object = Object {
    name: "schema_contract",
    description: "What to do with what is new.",
    keys: &[&[
        key("tables", Shape::Choice(MODES), "New tables."),
        key("columns", Shape::Choice(MODES), "New columns."),
        key("data_type", Shape::Choice(MODES), "Values that do not fit their column's type."),
    ]],
    free_prefix: None,
};

const COLUMNS: Shape =
    Shape::Either(&[Shape::Map(&Shape::Object(&COLUMN)), Shape::List(&Shape::Object(&NAMED_COLUMN))]);

const COLUMN: Object = Object {
    name: "column",
    description: "What is known about a column. Keys that start with `x-` are free.",
    keys: &[&[key("name", Shape::Text, "The column's name.")], COLUMN_KEYS],
    free_prefix: Some("x-"),
};

const NAMED_COLUMN: Object = Object {
    name: "named_column",
    description: "What is known about a column. Keys that start with `x-` are free.",
    keys: &[&[required("name", Shape::Text, "The column's name.")], COLUMN_KEYS],
    free_prefix: Some("x-"),
};

const COLUMN_KEYS: &[Key] = &[
    key(
        "data_type",
        Shape::Choice(&[
            "text",
            "double",
            "bool",
            "timestamp",
            "bigint",
            "binary",
            "json",
            "decimal",
            "wei",
            "date",
            "time",
        ]),
        "Its type.",
    ),
    key("nullable", Shape::Boolean, "Whether it may be null."),
    key("precision", Shape::Integer(0), "Digits, bits or bytes, by type."),
    key("scale", Shape::Integer(0), "Digits behind the point."),
    key("timezone", Shape::Boolean, "Whether a timestamp has a time zone."),
    key("description", Shape::Text, "For people."),
    key("primary_key", Shape::Boolean, "Part of the primary key."),
    key("merge_key", Shape::Boolean, "Part of the merge key."),
    key("unique", Shape::Boolean, "Its values are unique."),
    key("sort", Shape::Boolean, "Sort the table by it."),
    key("partition", Shape::Boolean, "Put files into a folder for each of its values."),
    key("cluster", Shape::Boolean, "Cluster the table by it."),
    key("row_key", Shape::Boolean, "Identifies the row."),
    key("parent_key", Shape::Boolean, "Refers to the parent's row."),
    key("root_key", Shape::Boolean, "Refers to the root's row."),
    key("variant", Shape::Boolean, "Holds values that do not fit another column."),
    key("hard_delete", Shape::Boolean, "Marks records that a merge deletes."),
    key("dedup_sort", Shape::Choice(&["asc", "desc"]), "Which of several records with one key stays."),
    key("incremental", Shape::Boolean, "The cursor of an incremental."),
];

const REFERENCE: Object = Object {
    name: "reference",
    description: "A reference to another table.",
    keys: &[&[
        key("label", Shape::Text, "A name for it."),
        key("cardinality", Shape::Text, "Such as `many_to_one`."),
        key("columns", Shape::List(&Shape::Text), "The columns here."),
        required("referenced_table", Shape::Text, "The other table."),
        key("referenced_columns", Shape::List(&Shape::Text), "The columns there."),
    ]],
    free_prefix: None,
};
