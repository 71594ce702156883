//! ClickHouse over https: the certificate is verified, always.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::config::Fault;

/// ClickHouse closes an idle connection after three seconds.
const POOL_IDLE: Duration = Duration::from_secs(2);

/// What connects over TLS. Clones share what was negotiated.
#[derive(Debug, Clone)]
pub(super) struct Http(HttpsConnector<HttpConnector>);

impl Http {
    /// A client with connections of its own.
    pub(super) fn client<B>(&self) -> Client<HttpsConnector<HttpConnector>, B>
    where
        B: hyper::body::Body + Send,
        B::Data: Send,
    {
        Client::builder(TokioExecutor::new()).pool_idle_timeout(POOL_IDLE).build(self.0.clone())
    }
}

/// Trusts the authorities in `ca_file`, else those of the system.
///
/// # Errors
/// The fault says what to change.
pub(super) fn https(ca_file: Option<&Path>) -> Result<Http, Fault> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let read =
                CertificateDer::pem_file_iter(path).and_then(|found| found.collect::<Result<Vec<_>, _>>());
            let unusable = |what: &dyn std::fmt::Display| {
                let what = format!("{}: {what}", path.display());
                Fault::new("clickhouse_ca_file", what, "name the authority's certificate, in PEM")
            };
            for authority in read.map_err(|error| unusable(&error))? {
                roots.add(authority).map_err(|error| unusable(&error))?;
            }
            if roots.is_empty() {
                return Err(unusable(&"it holds no PEM section BEGIN CERTIFICATE"));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let what = "is https, and this system trusts no authority that could vouch for it";
                let remedy = "install ca-certificates, or set clickhouse_ca_file";
                return Err(Fault::new("clickhouse_url", what, remedy));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(crate::server::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::new("clickhouse_url", error.to_string(), "write http://user@host:8123"))?
        .with_root_certificates(Arc::new(roots))
        .with_no_client_auth();
    Ok(Http(HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build()))
}
