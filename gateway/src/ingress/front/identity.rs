//! Who a certificate names. The chain was verified by the handshake, but a resumed handshake verifies nothing:
//! the dates are checked here each time, and the fleet table behind.

use rustls_pki_types::CertificateDer;
use sealgate_domain::{DeviceId, Millis};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How a certificate's alternative name carries a device id.
const URN: &str = "urn:sealgate:device:";

/// What a device's certificate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) device: DeviceId,
    /// SHA-256 of the leaf.
    pub(super) certificate: [u8; 32],
}

/// Reads the device from the leaf: the common name is its id, and a device URN, where present, says the same.
pub(super) fn prove(chain: Option<&[CertificateDer<'_>]>, now: Millis) -> Option<Proven> {
    let leaf = chain?.first()?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let validity = certificate.validity();
    let seconds = now.0.div_euclid(1000);
    if seconds < validity.not_before.timestamp() || seconds > validity.not_after.timestamp() {
        return None;
    }
    let mut names = certificate.subject().iter_common_name();
    let device: DeviceId = names.next()?.as_str().ok()?.parse().ok()?;
    if names.next().is_some() {
        return None;
    }
    if let Some(alternative) = certificate.subject_alternative_name().ok()? {
        for name in &alternative.value.general_names {
            let urn = match name {
                GeneralName::URI(uri) => uri.strip_prefix(URN),
                _ => None,
            };
            if urn.is_some_and(|id| id.parse() != Ok(device)) {
                return None;
            }
        }
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, leaf);
    Some(Proven {
        device,
        certificate: digest.as_ref().try_into().ok()?,
    })
}
