//! `kruise-doctor` on an installation that is well, and on the same after its end.

use jiff::Timestamp;
use kruise_common::doctor::read::{Place, examine, openkruise_lease};
use kruise_common::doctor::{Level, SUBJECTS};
use kruise_common::testing::cluster::{Space, wait};

use super::admitted;

/// What is said of the installation in a namespace; objects of other tests do not count.
async fn said(space: &Space) -> Vec<(Level, String)> {
    let place = Place { namespace: space.name.clone(), openkruise_lease: openkruise_lease() };
    let findings = examine(&space.client, &place, &[&SUBJECTS[0]], Timestamp::now()).await;
    let installation = findings.iter().filter(|finding| !finding.about.starts_with("StatefulSet "));
    installation.map(|finding| (finding.level, finding.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster: hack/test api"]
async fn the_doctor_finds_nothing_wrong_with_what_is_well_and_says_that_nobody_leads() {
    let space = Space::new("doctor").await;
    let controller = admitted().alone(&space, &[]).await;
    let findings = said(&space).await;
    let bad: Vec<&(Level, String)> = findings.iter().filter(|(l, _)| *l != Level::Right).collect();
    assert!(bad.is_empty(), "{bad:?}");
    for about in ["CRD statefulsets", "Lease", "MutatingWebhook", "ValidatingWebhook"] {
        assert!(findings.iter().any(|(_, said)| said.contains(about)), "{about}: {findings:?}");
    }

    controller.stop().await;
    wait("the doctor to say that nobody leads", || async {
        let findings = said(&space).await;
        findings
            .into_iter()
            .find(|(level, said)| *level == Level::Wrong && said.contains("nobody leads"))
    })
    .await;
    admitted().unregister(&space).await;
}
