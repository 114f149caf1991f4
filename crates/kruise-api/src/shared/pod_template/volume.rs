//! Problems of volumes.

use std::collections::BTreeSet;

use super::{Object, list, text, unique_name};
use crate::shared::field::FieldError;

/// Checks the volumes and gives their names.
pub fn check<'a>(at: &str, spec: &'a Object, errors: &mut Vec<FieldError>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in list(spec, "volumes").into_iter().enumerate() {
        let path = format!("{at}.volumes[{index}]");
        unique_name(&path, volume, &mut names, errors);
        let sources = volume.iter().filter(|(name, source)| *name != "name" && !source.is_null());
        let mut sources = sources.map(|(name, _)| name);
        if let (Some(_), Some(second)) = (sources.next(), sources.next()) {
            let rule = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(format!("{path}.{second}"), rule));
        }
    }
    // A name that is refused above is still there to be mounted: one mistake, one message.
    names.extend(list(spec, "volumes").into_iter().map(|volume| text(volume, "name")));
    names
}
