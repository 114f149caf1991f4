//! Claim templates that change while claims follow them, judged by real StorageClasses (U-6…U-12, AC-22).

use kruise_common::testing::cluster::{Controller, Space, create};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::{admitted, set};

const SAME: &str = "volumeClaimTemplate can not be modified when OnRollingUpdate";
const NUMBER: &str = "volumeClaimTemplate can not be added or deleted when OnRollingUpdate";
const NAMES: &str = "volumeClaimTemplate name can not be modified";

/// The classes of a test, and a set whose claims use them.
struct Shop {
    sets: Api<DynamicObject>,
    classes: Api<DynamicObject>,
    space: Space,
}

impl Shop {
    async fn new(space: &Space) -> Self {
        let classes = space.cluster("storage.k8s.io", "v1", "StorageClass");
        let shop =
            Self { sets: space.workloads("v1beta1", "StatefulSet"), classes, space: space.clone() };
        for (name, grows) in
            [("grows", json!(true)), ("fixed", json!(false)), ("unset", Value::Null)]
        {
            let class = json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": { "name": shop.class(name) },
                "provisioner": "kubernetes.io/no-provisioner", "allowVolumeExpansion": grows,
            });
            create(&shop.classes, class).await.unwrap();
        }
        shop
    }

    /// Classes belong to no namespace.
    fn class(&self, name: &str) -> String {
        format!("{}-{name}", self.space.name)
    }

    /// A claim template.
    fn template(&self, name: &str, class: &str, size: &str) -> Value {
        json!({
            "metadata": { "name": name },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": self.class(class),
                "resources": { "requests": { "storage": size } },
            },
        })
    }

    /// Templates of `data`, which can grow, and `logs`, which cannot.
    fn templates(&self) -> [Value; 2] {
        [self.template("data", "grows", "2Gi"), self.template("logs", "fixed", "2Gi")]
    }

    /// Asks for a change of the set; what was said against it, if anything.
    async fn asked(&self, name: &str, spec: &Value) -> Option<String> {
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.sets.patch(name, &params, &patch).await.err().map(|error| error.to_string())
    }

    async fn accepts(&self, rule: &str, name: &str, spec: Value) {
        let said = self.asked(name, &spec).await;
        assert!(said.is_none(), "{rule}: {spec}: {said:?}");
    }

    async fn refuses(&self, rule: &str, spec: Value, because: &str) {
        let said = self.asked("follows", &spec).await.unwrap_or_default();
        assert!(said.contains(because), "{rule}: {spec}: {said}");
    }

    async fn end(self, controller: Controller) {
        for name in ["grows", "fixed", "unset"] {
            self.classes.delete(&self.class(name), &DeleteParams::default()).await.unwrap();
        }
        controller.stop().await;
        admitted().unregister(&self.space).await;
    }
}

fn claims(templates: &[Value]) -> Value {
    json!({ "volumeClaimTemplates": templates })
}

fn with(template: &Value, change: &Value) -> Value {
    let mut template = template.clone();
    json_patch::merge(&mut template, change);
    template
}

fn sized(template: &Value, size: &str) -> Value {
    with(template, &json!({ "spec": { "resources": { "requests": { "storage": size } } } }))
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn claim_templates_change_as_their_classes_allow() {
    let space = Space::new("growing").await;
    let gates = "StatefulSetAutoResizePVCGate=true";
    let controller = admitted().alone(&space, &["--feature-gates", gates]).await;
    let shop = Shop::new(&space).await;
    controller.until("kruise_cache_objects", "storageclasses", |classes| classes >= 3.0).await;
    let [data, logs] = shop.templates();
    let lazy = shop.template("lazy", "unset", "2Gi");
    let all = [data.clone(), logs.clone(), lazy.clone()];
    let strategy = |kind: &str| json!({ "volumeClaimUpdateStrategy": { "type": kind } });
    for (name, kind) in [("follows", "OnPodRollingUpdate"), ("stays", "OnDelete")] {
        let mut object = set(name);
        json_patch::merge(&mut object["spec"], &claims(&all));
        json_patch::merge(&mut object["spec"], &strategy(kind));
        create(&shop.sets, object).await.unwrap();
    }
    let stored = shop.sets.get("follows").await.unwrap().metadata.generation;

    // U-8, U-9: as many as before, by the same names, in any order.
    shop.refuses("U-8", claims(&all[..2]), NUMBER).await;
    let more = [&all[..], &[shop.template("more", "grows", "1Gi")]].concat();
    shop.refuses("U-8", claims(&more), NUMBER).await;
    let renamed = with(&data, &json!({ "metadata": { "name": "other" } }));
    shop.refuses("U-9", claims(&[renamed, logs.clone(), lazy.clone()]), NAMES).await;
    shop.accepts("U-9", "follows", claims(&[lazy.clone(), logs.clone(), data.clone()])).await;
    // U-10: of one class and access, where both name one; the rest is not compared.
    let logs_with = |change: Value| claims(&[data.clone(), with(&logs, &change), lazy.clone()]);
    let class = json!({ "spec": { "storageClassName": shop.class("grows") } });
    shop.refuses("U-10", logs_with(class), SAME).await;
    let access = json!({ "spec": { "accessModes": ["ReadWriteMany"] } });
    shop.refuses("U-10", logs_with(access), SAME).await;
    let none = json!({ "spec": { "storageClassName": null } });
    shop.accepts("U-10", "follows", logs_with(none)).await;
    let labels =
        json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "volumeMode": "Filesystem" } });
    shop.accepts("U-10", "follows", logs_with(labels)).await;
    // U-11, U-12: another size, bigger or smaller, where the class lets volumes grow.
    for size in ["3Gi", "1Gi"] {
        let changed = claims(&[sized(&data, size), logs.clone(), lazy.clone()]);
        shop.accepts("U-12", "follows", changed).await;
        for (name, changed) in [
            ("fixed", claims(&[data.clone(), sized(&logs, size), lazy.clone()])),
            ("unset", claims(&[data.clone(), logs.clone(), sized(&lazy, size)])),
        ] {
            let class = shop.class(name);
            let rule = format!("storage class {class} does not support volume expansion");
            shop.refuses("U-11", changed, &rule).await;
        }
    }
    // U-6, U-7: the strategy that the new object says decides.
    let shrunk = claims(&all[..1]);
    shop.accepts("U-6", "stays", shrunk.clone()).await;
    shop.accepts("U-7", "follows", with(&shrunk, &strategy("OnDelete"))).await;
    let begins = with(&shrunk, &strategy("OnPodRollingUpdate"));
    shop.accepts("U-7", "stays", begins).await;
    // AC-22: what was refused has changed nothing.
    assert_eq!(shop.sets.get("follows").await.unwrap().metadata.generation, stored);
    shop.end(controller).await;
}

/// U-11: the class is looked up when the template changes.
#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn a_class_is_judged_as_it_is_by_now() {
    let space = Space::new("classes").await;
    let gates = "StatefulSetAutoResizePVCGate=true";
    let controller = admitted().alone(&space, &["--feature-gates", gates]).await;
    let shop = Shop::new(&space).await;
    controller.until("kruise_cache_objects", "storageclasses", |classes| classes >= 3.0).await;
    let mut object = set("follows");
    let [data, logs] = shop.templates();
    json_patch::merge(&mut object["spec"], &claims(&[data.clone(), logs.clone()]));
    let follows = json!({ "volumeClaimUpdateStrategy": { "type": "OnPodRollingUpdate" } });
    json_patch::merge(&mut object["spec"], &follows);
    create(&shop.sets, object).await.unwrap();
    let grown = claims(&[data.clone(), sized(&logs, "3Gi")]);
    shop.refuses("U-11", grown.clone(), "does not support volume expansion").await;
    let learns = Patch::Merge(json!({ "allowVolumeExpansion": true }));
    shop.classes.patch(&shop.class("fixed"), &PatchParams::default(), &learns).await.unwrap();
    kruise_common::testing::cluster::wait("the class to have been seen", || async {
        shop.asked("follows", &grown).await.is_none().then_some(())
    })
    .await;
    shop.classes.delete(&shop.class("fixed"), &DeleteParams::default()).await.unwrap();
    kruise_common::testing::cluster::wait("the end of the class to have been seen", || async {
        let said = shop.asked("follows", &grown).await?;
        said.contains("can not get sc").then_some(())
    })
    .await;
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": { "name": shop.class("fixed") }, "provisioner": "kubernetes.io/no-provisioner",
    });
    create(&shop.classes, class).await.unwrap();
    shop.end(controller).await;
}
