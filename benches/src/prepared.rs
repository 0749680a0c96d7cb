//! Everything a seal will send, encoded and signed before the clock starts.
//!
//! The chain is real: each STAMPS extends the one before, so a gateway that checks them accepts them once and in order.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use ed25519_dalek::SigningKey;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use sealgate_codec::{
    DeviceId, Frame, Message,
    chain::Head,
    message::{Caps, Hello, LogPosition, ResetCause, Stamps},
    record::{ClockQuality, Entry, Facts, GrantState, LinkKind, Position, Record, kind},
    statement::Checkpoint,
};

/// Identity of one seal.
#[derive(Debug, Clone)]
pub struct Seal {
    /// Device id.
    pub id: DeviceId,
    /// The id as text.
    pub name: String,
    log_key: SigningKey,
    /// TLS settings with its certificate.
    pub tls: Arc<ClientConfig>,
}

impl Seal {
    /// Reads a device folder; `resume` remembers TLS sessions.
    ///
    /// # Errors
    /// Something of the folder is missing.
    pub fn load(folder: &Path, roots: &Arc<RootCertStore>, resume: bool) -> Result<Self> {
        let name = folder
            .file_name()
            .and_then(|name| name.to_str())
            .context("a folder named by the device id")?
            .to_owned();
        let seed: [u8; 32] = hex(fs::read_to_string(folder.join("log.key"))?.trim())?;
        let cert = fs::read(folder.join("cert.pem"))?;
        let chain = CertificateDer::pem_slice_iter(&cert).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(&fs::read(folder.join("key.pem"))?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(roots))
            .with_client_auth_cert(chain, key)?;
        tls.resumption = if resume {
            Resumption::in_memory_sessions(4)
        } else {
            Resumption::disabled()
        };
        Ok(Self {
            id: name
                .parse()
                .map_err(|_| anyhow::anyhow!("{name} is no device id"))?,
            name,
            log_key: SigningKey::from_bytes(&seed),
            tls: Arc::new(tls),
        })
    }

    /// A seal that never connects, for measuring what it encodes.
    ///
    /// # Panics
    /// Never: the provider's default versions are valid.
    #[must_use]
    pub fn without_tls(id: DeviceId, log_key: SigningKey) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("default versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Self {
            id,
            name: id.to_string(),
            log_key,
            tls: Arc::new(tls),
        }
    }

    /// HELLO of a seal that holds `next - 1` records and took no command but its grant.
    #[must_use]
    pub fn hello(&self, next: u32) -> Vec<u8> {
        let hello = Hello {
            minor: 0,
            fw: 1,
            sec: 1,
            hw: 1,
            boot: 1,
            cause: ResetCause::PowerKey,
            up: 10,
            wall: 1_800_000_000,
            clkq: ClockQuality::Secure,
            batt: 90,
            rssi: Some(-70),
            log: LogPosition {
                first: 1,
                next,
                capacity: 800,
            },
            counters: [0, 1, 1, 0],
            locked: false,
            config_version: 0,
            cell: None,
            link: LinkKind::Gprs,
            caps: Caps(Caps::GPRS | Caps::OFFLINE_MODE),
            head: Head::genesis(self.id, 0).prefix(),
            epoch: 0,
            generation: 0,
            nonce: [7; 8],
            counted: [0; 11],
        };
        Frame {
            mid: 1,
            re: None,
            message: Message::Hello(hello),
        }
        .encode()
    }

    /// `count` records in messages of `batch`, each message signed.
    #[must_use]
    pub fn stamps(&self, count: u32, batch: u32) -> Vec<Vec<u8>> {
        let mut head = Head::genesis(self.id, 0);
        let mut messages = Vec::new();
        let mut first = 1;
        while first <= count {
            let last = (first + batch - 1).min(count);
            let prev = head.prefix();
            let records: Vec<Entry> = (first..=last).map(record).map(Entry::new).collect();
            for entry in &records {
                head = head.extend(&entry.bytes);
            }
            let checkpoint = Checkpoint {
                dev: self.id,
                epoch: 0,
                next: last + 1,
                head,
                boot: 1,
                up: 10 + last,
            };
            let message = Message::Stamps(Stamps {
                epoch: 0,
                first,
                records,
                prev,
                checkpoint: checkpoint.sign(&self.log_key),
                more: (last < count).then_some(true),
            });
            let mid = u16::try_from(messages.len() % 60_000).expect("small") + 2;
            messages.push(
                Frame {
                    mid,
                    re: None,
                    message,
                }
                .encode(),
            );
            first = last + 1;
        }
        messages
    }
}

fn record(seq: u32) -> Record {
    Record {
        seq,
        boot: 1,
        up: 10 + seq,
        wall: 1_800_000_000 + seq,
        clkq: ClockQuality::Secure,
        kind: kind::STAMP,
        auth: 1,
        n: u16::try_from(seq).unwrap_or(u16::MAX),
        at: Some(Position {
            lat_e7: 312_304_000,
            lon_e7: 1_214_737_000,
            accuracy: 10,
        }),
        facts: Facts::new()
            .with_grant_state(GrantState::Active)
            .with_stretched(true)
            .with_link(LinkKind::Gprs),
    }
}

fn hex(text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    anyhow::ensure!(text.len() == 64, "a key of 64 hex digits");
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16)?;
    }
    Ok(bytes)
}

/// The trust anchors of a device folder.
///
/// # Errors
/// The file is missing or no PEM.
pub fn roots(devices: &Path) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    let pem = fs::read(devices.join("ca.pem"))?;
    for anchor in CertificateDer::pem_slice_iter(&pem) {
        roots.add(anchor?)?;
    }
    Ok(Arc::new(roots))
}
