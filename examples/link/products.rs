//! The two products: what each needs of a tenant, as its developer would declare it.

use std::error::Error;

use entra_core::{CertificateOptions, ClientCredential, SigningCertificate};
use entra_graph::{Blueprint, IssuedSecret, Permission};
use time::Duration;

use crate::tenant::TenantAccess;

/// A product with its blueprint, and the certificate that it generated, if it did.
pub struct Product {
    pub blueprint: Blueprint,
    certificate: Option<SigningCertificate>,
}

impl Product {
    /// What the product signs in with.
    pub fn credential(
        &self,
        secret: Option<IssuedSecret>,
    ) -> Result<ClientCredential, Box<dyn Error>> {
        match (&self.certificate, secret) {
            (Some(certificate), _) => Ok(ClientCredential::certificate(certificate.clone())),
            (None, Some(secret)) => Ok(secret.credential()?),
            (None, None) => Err(
                "the tenant has a secret of an earlier run, and this program did not store it"
                    .into(),
            ),
        }
    }
}

/// A device management server: its URL as App ID URI, a secret that expires, sign-in in the web.
pub fn device_management(domain: &str) -> Product {
    let server = format!("https://mdm.{domain}");
    Product {
        blueprint: Blueprint::new("example-device-management", "Example Device Management")
            .with_app_id_uri(&server)
            .with_web_redirect_uri(format!("{server}/login/callback"))
            .with_permission(Permission::application("User.Read.All"))
            .with_permission(Permission::application("Group.Read.All"))
            .with_permission(Permission::application("Device.ReadWrite.All"))
            .with_secret(Duration::days(180)),
        certificate: None,
    }
}

/// A help desk: a certificate that it generates itself, whose key never leaves it.
pub fn help_desk(access: &TenantAccess) -> Result<Product, Box<dyn Error>> {
    let options = CertificateOptions::new("Example Help Desk").with_validity(Duration::days(365));
    let certificate = SigningCertificate::generate(&options, access.now())?;
    Ok(Product {
        blueprint: Blueprint::new("example-help-desk", "Example Help Desk")
            .with_permission(Permission::application("Device.Read.All"))
            .with_permission(Permission::application("User.Read.All"))
            .with_permission(Permission::application("GroupMember.Read.All"))
            .with_certificate(certificate.certificate().clone()),
        certificate: Some(certificate),
    })
}
