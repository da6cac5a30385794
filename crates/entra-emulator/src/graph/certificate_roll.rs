//! `addKey` and `removeKey`: an application rolls its own certificates. It proves that it holds
//! one that is valid now (Learn, "application: addKey" and "application: removeKey"); the first is
//! set by PATCH.
//!
//! Learn's "Generate proof of possession tokens for rolling keys" has named Microsoft Graph as the
//! audience of the proof; users report that this is refused, so here it is the directory alone.

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::app_policy::AppPolicy;
use super::error::GraphError;
use super::{Answer, Exchange, certificate};
use crate::tenant::{Kind, Object, items_of, parse_time, text_of};

pub(crate) fn add_key(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject_to_write(KIND)?;
    let json = exchange.json()?;
    let Some(Value::Object(credential)) = json.get("keyCredential") else {
        return Err(GraphError::missing("keyCredential", "Application"));
    };
    if json
        .get("passwordCredential")
        .is_some_and(|password| !password.is_null())
    {
        return Err(GraphError::bad_request(
            "This tenant supports keys of type AsymmetricX509Cert, which come without a \
             passwordCredential.",
        ));
    }
    check_proof(&application, text_of(&json, "proof"), exchange.now())?;
    let before = items_of(&application, "keyCredentials");
    let mut written = before.to_vec();
    written.push(Value::Object(credential.clone()));
    let policy = AppPolicy::of(exchange.tenant, KIND, &application);
    let keys = certificate::replace(before, &written, &policy, exchange.now())?;
    let added = keys.last().and_then(Value::as_object);
    let mut shown = added.cloned().unwrap_or_default();
    shown.insert("key".to_owned(), Value::Null);
    let context = exchange.context_of_type("keyCredential");
    shown.insert("@odata.context".to_owned(), json!(context));
    write(exchange, application, keys);
    Ok(Answer::Object(shown))
}

pub(crate) fn remove_key(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let application = exchange.subject_to_write(KIND)?;
    let json = exchange.json()?;
    check_proof(&application, text_of(&json, "proof"), exchange.now())?;
    let key_id = text_of(&json, "keyId");
    let before = items_of(&application, "keyCredentials");
    let keys: Vec<Value> = before
        .iter()
        .filter(|key| {
            let id = key.get("keyId").and_then(Value::as_str);
            !id.is_some_and(|id| id.eq_ignore_ascii_case(key_id))
        })
        .cloned()
        .collect();
    if keys.len() == before.len() {
        return Err(GraphError::bad_request("No credential found with keyId.")
            .with_detail("InvalidValue", "keyId"));
    }
    write(exchange, application, keys);
    Ok(Answer::Empty)
}

fn write(exchange: &mut Exchange<'_>, mut application: Object, keys: Vec<Value>) {
    let id = text_of(&application, "id").to_owned();
    application.insert("keyCredentials".to_owned(), Value::Array(keys));
    exchange
        .tenant
        .replace(KIND, &id, application, exchange.now());
}

/// A JWT signed by a certificate of this application that is valid now: issued by the
/// application's *object* id, for the directory, valid for ten minutes at most.
fn check_proof(application: &Object, proof: &str, now: OffsetDateTime) -> Result<(), GraphError> {
    let [header, claims, signature] = proof
        .split('.')
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_: Vec<&str>| refusal("The proof is no JSON Web Token."))?;
    let signed = [header, ".", claims].concat();
    let algorithm = decode_json(header).map(|header| text_of(&header, "alg").to_owned());
    let algorithm: &RsaParameters = match algorithm.as_deref() {
        Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
        Some("PS256") => &RSA_PSS_2048_8192_SHA256,
        _ => return Err(refusal("The proof is not signed with RS256 or PS256.")),
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let verified = items_of(application, "keyCredentials")
        .iter()
        .filter_map(Value::as_object)
        .filter(|key| is_valid(key, now))
        .filter_map(|key| STANDARD.decode(text_of(key, "key")).ok())
        .any(|der| {
            X509Certificate::from_der(&der).is_ok_and(|(_, certificate)| {
                let key = certificate.public_key().subject_public_key.data.as_ref();
                UnparsedPublicKey::new(algorithm, key)
                    .verify(signed.as_bytes(), &signature)
                    .is_ok()
            })
        });
    if !verified {
        return Err(refusal(
            "No valid certificate of the application signed the proof.",
        ));
    }
    check_claims(&decode_json(claims).unwrap_or_default(), application, now)
}

fn check_claims(
    claims: &Object,
    application: &Object,
    now: OffsetDateTime,
) -> Result<(), GraphError> {
    if text_of(claims, "aud") != AUDIENCE {
        return Err(refusal("The audience of the proof is not the directory."));
    }
    if text_of(claims, "iss") != text_of(application, "id") {
        return Err(refusal(
            "The issuer of the proof is not the object id of the application.",
        ));
    }
    let time = |name: &str| {
        let seconds = claims.get(name).and_then(Value::as_i64);
        seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
    };
    match (time("nbf"), time("exp")) {
        (Some(start), Some(end))
            if end - start <= LIFETIME && start - SKEW <= now && now < end + SKEW =>
        {
            Ok(())
        }
        _ => Err(refusal(
            "The proof is not valid now, or for more than ten minutes.",
        )),
    }
}

fn is_valid(key: &Object, now: OffsetDateTime) -> bool {
    let start = parse_time(text_of(key, "startDateTime"));
    let end = parse_time(text_of(key, "endDateTime"));
    matches!((start, end), (Some(start), Some(end)) if start <= now && now < end)
}

fn decode_json(part: &str) -> Option<Object> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The status, the code and the first sentence are as users report them (issues 10686 and 22076 of
/// microsoft-graph-docs); the reason is this tenant's.
fn refusal(reason: &str) -> GraphError {
    GraphError::new(
        StatusCode::UNAUTHORIZED,
        "Authentication_MissingOrMalformed",
        ["Access Token missing or malformed. ", reason].concat(),
    )
}

const KIND: Kind = Kind::Application;
const AUDIENCE: &str = "00000002-0000-0000-c000-000000000000";
const LIFETIME: Duration = Duration::minutes(10);
/// Clocks may differ by five minutes, as at the token endpoint.
const SKEW: Duration = Duration::minutes(5);

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

    use super::*;
    use crate::graph::testing::Desk;

    /// A certificate and its key.
    struct Pair {
        certificate: String,
        key: RsaKeyPair,
    }

    static PAIRS: LazyLock<[Pair; 2]> = LazyLock::new(|| {
        std::array::from_fn(|_| {
            let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.not_before = rcgen::date_time_ymd(2025, 1, 1);
            params.not_after = rcgen::date_time_ymd(2027, 1, 1);
            Pair {
                certificate: STANDARD.encode(params.self_signed(&key).unwrap().der()),
                key: RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap(),
            }
        })
    });

    impl Pair {
        fn credential(&self) -> Value {
            json!({"type": "AsymmetricX509Cert", "usage": "Verify", "key": self.certificate})
        }

        fn proof(&self, claims: &Value) -> String {
            let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = [encode(&json!({"alg": "RS256"})), encode(claims)].join(".");
            let mut signature = vec![0; self.key.public_modulus_len()];
            let random = SystemRandom::new();
            self.key
                .sign(
                    &RSA_PKCS1_SHA256,
                    &random,
                    signed.as_bytes(),
                    &mut signature,
                )
                .unwrap();
            [signed, URL_SAFE_NO_PAD.encode(signature)].join(".")
        }
    }

    fn claims(desk: &Desk, issuer: &str) -> Value {
        let now = desk.now.unix_timestamp();
        json!({"aud": AUDIENCE, "iss": issuer, "nbf": now, "exp": now + 600})
    }

    /// The second app of the seed with the first certificate, calling without any permission.
    fn desk() -> (Desk, String) {
        let mut desk = Desk::new();
        let app = desk.seeded.apps[1].object_id.clone();
        let path = format!("/applications/{app}");
        desk.ok(
            "PATCH",
            &path,
            json!({"keyCredentials": [PAIRS[0].credential()]}),
        );
        (desk.served_to(&[]), app)
    }

    #[test]
    fn an_application_rolls_its_own_certificate_without_a_permission() {
        let (mut desk, app) = desk();
        let proof = PAIRS[0].proof(&claims(&desk, &app));
        let path = format!("/applications/{app}");
        let body = json!({"keyCredential": PAIRS[1].credential(), "passwordCredential": null,
            "proof": proof});
        let added = desk.ok("POST", &format!("{path}/addKey"), body);
        assert_eq!(desk.allowed_by.as_deref(), Some("(self)"));
        assert_eq!(added["key"], Value::Null);
        let keys = desk.ok("GET", &path, Value::Null)["keyCredentials"].clone();
        assert_eq!(keys.as_array().unwrap().len(), 2);

        let proof = PAIRS[1].proof(&claims(&desk, &app));
        let body = json!({"keyId": keys[0]["keyId"], "proof": proof});
        desk.ok("POST", &format!("{path}/removeKey"), body);
        let keys = desk.ok("GET", &path, Value::Null)["keyCredentials"].clone();
        assert_eq!(keys[0]["keyId"], added["keyId"]);
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let (mut desk, app) = desk();
        let good = claims(&desk, &app);
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            PAIRS[0].proof(&claims)
        };
        let late = json!(desk.now.unix_timestamp() + 3_600);
        let unsigned = "No valid certificate of the application signed the proof.";
        for (proof, expected) in [
            ("x".to_owned(), "The proof is no JSON Web Token."),
            (
                "e30.e30.x".to_owned(),
                "The proof is not signed with RS256 or PS256.",
            ),
            (PAIRS[1].proof(&good), unsigned),
            (
                with("aud", json!("https://graph.microsoft.com")),
                "The audience of the proof is not the directory.",
            ),
            (
                with("iss", json!(desk.caller.app_id)),
                "The issuer of the proof is not the object id of the application.",
            ),
            (
                with("exp", late),
                "The proof is not valid now, or for more than ten minutes.",
            ),
        ] {
            let body = json!({"keyCredential": PAIRS[1].credential(), "proof": proof});
            let path = format!("/applications/{app}/addKey");
            let (status, _, message) = desk.refusal("POST", &path, body);
            let expected = ["Access Token missing or malformed. ", expected].concat();
            assert_eq!((status, message), (401, expected));
        }
        desk.now = time::macros::datetime!(2027-06-01 00:00 UTC);
        let body = json!({"keyId": "x", "proof": PAIRS[0].proof(&claims(&desk, &app))});
        let path = format!("/applications/{app}/removeKey");
        assert!(desk.refusal("POST", &path, body).2.ends_with(unsigned));
    }
}
