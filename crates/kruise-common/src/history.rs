//! ControllerRevision data, byte for byte as OpenKruise v1.9 writes it: encode, compare, hash, name.
//!
//! Go encodes a template through its Kubernetes 1.32 types. `history/schema.rs` is the table of what those
//! types do with each member (made by `hack/generate/podschema`); [`encode`] applies it. One deliberate
//! difference: members that Kubernetes 1.32 does not know are kept, not dropped, so that a newer pod field
//! survives a rollback. Which revision is chosen is not decided here.

mod encode;
mod print;
pub mod schema;

use std::collections::BTreeMap;

pub use encode::{Form, TemplateError, encode, encode_value};
pub use print::string as print_string;

use kruise_api::raw::RawJson;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Characters that Kubernetes considers safe in names.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longest part of a set's name in a revision's name, in bytes.
const LONGEST: usize = 223;

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    spec: Spec<'a>,
}

#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    template: BTreeMap<String, &'a RawValue>,
}

/// The pod template inside revision data, without the `$patch` directive; every other member byte for byte.
pub fn template_of(data: &str) -> Result<RawJson, TemplateError> {
    let broken = |error: serde_json::Error| TemplateError::new("data", error.to_string());
    let mut members = serde_json::from_str::<Data>(data).map_err(broken)?.spec.template;
    members.remove("$patch");
    let mut template = String::with_capacity(data.len());
    template.push('{');
    for (name, value) in members {
        if template.len() > 1 {
            template.push(',');
        }
        print::string(&mut template, &name);
        template.push(':');
        template.push_str(value.get());
    }
    template.push('}');
    RawJson::from_string(template).map_err(broken)
}

/// Whether two revisions' data mean the same template. Both are brought into one form by Go's rules, so null and
/// absent, other spellings of a quantity or bytes of a newer Kubernetes library make no difference. Data that holds no
/// template is compared as JSON.
pub fn semantically_equal(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let meaning = |data| template_of(data).and_then(|template| encode::meaning(template.get()));
    match (meaning(a), meaning(b)) {
        (Ok(a), Ok(b)) => a == b,
        (Err(_), Err(_)) => {
            let parsed = (serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b));
            matches!(parsed, (Ok(a), Ok(b)) if a == b)
        }
        _ => false,
    }
}

/// The short hash of revision data: FNV-1 (32 bit) of the bytes and the collision count, in safe characters.
pub fn hash(data: &str, collision_count: Option<i32>) -> String {
    let count = collision_count.map(|count| count.to_string()).unwrap_or_default();
    let bytes = data.bytes().chain(count.bytes());
    let sum =
        bytes.fold(2_166_136_261_u32, |sum, byte| sum.wrapping_mul(16_777_619) ^ u32::from(byte));
    safe(&sum.to_string())
}

/// Every byte replaced by a character of the safe alphabet (A.1).
pub fn safe(text: &str) -> String {
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
