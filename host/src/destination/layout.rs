//! A table's rows with all its columns, in the schema's order, so that every file or stream of a table looks alike.
//!
//! Must never lose a column that has values.

use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::compute::cast;
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::schema::{Column, DataType, TableSchema};

/// All columns of a table. Any may be null: an older file lacks what came later.
pub(crate) fn arrow_schema(table: &TableSchema) -> SchemaRef {
    let field = |column: &Column| Field::new(&column.name, arrow_type(column), true);
    Arc::new(Schema::new(table.columns.values().map(field).collect::<Vec<_>>()))
}

fn arrow_type(column: &Column) -> ArrowType {
    match column.data_type {
        DataType::Text | DataType::Json => ArrowType::Utf8,
        DataType::Double => ArrowType::Float64,
        DataType::Bool => ArrowType::Boolean,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Bigint => ArrowType::Int64,
        DataType::Binary => ArrowType::Binary,
        DataType::Wei | DataType::Decimal => {
            let (precision, scale) = column.decimal_shape();
            ArrowType::Decimal128(precision, scale)
        }
        DataType::Date => ArrowType::Date32,
        DataType::Time => ArrowType::Time64(TimeUnit::Microsecond),
    }
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
