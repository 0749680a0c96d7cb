//! TLS of the seals' listener: 1.2 and 1.3, client certificate of the fleet CA required, stateful resumption with
//! one ticket. The provider is named, never a process default.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sealgate_broker_config::files;
use sealgate_domain::DeviceId;

use super::{FrontConfig, tickets::Tickets};
use crate::clock::SharedClock;

/// What the listener proves itself with, and whom it trusts.
#[derive(Debug)]
pub struct TlsMaterial {
    /// Certificates of the fleet CA.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// The server's chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The server's key.
    pub key: PrivateKeyDer<'static>,
}

impl Clone for TlsMaterial {
    fn clone(&self) -> Self {
        Self {
            client_ca: self.client_ca.clone(),
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// TLS material that does not work.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is not PEM.
    #[error("cannot read {file}")]
    Pem {
        /// Which one.
        file: String,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// The key's file is missing, or others may read it.
    #[error("server key")]
    Key(#[from] sealgate_broker_config::Error),
    /// No certificate where one must be.
    #[error("no certificate in the {0}")]
    Empty(&'static str),
    /// The key does not fit the certificate, or the like.
    #[error("TLS configuration")]
    Rustls(#[from] rustls::Error),
    /// The fleet CA cannot be a trust anchor.
    #[error("fleet CA")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl TlsMaterial {
    /// Reads PEM files: fleet CA, server chain, server key.
    ///
    /// # Errors
    /// A file cannot be read or holds something else.
    pub fn from_files(ca: &Path, chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let certificates = |file: &Path| {
            CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect)
                .map_err(|source| unreadable(file, source))
        };
        Ok(Self {
            client_ca: certificates(ca)?,
            chain: certificates(chain)?,
            key: PrivateKeyDer::from_pem_slice(&files::read_secret(key)?)
                .map_err(|source| unreadable(key, source))?,
        })
    }
}

fn unreadable(file: &Path, source: rustls_pki_types::pem::Error) -> TlsError {
    TlsError::Pem {
        file: file.display().to_string(),
        source,
    }
}

/// The current configuration, replaceable while running.
#[derive(Debug)]
pub(super) struct Tls {
    current: RwLock<Current>,
    capacity: usize,
    lifetime: std::time::Duration,
    clock: SharedClock,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    client_ca: Vec<CertificateDer<'static>>,
    tickets: Arc<Tickets>,
}

impl Tls {
    pub(super) fn new(
        settings: &FrontConfig,
        material: TlsMaterial,
        clock: SharedClock,
    ) -> Result<Self, TlsError> {
        let capacity = settings.tickets;
        let lifetime = settings.ticket_lifetime;
        let tickets = Arc::new(Tickets::new(capacity, lifetime, clock.clone()));
        let client_ca = material.client_ca.clone();
        let config = configure(material, tickets.clone())?;
        Ok(Self {
            current: RwLock::new(Current {
                config,
                client_ca,
                tickets,
            }),
            capacity,
            lifetime,
            clock,
        })
    }

    /// What the next handshake uses.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.config.clone()
    }

    /// A device that was revoked resumes no session.
    pub(super) fn forget(&self, device: DeviceId) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.tickets.forget(device);
    }

    /// Replaces the material. Tickets outlive a renewed server certificate, never a changed fleet CA.
    pub(super) fn replace(&self, material: TlsMaterial) -> Result<(), TlsError> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let tickets = if current.client_ca == material.client_ca {
            current.tickets.clone()
        } else {
            Arc::new(Tickets::new(
                self.capacity,
                self.lifetime,
                self.clock.clone(),
            ))
        };
        let client_ca = material.client_ca.clone();
        let config = configure(material, tickets.clone())?;
        *current = Current {
            config,
            client_ca,
            tickets,
        };
        Ok(())
    }
}

fn configure(material: TlsMaterial, tickets: Arc<Tickets>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    if material.client_ca.is_empty() {
        return Err(TlsError::Empty("fleet CA"));
    }
    if material.chain.is_empty() {
        return Err(TlsError::Empty("server chain"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in material.client_ca {
        roots.add(certificate)?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(material.chain, material.key)?;
    config.session_storage = tickets;
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
