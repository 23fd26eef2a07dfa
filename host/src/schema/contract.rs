//! Schema contracts: what may change when data does not fit the tables that are there.
//!
//! Must never decide about dlt's own columns: those may always be added.

use serde_json::Value;

/// What happens to something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is added.
    #[default]
    Evolve,
    /// The run fails.
    Freeze,
    /// The row that brings it is left out, with its child rows.
    DiscardRow,
    /// The value is left out, the rest of the row is loaded.
    DiscardValue,
}

/// One mode each for new tables, new columns of a known table, and new variant columns (a value of another type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contract {
    pub tables: Mode,
    pub columns: Mode,
    pub data_type: Mode,
}

impl Mode {
    fn parse(value: &Value) -> Result<Self, String> {
        match value.as_str() {
            Some("evolve") => Ok(Self::Evolve),
            Some("freeze") => Ok(Self::Freeze),
            Some("discard_row") => Ok(Self::DiscardRow),
            Some("discard_value") => Ok(Self::DiscardValue),
            _ => Err(format!(
                "schema contract mode {value} is unknown: use evolve, freeze, discard_row or discard_value"
            )),
        }
    }
}

impl Contract {
    /// A mode for everything, or an object with `tables`, `columns` and `data_type`; what is not named evolves.
    pub fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::String(_) => {
                let mode = Mode::parse(value)?;
                Ok(Self { tables: mode, columns: mode, data_type: mode })
            }
            Value::Object(modes) => {
                let mut contract = Self::default();
                for (entity, mode) in modes {
                    let mode = Mode::parse(mode)?;
                    match entity.as_str() {
                        "tables" => contract.tables = mode,
                        "columns" => contract.columns = mode,
                        "data_type" => contract.data_type = mode,
                        _ => {
                            return Err(format!(
                                "schema contract entity `{entity}` is unknown: use tables, columns or data_type"
                            ));
                        }
                    }
                }
                Ok(contract)
            }
            _ => Err("a schema contract is a mode or an object with tables, columns and data_type".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_contract_is_one_mode_or_one_per_entity() {
        let freeze = Contract { tables: Mode::Freeze, columns: Mode::Freeze, data_type: Mode::Freeze };
        assert_eq!(Contract::parse(&json!("freeze")), Ok(freeze));
        assert_eq!(
            Contract::parse(&json!({"columns": "discard_value"})),
            Ok(Contract { columns: Mode::DiscardValue, ..Contract::default() })
        );
        assert_eq!(Contract::parse(&Value::Null), Ok(Contract::default()));
        for wrong in [json!("frozen"), json!({"colums": "freeze"}), json!(1)] {
            assert!(Contract::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
