//! One request, one page. Looks at nothing.

use serde::{Deserialize, Serialize};

use super::{Answer, Paginate};
use crate::error::Error;
use crate::request::OutgoingRequest;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinglePage {}

impl Paginate for SinglePage {
    fn apply(&self, _request: &mut OutgoingRequest) -> Result<(), Error> {
        Ok(())
    }

    fn advance(&mut self, _answer: &Answer<'_>) -> Result<bool, Error> {
        Ok(false)
    }
}
