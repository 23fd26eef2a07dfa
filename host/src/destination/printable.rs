//! Batches as JSON and CSV print them: times of UTC with an offset, since Arrow's printers know no zone by its name, and
//! decimals as text, since readers of JSON make doubles of numbers.
//!
//! Must never change a value.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

pub(crate) fn printable(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let fields: Vec<Field> = schema.fields().iter().map(|field| printable_field(field)).collect();
    let columns = batch.columns().iter().zip(&fields).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn printable_field(field: &Field) -> Field {
    match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            field.clone().with_data_type(DataType::Timestamp(*unit, Some("+00:00".into())))
        }
        DataType::Decimal128(..) => field.clone().with_data_type(DataType::Utf8),
        _ => field.clone(),
    }
}
