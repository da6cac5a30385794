//! Microsoft Graph for products that integrate themselves with Microsoft Entra ID.
//!
//! A product that works with a customer's tenant needs three things of Graph: to register itself
//! there, to be sure that it still works, and to read the directory. This crate does those, over
//! the tokens and the pipeline of [`entra_core`], and leaves the rest of Graph alone.
//!
//! ```
//! # use std::sync::Arc;
//! # use entra_core::{ClientId, ClientSecret, Tenant};
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use entra_core::{Authority, ClientCredential, ConfidentialClient, Pipeline};
//! use entra_emulator::{Emulator, Seed};
//! use entra_graph::{Filter, GraphClient, Query};
//!
//! // A local tenant. For a real one: `Cloud::public()`, `HttpsClient`, and an app's own values.
//! let local = Emulator::new(Seed::default());
//! let (cloud, app) = (local.cloud(), local.setup_app());
//! let (tenant, client_id) = (Tenant::parse(&local.tenant_id())?, ClientId::parse(&app.client_id)?);
//! let secret = ClientCredential::secret(ClientSecret::try_from(&app.client_secret)?);
//! let pipeline = Pipeline::new(local.clone()).with_clock(local.clock());
//!
//! let authority = Authority::new(cloud.clone(), tenant);
//! let credential = ConfidentialClient::new(authority, client_id, secret, pipeline.clone())?;
//! let graph = GraphClient::new(&cloud, Arc::new(credential), pipeline);
//!
//! let disabled = Query::new().filter(Filter::eq("accountEnabled", false)).top(999);
//! let mut users = graph.users().list(disabled);
//! let mut count = 0;
//! while let Some(user) = users.try_next().await? {
//!     assert_eq!(user.account_enabled, Some(false));
//!     count += 1;
//! }
//! assert!(count > 0);
//! # Ok(()) }
//! ```
//!
//! # What is where
//!
//! | To | use |
//! |---|---|
//! | declare an integration and let it be applied, tested, explained | [`Blueprint`] |
//! | declare what a login by OpenID Connect needs | [`OidcLogin`] |
//! | read users, groups, devices, domains, the tenant | [`GraphClient::users`] and its neighbours |
//! | read a long listing in one page of memory | [`Pages`], a stream; [`PageCursor`] to go on later |
//! | filter, search, sort | [`Query`], [`Filter`] |
//! | register an app, and its secrets and certificates | [`Applications`] |
//! | make its service principal | [`ServicePrincipals`] |
//! | look a permission up by name | [`PermissionCatalog`] |
//! | grant admin consent | [`Consent`] |
//! | renew the app's own credentials before they end | [`Rotation`] |
//! | see what a tenant's policy allows | [`Policies`] |
//! | check that a step-up protects anything | [`AuthenticationContexts`] |
//! | check a registration against what a login needs | [`LoginRegistration`] |
//! | read the groups that a token left out | [`GraphGroups`] |
//! | send twenty requests in one | [`Batch`] |
//! | wait until what was made is visible everywhere | [`RecentlyCreated`] |
//!
//! # What it takes care of
//!
//! * **Writes that must not happen twice.** An app is made by [`upsert`](Applications::upsert)
//!   under a name of one's own; a grant that is there already is a success; a secret is never asked
//!   for a second time because an answer was lost.
//! * **Collections that Graph replaces as a whole.** Adding a certificate keeps those that are
//!   there, however many write at once; adding consent keeps the scopes that are there.
//! * **Replicas that learn late.** "Not found" means "not yet" only within the window of a
//!   [`RecentlyCreated`], and five looks in a row must agree.
//! * **Throttling.** One 429 makes all calls of the same app and tenant wait, those of a batch
//!   included: see [`GraphClient::with_identity`].
//! * **Advanced queries.** `ConsistencyLevel: eventual` goes along where Graph asks for it, with
//!   each page.
//! * **Tokens.** They go to the configured Graph host alone. A link to elsewhere is
//!   [`Error::ForeignLink`].
//! * **Errors for people.** [`Error::admin_hint`] says what to do, and names the missing
//!   permission; [`Error::request_ids`] is what Microsoft's support asks for.
//!
//! # Null and absent
//!
//! Properties are options: `None` is what was not read or is null, and is not sent. So a value is
//! a patch as well: `Application { display_name: Some(…), ..Default::default() }`. Where null has a
//! meaning of its own the field is an option in an option, and `Some(None)` sends null. Values that
//! are unknown today end up in `Other`, and properties that are unknown are passed over.

mod app_credential;
mod application;
mod application_settings;
mod authentication_contexts;
mod batch;
mod binary;
mod blueprint;
mod client;
mod conditional_access;
mod consent;
mod delta;
mod device;
mod directory_object;
mod domain;
mod error;
mod graph_error;
mod graph_groups;
mod group;
mod group_cache;
mod iso_duration;
mod key_proof;
mod open_enum;
mod organization;
mod page;
mod page_body;
mod permission;
mod policy;
mod query;
mod replication;
mod rotation;
mod service_principal;
mod token_claims;
mod user;
mod well_known;
mod write_lock;

pub use app_credential::{KeyCredential, NewKey, NewPassword, PasswordCredential};
pub use application::{Application, Applications, SignInAudience, Upserted};
pub use application_settings::{
    AccessKind, ApiSettings, AppRole, ImplicitGrantSettings, OptionalClaim, OptionalClaims,
    PermissionScope, PreAuthorizedApplication, PublicClientSettings, RedirectUriSettings,
    RequiredResourceAccess, ResourceAccess, SpaSettings, WebSettings,
};
pub use authentication_contexts::AuthenticationContexts;
pub use batch::{Batch, BatchAnswer, BatchId, BatchOutcome, BatchRequest};
pub use binary::Binary;
pub use blueprint::{
    Blueprint, Change, GroupClaims, IssuedSecret, LinkHost, Linked, LoginRegistration, MemoryHost,
    OidcLogin, Plan, Platform, Progress, RedirectUriFault, Refusal, Target,
};
pub use client::GraphClient;
pub use conditional_access::{
    AuthenticationContext, ConditionalAccess, ConditionalAccessApplications,
    ConditionalAccessConditions, ConditionalAccessPolicy, ConditionalAccessPolicyState,
};
pub use consent::{AppRoleAssignment, Consent, ConsentType, Granted, OAuth2PermissionGrant};
pub use delta::{MemberChange, Removed, RemovedReason};
pub use device::{Device, Devices};
pub use directory_object::DirectoryObject;
pub use domain::{AuthenticationType, Domain, Domains};
pub use error::{Error, Malformation, MalformedAnswer, Position};
pub use graph_error::{ErrorDetail, GraphError, GraphErrorCode};
pub use graph_groups::GraphGroups;
pub use group::{Group, Groups};
pub use iso_duration::{IsoDuration, IsoDurationError};
pub use key_proof::KeyProof;
pub use organization::{Organization, OrganizationInfo, VerifiedDomain};
pub use page::{PageCursor, Pages};
pub use permission::{
    GRAPH_APP_ID, Permission, PermissionCatalog, PermissionId, PermissionKind, UnknownPermission,
};
pub use policy::{
    AppManagementPolicy, AppRestrictions, CredentialRestriction, IdentifierUriRestriction,
    IdentifierUriRestrictions, Policies, RestrictionState, RestrictionType,
};
pub use query::{Filter, Literal, Order, Query};
pub use replication::{RecentlyCreated, Replication};
pub use rotation::{
    CredentialRecord, CredentialRole, CredentialStatus, CredentialVault, Kept, MemoryVault,
    Obstacle, RecordError, Rotation, RotationEvent, RotationOutcome, RotationReport,
    StoredCredential, VaultError, VaultSource,
};
pub use service_principal::{ServicePrincipal, ServicePrincipals};
pub use user::{User, UserType, Users};
