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

/// The device of the first certificate in a stored TLS session: whose session it is. Behind a verified handshake.
pub(super) fn of_session(value: &[u8]) -> Option<DeviceId> {
    // A certificate is a sequence of more than 255 bytes.
    let starts = value
        .windows(2)
        .enumerate()
        .filter(|(_, window)| *window == [0x30, 0x82]);
    starts
        .filter_map(|(at, _)| X509Certificate::from_der(&value[at..]).ok())
        .find_map(|(_, certificate)| named(&certificate))
}

/// The one common name.
fn named(certificate: &X509Certificate<'_>) -> Option<DeviceId> {
    let mut names = certificate.subject().iter_common_name();
    let device = names.next()?.as_str().ok()?.parse().ok()?;
    names.next().is_none().then_some(device)
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
    let device = named(&certificate)?;
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
