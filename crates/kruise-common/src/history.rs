//! ControllerRevision data, byte for byte as OpenKruise v1.9 writes it: encode, compare, hash, name.
//!
//! Go encodes a template through its Kubernetes 1.32 types. `history/podschema.txt` is the table of
//! what those types do with each member (made by `hack/generate/podschema`); [`encode`] applies it.
//! One deliberate difference: members that Kubernetes 1.32 does not know are kept, not dropped, so that
//! a newer pod field survives a rollback.

mod encode;
mod print;

pub use encode::{TemplateError, encode};

use kruise_api::raw::RawJson;
use serde_json::Value;

/// Characters that Kubernetes considers safe in names.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longest part of a set's name in a revision's name, in bytes.
const LONGEST: usize = 223;

/// The pod template inside revision data, without the `$patch` directive.
pub fn template_of(data: &str) -> Result<RawJson, TemplateError> {
    let broken = |problem: &str| TemplateError::new("data", problem);
    let mut data: Value =
        serde_json::from_str(data).map_err(|error| broken(&error.to_string()))?;
    let template = data.pointer_mut("/spec/template").map(Value::take);
    let Some(Value::Object(mut template)) = template else {
        return Err(broken("has no object spec.template"));
    };
    template.remove("$patch");
    RawJson::from_string(Value::Object(template).to_string())
        .map_err(|error| broken(&error.to_string()))
}

/// Whether two revisions' data mean the same template: both are brought into one form, so null and absent,
/// other spellings of a quantity, or bytes of a newer Kubernetes library make no difference.
pub fn semantically_equal(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let form = |data: &str| template_of(data).and_then(|template| encode(template.get()));
    match (form(a), form(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => match (serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b)) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        },
    }
}

/// The short hash of revision data: FNV-1 (32 bit) of the bytes and the collision count, in safe characters.
pub fn hash(data: &str, collision_count: Option<i32>) -> String {
    let count = collision_count.map(|count| count.to_string()).unwrap_or_default();
    let bytes = data.bytes().chain(count.bytes());
    let sum = bytes.fold(2_166_136_261_u32, |sum, byte| sum.wrapping_mul(16_777_619) ^ u32::from(byte));
    safe(&sum.to_string())
}

/// Every byte replaced by a character of the safe alphabet (A.1).
fn safe(text: &str) -> String {
    let character = |byte: u8| ALPHABET.get(usize::from(byte) % ALPHABET.len()).copied();
    text.bytes().filter_map(character).map(char::from).collect()
}

/// The name of a revision.
pub fn revision_name(set: &str, hash: &str) -> String {
    let mut end = set.len().min(LONGEST);
    while !set.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{hash}", set.get(..end).unwrap_or(set))
}
