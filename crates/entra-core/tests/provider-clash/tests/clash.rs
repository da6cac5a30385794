//! A host whose other dependencies enable jsonwebtoken's second crypto provider still signs in.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use entra_core::{
    Authority, CertificateOptions, ClientCredential, ClientId, Cloud, ConfidentialClient,
    HttpClient, Limits, Pipeline, SigningCertificate, Tenant, TokenRequest, TransportError,
};
use time::macros::datetime;

#[derive(Debug, Default)]
struct Service(Mutex<Vec<Bytes>>);

#[async_trait]
impl HttpClient for &'static Service {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: Limits,
    ) -> Result<http::Response<Bytes>, TransportError> {
        self.0.lock().unwrap().push(request.into_body());
        let token = r#"{"token_type":"Bearer","expires_in":3600,"access_token":"t"}"#;
        Ok(http::Response::new(Bytes::from_static(token.as_bytes())))
    }
}

#[tokio::test]
async fn an_app_signs_in_with_a_certificate_though_both_providers_are_enabled() {
    // The clash is real here: who asks jsonwebtoken itself is left without a provider.
    let key = jsonwebtoken::EncodingKey::from_secret(b"secret");
    let encode = || jsonwebtoken::encode(&jsonwebtoken::Header::default(), &0, &key);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(encode)).is_err());

    static SERVICE: Service = Service(Mutex::new(Vec::new()));
    let options = CertificateOptions::new("Contoso");
    let now = datetime!(2026-01-01 00:00 UTC);
    let certificate = SigningCertificate::generate(&options, now).unwrap();
    let client = ConfidentialClient::new(
        Authority::new(Cloud::public(), Tenant::parse("contoso.com").unwrap()),
        ClientId::parse("11111111-2222-4333-8444-555555555555").unwrap(),
        ClientCredential::certificate(certificate),
        Pipeline::new(&SERVICE),
    )
    .unwrap();
    let token = client.token(&TokenRequest::new(["s"])).await.unwrap();
    assert_eq!(token.secret().expose(), "t");
    let form = SERVICE.0.lock().unwrap().remove(0);
    assert!(String::from_utf8_lossy(&form).contains("client_assertion=eyJ"));
}
