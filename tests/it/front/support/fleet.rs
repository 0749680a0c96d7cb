//! A fleet CA made for one test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, crypto::ring, version};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sealgate::ingress::front::TlsMaterial;
use sealgate_domain::DeviceId;

/// A CA with one server certificate.
pub(crate) struct Fleet {
    ca: CertifiedIssuer<'static, KeyPair>,
    server: (String, String),
}

/// A device's certificate and key, ready for a client.
#[derive(Clone)]
pub(crate) struct Papers {
    pub(crate) device: DeviceId,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params
            .distinguished_name
            .push(DnType::CommonName, "test fleet");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, key).expect("a CA");
        let server = Self::server_of(&ca);
        Self { ca, server }
    }

    fn server_of(ca: &CertifiedIssuer<'static, KeyPair>) -> (String, String) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("parameters");
        let certificate = params.signed_by(&key, ca).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.ca.pem()
    }

    /// What the front proves itself with.
    pub(crate) fn server(&self) -> TlsMaterial {
        material(self.ca.der().clone(), &self.server)
    }

    /// The same with a new server certificate.
    pub(crate) fn renewed(&self) -> TlsMaterial {
        material(self.ca.der().clone(), &Self::server_of(&self.ca))
    }

    /// Good papers.
    pub(crate) fn issue(&self, device: DeviceId) -> Papers {
        self.issue_with(device, |_| {})
    }

    /// Papers that ended long ago.
    pub(crate) fn expired(&self, device: DeviceId) -> Papers {
        self.issue_with(device, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    /// Papers, changed before they are signed.
    pub(crate) fn issue_with(
        &self,
        device: DeviceId,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Papers {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params
            .distinguished_name
            .push(DnType::CommonName, device.to_string());
        let urn = format!("urn:sealgate:device:{device}");
        params.subject_alt_names = vec![SanType::URI(urn.try_into().expect("ASCII"))];
        params.not_after = date_time_ymd(2035, 1, 1);
        change(&mut params);
        let certificate = params.signed_by(&key, &*self.ca).expect("a certificate");
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = client_builder(self, ProtocolVersion::TLSv1_3)
            .with_client_auth_cert(vec![certificate.der().clone()], der)
            .expect("a client");
        Papers {
            device,
            tls: Arc::new(tls),
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Good papers for TLS 1.2.
    pub(crate) fn issue_tls12(&self, device: DeviceId) -> Papers {
        let papers = self.issue(device);
        let (certificate, key) = read(&papers.cert_pem, &papers.key_pem);
        let tls = client_builder(self, ProtocolVersion::TLSv1_2)
            .with_client_auth_cert(vec![certificate], key)
            .expect("a client");
        Papers {
            tls: Arc::new(tls),
            ..papers
        }
    }

    /// A client that trusts this fleet's server and shows another's papers.
    pub(crate) fn with_papers_of(&self, other: &Papers) -> Arc<ClientConfig> {
        let (certificate, key) = read(&other.cert_pem, &other.key_pem);
        let tls = client_builder(self, ProtocolVersion::TLSv1_3)
            .with_client_auth_cert(vec![certificate], key)
            .expect("a client");
        Arc::new(tls)
    }

    /// A client without papers.
    pub(crate) fn nobody(&self) -> Arc<ClientConfig> {
        Arc::new(client_builder(self, ProtocolVersion::TLSv1_3).with_no_client_auth())
    }
}

fn client_builder(
    fleet: &Fleet,
    version: ProtocolVersion,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(fleet.ca.der().clone()).expect("a CA");
    let version = match version {
        ProtocolVersion::TLSv1_2 => &version::TLS12,
        _ => &version::TLS13,
    };
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
}

fn material(ca: CertificateDer<'static>, server: &(String, String)) -> TlsMaterial {
    let (certificate, key) = read(&server.0, &server.1);
    TlsMaterial {
        client_ca: vec![ca],
        chain: vec![certificate],
        key,
    }
}

fn read(certificate: &str, key: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    use rustls_pki_types::pem::PemObject as _;
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    (certificate, key)
}
