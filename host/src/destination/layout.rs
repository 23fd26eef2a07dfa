//! A table's rows with all its columns, in the schema's order, so that every file or stream of a table looks alike.
//!
//! Must never lose a column that has values.

use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::schema::{Column, TableSchema};

/// All columns of a table. Any may be null: an older file lacks what came later.
pub(crate) fn arrow_schema(table: &TableSchema) -> SchemaRef {
    let field = |column: &Column| Field::new(&column.name, column.arrow_type(), true);
    Arc::new(Schema::new(table.columns.values().map(field).collect::<Vec<_>>()))
}

/// A batch with all columns of the schema, in its order and types.
pub(crate) fn whole(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}
