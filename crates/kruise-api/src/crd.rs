//! Renders the CRDs: what the types say, brought into the form that OpenKruise serves.
//!
//! The schema has no default, no enum, no range: defaulting and checking are done by admission and by the
//! controllers, which must survive objects that no webhook ever saw.

pub mod diff;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use kube::core::crd::{MergeError, merge_crds};

use crate::statefulset::{v1alpha1, v1beta1};

/// All CRDs of this project.
pub fn all() -> Result<Vec<CustomResourceDefinition>, MergeError> {
    Ok(vec![stateful_set()?])
}

/// `statefulsets.apps.kruise.io`: v1beta1 stored, v1alpha1 served too.
fn stateful_set() -> Result<CustomResourceDefinition, MergeError> {
    let versions = vec![v1alpha1::StatefulSet::crd(), v1beta1::StatefulSet::crd()];
    let required_spec = ["selector", "template"];
    let required_status = [
        "availableReplicas",
        "currentReplicas",
        "readyReplicas",
        "replicas",
        "updatedReplicas",
    ];
    let mut crd = merge_crds(versions, "v1beta1")?;
    // A webhook would make every read of the other version depend on a running pod; v1alpha1 is a strict subset with
    // the same names and types, so the server can do it alone (platform §18.2).
    crd.spec.conversion = Some(CustomResourceConversion {
        strategy: "None".to_owned(),
        ..CustomResourceConversion::default()
    });
    crd.spec.names.list_kind = Some("StatefulSetList".to_owned());
    crd.spec.names.singular = Some("statefulset".to_owned());
    let columns = crd
        .spec
        .versions
        .iter()
        .find(|version| version.name == "v1beta1")
        .and_then(|version| version.additional_printer_columns.clone());
    crd.spec.versions.sort_by(|a, b| a.name.cmp(&b.name));
    for version in &mut crd.spec.versions {
        version.additional_printer_columns.clone_from(&columns);
        let schema = version.schema.as_mut().and_then(|v| v.open_api_v3_schema.as_mut());
        let Some(root) = schema else { continue };
        tidy(root);
        root.required = None;
        root.title = None;
        add_type_members(root);
        require(root, "spec", &required_spec);
        require(root, "status", &required_status);
    }
    Ok(crd)
}

/// `apiVersion`, `kind` and `metadata`, which Kubernetes tools expect to see.
fn add_type_members(root: &mut JSONSchemaProps) {
    let members = root.properties.get_or_insert_default();
    for (name, kind) in [("apiVersion", "string"), ("kind", "string"), ("metadata", "object")] {
        let schema =
            JSONSchemaProps { type_: Some(kind.to_owned()), ..JSONSchemaProps::default() };
        members.insert(name.to_owned(), schema);
    }
}

fn require(root: &mut JSONSchemaProps, member: &str, required: &[&str]) {
    let schema = root.properties.as_mut().and_then(|members| members.get_mut(member));
    if let Some(schema) = schema {
        schema.required = Some(required.iter().map(|name| (*name).to_owned()).collect());
        schema.nullable = None;
    }
}

/// Members that must be there for an item to make sense, by the members that an object has.
const REQUIRED: [(&[&str], &[&str]); 5] = [
    (&["orderedKey"], &["orderedKey"]),
    (&["weight", "matchSelector"], &["matchSelector", "weight"]),
    (&["compatibleReplicas"], &["compatibleReadyReplicas", "compatibleReplicas", "volumeClaimName"]),
    (&["lastTransitionTime", "type", "status"], &["status", "type"]),
    (&["operator", "values"], &["key", "operator"]),
];

/// Takes away what serde's way of describing types adds: defaults, nulls, formats that Kubernetes does not know.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.default = None;
    schema.nullable = None;
    schema.required = None;
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
        let has = |names: &[&str]| names.iter().all(|name| members.contains_key(*name));
        let rule = REQUIRED.iter().find(|(names, _)| has(names));
        schema.required = rule.map(|(_, names)| names.iter().map(|n| (*n).to_owned()).collect());
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
