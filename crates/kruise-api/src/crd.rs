//! Renders the CRDs: what the types say, brought into the form that OpenKruise serves.
//!
//! Names of members, their types and which are required come from the types; here is only what serde cannot say.
//! The schema has no default, no enum, no range but for those of SidecarSets: defaulting and checking are done by
//! admission and by the controllers, which must survive objects that no webhook ever saw.

pub mod diff;
mod sidecarset;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use kube::core::crd::{MergeError, merge_crds};

use crate::sidecarset as ss;
use crate::{broadcastjob, statefulset};

/// All CRDs of this project: one line for each kind.
pub fn all() -> Result<Vec<CustomResourceDefinition>, MergeError> {
    let statefulset =
        vec![statefulset::v1alpha1::StatefulSet::crd(), statefulset::v1beta1::StatefulSet::crd()];
    let broadcastjob = vec![
        broadcastjob::v1alpha1::BroadcastJob::crd(),
        broadcastjob::v1beta1::BroadcastJob::crd(),
    ];
    let mut sidecar_sets =
        merged("v1beta1", vec![ss::v1alpha1::crd(), ss::v1beta1::SidecarSet::crd()])?;
    sidecarset::complete(&mut sidecar_sets);
    Ok(vec![merged("v1beta1", statefulset)?, merged("v1beta1", broadcastjob)?, sidecar_sets])
}

/// One CRD that serves all `versions` and stores one. Every version shows the columns of the stored one.
fn merged(
    storage: &str,
    versions: Vec<CustomResourceDefinition>,
) -> Result<CustomResourceDefinition, MergeError> {
    let mut crd = merge_crds(versions, storage)?;
    // A webhook would make every read of the other version depend on a running pod; where the older version is a
    // subset with the same names and types, the server can do it alone (platform §18.2).
    crd.spec.conversion = Some(CustomResourceConversion {
        strategy: "None".to_owned(),
        ..CustomResourceConversion::default()
    });
    crd.spec.names.list_kind = Some(format!("{}List", crd.spec.names.kind));
    crd.spec.names.singular = Some(crd.spec.names.kind.to_lowercase());
    let stored = crd.spec.versions.iter().find(|version| version.name == storage);
    let columns = stored.and_then(|version| version.additional_printer_columns.clone());
    crd.spec.versions.sort_by(|a, b| a.name.cmp(&b.name));
    for version in &mut crd.spec.versions {
        version.additional_printer_columns.clone_from(&columns);
        let schema = version.schema.as_mut().and_then(|v| v.open_api_v3_schema.as_mut());
        let Some(root) = schema else { continue };
        tidy(root);
        root.required = None;
        root.title = None;
        add_type_members(root);
    }
    Ok(crd)
}

/// `apiVersion`, `kind` and `metadata`, which Kubernetes tools expect to see.
fn add_type_members(root: &mut JSONSchemaProps) {
    let members = root.properties.get_or_insert_default();
    for (name, kind) in [("apiVersion", "string"), ("kind", "string"), ("metadata", "object")] {
        let schema = JSONSchemaProps { type_: Some(kind.to_owned()), ..JSONSchemaProps::default() };
        members.insert(name.to_owned(), schema);
    }
}

/// Takes away what serde's way of describing types adds: defaults, nulls, formats that Kubernetes does not know.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.default = None;
    schema.nullable = None;
    if schema.x_kubernetes_int_or_string == Some(true) {
        let either = ["integer", "string"].map(|kind| JSONSchemaProps {
            type_: Some(kind.to_owned()),
            ..JSONSchemaProps::default()
        });
        schema.any_of = Some(either.to_vec());
    }
    if let Some(members) = &mut schema.properties {
        for member in members.values_mut() {
            tidy(member);
        }
        if members.contains_key("matchExpressions") {
            schema.x_kubernetes_map_type = Some("atomic".to_owned());
        }
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => tidy(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(item)) = &mut schema.additional_properties {
        tidy(item);
    }
    let selector = schema.properties.iter_mut().flatten();
    for (name, member) in selector {
        if ["matchExpressions", "values"].contains(&name.as_str()) && member.items.is_some() {
            member.x_kubernetes_list_type = Some("atomic".to_owned());
        }
    }
}
