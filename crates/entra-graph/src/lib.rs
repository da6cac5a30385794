//! Microsoft Graph for products that integrate themselves with Microsoft Entra ID.

mod app_credential;
mod application;
mod application_settings;
mod batch;
mod binary;
mod blueprint;
mod client;
mod consent;
mod delta;
mod device;
mod directory_object;
mod domain;
mod error;
mod graph_error;
mod group;
mod iso_duration;
mod open_enum;
mod organization;
mod page;
mod page_body;
mod permission;
mod policy;
mod query;
mod replication;
mod service_principal;
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
pub use batch::{Batch, BatchAnswer, BatchId, BatchOutcome, BatchRequest};
pub use binary::Binary;
pub use blueprint::{
    Blueprint, Change, IssuedSecret, LinkHost, Linked, MemoryHost, Plan, Platform, Progress,
    RedirectUriFault, Refusal, Target,
};
pub use client::GraphClient;
pub use consent::{AppRoleAssignment, Consent, ConsentType, Granted, OAuth2PermissionGrant};
pub use delta::{MemberChange, Removed, RemovedReason};
pub use device::{Device, Devices};
pub use directory_object::DirectoryObject;
pub use domain::{AuthenticationType, Domain, Domains};
pub use error::{Error, Malformation, MalformedAnswer, Position};
pub use graph_error::{ErrorDetail, GraphError, GraphErrorCode};
pub use group::{Group, Groups};
pub use iso_duration::{IsoDuration, IsoDurationError};
pub use organization::{Organization, OrganizationInfo, VerifiedDomain};
pub use page::Pages;
pub use permission::{
    GRAPH_APP_ID, Permission, PermissionCatalog, PermissionId, PermissionKind, UnknownPermission,
};
pub use policy::{
    AppManagementPolicy, AppRestrictions, CredentialRestriction, IdentifierUriRestriction,
    IdentifierUriRestrictions, Policies, RestrictionState, RestrictionType,
};
pub use query::{Filter, Literal, Order, Query};
pub use replication::{RecentlyCreated, Replication};
pub use service_principal::{ServicePrincipal, ServicePrincipals};
pub use user::{User, UserType, Users};
