//! The people of a new tenant, their groups and devices, and the company's domains.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{Seed, SeededUser};
use crate::tenant::{Kind, Link, Object, Tenant, timestamp};

/// Fills the directory; returns the users that have a password.
pub(super) fn add(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) -> Vec<SeededUser> {
    add_organization(seed, tenant, now);
    add_policy(tenant);
    let users = add_people(seed, tenant, now);
    add_numbered_users(seed, tenant, now);
    add_groups(seed, tenant, now);
    add_devices(seed, tenant, now);
    users
}

fn add_organization(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) {
    let domains = domains(seed);
    let verified: Vec<Value> = domains
        .iter()
        .filter(|domain| domain.is_verified)
        .map(|domain| {
            json!({
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": domain.is_default,
                "isInitial": domain.is_initial,
                "name": domain.name,
                "type": domain.authentication
            })
        })
        .collect();
    let organization = json!({
        "id": tenant.id(),
        "countryLetterCode": "CH",
        "createdDateTime": timestamp(now - Duration::days(1_400)),
        "displayName": seed.name,
        "preferredLanguage": "en",
        "technicalNotificationMails": [format!("it@{}", seed.custom_domain())],
        "tenantType": "AAD",
        "verifiedDomains": verified
    });
    tenant.insert_settled(Kind::Organization, object(organization));
    for domain in domains {
        let domain = json!({
            "id": domain.name,
            "authenticationType": domain.authentication,
            "isAdminManaged": true,
            "isDefault": domain.is_default,
            "isInitial": domain.is_initial,
            "isRoot": true,
            "isVerified": domain.is_verified,
            "passwordNotificationWindowInDays": 14,
            "passwordValidityPeriodInDays": 2_147_483_647,
            "supportedServices": if domain.is_verified {
                json!(["Email", "OfficeCommunicationsOnline"])
            } else {
                json!([])
            }
        });
        tenant.insert_settled(Kind::Domain, object(domain));
    }
}

struct Domain {
    name: String,
    authentication: &'static str,
    is_default: bool,
    is_initial: bool,
    is_verified: bool,
}

fn domains(seed: &Seed) -> [Domain; 4] {
    let label = seed.label();
    let domain = |name: String, authentication| Domain {
        name,
        authentication,
        is_default: false,
        is_initial: false,
        is_verified: true,
    };
    [
        Domain {
            is_initial: true,
            ..domain(seed.domain(), "Managed")
        },
        Domain {
            is_default: true,
            ..domain(seed.custom_domain(), "Managed")
        },
        domain([&label, "-works.example"].concat(), "Federated"),
        Domain {
            is_verified: false,
            ..domain([&label, "-shop.example"].concat(), "Managed")
        },
    ]
}

/// Learn, "Get tenantAppManagementPolicy": the policy that every tenant has, here without
/// restrictions.
fn add_policy(tenant: &mut Tenant) {
    let unrestricted = json!({"keyCredentials": [], "passwordCredentials": []});
    let policy = json!({
        "id": "00000000-0000-0000-0000-000000000000",
        "applicationRestrictions": unrestricted,
        "description": "Default tenant policy that enforces app management restrictions on \
                        applications and service principals.",
        "displayName": "Default app management tenant policy",
        "isEnabled": false,
        "servicePrincipalRestrictions": unrestricted
    });
    tenant.insert_settled(Kind::TenantAppManagementPolicy, object(policy));
}

fn add_people(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) -> Vec<SeededUser> {
    let mut seeded = Vec::new();
    for (index, person) in (0_i64..).zip(PEOPLE).take(seed.users) {
        let id = seed.id("user", person.name);
        let mut user = person.user(seed);
        let created = timestamp(now - Duration::days(900 - index));
        user.insert("id".to_owned(), json!(id));
        user.insert("createdDateTime".to_owned(), json!(created));
        let user_principal_name = crate::tenant::text_of(&user, "userPrincipalName").to_owned();
        tenant.insert_settled(Kind::User, user);
        if person.standing == Standing::Member {
            let password = seed.secret("user", person.name);
            tenant.set_password(&id, password.clone());
            seeded.push(SeededUser {
                user_principal_name,
                password,
                object_id: id,
            });
        }
    }
    let manager = seed.id("user", "Mara Lindqvist");
    for person in PEOPLE.iter().take(seed.users) {
        if person.standing == Standing::Member && person.name != "Mara Lindqvist" {
            tenant.link(&seed.id("user", person.name), Link::Manager, &manager);
        }
    }
    seeded
}

/// One of the forty.
pub(super) struct Person {
    name: &'static str,
    title: &'static str,
    department: &'static str,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Member,
    Disabled,
    Guest,
}

impl Person {
    fn user(&self, seed: &Seed) -> Object {
        let (given, surname) = self.name.split_once(' ').unwrap_or((self.name, ""));
        let alias = [given, ".", surname].concat().to_ascii_lowercase();
        let guest = self.standing == Standing::Guest;
        let (name, mail) = if guest {
            // Learn, "Properties of a Microsoft Entra B2B collaboration user".
            let home = [&alias, "@partner.example"].concat();
            let name = [&home.replace('@', "_"), "#EXT#@", &seed.domain()].concat();
            (name, home)
        } else {
            let name = [&alias, "@", &seed.custom_domain()].concat();
            (name.clone(), name)
        };
        let mut user = object(json!({
            "accountEnabled": self.standing != Standing::Disabled,
            "department": self.department,
            "displayName": self.name,
            "givenName": given,
            "jobTitle": self.title,
            "mail": mail,
            "mailNickname": alias,
            "proxyAddresses": [format!("SMTP:{mail}")],
            "surname": surname,
            "usageLocation": "CH",
            "userPrincipalName": name,
            "userType": if guest { "Guest" } else { "Member" }
        }));
        if guest {
            user.insert("creationType".to_owned(), json!("Invitation"));
            user.insert("externalUserState".to_owned(), json!("Accepted"));
        }
        user
    }
}

fn add_numbered_users(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) {
    let created = timestamp(now - Duration::days(400));
    let domain = seed.custom_domain();
    for index in PEOPLE.len()..seed.users {
        let number = format!("{index:06}");
        let name = ["user", &number, "@", &domain].concat();
        let user = json!({
            "id": seed.id("user", &number),
            "accountEnabled": index % 50 != 0,
            "createdDateTime": created,
            "department": DEPARTMENTS.get(index % DEPARTMENTS.len()),
            "displayName": format!("User {number}"),
            "givenName": "User",
            "mail": name,
            "surname": number,
            "userPrincipalName": name,
            "userType": "Member"
        });
        tenant.insert_settled(Kind::User, object(user));
    }
}

fn add_groups(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) {
    let created = timestamp(now - Duration::days(800));
    for (name, alias, _) in GROUPS {
        let unified = name == "Alpine Project";
        let mail = [alias, "@", &seed.custom_domain()].concat();
        let mut group = object(json!({
            "id": seed.id("group", name),
            "createdDateTime": created,
            "description": format!("{name} of the company"),
            "displayName": name,
            "groupTypes": [],
            "mailEnabled": unified,
            "mailNickname": alias,
            "renewedDateTime": created,
            "securityEnabled": !unified
        }));
        if unified {
            group.insert("groupTypes".to_owned(), json!(["Unified"]));
            group.insert("mail".to_owned(), json!(mail));
            group.insert("proxyAddresses".to_owned(), json!([format!("SMTP:{mail}")]));
            group.insert("visibility".to_owned(), json!("Private"));
        }
        if name == "Engineering" {
            // It came from Active Directory once, with the names that it had there.
            for (property, value) in [
                ("onPremisesDomainName", seed.custom_domain()),
                ("onPremisesNetBiosName", seed.label().to_ascii_uppercase()),
                ("onPremisesSamAccountName", alias.to_owned()),
            ] {
                group.insert(property.to_owned(), json!(value));
            }
        }
        tenant.insert_settled(Kind::Group, group);
    }
    for (name, _, members) in GROUPS {
        let group = seed.id("group", name);
        for member in members {
            for id in member_ids(seed, member) {
                if tenant.kind_of(&id).is_some() {
                    tenant.link(&group, Link::Member, &id);
                }
            }
        }
        tenant.link(&group, Link::Owner, &seed.id("user", "Mara Lindqvist"));
    }
}

/// `@Sales`: everybody of a department; otherwise a group or a person by name.
fn member_ids(seed: &Seed, member: &str) -> Vec<String> {
    if let Some(department) = member.strip_prefix('@') {
        return PEOPLE
            .iter()
            .filter(|person| person.department == department)
            .map(|person| seed.id("user", person.name))
            .collect();
    }
    if GROUPS.iter().any(|(name, _, _)| *name == member) {
        return vec![seed.id("group", member)];
    }
    vec![seed.id("user", member)]
}

fn add_devices(seed: &Seed, tenant: &mut Tenant, now: OffsetDateTime) {
    for (index, (name, system, model, compliant)) in (0_i64..).zip(DEVICES) {
        let (operating_system, version) = system;
        let windows = operating_system == "Windows";
        let device = json!({
            "id": seed.id("device", name),
            "accountEnabled": name != "LT-0007",
            "approximateLastSignInDateTime": timestamp(now - Duration::days(index)),
            "deviceId": seed.id("deviceId", name),
            "deviceOwnership": "Company",
            "deviceVersion": 2,
            "displayName": name,
            "isCompliant": compliant,
            "isManaged": compliant,
            "manufacturer": model.0,
            "model": model.1,
            "operatingSystem": operating_system,
            "operatingSystemVersion": version,
            "physicalIds": [format!("[USER-HWID]:{name}")],
            "profileType": "RegisteredDevice",
            "registrationDateTime": timestamp(now - Duration::days(300 + index)),
            "trustType": if windows { "AzureAd" } else { "Workplace" }
        });
        let id = tenant.insert_settled(Kind::Device, object(device));
        let owner = usize::try_from(index)
            .ok()
            .and_then(|index| PEOPLE.get(index));
        if let Some(owner) = owner.map(|person| seed.id("user", person.name)) {
            tenant.link(&id, Link::RegisteredOwner, &owner);
            tenant.link(&id, Link::RegisteredUser, &owner);
        }
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

const fn member(name: &'static str, title: &'static str, department: &'static str) -> Person {
    Person {
        name,
        title,
        department,
        standing: Standing::Member,
    }
}

const fn disabled(name: &'static str, title: &'static str, department: &'static str) -> Person {
    Person {
        standing: Standing::Disabled,
        ..member(name, title, department)
    }
}

const fn guest(name: &'static str) -> Person {
    Person {
        standing: Standing::Guest,
        ..member(name, "Consultant", "Partners")
    }
}

const DEPARTMENTS: [&str; 5] = ["Engineering", "IT", "Sales", "Finance", "Operations"];

pub(super) const PEOPLE: [Person; 40] = [
    member("Mara Lindqvist", "Chief Executive", "Management"),
    member("Jonas Keller", "Head of IT", "IT"),
    member("Priya Raman", "System Administrator", "IT"),
    member("Tomas Novak", "Help Desk Agent", "IT"),
    member("Lea Fontaine", "Help Desk Agent", "IT"),
    disabled("Olaf Brandt", "System Administrator", "IT"),
    member("Aiko Tanaka", "Head of Engineering", "Engineering"),
    member("Samuel Osei", "Software Engineer", "Engineering"),
    member("Nina Petrova", "Software Engineer", "Engineering"),
    member("Diego Morales", "Software Engineer", "Engineering"),
    member("Hanna Virtanen", "Software Engineer", "Engineering"),
    member("Luca Bianchi", "Hardware Engineer", "Engineering"),
    member("Fatima Zahra", "Hardware Engineer", "Engineering"),
    member("Erik Johansson", "Test Engineer", "Engineering"),
    disabled("Ines Carvalho", "Test Engineer", "Engineering"),
    member("Wei Chen", "Data Engineer", "Engineering"),
    member("Clara Hofmann", "Head of Sales", "Sales"),
    member("Marc Dubois", "Account Manager", "Sales"),
    member("Sofia Rossi", "Account Manager", "Sales"),
    member("Peter Nagy", "Account Manager", "Sales"),
    member("Yara Haddad", "Sales Engineer", "Sales"),
    member("Ben Cooper", "Sales Engineer", "Sales"),
    member("Anna Kowalska", "Inside Sales", "Sales"),
    disabled("Victor Lang", "Inside Sales", "Sales"),
    member("Ruth Meier", "Head of Finance", "Finance"),
    member("Paul Schneider", "Accountant", "Finance"),
    member("Elena Popescu", "Accountant", "Finance"),
    member("Karim Benali", "Controller", "Finance"),
    member("Greta Olsen", "Payroll", "Finance"),
    member("David Levy", "Head of Operations", "Operations"),
    member("Julia Weber", "Logistics", "Operations"),
    member("Oscar Lund", "Logistics", "Operations"),
    member("Mina Park", "Purchasing", "Operations"),
    member("Hugo Martin", "Facilities", "Operations"),
    member("Zoe Papadaki", "Reception", "Operations"),
    member("Rafael Costa", "Quality", "Operations"),
    guest("Emma Wright"),
    guest("Noah Fischer"),
    guest("Olga Ivanova"),
    guest("Liam Murphy"),
];

/// Display name, alias, members.
const GROUPS: [(&str, &str, &[&str]); 8] = [
    (
        "All Staff",
        "all-staff",
        &["Technology", "Commercial", "Mara Lindqvist"],
    ),
    (
        "Technology",
        "technology",
        &["Engineering", "IT Operations"],
    ),
    ("Engineering", "engineering", &["@Engineering"]),
    ("IT Operations", "it-operations", &["@IT"]),
    ("Commercial", "commercial", &["@Sales", "@Finance"]),
    (
        "Device Administrators",
        "device-admins",
        &["Jonas Keller", "Priya Raman"],
    ),
    ("Partners", "partners", &["@Partners"]),
    (
        "Alpine Project",
        "alpine-project",
        &["Aiko Tanaka", "Clara Hofmann", "Emma Wright"],
    ),
];

type Text = &'static str;
type Device = (Text, (Text, Text), (Text, Text), Option<bool>);

/// Display name, system and its version, maker and model, compliance.
const DEVICES: [Device; 12] = [
    (
        "LT-0001",
        ("Windows", "10.0.26100.2314"),
        ("Dell Inc.", "Latitude 7450"),
        Some(true),
    ),
    (
        "LT-0002",
        ("Windows", "10.0.26100.2314"),
        ("Dell Inc.", "Latitude 7450"),
        Some(true),
    ),
    (
        "LT-0003",
        ("Windows", "10.0.22631.4460"),
        ("LENOVO", "21HD"),
        Some(true),
    ),
    (
        "LT-0004",
        ("Windows", "10.0.22631.4460"),
        ("LENOVO", "21HD"),
        Some(false),
    ),
    (
        "LT-0005",
        ("Windows", "10.0.19045.5131"),
        ("HP", "EliteBook 840 G8"),
        Some(false),
    ),
    (
        "MAC-0001",
        ("MacMDM", "15.1"),
        ("Apple", "MacBook Pro"),
        Some(true),
    ),
    (
        "MAC-0002",
        ("MacMDM", "14.7"),
        ("Apple", "MacBook Air"),
        None,
    ),
    (
        "IPHONE-0001",
        ("IPhone", "18.1"),
        ("Apple", "iPhone 15"),
        Some(true),
    ),
    (
        "IPHONE-0002",
        ("IPhone", "17.6"),
        ("Apple", "iPhone 13"),
        Some(true),
    ),
    (
        "ANDROID-0001",
        ("Android", "15"),
        ("Samsung", "SM-S921B"),
        Some(true),
    ),
    (
        "ANDROID-0002",
        ("Android", "13"),
        ("Google", "Pixel 6"),
        Some(false),
    ),
    (
        "LT-0007",
        ("Windows", "10.0.26100.2314"),
        ("Dell Inc.", "Latitude 5450"),
        None,
    ),
];
