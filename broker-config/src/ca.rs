//! The development fleet CA: one level, P-256.
//!
//! A production fleet has its CA elsewhere (per-batch CAs at the test station); the gateway only needs `ca.pem`.
//! Device certificates can only be clients and the server's only a server, so neither can stand in for the other.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use x509_parser::{extensions::GeneralName, pem::Pem};

use crate::{DAY, Error, UnixSeconds, files};

/// Life of the CA certificate.
const CA_DAYS: u64 = 3_650;
/// Life of the server certificate.
const SERVER_DAYS: u64 = 825;
/// Certificates begin this much earlier: clocks of freshly powered seals run behind.
const BACKDATED: UnixSeconds = DAY;

/// Where the files of a PKI folder are.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The fleet CA's certificate.
    pub ca_cert: PathBuf,
    /// The fleet CA's key.
    pub ca_key: PathBuf,
    /// The server's chain.
    pub server_cert: PathBuf,
    /// The server's key.
    pub server_key: PathBuf,
}

impl Layout {
    /// The fixed names in `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self {
            ca_cert: dir.join("ca.pem"),
            ca_key: dir.join("ca.key"),
            server_cert: dir.join("server.pem"),
            server_key: dir.join("server.key"),
        }
    }
}

/// The fleet CA with its key.
pub struct FleetCa {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

impl std::fmt::Debug for FleetCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FleetCa(..)")
    }
}

/// A certificate and its key as PEM.
pub struct Issued {
    /// The leaf certificate.
    pub certificate_pem: String,
    /// The leaf certificate's DER.
    pub certificate_der: Vec<u8>,
    /// The PKCS#8 key.
    pub key_pem: zeroize::Zeroizing<String>,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued")
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

impl FleetCa {
    /// Makes a CA and a server certificate for `names` (DNS names and addresses) in `dir`.
    ///
    /// # Errors
    /// A file exists already, or the file system fails.
    pub fn init(dir: &Path, names: &[String], now: UnixSeconds) -> Result<Self, Error> {
        let layout = Layout::of(dir);
        for path in [
            &layout.ca_key,
            &layout.ca_cert,
            &layout.server_key,
            &layout.server_cert,
        ] {
            if path.exists() {
                return Err(Error::Exists(path.clone()));
            }
        }
        files::private_dir(dir)?;
        let key = new_key()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Sealgate development fleet CA");
        set_life(&mut params, now, CA_DAYS);
        let certificate = params.self_signed(&key)?;
        files::create(
            &layout.ca_key,
            key.serialize_pem().as_bytes(),
            files::SECRET,
        )?;
        files::create(&layout.ca_cert, certificate.pem().as_bytes(), files::PUBLIC)?;
        let ca = Self {
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        };
        ca.write_server(&layout, names, now)?;
        Ok(ca)
    }

    /// Opens the CA in `dir`.
    ///
    /// # Errors
    /// A file is missing, exposed or malformed.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let layout = Layout::of(dir);
        let certificate_pem = files::read_text(&layout.ca_cert)?;
        let secret = files::read_secret(&layout.ca_key)?;
        let text = std::str::from_utf8(&secret).map_err(|_| not_a_key(&layout.ca_key))?;
        let key = KeyPair::from_pem(text).map_err(|_| not_a_key(&layout.ca_key))?;
        let issuer =
            Issuer::from_ca_cert_pem(&certificate_pem, key).map_err(|_| Error::Malformed {
                path: layout.ca_cert,
                expected: "a CA certificate",
            })?;
        Ok(Self {
            issuer,
            certificate_pem,
        })
    }

    /// The CA's certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Replaces the server certificate and key in `dir`, for other names or because the old one ends. Without names the
    /// new one has those of the old one. Says which it has.
    ///
    /// # Errors
    /// A name is malformed, the old certificate should give the names and has none, or the file system fails.
    pub fn renew_server(
        &self,
        dir: &Path,
        names: &[String],
        now: UnixSeconds,
    ) -> Result<Vec<String>, Error> {
        let layout = Layout::of(dir);
        let names = if names.is_empty() {
            server_names(&layout.server_cert)?
        } else {
            names.to_vec()
        };
        let issued = self.server(&names, now)?;
        let chain = format!("{}{}", issued.certificate_pem, self.certificate_pem);
        files::replace(&layout.server_key, issued.key_pem.as_bytes(), files::SECRET)?;
        files::replace(&layout.server_cert, chain.as_bytes(), files::PUBLIC)?;
        Ok(names)
    }

    /// A client certificate for a gateway node that connects to an outside cluster as `name`.
    ///
    /// # Errors
    /// The name could be a device's.
    pub fn gateway_client(&self, name: &str, now: UnixSeconds) -> Result<Issued, Error> {
        crate::settings::check_gateway_user(name)?;
        let mut params = client_params(name)?;
        set_life(&mut params, now, SERVER_DAYS);
        self.issue(&params, new_key()?)
    }

    /// A device certificate for `id`, for a fresh key or the device's own.
    pub(crate) fn device(
        &self,
        id: &str,
        key: Option<KeyPair>,
        now: UnixSeconds,
        days: u64,
    ) -> Result<Issued, Error> {
        let mut params = client_params(id)?;
        let uri = format!("urn:sealgate:device:{id}");
        params.subject_alt_names = vec![SanType::URI(uri.as_str().try_into()?)];
        set_life(&mut params, now, days);
        let key = key.map_or_else(new_key, Ok)?;
        self.issue(&params, key)
    }

    fn write_server(
        &self,
        layout: &Layout,
        names: &[String],
        now: UnixSeconds,
    ) -> Result<(), Error> {
        let issued = self.server(names, now)?;
        let chain = format!("{}{}", issued.certificate_pem, self.certificate_pem);
        files::create(&layout.server_key, issued.key_pem.as_bytes(), files::SECRET)?;
        files::create(&layout.server_cert, chain.as_bytes(), files::PUBLIC)
    }

    fn server(&self, names: &[String], now: UnixSeconds) -> Result<Issued, Error> {
        if names.is_empty() {
            return Err(Error::Invalid(
                "the server certificate needs at least one name".to_owned(),
            ));
        }
        let mut params = CertificateParams::new(names.to_vec())?;
        params
            .distinguished_name
            .push(DnType::CommonName, names[0].as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_life(&mut params, now, SERVER_DAYS);
        self.issue(&params, new_key()?)
    }

    fn issue(&self, params: &CertificateParams, key: KeyPair) -> Result<Issued, Error> {
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            certificate_der: certificate.der().to_vec(),
            key_pem: zeroize::Zeroizing::new(key.serialize_pem()),
        })
    }
}

/// The DNS names and addresses of the first certificate in the file.
fn server_names(path: &Path) -> Result<Vec<String>, Error> {
    let malformed = || Error::Malformed {
        path: path.to_owned(),
        expected: "a server certificate with names",
    };
    let text = files::read(path)?;
    let pem = Pem::iter_from_buffer(&text)
        .next()
        .and_then(Result::ok)
        .ok_or_else(malformed)?;
    let leaf = pem.parse_x509().map_err(|_| malformed())?;
    let alternative = leaf
        .subject_alternative_name()
        .map_err(|_| malformed())?
        .ok_or_else(malformed)?;
    let names = alternative
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
                .ok()
                .map(|address| address.to_string()),
            _ => None,
        });
    // A name of another kind could not be carried over, and its loss must not go unnoticed.
    names.collect::<Option<Vec<_>>>().ok_or_else(malformed)
}

/// Reads a P-256 key from PEM.
pub(crate) fn read_key(path: &Path) -> Result<KeyPair, Error> {
    let secret = files::read_secret(path)?;
    let text = std::str::from_utf8(&secret).map_err(|_| not_a_key(path))?;
    KeyPair::from_pem(text).map_err(|_| not_a_key(path))
}

fn not_a_key(path: &Path) -> Error {
    Error::Malformed {
        path: path.to_owned(),
        expected: "a PEM key",
    }
}

fn new_key() -> Result<KeyPair, Error> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

fn client_params(name: &str) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    // rcgen puts a default name there; ours is the only one.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn set_life(params: &mut CertificateParams, now: UnixSeconds, days: u64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |seconds| epoch + std::time::Duration::from_secs(seconds);
    params.not_before = at(now.saturating_sub(BACKDATED));
    params.not_after = at(now + days * DAY);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = 1_790_000_000;

    fn names() -> Vec<String> {
        vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
    }

    #[test]
    fn the_ca_and_the_server_certificate_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let pki = dir.path().join("pki");
        FleetCa::init(&pki, &names(), NOW).unwrap();
        assert!(matches!(
            FleetCa::init(&pki, &names(), NOW),
            Err(Error::Exists(_))
        ));
        let layout = Layout::of(&pki);
        files::read_secret(&layout.ca_key).unwrap();
        files::read_secret(&layout.server_key).unwrap();
        let chain = files::read(&layout.server_cert).unwrap();
        let pems: Vec<Pem> = Pem::iter_from_buffer(&chain).map(Result::unwrap).collect();
        assert_eq!(pems.len(), 2);
        let server = pems[0].parse_x509().unwrap();
        let ca = pems[1].parse_x509().unwrap();
        assert!(ca.is_ca() && !server.is_ca());
        assert_eq!(server.issuer(), ca.subject());
        let usage = server.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth);
    }

    #[test]
    fn a_device_certificate_names_the_device_and_can_only_be_a_client() {
        let dir = tempfile::tempdir().unwrap();
        FleetCa::init(dir.path(), &names(), NOW).unwrap();
        let ca = FleetCa::open(dir.path()).unwrap();
        let issued = ca.device("aaaaaaaaaaaaa", None, NOW, 365).unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(&issued.certificate_der).unwrap();
        let names: Vec<_> = leaf
            .subject()
            .iter_common_name()
            .map(|cn| cn.as_str().unwrap())
            .collect();
        assert_eq!(names, ["aaaaaaaaaaaaa"]);
        let san = leaf.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(
            san.general_names,
            [GeneralName::URI("urn:sealgate:device:aaaaaaaaaaaaa")]
        );
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert_eq!(
            leaf.validity().not_after.timestamp(),
            (NOW + 365 * DAY) as i64
        );
    }

    #[test]
    fn a_gateway_client_can_not_carry_a_device_name() {
        let dir = tempfile::tempdir().unwrap();
        let ca = FleetCa::init(dir.path(), &names(), NOW).unwrap();
        assert!(ca.gateway_client("sealgate-gateway", NOW).is_ok());
        assert!(ca.gateway_client("aaaaaaaaaaaaa", NOW).is_err());
        assert!(ca.gateway_client("a/b", NOW).is_err());
    }

    #[test]
    fn neither_debug_output_nor_errors_show_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let ca = FleetCa::init(dir.path(), &names(), NOW).unwrap();
        let issued = ca.gateway_client("gw", NOW).unwrap();
        assert!(!format!("{ca:?}{issued:?}").contains("PRIVATE"));
    }
}
