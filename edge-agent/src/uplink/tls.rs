//! Who the box is, and whom it believes: its certificate and key, and the CA of gateways.
//!
//! Constraints and invariants: TLS 1.3, ring, client certificate, ALPN of this protocol; no other root than the given CA.

use std::{path::Path, sync::Arc, time::Duration};

use quinn::crypto::rustls::QuicClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sealgate_codec::edge::ALPN;

/// Something is said at least this often, so that middle boxes keep the path open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A silent path is over after this.
const IDLE_MS: u32 = 45_000;
/// What the gateway may have under way to the box.
const STREAM_WINDOW: u32 = 64 * 1024;
const WINDOW: u32 = 512 * 1024;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file, or what is in it.
    #[error("{0}: {1}")]
    Pem(String, String),
    /// Certificate, key and CA do not fit together.
    #[error("certificate, key and CA: {0}")]
    Tls(String),
}

/// Certificate, key and CA.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
}

impl Identity {
    /// Reads PEM texts.
    ///
    /// # Errors
    /// Not PEM, or not what it should be.
    pub fn from_pem(certificate: &str, key: &str, ca: &str) -> Result<Self, IdentityError> {
        let pem = |what: &str, why: String| IdentityError::Pem(what.to_owned(), why);
        let chain = certificates(certificate).map_err(|why| pem("the certificate", why))?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| pem("the key", error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(ca).map_err(|why| pem("the CA", why))? {
            roots
                .add(root)
                .map_err(|error| pem("the CA", error.to_string()))?;
        }
        Ok(Self { chain, key, roots })
    }

    /// Reads PEM files.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn read(certificate: &Path, key: &Path, ca: &Path) -> Result<Self, IdentityError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| IdentityError::Pem(path.display().to_string(), error.to_string()))
        };
        Self::from_pem(&read(certificate)?, &read(key)?, &read(ca)?)
    }

    /// What QUIC needs.
    ///
    /// # Errors
    /// The key is not the certificate's.
    pub fn client(&self) -> Result<quinn::ClientConfig, IdentityError> {
        let tls = |error: &dyn std::fmt::Display| IdentityError::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| tls(&error))?
            .with_root_certificates(self.roots.clone())
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| tls(&error))?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        let config = QuicClientConfig::try_from(config).map_err(|error| tls(&error))?;
        let mut client = quinn::ClientConfig::new(Arc::new(config));
        let mut transport = quinn::TransportConfig::default();
        transport
            .keep_alive_interval(Some(KEEP_ALIVE))
            .max_idle_timeout(Some(quinn::VarInt::from_u32(IDLE_MS).into()))
            // The box opens all streams; those of seals take turns.
            .max_concurrent_bidi_streams(0_u32.into())
            .max_concurrent_uni_streams(0_u32.into())
            .send_fairness(true)
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(WINDOW.into())
            .datagram_receive_buffer_size(None);
        client.transport_config(Arc::new(transport));
        Ok(client)
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err("there is no certificate in it".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}
