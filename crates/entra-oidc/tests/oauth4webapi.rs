//! The same tokens, judged by oauth4webapi, the engine of openid-client.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod minting;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use minting::{
    CLIENT, FIRST, ISSUER, NONCE, NOW, OTHER_TENANT, SECOND, TENANT, Token, jwk, sign, validate,
};
use serde_json::{Value, json};

#[test]
#[ignore = "installs oauth4webapi for Node.js"]
fn oauth4webapi_accepts_and_refuses_the_same_tokens_but_for_what_is_known() {
    let tokens = tokens();
    let verdicts = verdicts(&tokens);
    assert_eq!(verdicts.len(), tokens.len());
    let mut only_they_accept = Vec::new();
    for (name, token) in &tokens {
        match (validate(token).map(drop), &verdicts[*name]) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some(reason)) => panic!("{name}: they refuse it, {reason}"),
            (Err(_), None) => only_they_accept.push(*name),
        }
    }
    assert_eq!(only_they_accept, KNOWN.map(|(name, _)| name));
}

/// What we refuse and they accept, and why that is right.
const KNOWN: [(&str, &str); 19] = [
    ("a week", "no token of Entra lives so long"),
    ("access token", "RFC 8725 3.12: no token for two purposes"),
    ("b64", "RFC 7797 6: it has to be critical, which is refused"),
    ("issued in the future", "one of the two clocks is wrong"),
    (
        "jku",
        "RFC 8725 3.10: nobody brings a key along; they do not use it either",
    ),
    ("no oid", "Entra's users are known by it"),
    ("no tid", "Entra's users are known by it"),
    (
        "other azp",
        "Core 3.1.3.7, rule 5; they look at it where there are several audiences",
    ),
    ("other tid", "the tenant of the user is that of the issuer"),
    ("padding", "RFC 7515 2: no padding"),
    ("roles text", "Entra writes lists"),
    ("sub number", "RFC 7519 4.1.2: a text"),
    (
        "tid in upper case",
        "one form of an id, so that none is taken for another user's",
    ),
    (
        "two auds, azp",
        "Core 3.1.3.7, rule 3: audiences that are not trusted are refused",
    ),
    (
        "two members",
        "RFC 8259 4: which of the two counts depends on the reader",
    ),
    ("typ at+jwt", "RFC 8725 3.11"),
    ("ver 1.0", "the issuer is that of version 2.0"),
    ("white space", "RFC 7515 2: no white space"),
    ("zip", "RFC 8725 3.6: nothing is inflated"),
];

/// Good tokens, and good ones with one thing changed.
fn tokens() -> BTreeMap<&'static str, String> {
    let good = Token::id_token;
    let claims = json!(good().claims).to_string();
    let duplicate = claims.replacen('{', r#"{"aud":"other","#, 1);
    let by_second = sign(
        &SECOND,
        br#"{"alg":"RS256","kid":"first"}"#,
        claims.as_bytes(),
    );
    let text = good().signed();
    BTreeMap::from([
        ("good", text.clone()),
        ("aud in a list", good().claim("aud", [CLIENT]).signed()),
        ("azp", good().claim("azp", CLIENT).signed()),
        ("fractions", good().claim("exp", 1_767_229_200.5).signed()),
        ("no typ", good().header_without("typ").signed()),
        ("no nbf", good().without("nbf").signed()),
        ("within the skew", good().claim("exp", NOW - 30).signed()),
        ("auth_time", good().claim("auth_time", NOW - 10).signed()),
        ("none", good().header("alg", "none").signed()),
        ("HS256", good().header("alg", "HS256").signed()),
        ("PS256", good().header("alg", "PS256").signed()),
        ("crit", good().header("crit", ["exp"]).signed()),
        ("b64", good().header("b64", false).signed()),
        ("zip", good().header("zip", "DEF").signed()),
        (
            "jku",
            good().header("jku", "https://evil.example/keys").signed(),
        ),
        ("typ at+jwt", good().header("typ", "at+jwt").signed()),
        ("no kid", good().header_without("kid").signed()),
        ("unknown kid", good().header("kid", "third").signed()),
        ("other key", by_second),
        ("two parts", text.rsplit_once('.').unwrap().0.to_owned()),
        ("padding", format!("{text}==")),
        ("white space", format!("{text}\n")),
        ("two members", good().over(duplicate.as_bytes())),
        ("no iss", good().without("iss").signed()),
        ("iss list", good().claim("iss", [ISSUER]).signed()),
        (
            "iss with a slash",
            good().claim("iss", format!("{ISSUER}/")).signed(),
        ),
        ("no tid", good().without("tid").signed()),
        ("other tid", good().claim("tid", OTHER_TENANT).signed()),
        (
            "tid in upper case",
            good().claim("tid", TENANT.to_uppercase()).signed(),
        ),
        ("no aud", good().without("aud").signed()),
        ("other aud", good().claim("aud", "other").signed()),
        ("two auds", good().claim("aud", [CLIENT, "other"]).signed()),
        (
            "two auds, azp",
            good()
                .claim("aud", [CLIENT, "other"])
                .claim("azp", CLIENT)
                .signed(),
        ),
        ("other azp", good().claim("azp", "other").signed()),
        ("no exp", good().without("exp").signed()),
        ("exp text", good().claim("exp", "1767229200").signed()),
        ("exp null", good().claim("exp", Value::Null).signed()),
        ("expired", good().claim("exp", NOW - 61).signed()),
        ("not yet", good().claim("nbf", NOW + 120).signed()),
        ("no iat", good().without("iat").signed()),
        (
            "issued in the future",
            good().claim("iat", NOW + 120).signed(),
        ),
        (
            "a week",
            good()
                .claim("iat", NOW - 604_800)
                .claim("nbf", NOW - 604_800)
                .signed(),
        ),
        ("no nonce", good().without("nonce").signed()),
        ("other nonce", good().claim("nonce", "other").signed()),
        ("nonce list", good().claim("nonce", [NONCE]).signed()),
        ("no sub", good().without("sub").signed()),
        ("sub number", good().claim("sub", 1).signed()),
        ("no oid", good().without("oid").signed()),
        ("ver 1.0", good().claim("ver", "1.0").signed()),
        ("roles text", good().claim("roles", "Admin").signed()),
        ("access token", good().claim("scp", "Files.Read").signed()),
    ])
}

fn verdicts(tokens: &BTreeMap<&str, String>) -> BTreeMap<String, Option<String>> {
    let question = json!({
        "issuer": ISSUER, "client_id": CLIENT, "nonce": NONCE, "now": NOW, "tokens": tokens,
        "keys": {"keys": [jwk(&FIRST, "first"), jwk(&SECOND, "second")]},
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oauth4webapi/run.sh");
    let mut stranger = Command::new(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = stranger.stdin.take().unwrap();
    input.write_all(question.to_string().as_bytes()).unwrap();
    drop(input);
    let output = stranger.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
