//! How commands reach a collector that runs: in clear, or over TLS with the very certificate that the configuration names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::server::{TlsFile, provider};

/// A client of one address of a collector.
pub type ReachClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// One address of a collector, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Reach {
    address: SocketAddr,
    config: ClientConfig,
    scheme: &'static str,
}

impl Reach {
    /// The admin address of a collector that runs with this `[tls]`.
    ///
    /// # Errors
    /// In words, where the certificate cannot be read.
    pub fn admin(address: SocketAddr, tls: Option<&TlsFile>) -> Result<Self, String> {
        Self::new(address, tls.filter(|tls| tls.admin))
    }

    /// Its public address.
    ///
    /// # Errors
    /// As for [`Reach::admin`].
    pub fn public(address: SocketAddr, tls: Option<&TlsFile>) -> Result<Self, String> {
        Self::new(address, tls)
    }

    fn new(address: SocketAddr, tls: Option<&TlsFile>) -> Result<Self, String> {
        let pinned = match tls {
            Some(tls) => {
                let path = tls.certificate_file.display();
                let read = CertificateDer::from_pem_file(&tls.certificate_file);
                Some(read.map_err(|_| format!("the certificate in {path} cannot be read"))?)
            }
            None => None,
        };
        let scheme = if pinned.is_some() { "https" } else { "http" };
        let verifier = Arc::new(Pinned { certificate: pinned, provider: provider() });
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self { address: reachable(address), config, scheme })
    }

    /// Where it is, as it can be connected to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// A client that speaks HTTP/1.1.
    pub fn http1(&self) -> ReachClient {
        let connector = HttpsConnectorBuilder::new().with_tls_config(self.config.clone()).https_or_http();
        Client::builder(TokioExecutor::new()).build(connector.enable_http1().build())
    }

    /// A client that speaks HTTP/2, also in clear.
    pub fn http2(&self) -> ReachClient {
        let connector = HttpsConnectorBuilder::new().with_tls_config(self.config.clone()).https_or_http();
        Client::builder(TokioExecutor::new()).http2_only(true).build(connector.enable_http2().build())
    }
}

/// Where something that listens on all addresses of this machine can be reached from here.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

/// Takes the one certificate that the collector was given, and no other. Its names do not matter: a command asks at an
/// address, and whoever has that certificate's key is the collector.
#[derive(Debug)]
struct Pinned {
    certificate: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.certificate {
            Some(known) if known == end_entity => Ok(ServerCertVerified::assertion()),
            _ => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_reached_at_this_machine_and_others_where_they_are() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:80"), "127.0.0.1:80");
        assert_eq!(at("[::]:80"), "[::1]:80");
        assert_eq!(at("192.0.2.1:80"), "192.0.2.1:80");
    }

    #[test]
    fn tls_is_spoken_where_the_address_speaks_it_and_a_certificate_has_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate_file = dir.path().join("tls.pem");
        std::fs::write(&certificate_file, made.cert.pem()).unwrap();
        let tls = |admin| TlsFile {
            certificate_file: certificate_file.clone(),
            key_file: dir.path().join("tls.key"),
            admin,
        };
        let address: SocketAddr = "0.0.0.0:8081".parse().unwrap();
        let url = |reach: Result<Reach, String>| reach.unwrap().url("/livez");
        assert_eq!(url(Reach::admin(address, None)), "http://127.0.0.1:8081/livez");
        assert_eq!(url(Reach::admin(address, Some(&tls(false)))), "http://127.0.0.1:8081/livez");
        assert_eq!(url(Reach::admin(address, Some(&tls(true)))), "https://127.0.0.1:8081/livez");
        assert_eq!(url(Reach::public(address, Some(&tls(false)))), "https://127.0.0.1:8081/livez");
        std::fs::remove_file(&certificate_file).unwrap();
        assert!(Reach::public(address, Some(&tls(false))).unwrap_err().contains("cannot be read"));
    }
}
