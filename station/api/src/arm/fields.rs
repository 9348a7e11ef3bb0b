//! Reads a body's JSON property by property, and notes everything of the wrong type with its path.
//!
//! Deriving a parser would stop at the first mistake and quote the value it met. This goes on, so that a client is
//! told of all of them at once, and never repeats a value. As the service's own parser does, names are compared
//! exactly first and then without case, `null` is as good as absent, and what nobody asks for is ignored.

use keys::Secret;
use serde_json::{Map, Value};

use super::error::{ArmError, Detail};

/// So many mistakes are told one by one; of more only the number, so that a body of wrong items does not come back
/// as an answer many times its size. A job with every property wrong has fewer.
const TOLD_MAX: usize = 100;

/// What was found wrong so far.
#[derive(Default, Debug)]
pub(super) struct Mistakes {
    told: Vec<Detail>,
    count: usize,
}

impl Mistakes {
    /// Notes that something has the wrong type.
    pub(super) fn wrong_type(&mut self, target: &str, expected: &str) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            let message = format!("'{target}' must be {expected}.");
            let code = "InvalidRequestContent".to_owned();
            self.told.push(Detail { code, target: target.to_owned(), message });
        }
    }

    /// The refusal, if there is anything to refuse.
    pub(super) fn into_result(self) -> Result<(), ArmError> {
        if self.count == 0 { Ok(()) } else { Err(ArmError::invalid_content(self.told, self.count)) }
    }
}

/// A JSON object being taken apart.
pub(super) struct Fields {
    path: String,
    left: Map<String, Value>,
}

impl Fields {
    /// The body itself, which must be an object.
    pub(super) fn of_body(body: Value) -> Result<Self, ArmError> {
        let Value::Object(left) = body else {
            let mut mistakes = Mistakes::default();
            mistakes.wrong_type("$", "a JSON object");
            return Err(mistakes.into_result().expect_err("a mistake was just noted"));
        };
        Ok(Self { path: String::new(), left })
    }

    /// The path of one property, as error targets have it.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A property's value, as it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let found = self.left.remove(name).or_else(|| {
            let other = self.left.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
            other.and_then(|key| self.left.remove(&key))
        });
        found.filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.wrong(name, "a string", mistakes),
        }
    }

    /// A text that must not be left behind in memory.
    pub(super) fn secret(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<Secret> {
        self.text(name, mistakes).map(Secret::from_text)
    }

    /// A boolean.
    pub(super) fn flag(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            _ => self.wrong(name, "true or false", mistakes),
        }
    }

    /// A whole number.
    pub(super) fn whole(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<i64> {
        match self.take(name)?.as_i64() {
            Some(number) => Some(number),
            None => self.wrong(name, "a whole number", mistakes),
        }
    }

    /// An object.
    pub(super) fn object(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<Self> {
        let path = self.path_of(name);
        match self.take(name)? {
            Value::Object(left) => Some(Self { path, left }),
            _ => self.wrong(name, "an object", mistakes),
        }
    }

    /// A list of objects; `None` where there is no list.
    pub(super) fn objects(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<Vec<Self>> {
        let path = self.path_of(name);
        let item = |(index, value), mistakes: &mut Mistakes| {
            let path = format!("{path}[{index}]");
            match value {
                Value::Object(left) => Some(Self { path, left }),
                _ => {
                    mistakes.wrong_type(&path, "an object");
                    None
                }
            }
        };
        let values = self.list(name, mistakes)?;
        Some(values.into_iter().enumerate().filter_map(|value| item(value, mistakes)).collect())
    }

    /// A list of texts; `None` where there is no list.
    pub(super) fn texts(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<Vec<String>> {
        let path = self.path_of(name);
        let item = |(index, value), mistakes: &mut Mistakes| match value {
            Value::String(text) => Some(text),
            _ => {
                mistakes.wrong_type(&format!("{path}[{index}]"), "a string");
                None
            }
        };
        let values = self.list(name, mistakes)?;
        Some(values.into_iter().enumerate().filter_map(|value| item(value, mistakes)).collect())
    }

    /// An object whose values are all texts, such as tags; `None` where there is no object.
    pub(super) fn text_map(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<Vec<(String, String)>> {
        let object = self.object(name, mistakes)?;
        let path = object.path;
        let item = |(key, value), mistakes: &mut Mistakes| match value {
            Value::String(text) => Some((key, text)),
            Value::Null => None,
            _ => {
                // The key is the client's own text: only that one of the values is wrong is told.
                mistakes.wrong_type(&path, "an object whose values are strings");
                None
            }
        };
        Some(object.left.into_iter().filter_map(|pair| item(pair, mistakes)).collect())
    }

    fn list(&mut self, name: &str, mistakes: &mut Mistakes) -> Option<Vec<Value>> {
        match self.take(name)? {
            Value::Array(values) => Some(values),
            _ => self.wrong(name, "a list", mistakes),
        }
    }

    fn wrong<T>(&self, name: &str, expected: &str, mistakes: &mut Mistakes) -> Option<T> {
        mistakes.wrong_type(&self.path_of(name), expected);
        None
    }
}
