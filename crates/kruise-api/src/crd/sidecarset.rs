//! What OpenKruise's schema of SidecarSets says beyond names and types (sidecarset API-9): three defaults, two enums. Older
//! hashes were taken after the API server had filled the defaults (HSH-7), so they are part of the wire.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde_json::{Value, json};

/// Completes the schema of every version.
pub(super) fn complete(crd: &mut CustomResourceDefinition) {
    for version in &mut crd.spec.versions {
        let root = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let Some(spec) = root.and_then(|root| root.properties.as_mut()?.get_mut("spec")) else {
            continue;
        };
        for list in ["containers", "initContainers"] {
            limit(spec, &[list, "resourcesPolicy", "targetContainersMode"], &["sum", "max"]);
            fill(spec, &[list, "resourcesPolicy", "targetContainersNameRegex"], json!(".*"));
        }
        let policy = ["injectionStrategy", "revision", "policy"];
        limit(spec, &policy, &["Always", "Partial"]);
        fill(spec, &policy, json!("Always"));
        fill(spec, &["imagePullSecrets", "name"], json!(""));
    }
}

fn fill(schema: &mut JSONSchemaProps, path: &[&str], default: Value) {
    if let Some(member) = member(schema, path) {
        member.default = Some(JSON(default));
    }
}

fn limit(schema: &mut JSONSchemaProps, path: &[&str], values: &[&str]) {
    if let Some(member) = member(schema, path) {
        member.enum_ = Some(values.iter().map(|value| JSON(json!(value))).collect());
    }
}

/// The member at `path`, through lists.
fn member<'a>(schema: &'a mut JSONSchemaProps, path: &[&str]) -> Option<&'a mut JSONSchemaProps> {
    path.iter().try_fold(schema, |schema, name| {
        let object = match &schema.items {
            Some(_) => match schema.items.as_mut()? {
                JSONSchemaPropsOrArray::Schema(item) => item,
                JSONSchemaPropsOrArray::Schemas(_) => return None,
            },
            None => schema,
        };
        object.properties.as_mut()?.get_mut(*name)
    })
}
