//! TLS: the certificate and its key, checked as a pair, and exchanged while connections go on.
//!
//! Invariant: a pair that does not fit is never served: at the start it ends the program, later the old pair stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;

use super::validity::{Standing, ValidUntil};
use crate::clock::Clock;
use crate::config::Fault;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often somebody is told that the certificate ends.
const TELL_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Certificates that one file may hold: one's own and those that vouch for it.
const CHAIN_MAX: usize = 16;

/// `[tls]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFile {
    /// The certificate in PEM, followed by those that vouch for it. Read again when it changes.
    #[schemars(example = "/etc/consentry/fullchain.pem")]
    pub certificate_file: PathBuf,
    /// Its private key in PEM.
    #[schemars(example = "/etc/consentry/privkey.pem")]
    pub key_file: PathBuf,
    /// Whether the admin address speaks TLS too.
    #[serde(default)]
    pub admin: bool,
}

/// Why a certificate cannot be used, in words for whoever keeps it. Nothing of the key is repeated.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{key} = \"{path}\": {reason}")]
    File {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The two do not belong together.
    #[error(
        "the key in {key} is not that of the certificate in {certificate}: take both from the same issue"
    )]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// A kind of key or certificate that is not spoken here.
    #[error("tls: {0}")]
    Unusable(String),
}

impl TlsError {
    /// As a fault of the configuration.
    pub fn fault(&self) -> Fault {
        match self {
            Self::File { key, path, reason } => {
                let remedy = match *key {
                    "tls.key_file" => "name the certificate's private key, in PEM",
                    _ => "name the certificate and those that vouch for it, in PEM",
                };
                Fault::new(*key, format!("{}: {reason}", path.display()), remedy)
            }
            Self::Pair { certificate, key } => {
                let what = format!("{} is not the key of {}", key.display(), certificate.display());
                Fault::new("tls.key_file", what, "take both from the same issue").with("tls.certificate_file")
            }
            Self::Unusable(reason) => Fault::new("tls", reason, "take another certificate"),
        }
    }
}

/// A pair that fits, ready to be served.
#[derive(Debug)]
pub struct Loaded {
    config: Arc<ServerConfig>,
    until: Option<ValidUntil>,
}

impl TlsFile {
    /// Reads both files and checks that they belong together.
    pub fn load(&self) -> Result<Arc<Loaded>, TlsError> {
        let certificate = |reason: String| TlsError::File {
            key: "tls.certificate_file",
            path: self.certificate_file.clone(),
            reason,
        };
        let key =
            |reason: String| TlsError::File { key: "tls.key_file", path: self.key_file.clone(), reason };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&self.certificate_file)
            .and_then(|chain| chain.take(CHAIN_MAX).collect())
            .map_err(|error| certificate(in_words(&error, "CERTIFICATE")))?;
        if chain.is_empty() {
            return Err(certificate(
                "there is no certificate in it; it takes PEM (BEGIN CERTIFICATE)".into(),
            ));
        }
        let until = ValidUntil::of(chain.iter().map(CertificateDer::as_ref));
        let private = PrivateKeyDer::from_pem_file(&self.key_file)
            .map_err(|error| key(in_words(&error, "PRIVATE KEY")))?;
        let built = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Unusable(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, private);
        let mut config = built.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Pair { certificate: self.certificate_file.clone(), key: self.key_file.clone() }
            }
            rustls::Error::InvalidCertificate(_) => certificate("this is not an X.509 certificate".into()),
            _ => key("this kind of key is not spoken: take ECDSA (P-256, P-384), Ed25519 or RSA".into()),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(Loaded { config: Arc::new(config), until }))
    }

    fn stamps(&self) -> [Stamp; 2] {
        [Stamp::of(&self.certificate_file), Stamp::of(&self.key_file)]
    }
}

fn in_words(error: &PemError, label: &str) -> String {
    match error {
        PemError::Io(error) => error.to_string(),
        PemError::NoItemsFound => format!("it holds no PEM section BEGIN {label}"),
        _ => format!("it is not PEM (BEGIN {label})"),
    }
}

/// The one implementation of cryptography that is linked in.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp(Option<(SystemTime, u64, u64)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        // Through symbolic links: orchestrators exchange those.
        let found = std::fs::metadata(path);
        Self(found.ok().and_then(|found| Some((found.modified().ok()?, found.len(), found.ino()))))
    }
}

/// The pair in use. Cheap to clone; all clones change together.
#[derive(Clone)]
pub struct Certificates(Arc<ArcSwap<Loaded>>);

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates")
    }
}

impl Certificates {
    /// Begins with a pair that was loaded.
    pub fn new(loaded: Arc<Loaded>) -> Self {
        Self(Arc::new(ArcSwap::new(loaded)))
    }

    /// Exchanges the pair for handshakes from now on; connections go on as they began.
    pub fn replace(&self, loaded: Arc<Loaded>) {
        self.0.store(loaded);
    }

    /// The pair of this moment.
    pub fn current(&self) -> Arc<Loaded> {
        self.0.load_full()
    }

    /// Until when it is valid; `None` where that cannot be read.
    pub fn valid_until(&self) -> Option<ValidUntil> {
        self.0.load().until
    }

    /// Says in the log where it ends soon, or is over.
    fn tell(&self, now_ms: i64) {
        let Some(until) = self.valid_until() else {
            return tracing::warn!("it cannot be read until when the certificate is valid");
        };
        let said = until.words(now_ms);
        match until.standing(now_ms) {
            Standing::Good => {}
            Standing::Soon => tracing::warn!("the certificate is {said}"),
            Standing::Over => tracing::error!("the certificate is {said}"),
        }
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load().config.clone())
    }

    /// Takes up what changes in the files, for as long as the program runs. `file` gives what is configured at the moment.
    pub(super) async fn follow(self, clock: Clock, file: impl Fn() -> Option<TlsFile>) {
        let mut tried = file().map(|file| (file.stamps(), file));
        let mut told: Option<Instant> = None;
        loop {
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                self.tell(clock.now_ms());
                told = Some(Instant::now());
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(named) = file() else { continue };
            let now = (named.stamps(), named);
            if tried.as_ref() == Some(&now) {
                continue;
            }
            // Files of a few kilobytes. Once for each version: the two files of a pair seldom change at one moment, so one
            // that does not fit is tried again when the other has changed.
            match now.1.load() {
                Ok(loaded) => {
                    self.replace(loaded);
                    tracing::info!("the certificate was read again");
                    told = None;
                }
                Err(error) => tracing::warn!(%error, "the old certificate stays in use"),
            }
            tried = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(dir: &Path, name: &str) -> TlsFile {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = TlsFile {
            certificate_file: dir.join(format!("{name}.pem")),
            key_file: dir.join(format!("{name}.key")),
            admin: false,
        };
        std::fs::write(&file.certificate_file, made.cert.pem()).unwrap();
        std::fs::write(&file.key_file, made.signing_key.serialize_pem()).unwrap();
        file
    }

    #[test]
    fn a_pair_is_loaded_and_each_fault_is_named_without_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let (good, other) = (pair(dir.path(), "a"), pair(dir.path(), "b"));
        assert_eq!(good.load().unwrap().config.alpn_protocols.len(), 2);
        let fault = |certificate: &Path, key: &Path| {
            let file =
                TlsFile { certificate_file: certificate.to_owned(), key_file: key.to_owned(), admin: false };
            file.load().unwrap_err().to_string()
        };
        let mixed = fault(&good.certificate_file, &other.key_file);
        assert!(
            mixed.contains("a.pem") && mixed.contains("b.key") && mixed.contains("same issue"),
            "{mixed}"
        );
        let absent = fault(&dir.path().join("none.pem"), &good.key_file);
        assert!(absent.contains("tls.certificate_file") && absent.contains("none.pem"), "{absent}");
        let swapped = fault(&good.key_file, &good.certificate_file);
        assert!(swapped.contains("tls.certificate_file") && swapped.contains("CERTIFICATE"), "{swapped}");
        let keyless = fault(&good.certificate_file, &other.certificate_file);
        assert!(keyless.contains("tls.key_file") && keyless.contains("PRIVATE KEY"), "{keyless}");
        let junk = dir.path().join("junk");
        std::fs::write(&junk, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(fault(&junk, &good.key_file).contains("junk"));
        std::fs::write(&junk, "hunter2").unwrap();
        let text = fault(&good.certificate_file, &junk);
        assert!(!text.contains("hunter2") && text.contains("junk"), "{text}");
    }
}
