//! mTLS as a seal does it: one trust anchor, a P-256 client key, resumption within the life of one simulator.
//!
//! The verifier and the provider are shared by all seals of a fleet; only the client's own chain, key and session
//! store differ, which keeps a simulated seal small.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    client::{Resumption, WebPkiServerVerifier},
    crypto::CryptoProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::fleet::Material;

/// What all seals of a fleet share.
#[derive(Debug, Clone)]
pub struct Trust {
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
}

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM.
    #[error("bad PEM: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// Refused by rustls.
    #[error("unusable certificate or key: {0}")]
    Rustls(#[from] rustls::Error),
    /// No trust anchor.
    #[error("no usable trust anchor: {0}")]
    Anchor(#[from] rustls::client::VerifierBuilderError),
}

impl Trust {
    /// Trusts the anchors of `ca_pem`.
    ///
    /// # Errors
    /// No anchor could be read.
    pub fn new(ca_pem: &[u8]) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for anchor in CertificateDer::pem_slice_iter(ca_pem) {
            roots.add(anchor?)?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        Ok(Self { provider, verifier })
    }

    /// The TLS settings of one seal.
    ///
    /// # Errors
    /// The seal's certificate and key cannot be used.
    pub fn client(&self, material: &Material) -> Result<Arc<ClientConfig>, TlsError> {
        let chain =
            CertificateDer::pem_slice_iter(&material.cert_pem).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&material.key_pem)?;
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_webpki_verifier(Arc::clone(&self.verifier))
            .with_client_auth_cert(chain, key)?;
        config.resumption = Resumption::in_memory_sessions(2);
        Ok(Arc::new(config))
    }
}
