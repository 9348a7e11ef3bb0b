//! A JSON document's shape: the names in it, as paths.

use std::collections::BTreeSet;

use serde_json::Value;

/// Every leaf's path: `properties.driveList[].driveId`. An empty list or object is a leaf of its own.
pub(super) fn shape(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(value, "", &mut found);
    found
}

/// Paths written compactly: `a{b c{d}}` for `a.b` and `a.c.d`; `list[]` for a list's items.
pub(super) fn expand(compact: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut prefix, mut word) = (Vec::new(), String::new());
    for letter in compact.chars() {
        match letter {
            '{' => prefix.push(std::mem::take(&mut word)),
            '}' | ' ' | '\n' => {
                if !word.is_empty() {
                    found.insert(
                        prefix
                            .iter()
                            .cloned()
                            .chain([std::mem::take(&mut word)])
                            .collect::<Vec<_>>()
                            .join("."),
                    );
                }
                if letter == '}' {
                    prefix.pop();
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        found.insert(word);
    }
    found
}

fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(value, &path, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().for_each(|item| walk(item, &format!("{path}[]"), found));
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}
