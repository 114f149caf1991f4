//! In which namespace revisions are kept (platform §18.5): ours, unless OpenKruise left some in its own and we have none
//! yet. Found out anew at every start, with the same result: once begun in one place, the history goes on there.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kruise_api::keys;
use kube::Client;
use kube::api::{Api, ListParams};
use kube::core::PartialObjectMeta;

/// The namespace of revisions, where `own` is that of this installation.
pub async fn find(client: Client, own: &str) -> kube::Result<String> {
    for namespace in [own, keys::OPENKRUISE_NAMESPACE] {
        let api: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
        let params = ListParams::default().labels(keys::SIDECARSET_NAME).limit(1);
        let found = api.list_metadata(&params).await?;
        let found: &Vec<PartialObjectMeta<ControllerRevision>> = &found.items;
        if !found.is_empty() {
            tracing::info!(%namespace, "revisions of SidecarSets are kept here");
            return Ok(namespace.to_owned());
        }
    }
    Ok(own.to_owned())
}
