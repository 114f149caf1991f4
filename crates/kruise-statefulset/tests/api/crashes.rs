//! SIGKILL at every write of a rollout, on a real API server: nothing is done twice, nothing is left undone.

use kruise_common::testing::relay::{Cut, Relay};
use serde_json::Value;

use crate::harness::{Controller, Space};
use crate::{image, in_place};

/// Rollouts at once.
const AT_ONCE: usize = 4;

/// Creates three pods and changes their image in place, with a controller that is killed at the write with this number.
/// Says whether there was one.
async fn rolls_out(purpose: &str, write: usize, cut: Cut) -> bool {
    let space = Space::new(&format!("{purpose}-{write}")).await;
    let relay = Relay::silent_at(space.client(), write, cut).await;
    let story = async {
        space.create(in_place(3)).await;
        space.rolled_out("web").await;
        space.patch("web", image(2)).await;
        space.rolled_out("web").await;
    };
    let killed = relay.killed(async || Controller::behind(&space, &relay).await, story).await;
    let sent = relay.sent();
    let of = |made: fn(&kruise_common::testing::relay::Sent) -> bool| {
        sent.iter().filter(|sent| made(sent)).count()
    };
    let told = format!("{cut:?} write {write}: {sent:#?}");
    assert_eq!(of(|sent| sent.created("pods")), 3, "{told}");
    assert_eq!(of(|sent| sent.deleted("pods")), 0, "{told}");
    assert_eq!(of(|sent| sent.created("controllerrevisions")), 2, "{told}");
    for pod in space.pods().await {
        assert_eq!(pod["spec"]["containers"][0]["image"], "registry.k8s.io/pause:3.2", "{told}");
        let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
        assert_eq!(*restarts, Value::from(1), "{told}");
    }
    space.delete_set("web").await;
    killed
}

async fn killed_at_every_write(purpose: &str, cut: Cut) {
    for first in (1..).step_by(AT_ONCE) {
        let runs = (first..first + AT_ONCE).map(|write| rolls_out(purpose, write, cut));
        let killed = futures::future::join_all(runs).await;
        if let Some(last) = killed.iter().position(|killed| !killed) {
            let writes = first + last - 1;
            assert!(
                writes > 15,
                "three pods are created with two writes and updated with three: {writes}"
            );
            println!("{cut:?}: killed at each of {writes} writes");
            return;
        }
    }
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn killed_after_any_write_a_rollout_ends_well() {
    killed_at_every_write("after", Cut::After).await;
}

#[tokio::test]
#[ignore = "needs a cluster: hack/test api"]
async fn killed_before_any_write_a_rollout_ends_well() {
    killed_at_every_write("before", Cut::Before).await;
}
