//! Why an ID token is accepted or refused.

use std::io::Read as _;
use std::path::Path;

use entra_core::{Clock as _, Cloud, JwkSet, SystemClock, TenantId, error_chain};
use entra_examples::at;
use entra_oidc::{
    Authority, Error, ExpectedLogin, ExpectedNonce, IdTokenRefusal, IdTokenRules, IdTokenValidator,
    Stage, VerifiedIdToken,
};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Failure;

/// What is asked on the command line.
#[derive(clap::Args)]
pub(crate) struct Question {
    /// The issuer, with `{tenantid}` where users of several tenants may sign in
    #[arg(long)]
    issuer: String,
    /// The application's id
    #[arg(long)]
    client_id: String,
    /// The nonce that the login sent; without it, whose login the token is of stays open
    #[arg(long)]
    nonce: Option<String>,
    /// The file with the provider's keys: what its jwks_uri answers
    #[arg(long)]
    jwks: std::path::PathBuf,
    /// A tenant whose users may sign in, or `common` or `organizations`; may be repeated
    #[arg(long)]
    tenant: Vec<String>,
    /// The code that came with the token from the authorization endpoint
    #[arg(long)]
    code: Option<String>,
    /// The time to judge by, in the form of RFC 3339; now, if it is not given
    #[arg(long)]
    now: Option<String>,
    /// The file with the token; standard input, if it is `-` or not given
    token: Option<String>,
}

/// What is asked in a batch.
#[derive(Deserialize)]
struct BatchQuestion {
    token: String,
    issuer: String,
    tenants: Option<Vec<String>>,
    client_id: String,
    nonce: String,
    now: i64,
    jwks: Value,
}

/// True where the token is accepted.
pub(crate) async fn explain(question: &Question) -> Result<bool, Failure> {
    let token = read_token(question.token.as_deref())?;
    let now = match &question.now {
        Some(text) => OffsetDateTime::parse(text, &Rfc3339).map_err(at("--now"))?,
        None => SystemClock.now(),
    };
    let tenants = (!question.tenant.is_empty()).then_some(question.tenant.as_slice());
    let authority = authority(&question.issuer, tenants).map_err(at("--issuer, --tenant"))?;
    let keys =
        read_keys(&question.jwks).map_err(at(format!("--jwks {}", question.jwks.display())))?;
    let rules = IdTokenRules::new();
    let validator = IdTokenValidator::with_keys(&authority, &question.client_id, keys, rules)
        .map_err(at("--client-id"))?;
    let nonce = question.nonce.as_deref();
    let nonce = nonce.map_or(ExpectedNonce::NotCheckedOnRefresh, ExpectedNonce::Is);
    let mut expected = ExpectedLogin::new(nonce);
    expected.code = question.code.as_deref();
    match validator.validate(token.trim(), &expected, now).await {
        Ok(token) => {
            show_accepted(&token, question.nonce.is_some())?;
            Ok(true)
        }
        Err(Error::IdToken(refusal)) => {
            show_refused(&refusal);
            Ok(false)
        }
        Err(error) => Err(error_chain(&error).into()),
    }
}

pub(crate) async fn answer(question: Value) -> Result<Value, Failure> {
    let question: BatchQuestion = serde_json::from_value(question)?;
    let keys = JwkSet::parse(&serde_json::to_vec(&question.jwks)?)?;
    let authority = authority(&question.issuer, question.tenants.as_deref())?;
    let rules = IdTokenRules::new();
    let validator = IdTokenValidator::with_keys(&authority, &question.client_id, keys, rules)?;
    let expected = ExpectedLogin::new(ExpectedNonce::Is(&question.nonce));
    let now = OffsetDateTime::from_unix_timestamp(question.now)?;
    match validator.validate(&question.token, &expected, now).await {
        Ok(token) => Ok(json!({"verdict": "accept", "claims": token.claims::<Value>()?})),
        Err(Error::IdToken(refusal)) => Ok(json!({
            "verdict": "refuse",
            "refusal": variant(&refusal),
            "stage": stage_name(refusal.stage()),
            "detail": refusal.to_string(),
        })),
        Err(error) => Err(error_chain(&error).into()),
    }
}

/// The authority of an issuer: a cloud's, with one tenant or a placeholder in it, or another
/// provider.
fn authority(issuer: &str, tenants: Option<&[String]>) -> Result<Authority, Failure> {
    let of_cloud = Cloud::all().into_iter().find_map(|cloud| {
        let tenant = issuer.strip_prefix(cloud.login_url().as_str())?;
        Some((cloud, tenant.strip_suffix("/v2.0")?))
    });
    let Some((cloud, tenant)) = of_cloud else {
        return Ok(Authority::generic(issuer)?);
    };
    if tenant != "{tenantid}" {
        let id: TenantId = tenant.parse()?;
        return match tenants {
            Some(tenants) if !tenants.iter().any(|tenant| tenant.parse() == Ok(id)) => {
                Err("the issuer's tenant is not among those that are allowed".into())
            }
            _ => Ok(Authority::single_tenant(cloud, id)?),
        };
    }
    match tenants {
        None => Ok(Authority::any_account(cloud)),
        Some([one]) if one == "common" => Ok(Authority::any_account(cloud)),
        Some([one]) if one == "organizations" => Ok(Authority::any_organization(cloud)),
        Some([one]) if one == "consumers" => Ok(Authority::personal_accounts(cloud)),
        Some(several) => {
            let ids: Result<Vec<TenantId>, _> = several.iter().map(|id| id.parse()).collect();
            Ok(Authority::tenants(cloud, ids?)?)
        }
    }
}

fn read_keys(path: &Path) -> Result<JwkSet, Failure> {
    Ok(JwkSet::parse(&std::fs::read(path)?)?)
}

fn read_token(path: Option<&str>) -> Result<String, Failure> {
    match path {
        Some(path) if path != "-" => std::fs::read_to_string(path).map_err(at(path)),
        _ => {
            let mut token = String::new();
            std::io::stdin().read_to_string(&mut token)?;
            Ok(token)
        }
    }
}

fn show_accepted(token: &VerifiedIdToken, is_of_login: bool) -> Result<(), Failure> {
    println!("accepted: {}", token.key());
    if !is_of_login {
        println!("  not checked: the nonce, since none was given");
    }
    let claims: serde_json::Map<String, Value> = token.claims()?;
    for (name, value) in &claims {
        println!("  {name:<20} {value}");
    }
    Ok(())
}

fn show_refused(refusal: &IdTokenRefusal) {
    for (stage, what) in STAGES {
        if *stage < refusal.stage() {
            println!("  ok       {what}");
        }
    }
    println!("  refused  {}", what_is_checked(refusal.stage()));
    println!("\n{}: {refusal}", variant(refusal));
    println!("{}", refusal.admin_hint());
}

fn what_is_checked(stage: Stage) -> &'static str {
    let mut stages = STAGES.iter();
    stages
        .find(|(known, _)| *known == stage)
        .map_or("", |(_, what)| what)
}

fn stage_name(stage: Stage) -> String {
    format!("{stage:?}").to_lowercase()
}

/// The name of the innermost variant.
fn variant(refusal: &IdTokenRefusal) -> String {
    let text = format!("{refusal:?}");
    let inner = text.trim_start_matches("Token(").trim_start_matches("Jwt(");
    inner.chars().take_while(|c| c.is_alphanumeric()).collect()
}

const STAGES: &[(Stage, &str)] = &[
    (Stage::Form, "it is a signed token in form"),
    (
        Stage::Issuer,
        "its issuer is the provider, its tenant the issuer's",
    ),
    (Stage::Audience, "it is for the application alone"),
    (
        Stage::Key,
        "the provider has its key, which signs for this issuer and cloud",
    ),
    (Stage::Signature, "its signature is right"),
    (Stage::Times, "it is in force"),
    (
        Stage::Claims,
        "it is an ID token, and its claims have the shapes that they must have",
    ),
    (Stage::Nonce, "it is of this login"),
    (Stage::Hashes, "it came with this code"),
    (Stage::Authentication, "the user signed in as was asked for"),
    (Stage::Tenant, "users of the tenant may come in"),
    (Stage::Version, "it is of the version of its issuer"),
    (Stage::User, "it names one user"),
];
