//! Certificates as they are made, stored and judged.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::runtime::certs::{
    BadPair, Made, SINCE, Stored, count, make, member, newest, read, signers,
};

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn made(host: &str) -> Made {
    make("kruise-web", &[host.to_owned()], SignedDuration::from_hours(24), now()).unwrap()
}

#[test]
fn a_new_pair_is_trusted_by_its_ca_for_its_name_and_its_time() {
    let made = made("web.system.svc");
    let judged =
        read(made.cert.as_bytes(), made.key.as_bytes(), Some(made.ca.as_bytes()), "web.system.svc");
    let usable = judged.unwrap();
    assert_eq!(usable.pair.from, now().checked_sub(SignedDuration::from_hours(1)).unwrap());
    assert_eq!(usable.pair.to, now().checked_add(SignedDuration::from_hours(24)).unwrap());
    let by_address = self::made("127.0.0.1");
    let (cert, key) = (by_address.cert.as_bytes(), by_address.key.as_bytes());
    assert!(read(cert, key, Some(by_address.ca.as_bytes()), "127.0.0.1").is_ok());
    assert!(read(cert, key, None, "whoever").is_ok(), "without a bundle nobody is asked");
}

#[test]
fn a_pair_that_an_api_server_would_refuse_cannot_be_used() {
    let (one, other) = (made("web.system.svc"), made("web.system.svc"));
    let judge = |cert: &str, key: &str, bundle: &str, host: &str| {
        read(cert.as_bytes(), key.as_bytes(), Some(bundle.as_bytes()), host)
    };
    let host = "web.system.svc";
    assert!(matches!(judge(&one.cert, &other.key, &one.ca, host), Err(BadPair::Tls(_))), "key");
    assert!(matches!(judge(&one.cert, &one.key, &other.ca, host), Err(BadPair::Tls(_))), "CA");
    assert!(matches!(judge(&one.cert, &one.key, &one.ca, "x.y.svc"), Err(BadPair::Tls(_))), "name");
    assert!(matches!(judge("", &one.key, &one.ca, host), Err(BadPair::Validity)));
    assert!(matches!(judge(&one.cert, "no key", &one.ca, host), Err(BadPair::Pem(_))));
    assert!(matches!(judge(&one.cert, &one.key, "", host), Err(BadPair::Bundle(_))));
    assert!(matches!(judge(&one.cert, &one.key, &one.ca, "a b"), Err(BadPair::Host(_))));
}

#[test]
fn a_bundle_trusts_both_pairs_until_the_older_ca_retires() {
    let (old, new) = (made("w.s.svc"), made("w.s.svc"));
    let bundle = format!("{}{}", new.ca, old.ca);
    assert_eq!(count(&bundle), 2);
    for pair in [&old, &new] {
        let judged =
            read(pair.cert.as_bytes(), pair.key.as_bytes(), Some(bundle.as_bytes()), "w.s.svc");
        assert!(judged.is_ok());
    }
    let kept = signers(new.cert.as_bytes(), new.key.as_bytes(), &bundle, "w.s.svc");
    assert_eq!(kept.trim(), new.ca.trim());
    assert_eq!(newest(&bundle, 1).trim(), new.ca.trim());
    assert_eq!(count("nonsense"), 0);
    assert_eq!(newest("nonsense", 1), "");
}

#[test]
fn a_secret_is_read_leniently() {
    let mut secret = Secret::default();
    assert_eq!(Stored::of(&secret), Stored::default());
    let bytes = |bytes: &[u8]| ByteString(bytes.to_vec());
    let members = [(member::CERT, bytes(b"text")), (member::KEY, bytes(b"\xff\xfe"))];
    secret.data = Some(members.map(|(name, bytes)| (name.to_owned(), bytes)).into());
    secret.metadata.annotations = Some([(SINCE.to_owned(), now().to_string())].into());
    let stored = Stored::of(&secret);
    assert_eq!((stored.get(member::CERT), stored.get(member::KEY)), ("text", ""));
    assert_eq!(stored.since, Some(now()));
    assert!(stored.pair(member::CERT, member::KEY, "h").is_err());
}
