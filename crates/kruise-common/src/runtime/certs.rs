//! Certificates: made, read, stored. When they change is decided in `admission/rotation.rs`; who keeps them so is
//! `runtime/registrar.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::admission::rotation::Pair;

/// Members of the Secret.
pub mod member {
    /// The certificate that is served.
    pub const CERT: &str = "tls.crt";
    /// Its key.
    pub const KEY: &str = "tls.key";
    /// All CAs that are trusted.
    pub const BUNDLE: &str = "ca.crt";
    /// The certificate that is served next.
    pub const NEXT_CERT: &str = "next.crt";
    /// Its key.
    pub const NEXT_KEY: &str = "next.key";
}

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPair {
    /// Not PEM, or not what the PEM says it is.
    #[error("cannot be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The key is not the certificate's, or the certificate is not signed by the bundle for the name.
    #[error("cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// There is no CA to trust.
    #[error("no CA: {0}")]
    Bundle(#[from] rustls::client::VerifierBuilderError),
    /// The certificate has no validity that we can read.
    #[error("its validity cannot be read")]
    Validity,
    /// The name is no host name.
    #[error("{0:?} is no host name")]
    Host(String),
}

/// A pair that can be served.
#[derive(Clone, Debug)]
pub struct Usable {
    /// For TLS.
    pub key: Arc<CertifiedKey>,
    /// From when to when.
    pub pair: Pair,
}

/// A new pair and the CA that signed it, as PEM.
#[derive(Clone, Debug)]
pub struct Made {
    /// Certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
    /// The CA, whose key is gone.
    pub ca: String,
}

/// How long before it was made a certificate is valid: clocks differ.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// Makes a CA that signs one certificate for `hosts`, valid from an hour before `now` for `validity` from now on.
pub fn make(
    name: &str,
    hosts: &[String],
    validity: SignedDuration,
    now: Timestamp,
) -> Result<Made, rcgen::Error> {
    let second = now.as_second().saturating_sub(BACKDATED.as_secs());
    let from = time::OffsetDateTime::from_unix_timestamp(second)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let life = validity.as_secs().saturating_add(BACKDATED.as_secs());
    let to = from + time::Duration::seconds(life);
    let named = |text: String| {
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, text);
        name
    };
    let mut ca = CertificateParams::default();
    // Two CAs stand side by side in a bundle: their names must differ, or the wrong one is tried.
    ca.distinguished_name = named(format!("{name}-webhook-ca-{}", now.as_millisecond()));
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    (ca.not_before, ca.not_after) = (from, to);
    let ca_key = KeyPair::generate()?;
    let ca_cert = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    let mut leaf = CertificateParams::new(hosts.to_vec())?;
    leaf.distinguished_name = named(hosts.first().cloned().unwrap_or_default());
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    (leaf.not_before, leaf.not_after) = (from, to);
    let key = KeyPair::generate()?;
    let cert = leaf.signed_by(&key, &issuer)?;
    Ok(Made { cert: cert.pem(), key: key.serialize_pem(), ca: ca_cert.pem() })
}

/// Reads a pair as the API server would judge it: key and certificate belong together, the certificate is signed by a
/// CA of `bundle` (if there is one) and bears the name `host`.
pub fn read(cert: &[u8], key: &[u8], bundle: Option<&[u8]>, host: &str) -> Result<Usable, BadPair> {
    let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    let leaf = chain.first().cloned().ok_or(BadPair::Validity)?;
    let pair = validity(&leaf).ok_or(BadPair::Validity)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certified = CertifiedKey::from_der(chain, key, &provider)?;
    if let Some(bundle) = bundle {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(bundle) {
            roots.add(root?)?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| BadPair::Host(host.to_owned()))?;
        // Whether it is valid *now* is the rotation's question.
        let then = u64::try_from(pair.from.as_second() + 1).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(then));
        let between = certified.cert.get(1..).unwrap_or_default();
        verifier.verify_server_cert(&leaf, between, &name, &[], at)?;
    }
    Ok(Usable { key: Arc::new(certified), pair })
}

fn validity(cert: &CertificateDer<'_>) -> Option<Pair> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    let validity = cert.validity();
    let time = |at: i64| Timestamp::from_second(at).ok();
    let from = time(validity.not_before.timestamp())?;
    Some(Pair { from, to: time(validity.not_after.timestamp())? })
}

/// When the last certificate of a bundle ends; `None` if it holds none that can be read.
pub fn ends(bundle: &[u8]) -> Option<Timestamp> {
    let certificates = CertificateDer::pem_slice_iter(bundle).flatten();
    certificates.filter_map(|certificate| Some(validity(&certificate)?.to)).max()
}

/// How many certificates a bundle holds.
pub fn count(bundle: &str) -> usize {
    CertificateDer::pem_slice_iter(bundle.as_bytes()).flatten().count()
}

/// The CAs of `bundle` that signed `cert` for `host`, as PEM: what remains when an older one retires.
pub fn signers(cert: &[u8], key: &[u8], bundle: &str, host: &str) -> String {
    let signs = |ca: &String| read(cert, key, Some(ca.as_bytes()), host).is_ok();
    blocks(bundle).into_iter().filter(signs).collect()
}

/// The newest CAs of `bundle`, at most `most`, as PEM.
pub fn newest(bundle: &str, most: usize) -> String {
    blocks(bundle).into_iter().take(most).collect()
}

fn blocks(bundle: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let parts = bundle.split_inclusive(END).filter(|part| part.contains(END));
    parts.map(|part| format!("{}\n", part.trim())).collect()
}

/// The members of a Secret as text; what is not UTF-8 counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Members.
    pub data: BTreeMap<String, String>,
    /// When the stage changed last.
    pub since: Option<Timestamp>,
}

/// Annotation of the Secret: when its stage changed last.
pub const SINCE: &str = kruise_api::keys::CERTS_SINCE;

impl Stored {
    /// What `secret` holds.
    pub fn of(secret: &Secret) -> Self {
        let text = |(name, bytes): (&String, &ByteString)| {
            Some((name.clone(), String::from_utf8(bytes.0.clone()).ok()?))
        };
        let data = secret.data.iter().flatten().filter_map(text).collect();
        let annotations = secret.metadata.annotations.as_ref();
        let since = annotations.and_then(|known| known.get(SINCE)?.parse().ok());
        Self { data, since }
    }

    /// A member, empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.data.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The pair under two members, if it can be used.
    pub fn pair(&self, cert: &str, key: &str, host: &str) -> Result<Usable, BadPair> {
        let bundle = self.get(member::BUNDLE).as_bytes();
        read(self.get(cert).as_bytes(), self.get(key).as_bytes(), Some(bundle), host)
    }
}
