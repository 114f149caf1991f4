//! A JSON Patch (RFC 6902) as text: what an answer changes is written once, as it goes over the wire.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Bytes of a patch that are nothing unusual.
const USUAL: usize = 2 << 10;

/// Operations of a JSON Patch, in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Patch(Vec<u8>);

impl Patch {
    /// The operations that make `after` of `before`; none if they are equal.
    pub fn between(before: &Value, after: &Value) -> Self {
        let mut patch = Self::default();
        for operation in &json_patch::diff(before, after).0 {
            patch.next(|text| write(text, operation));
        }
        patch
    }

    /// Adds `value`, which is JSON.
    pub fn add(&mut self, path: &str, value: &str) {
        self.change("add", path, value);
    }

    /// Replaces what stands at `path` by `value`, which is JSON.
    pub fn replace(&mut self, path: &str, value: &str) {
        self.change("replace", path, value);
    }

    /// Adds a string.
    pub fn add_string(&mut self, path: &str, value: &str) {
        self.add_written(path, value);
    }

    /// Adds an object of strings.
    pub fn add_strings(&mut self, path: &str, value: &BTreeMap<String, String>) {
        self.add_written(path, value);
    }

    fn add_written(&mut self, path: &str, value: &(impl Serialize + ?Sized)) {
        self.next(|text| {
            head(text, "add", path);
            text.extend_from_slice(br#","value":"#);
            write(text, value);
            text.push(b'}');
        });
    }

    /// Removes what stands at `path`.
    pub fn remove(&mut self, path: &str) {
        self.next(|text| {
            head(text, "remove", path);
            text.push(b'}');
        });
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text: a list of operations.
    pub fn text(&self) -> &[u8] {
        if self.is_empty() { b"[]" } else { &self.0 }
    }

    fn change(&mut self, operation: &str, path: &str, value: &str) {
        debug_assert!(serde_json::from_str::<IgnoredAny>(value).is_ok(), "{path}: {value}");
        self.next(|text| {
            head(text, operation, path);
            text.extend_from_slice(br#","value":"#);
            text.extend_from_slice(value.as_bytes());
            text.push(b'}');
        });
    }

    /// One more operation; the list is complete before and after.
    fn next(&mut self, operation: impl FnOnce(&mut Vec<u8>)) {
        if let Some(end) = self.0.last_mut() {
            *end = b',';
        } else {
            self.0.reserve(USUAL);
            self.0.push(b'[');
        }
        operation(&mut self.0);
        self.0.push(b']');
    }
}

fn head(text: &mut Vec<u8>, operation: &str, path: &str) {
    text.extend_from_slice(br#"{"op":""#);
    text.extend_from_slice(operation.as_bytes());
    text.extend_from_slice(br#"","path":"#);
    write(text, path);
}

fn write(text: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Strings and operations can always be written, and memory takes what is written.
    let _ = serde_json::to_writer(text, value);
}

impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.text()))
    }
}
