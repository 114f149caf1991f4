//! A pod's life as a kubelet tells it.

use serde_json::{Value, json};

use super::sandbox::Sandbox;
use crate::kubelet::{EVICT, IGNORE, KILL, READY_DELAY, RESIZE, Work, reported};

/// So many seconds after the beginning.
fn at(seconds: u32) -> Value {
    json!(format!("2026-01-01T00:00:{seconds:02}Z"))
}

#[test]
fn a_pod_is_pending_then_running_and_ready_after_the_start_delay() {
    let mut sandbox = Sandbox::new(&[("app", "nginx"), ("side", "side:1")], &json!({}));
    let first = sandbox.step();
    assert_eq!(json!(first.wake.unwrap().to_string()), at(2));
    let status = &sandbox.pod["status"];
    assert_eq!((&status["phase"], &status["podIP"]), (&json!("Pending"), &json!("10.0.0.7")));
    assert_eq!(sandbox.waits(0), "ContainerCreating");
    for kind in ["Ready", "ContainersReady"] {
        let told = sandbox.condition(kind);
        assert_eq!(
            (&told["status"], &told["reason"]),
            (&json!("False"), &json!("ContainersNotReady"))
        );
        assert_eq!(told["message"], "containers with unready status: [app side]");
        assert_eq!(told["lastTransitionTime"], at(0));
    }
    assert_eq!(sandbox.condition("Initialized")["status"], "True");

    assert_eq!(sandbox.after(1).status, None, "a second before the containers start");
    let started = sandbox.after(1);
    assert!(started.status.is_some());
    assert_eq!(started.wake, None, "nothing is left to do");
    assert_eq!(sandbox.pod["status"]["phase"], "Running");
    for kind in ["Ready", "ContainersReady"] {
        let told = sandbox.condition(kind);
        assert_eq!((&told["status"], &told["reason"]), (&json!("True"), &Value::Null));
        assert_eq!(told["lastTransitionTime"], at(2));
    }
    let app = sandbox.container(0);
    assert_eq!(
        (&app["image"], &app["ready"]),
        (&json!("docker.io/library/nginx:latest"), &json!(true))
    );
    assert_eq!((&app["containerID"], &app["restartCount"]), (&json!("containerd://1"), &json!(0)));
    assert_eq!(app["state"]["running"]["startedAt"], at(2));
}

#[test]
fn a_settled_pod_is_left_alone() {
    let mut sandbox = Sandbox::running();
    assert_eq!(sandbox.step(), Work::default());
    assert_eq!(sandbox.after(3600), Work::default());
}

#[test]
fn a_status_that_did_not_arrive_is_told_again() {
    let mut sandbox = Sandbox::running();
    sandbox.known.forget_told();
    assert!(sandbox.after(1).status.is_some());
    assert_eq!(sandbox.condition("Ready")["lastTransitionTime"], at(2));
    assert_eq!(sandbox.step(), Work::default());
}

#[test]
fn an_overwritten_ready_condition_is_put_right_and_keeps_its_time() {
    let mut sandbox = Sandbox::running();
    sandbox.set_condition("Ready", "False");
    assert!(sandbox.after(5).status.is_some());
    let ready = sandbox.condition("Ready");
    assert_eq!((&ready["status"], &ready["lastTransitionTime"]), (&json!("True"), &at(2)));
    assert_eq!(sandbox.step(), Work::default());
}

#[test]
fn a_container_is_ready_after_its_own_delay_or_never() {
    let mut sandbox = Sandbox::new(&[("app", "app:1")], &json!({}));
    sandbox.annotate(READY_DELAY, "4000");
    sandbox.step();
    let started = sandbox.after(2);
    assert_eq!(json!(started.wake.unwrap().to_string()), at(6));
    assert_eq!(sandbox.pod["status"]["phase"], "Running");
    assert_eq!(sandbox.container(0)["ready"], false);
    sandbox.after(4);
    assert_eq!(sandbox.condition("Ready")["lastTransitionTime"], at(6));
    assert_eq!(sandbox.container(0)["ready"], true);

    let mut never = Sandbox::new(&[("app", "app:never-ready-1")], &json!({}));
    never.step();
    assert_eq!(never.after(2).wake, None);
    assert_eq!(never.condition("Ready")["reason"], "ContainersNotReady");
    assert!(never.container(0)["state"]["running"].is_object());
}

#[test]
fn readiness_gates_hold_ready_but_not_the_containers() {
    let gates =
        json!({ "readinessGates": [{ "conditionType": "One" }, { "conditionType": "Two" }] });
    let mut sandbox = Sandbox::new(&[("app", "app:1")], &gates);
    sandbox.set_condition("Two", "Unknown");
    sandbox.step();
    assert_eq!(sandbox.condition("Ready")["reason"], "ContainersNotReady", "containers come first");
    sandbox.after(2);
    assert_eq!(sandbox.condition("ContainersReady")["status"], "True");
    let ready = sandbox.condition("Ready");
    assert_eq!(
        (&ready["status"], &ready["reason"]),
        (&json!("False"), &json!("ReadinessGatesNotReady"))
    );
    let message = "corresponding condition of pod readiness gate \"One\" does not exist., \
                   the status of pod readiness gate \"Two\" is not \"True\", but Unknown";
    assert_eq!(ready["message"], message);

    sandbox.set_condition("One", "True");
    sandbox.set_condition("Two", "True");
    sandbox.after(7);
    let ready = sandbox.condition("Ready");
    assert_eq!((&ready["status"], &ready["message"]), (&json!("True"), &Value::Null));
    assert_eq!(ready["lastTransitionTime"], at(9), "when the gates became true");
    assert_eq!(sandbox.condition("ContainersReady")["lastTransitionTime"], at(2));

    sandbox.set_condition("One", "False");
    sandbox.after(1);
    let ready = sandbox.condition("Ready");
    assert_eq!(ready["lastTransitionTime"], at(10));
    assert_eq!(
        ready["message"],
        "the status of pod readiness gate \"One\" is not \"True\", but False"
    );
    assert_eq!(sandbox.container(0)["restartCount"], 0);
}

#[test]
fn a_changed_image_restarts_its_container_only() {
    let mut sandbox = Sandbox::new(&[("app", "app:1"), ("side", "side:1")], &json!({}));
    sandbox.step();
    sandbox.after(2);
    let before = sandbox.pod["status"].clone();
    sandbox.set_image(0, "app:2");
    sandbox.after(1);
    let down = sandbox.container(0);
    // What is down is told as the one that ended, with its image, until the next one runs.
    assert_eq!((&down["ready"], &down["started"]), (&json!(false), &json!(false)));
    for same in ["image", "imageID", "containerID", "restartCount"] {
        assert_eq!(down[same], before["containerStatuses"][0][same], "{same}");
    }
    let ended = down["state"].clone();
    assert_eq!(ended["terminated"]["exitCode"], 0);
    assert_eq!(ended["terminated"]["containerID"], "containerd://1");
    assert_eq!(sandbox.condition("Ready")["message"], "containers with unready status: [app]");
    assert_eq!(sandbox.condition("Ready")["lastTransitionTime"], at(3));
    sandbox.after(2);
    let (old, new) = (&before["containerStatuses"][0], sandbox.container(0));
    assert_eq!((&new["restartCount"], &new["ready"]), (&json!(1), &json!(true)));
    assert_eq!(new["image"], "docker.io/library/app:2");
    assert_eq!(new["lastState"], ended);
    assert_ne!(new["containerID"], old["containerID"]);
    assert_ne!(new["imageID"], old["imageID"]);
    assert!(new["imageID"].as_str().unwrap().starts_with("docker.io/library/app@sha256:"));
    assert_eq!(*sandbox.container(1), before["containerStatuses"][1]);
    assert_eq!(sandbox.pod["status"]["podIP"], before["podIP"]);
    assert_eq!(sandbox.condition("Ready")["lastTransitionTime"], at(5));
}

#[test]
fn another_name_of_an_image_restarts_nothing_and_tags_may_share_a_digest() {
    let mut sandbox = Sandbox::new(&[("app", "app")], &json!({}));
    sandbox.step();
    sandbox.after(2);
    sandbox.set_image(0, "docker.io/library/app:latest");
    assert_eq!(sandbox.step(), Work::default());

    let id = |image: &str| {
        let mut sandbox = Sandbox::new(&[("app", image)], &json!({}));
        sandbox.step();
        sandbox.after(2);
        sandbox.container(0)["imageID"].clone()
    };
    assert_eq!(id("app:same-1"), id("app:same-2"));
    assert_ne!(id("app:same-1"), id("other:same-1"));
    assert_ne!(id("app:1"), id("app:2"));
}

#[test]
fn images_are_named_as_containerd_names_them() {
    for (image, full) in [
        ("app", "docker.io/library/app:latest"),
        ("app:1", "docker.io/library/app:1"),
        ("team/app:1", "docker.io/team/app:1"),
        ("example.com/app", "example.com/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("example.com/app@sha256:0", "example.com/app@sha256:0"),
    ] {
        assert_eq!(reported(image), full);
    }
}

#[test]
fn an_image_that_cannot_be_pulled_waits_for_another_one() {
    let mut sandbox = Sandbox::new(&[("app", "app:fail-pull")], &json!({}));
    sandbox.step();
    assert_eq!(sandbox.after(2).wake, None, "only a new image helps");
    assert_eq!(sandbox.waits(0), "ImagePullBackOff");
    assert_eq!(sandbox.pod["status"]["phase"], "Pending");
    sandbox.set_image(0, "app:1");
    sandbox.after(1);
    sandbox.after(2);
    assert_eq!(sandbox.condition("Ready")["status"], "True");
    assert_eq!(sandbox.container(0)["restartCount"], 0, "it has never run before");

    sandbox.set_image(0, "app:fail-pull-2");
    sandbox.step();
    sandbox.after(2);
    let app = sandbox.container(0);
    assert_eq!((&app["restartCount"], &app["containerID"]), (&json!(0), &json!("containerd://1")));
    assert_eq!(app["image"], "docker.io/library/app:1", "the one that ran");
    assert_eq!(app["lastState"]["terminated"]["containerID"], "containerd://1");
    assert_eq!(sandbox.waits(0), "ImagePullBackOff");
    assert_eq!(sandbox.pod["status"]["phase"], "Running", "it has run before");
    assert_eq!(sandbox.condition("Ready")["status"], "False");
}

#[test]
fn a_crash_loop_counts_restarts_at_growing_intervals_until_the_image_changes() {
    let mut sandbox = Sandbox::new(&[("app", "app:crash")], &json!({}));
    let mut wake = sandbox.step().wake;
    let mut waits = Vec::new();
    for restarts in 0..6 {
        let last = sandbox.now;
        sandbox.now = wake.unwrap();
        waits.push(sandbox.now.duration_since(last).as_secs());
        wake = sandbox.step().wake;
        let app = sandbox.container(0);
        assert_eq!((&app["restartCount"], &app["ready"]), (&json!(restarts), &json!(false)));
        assert_eq!(app["containerID"], format!("containerd://{}", restarts + 1));
        assert_eq!(sandbox.waits(0), "CrashLoopBackOff");
        assert_eq!(app["lastState"]["terminated"]["containerID"], app["containerID"]);
    }
    assert_eq!(waits, [2, 1, 2, 4, 8, 10]);
    sandbox.set_image(0, "app:1");
    sandbox.step();
    sandbox.after(2);
    assert_eq!(sandbox.condition("Ready")["status"], "True");
    assert_eq!(sandbox.container(0)["restartCount"], 6);
}

#[test]
fn a_container_that_exits_ends_its_pod_unless_it_is_always_restarted() {
    for (tag, phase, reason) in
        [("exit-0", "Succeeded", "PodCompleted"), ("exit-1", "Failed", "PodFailed")]
    {
        let image = format!("app:{tag}");
        let mut sandbox = Sandbox::new(&[("app", &image)], &json!({ "restartPolicy": "Never" }));
        sandbox.step();
        assert_eq!(sandbox.after(2).wake, None);
        assert_eq!(sandbox.pod["status"]["phase"], phase);
        assert_eq!(sandbox.condition("Ready")["reason"], reason);
        assert_eq!(sandbox.after(10), Work::default(), "the end is final");

        let mut sandbox = Sandbox::new(&[("app", &image)], &json!({}));
        sandbox.step();
        sandbox.after(2);
        assert_eq!(sandbox.pod["status"]["phase"], "Running", "{tag} with Always");
    }
}

#[test]
fn an_evicted_pod_has_failed_for_good() {
    let mut sandbox = Sandbox::running();
    sandbox.annotate(EVICT, "true");
    sandbox.after(1);
    let status = &sandbox.pod["status"];
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("Evicted")));
    let ready = sandbox.condition("Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("PodFailed")));
    assert_eq!(ready["lastTransitionTime"], at(3));
    assert_eq!(sandbox.step(), Work::default());
    sandbox.restart_kubelet();
    sandbox.after(5);
    assert_eq!(sandbox.pod["status"]["phase"], "Failed");
}

#[test]
fn a_deleted_pod_is_gone_after_the_stop_delay_or_its_grace_period() {
    for (grace, seconds) in [(30, 3), (3, 3), (1, 1), (0, 0)] {
        let mut sandbox = Sandbox::running();
        sandbox.pod["metadata"]["deletionTimestamp"] = at(32);
        sandbox.pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        for left in (1..=seconds).rev() {
            let work = sandbox.step();
            assert!(!work.gone && work.status.is_none(), "{left} of {seconds} s left");
            assert_eq!(work.wake.unwrap().duration_since(sandbox.now).as_secs(), left);
            sandbox.now += jiff::SignedDuration::from_secs(1);
        }
        assert_eq!(sandbox.step(), Work { gone: true, ..Work::default() }, "grace {grace} s");
    }
}

#[test]
fn an_ignored_pod_is_never_answered_for() {
    let mut sandbox = Sandbox::running();
    sandbox.annotate(IGNORE, "true");
    sandbox.set_image(0, "app:2");
    assert_eq!(sandbox.after(1), Work::default());
    sandbox.pod["metadata"]["deletionTimestamp"] = at(4);
    assert_eq!(sandbox.after(60), Work::default());
}

#[test]
fn a_kubelet_that_comes_back_restarts_only_what_changed_meanwhile() {
    let mut sandbox = Sandbox::running();
    let before = sandbox.pod["status"].clone();
    sandbox.now += jiff::SignedDuration::from_secs(20);
    sandbox.restart_kubelet();
    sandbox.step();
    assert_eq!(sandbox.pod["status"]["containerStatuses"], before["containerStatuses"]);
    assert_eq!(sandbox.pod["status"]["conditions"], before["conditions"]);

    sandbox.set_image(0, "example.com/app:2");
    sandbox.restart_kubelet();
    sandbox.step();
    assert_eq!(sandbox.condition("Ready")["status"], "False");
    sandbox.after(2);
    assert_eq!(sandbox.container(0)["restartCount"], 1);
    assert_eq!(sandbox.container(0)["image"], "example.com/app:2");
}

#[test]
fn a_pod_that_ends_tells_its_exit_code_and_one_that_may_restart_does() {
    let pod =
        |policy: &str| Sandbox::new(&[("app", "app:exit-42")], &json!({ "restartPolicy": policy }));
    let mut ended = pod("Never");
    ended.step();
    ended.after(2);
    let terminated = &ended.container(0)["state"]["terminated"];
    assert_eq!((&terminated["exitCode"], &terminated["finishedAt"]), (&json!(42), &at(2)));
    assert_eq!(ended.pod["status"]["phase"], "Failed");
    let mut restarted = pod("OnFailure");
    restarted.step();
    restarted.after(2);
    assert_eq!(restarted.waits(0), "CrashLoopBackOff");
    restarted.after(1);
    assert_eq!(restarted.container(0)["restartCount"], 1);
}

#[test]
fn a_pod_that_lives_too_long_fails_also_if_the_deadline_comes_later() {
    let mut sandbox = Sandbox::running();
    sandbox.pod["spec"]["activeDeadlineSeconds"] = json!(10);
    let work = sandbox.step();
    assert_eq!(work.wake.map(|wake| wake.to_string()).as_deref(), Some("2026-01-01T00:00:10Z"));
    sandbox.after(8);
    let status = &sandbox.pod["status"];
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("Failed"), &json!("DeadlineExceeded"))
    );
    assert_eq!(sandbox.step(), Work::default());
}

#[test]
fn a_disrupted_pod_says_that_it_was_not_its_fault() {
    let mut sandbox = Sandbox::running();
    sandbox.annotate(crate::kubelet::DISRUPT, "true");
    sandbox.after(1);
    let target = sandbox.condition("DisruptionTarget");
    assert_eq!(
        (&target["status"], &target["reason"]),
        (&json!("True"), &json!("TerminationByKubelet"))
    );
    assert_eq!(sandbox.pod["status"]["phase"], "Failed");
    assert_eq!(sandbox.after(5), Work::default(), "said once");
}

/// Sets CPU of the first container.
fn ask_for(sandbox: &mut Sandbox, cpu: &str) {
    sandbox.pod["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": cpu } });
}

#[test]
fn resources_change_without_a_restart_unless_the_policy_says_so() {
    let mut sandbox = Sandbox::running();
    ask_for(&mut sandbox, "2");
    sandbox.step();
    assert_eq!(sandbox.container(0)["resources"], json!({ "requests": { "cpu": "2" } }));
    assert_eq!(sandbox.container(0)["containerID"], "containerd://1");
    let policy = json!([{ "resourceName": "cpu", "restartPolicy": "RestartContainer" }]);
    sandbox.pod["spec"]["containers"][0]["resizePolicy"] = policy;
    ask_for(&mut sandbox, "3");
    sandbox.step();
    assert_eq!(sandbox.container(0)["state"]["terminated"]["containerID"], "containerd://1");
    sandbox.after(2);
    assert_eq!(sandbox.container(0)["restartCount"], 1);
}

#[test]
fn a_resize_that_cannot_be_made_is_told_and_one_that_is_not_known_is_not() {
    let mut sandbox = Sandbox::running();
    sandbox.pod["metadata"]["annotations"] = json!({ RESIZE: "Infeasible" });
    ask_for(&mut sandbox, "64");
    sandbox.step();
    assert_eq!(sandbox.container(0)["resources"], json!({}));
    assert_eq!(sandbox.condition("PodResizePending")["reason"], "Infeasible");
    sandbox.pod["metadata"]["annotations"] = json!({ RESIZE: "unsupported" });
    sandbox.step();
    assert_eq!(sandbox.container(0).get("resources"), None);
}

#[test]
fn a_container_is_killed_once_by_its_id() {
    let mut sandbox = Sandbox::running();
    sandbox.pod["metadata"]["annotations"] = json!({ KILL: "app/containerd://1" });
    sandbox.step();
    assert!(sandbox.container(0)["state"]["terminated"].is_object());
    sandbox.after(2);
    let app = sandbox.container(0).clone();
    assert_ne!(app["containerID"], "containerd://1");
    assert_eq!(sandbox.after(10), Work::default(), "the one that runs has another ID");
}

#[test]
fn a_container_that_dies_is_started_as_the_kubelet_knows_it() {
    let mut sandbox = Sandbox::running();
    sandbox.pod["metadata"]["generation"] = json!(1);
    sandbox.step();
    sandbox.set_image(0, "app:2");
    sandbox.pod["metadata"]["generation"] = json!(2);
    sandbox.crash("app");
    let app = sandbox.container(0).clone();
    assert_eq!((&app["restartCount"], &app["ready"]), (&json!(1), &json!(true)));
    assert_ne!(app["image"], "docker.io/library/app:2");
    assert_eq!(sandbox.pod["status"]["observedGeneration"], 1);
    sandbox.step();
    assert_eq!(sandbox.pod["status"]["observedGeneration"], 2, "now it has seen it");
    sandbox.after(2);
    assert_eq!(sandbox.container(0)["image"], "docker.io/library/app:2");
    assert_eq!(sandbox.container(0)["restartCount"], 2);
}
