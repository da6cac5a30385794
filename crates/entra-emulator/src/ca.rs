//! The certificate authority of the program, and the TLS certificate that it issues.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A folder with `ca.pem`, `tls.pem` and `tls.key`, made when they are missing or about to
/// expire. The authority's own key is not kept: it signs one certificate and is gone, so that
/// trusting `ca.pem` trusts nothing else.
#[derive(Clone, Debug)]
pub struct CertificateFolder {
    path: PathBuf,
}

impl CertificateFolder {
    /// Opens or makes the folder. `now` is the real time, whatever the tenant's clock says, since
    /// TLS clients check against theirs.
    pub fn open(
        path: impl Into<PathBuf>,
        now: OffsetDateTime,
    ) -> Result<Self, CertificateFolderError> {
        let folder = Self { path: path.into() };
        fs::create_dir_all(&folder.path).map_err(|error| folder.unusable(error))?;
        if !folder.is_usable(now) {
            folder.issue(now)?;
        }
        Ok(folder)
    }

    /// The certificate authority that clients have to trust.
    pub fn ca_path(&self) -> PathBuf {
        self.path.join("ca.pem")
    }

    /// The same, as text in PEM.
    pub fn ca_pem(&self) -> Result<String, CertificateFolderError> {
        fs::read_to_string(self.ca_path()).map_err(|error| self.unusable(error))
    }

    /// TLS 1.2 and 1.3 with this certificate; HTTP/2 and HTTP/1.1 (RFC 7301).
    pub(crate) fn tls_config(&self) -> Result<ServerConfig, CertificateFolderError> {
        let chain = read_certificate(&self.path.join("tls.pem"))
            .ok_or(CertificateFolderError::Certificate)?;
        let key = PrivateKeyDer::from_pem_file(self.path.join("tls.key"))
            .map_err(|_| CertificateFolderError::Certificate)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(CertificateFolderError::Tls)?
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .map_err(CertificateFolderError::Tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Whether all three files are there, belong together, and are valid for another month.
    fn is_usable(&self, now: OffsetDateTime) -> bool {
        let (Some(ca), Some(tls)) = (
            read_certificate(&self.ca_path()),
            read_certificate(&self.path.join("tls.pem")),
        ) else {
            return false;
        };
        let (Ok((_, ca)), Ok((_, tls))) = (
            X509Certificate::from_der(&ca),
            X509Certificate::from_der(&tls),
        ) else {
            return false;
        };
        let renewal = (now + RENEWAL).unix_timestamp();
        let lives = |certificate: &X509Certificate<'_>| {
            certificate.validity().not_before.timestamp() <= now.unix_timestamp()
                && renewal < certificate.validity().not_after.timestamp()
        };
        lives(&ca)
            && lives(&tls)
            && tls.issuer() == ca.subject()
            && tls.verify_signature(Some(ca.public_key())).is_ok()
            // Reading the key with the certificate compares the two.
            && self.tls_config().is_ok()
    }

    fn issue(&self, now: OffsetDateTime) -> Result<(), CertificateFolderError> {
        let (ca, certificate, key) = issue(now).map_err(CertificateFolderError::Issue)?;
        let write = |name: &str, text: &str, is_private| {
            write_file(&self.path.join(name), text, is_private)
                .map_err(|error| self.unusable(error))
        };
        write("tls.key", &key, true)?;
        write("tls.pem", &certificate, false)?;
        write("ca.pem", &ca, false)
    }

    fn unusable(&self, source: io::Error) -> CertificateFolderError {
        CertificateFolderError::Folder {
            path: self.path.clone(),
            source,
        }
    }
}

/// Why the folder has no certificate to serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFolderError {
    /// It cannot be read or written.
    #[error("the folder {} cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("no certificate could be made")]
    Issue(#[source] rcgen::Error),
    /// A file was changed or removed since the folder was opened.
    #[error("tls.pem or tls.key cannot be read")]
    Certificate,
    /// The certificate does not work with its key.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// The authority's certificate, the server's and the server's key, in PEM.
fn issue(now: OffsetDateTime) -> Result<(String, String, String), rcgen::Error> {
    let mut authority = params("Local tenant certificate authority", now);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let authority = CertifiedIssuer::self_signed(authority, key)?;

    let mut server = params("localhost", now);
    server.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = server.signed_by(&server_key, &authority)?;
    Ok((
        authority.pem(),
        certificate.pem(),
        server_key.serialize_pem(),
    ))
}

/// Some clients refuse server certificates that live longer than 825 days.
fn params(name: &str, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(800);
    params
}

fn read_certificate(path: &Path) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_file(path).ok()
}

/// Replaces the file in one step; a private one is readable by its owner alone from the start.
fn write_file(path: &Path, text: &str, is_private: bool) -> io::Result<()> {
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if is_private { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = is_private;
    options.open(&draft)?.write_all(text.as_bytes())?;
    fs::rename(draft, path)
}

/// How long before their end the files are made anew.
const RENEWAL: Duration = Duration::days(30);
