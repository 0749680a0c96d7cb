//! How long the certificates in use are good, as metrics. What can not be read is the listeners' to refuse.

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{ingress::front::TlsMaterial, telemetry::Metrics};

/// Shows when `material` ends.
pub(super) fn show(metrics: &Metrics, material: &TlsMaterial) {
    let in_use = [
        ("server", &material.chain),
        ("device_ca", &material.client_ca),
    ];
    for (what, certificates) in in_use {
        if let Some(end) = soonest(certificates) {
            metrics
                .certificate_expires
                .with_label_values(&[what])
                .set(end);
        }
    }
}

/// When the first of them ends, in seconds since 1970.
fn soonest(certificates: &[CertificateDer<'_>]) -> Option<i64> {
    let ends = certificates.iter().filter_map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    ends.min()
}

#[cfg(test)]
mod tests {
    use sealgate_broker_config::{
        DAY,
        ca::{FleetCa, Layout},
    };

    use super::*;

    const NOW: u64 = 1_790_000_000;

    #[test]
    fn the_end_of_each_certificate_is_shown_and_moves_with_a_renewal() {
        let dir = tempfile::tempdir().unwrap();
        let ca = FleetCa::init(dir.path(), &["localhost".to_owned()], NOW).unwrap();
        let files = Layout::of(dir.path());
        let metrics = Metrics::new();
        let shown = || {
            let read =
                TlsMaterial::from_files(&files.ca_cert, &files.server_cert, &files.server_key);
            show(&metrics, &read.unwrap());
            ["server", "device_ca"].map(|what| {
                let end = metrics.certificate_expires.with_label_values(&[what]).get();
                u64::try_from(end).unwrap()
            })
        };
        let [server, anchor] = shown();
        assert!(NOW < server && server < anchor, "{server} {anchor}");
        ca.renew_server(dir.path(), &[], NOW + DAY).unwrap();
        assert_eq!(shown(), [server + DAY, anchor]);
        assert_eq!(soonest(&[CertificateDer::from(vec![1, 2, 3])]), None);
    }
}
