//! `$filter` of the two lists.
//!
//! ARM documents only that there is one. The classic service could restrict a list by type and by states, so
//! this reads those, by the properties' names in an answer, and by tracking number, because that is what a person
//! with a parcel has: `properties/state eq 'Shipping' and jobType eq 'Import'`, joined by `and`, the prefix
//! optional. What it cannot read is refused: a filter that is ignored shows jobs that nobody asked for.

use thiserror::Error;

/// What a list is restricted to; all of it must hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// A state's name, in any case.
    pub state: Option<String>,
    /// A job type's name, in any case.
    pub job_type: Option<String>,
    /// The number of a package that brings drives, or takes them back.
    pub tracking_number: Option<String>,
}

/// Why a filter cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FilterError {
    /// Not `property eq 'value'`.
    #[error("each condition is written: property eq 'value'; conditions are joined by: and")]
    Form,
    /// Some other property.
    #[error(
        "jobs can be filtered by properties/state, properties/jobType and properties/deliveryPackage/trackingNumber"
    )]
    Property,
    /// The same property twice: no job has two states.
    #[error("a property is named twice")]
    Twice,
    /// Longer than anything that could be meant.
    #[error("the filter is longer than {MAX_BYTES} bytes")]
    TooLong,
}

/// Three conditions with generous values fit twice.
const MAX_BYTES: usize = 1024;

impl Filter {
    /// Reads the parameter's text; one of white space alone restricts nothing.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError::TooLong);
        }
        let mut filter = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (property, value, after) = condition(rest)?;
            let field = filter.field(property)?;
            if field.replace(value).is_some() {
                return Err(FilterError::Twice);
            }
            rest = after.trim_start();
            if !rest.is_empty() {
                rest = keyword(rest, "and").ok_or(FilterError::Form)?;
                if rest.is_empty() {
                    return Err(FilterError::Form);
                }
            }
        }
        Ok(filter)
    }

    fn field(&mut self, property: &str) -> Result<&mut Option<String>, FilterError> {
        let lower = property.to_ascii_lowercase();
        match lower.strip_prefix("properties/").unwrap_or(&lower) {
            "state" => Ok(&mut self.state),
            "jobtype" => Ok(&mut self.job_type),
            "deliverypackage/trackingnumber" | "trackingnumber" => Ok(&mut self.tracking_number),
            _ => Err(FilterError::Property),
        }
    }
}

/// `property eq 'value'` off the front: property, value with doubled quotes resolved, and what follows.
fn condition(text: &str) -> Result<(&str, String, &str), FilterError> {
    let end = text.find(char::is_whitespace).ok_or(FilterError::Form)?;
    let (property, rest) = text.split_at(end);
    let rest = keyword(rest.trim_start(), "eq").and_then(|rest| rest.strip_prefix('\''));
    let mut rest = rest.ok_or(FilterError::Form)?;
    let mut value = String::new();
    loop {
        let (part, after) = rest.split_once('\'').ok_or(FilterError::Form)?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Ok((property, value, after)),
        }
    }
}

/// What follows a word that white space ends.
fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (found, rest) = text.split_at_checked(word.len())?;
    let ends = rest.is_empty() || rest.starts_with(char::is_whitespace);
    (found.eq_ignore_ascii_case(word) && ends).then(|| rest.trim_start())
}
