//! The blueprint as a page for an administrator who prefers to click.

use std::fmt;

use entra_core::Cloud;

use super::{Blueprint, CLIENT_ID_PLACEHOLDER, Platform, Registration};
use crate::{Permission, SignInAudience};

impl Blueprint {
    /// The same integration as a Markdown page: every click in the portal, every value to copy.
    ///
    /// What comes out is made for `adopt`: the administrator hands three values back, and
    /// [`test_connection`](Blueprint::test_connection) checks them.
    pub fn guide(&self, cloud: &Cloud) -> String {
        Guide {
            blueprint: self,
            cloud,
        }
        .to_string()
    }
}

struct Guide<'a> {
    blueprint: &'a Blueprint,
    cloud: &'a Cloud,
}

impl fmt::Display for Guide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = code(&self.blueprint.display_name);
        writeln!(
            f,
            "# Link {} to Microsoft Entra ID\n",
            text(&self.blueprint.display_name)
        )?;
        let portal = match self.cloud.portal_url() {
            Some(url) => format!("<{url}>"),
            None => "the portal of your cloud".to_owned(),
        };
        writeln!(
            f,
            "You need the role *Cloud Application Administrator* for the registration, and \
             *Privileged Role Administrator* for admin consent. Sign in at {portal}.\n"
        )?;
        let mut steps = Steps { number: 0 };
        self.register(f, &mut steps, &name)?;
        self.redirect_uris(f, &mut steps)?;
        self.tokens(f, &mut steps)?;
        self.app_roles(f, &mut steps)?;
        self.app_id_uris(f, &mut steps)?;
        self.permissions(f, &mut steps)?;
        self.ownership(f, &mut steps)?;
        self.certificate(f, &mut steps)?;
        self.secret(f, &mut steps)?;
        self.hand_back(f, &mut steps)
    }
}

impl Guide<'_> {
    fn register(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps, name: &str) -> fmt::Result {
        if let Registration::Adopted(client_id) = &self.blueprint.registration {
            steps.begin(f, "Open the application")?;
            return writeln!(
                f,
                "- Go to **Entra ID > App registrations > All applications** and open the one with \
                 the Application (client) ID `{client_id}`.\n"
            );
        }
        steps.begin(f, "Register the application")?;
        writeln!(
            f,
            "- Go to **Entra ID > App registrations > New registration**."
        )?;
        writeln!(f, "- **Name**: {name}")?;
        writeln!(
            f,
            "- **Supported account types**: {}",
            audience_label(&self.blueprint.audience)
        )?;
        writeln!(
            f,
            "- Leave **Redirect URI** empty and choose **Register**.\n"
        )
    }

    fn redirect_uris(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        let blueprint = self.blueprint;
        if blueprint.redirect_uris.is_empty() && blueprint.logout_url.is_none() {
            return Ok(());
        }
        steps.begin(f, "Set up sign-in")?;
        writeln!(f, "Go to **Authentication**.\n")?;
        for platform in Platform::ALL {
            let mut uris = blueprint.redirect_uris_of(platform).peekable();
            if uris.peek().is_none() {
                continue;
            }
            writeln!(
                f,
                "- **Add a platform > {}**, and enter these redirect URIs exactly as they stand \
                 here:",
                platform.label()
            )?;
            for uri in uris {
                writeln!(f, "  - {}", code(uri))?;
            }
        }
        if let Some(url) = &blueprint.logout_url {
            writeln!(f, "- **Front-channel logout URL**: {}", code(url))?;
        }
        writeln!(
            f,
            "- Under **Implicit grant and hybrid flows** leave both boxes, **Access tokens** and \
             **ID tokens**, unchecked.\n"
        )
    }

    fn tokens(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        let claims = &self.blueprint.id_token_claims;
        if claims.is_empty() && self.blueprint.groups.is_none() {
            return Ok(());
        }
        steps.begin(f, "Choose what sign-in tokens say")?;
        writeln!(f, "Go to **Token configuration**.\n")?;
        if !claims.is_empty() {
            writeln!(
                f,
                "- **Add optional claim > ID**, tick each of these and choose **Add**. If the portal \
                 offers to turn on a Microsoft Graph permission for them, accept."
            )?;
            for claim in claims {
                writeln!(f, "  - {}", code(claim))?;
            }
            writeln!(
                f,
                "- One that the list does not offer is written by hand: **Manifest**, into \
                 `optionalClaims > idToken`, as `{{\"name\": \"…\"}}`."
            )?;
        }
        if let Some(groups) = self.blueprint.groups {
            writeln!(
                f,
                "- **Add groups claim > {}**, and leave **Group ID** chosen for each token.",
                groups.label()
            )?;
        }
        writeln!(f)
    }

    fn app_roles(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        if self.blueprint.app_roles.is_empty() {
            return Ok(());
        }
        steps.begin(f, "Make the roles")?;
        writeln!(
            f,
            "Go to **App roles > Create app role**. **Allowed member types** is *Users/Groups* for \
             each of these:\n"
        )?;
        for role in &self.blueprint.app_roles {
            writeln!(
                f,
                "- **Display name** {}, **Value** {}, **Description** {}",
                code(&role.display_name),
                code(&role.value),
                code(&role.description)
            )?;
        }
        writeln!(
            f,
            "\nThen give them to people: **Entra ID > Enterprise applications**, this application, \
             **Users and groups > Add user/group**.\n"
        )
    }

    fn app_id_uris(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        if self.blueprint.app_id_uris.is_empty() {
            return Ok(());
        }
        steps.begin(f, "Set the Application ID URI")?;
        writeln!(
            f,
            "Go to **Expose an API**, choose **Add** next to *Application ID URI*, enter the value \
             and **Save**."
        )?;
        for uri in &self.blueprint.app_id_uris {
            writeln!(
                f,
                "- {}",
                code(&uri.replace(CLIENT_ID_PLACEHOLDER, "<client id>"))
            )?;
        }
        writeln!(
            f,
            "\nIf the portal answers that the host is not verified, add its domain under **Settings \
             > Domain names** first.\n"
        )
    }

    fn permissions(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        if self.blueprint.permissions.is_empty() {
            return Ok(());
        }
        steps.begin(f, "Grant the API permissions")?;
        writeln!(
            f,
            "Go to **API permissions > Add a permission > Microsoft Graph**.\n"
        )?;
        let sections: [Vec<&Permission>; 2] = [
            self.blueprint.application_permissions().collect(),
            self.blueprint.delegated_permissions().collect(),
        ];
        for permissions in sections {
            let Some(first) = permissions.first() else {
                continue;
            };
            writeln!(
                f,
                "- **{}**, tick each of these and choose **Add permissions**:",
                super::portal_section(first.kind())
            )?;
            for permission in permissions {
                writeln!(f, "  - {}", code(permission.name()))?;
            }
        }
        writeln!(
            f,
            "- Choose **Grant admin consent** and confirm. Every line must show a green *Granted*.\n"
        )
    }

    fn ownership(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        if !self.blueprint.self_rotation {
            return Ok(());
        }
        steps.begin(f, "Let the application renew its own credential")?;
        let client_id = match &self.blueprint.registration {
            Registration::Adopted(client_id) => client_id.to_string(),
            Registration::Keyed(_) => "<Application (client) ID>".to_owned(),
        };
        writeln!(
            f,
            "The portal lists no applications to choose as owners. With the Azure CLI:\n\n\
             ```sh\n\
             az ad app owner add --id \"{client_id}\" \\\n    \
             --owner-object-id \"$(az ad sp show --id \"{client_id}\" --query id --output tsv)\"\n\
             ```\n"
        )
    }

    fn certificate(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        let Some(certificate) = &self.blueprint.certificate else {
            return Ok(());
        };
        steps.begin(f, "Upload the certificate")?;
        writeln!(
            f,
            "Go to **Certificates & secrets > Certificates > Upload certificate** and choose the \
             `.cer` file that the product exported. The portal must then show:\n"
        )?;
        writeln!(f, "- **Thumbprint** `{}`", certificate.thumbprint_sha1())?;
        writeln!(f, "- **Expires** {}\n", certificate.not_after().date())
    }

    fn secret(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        let Some(secret) = &self.blueprint.secret else {
            return Ok(());
        };
        steps.begin(f, "Create a client secret")?;
        writeln!(
            f,
            "- Go to **Certificates & secrets > Client secrets > New client secret**."
        )?;
        writeln!(f, "- **Description**: {}", code(&secret.name))?;
        writeln!(
            f,
            "- **Expires**: custom, {} days",
            secret.lifetime.whole_days()
        )?;
        writeln!(
            f,
            "- Copy the **Value** at once: the portal never shows it again. The *Secret ID* is not \
             what is needed.\n"
        )
    }

    fn hand_back(&self, f: &mut fmt::Formatter<'_>, steps: &mut Steps) -> fmt::Result {
        steps.begin(f, "Enter these values in the product")?;
        writeln!(f, "From the application's **Overview** page:\n")?;
        writeln!(f, "- **Directory (tenant) ID**")?;
        writeln!(f, "- **Application (client) ID**")?;
        if self.blueprint.secret.is_some() {
            writeln!(f, "- the client secret's **Value** from the step before")?;
        }
        writeln!(f, "\nThen choose **Test connection** in the product.")
    }
}

/// Numbers the headings, since a step without a subject is left out.
struct Steps {
    number: usize,
}

impl Steps {
    fn begin(&mut self, f: &mut fmt::Formatter<'_>, heading: &str) -> fmt::Result {
        self.number += 1;
        writeln!(f, "## {}. {heading}\n", self.number)
    }
}

/// As the portal's radio button says it.
fn audience_label(audience: &SignInAudience) -> &str {
    match audience {
        SignInAudience::MyOrganization => {
            "Accounts in this organizational directory only (Single tenant)"
        }
        SignInAudience::AnyOrganization => {
            "Accounts in any organizational directory (Any Microsoft Entra ID tenant - Multitenant)"
        }
        SignInAudience::AnyOrganizationAndPersonal => {
            "Accounts in any organizational directory and personal Microsoft accounts"
        }
        SignInAudience::Personal => "Personal Microsoft accounts only",
        SignInAudience::Other(other) => other,
    }
}

/// A value as inline code. A backtick in it would end the code, so it is fenced by two.
fn code(value: &str) -> String {
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    if value.contains('`') {
        format!("`` {value} ``")
    } else {
        format!("`{value}`")
    }
}

/// A name in running text, without what Markdown would read as markup.
fn text(value: &str) -> String {
    value
        .chars()
        .flat_map(|c| {
            let escaped = matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#');
            escaped
                .then_some('\\')
                .into_iter()
                .chain(std::iter::once(c))
        })
        .filter(|c| !c.is_control())
        .collect()
}
