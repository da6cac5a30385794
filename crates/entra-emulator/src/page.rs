//! The pages that a person at a browser sees: HTML that needs no script, loads nothing from
//! elsewhere, and works with a keyboard, a screen reader, a telephone and a password manager.
//!
//! Content Security Policy Level 3: everything is forbidden but the style and the script of these
//! pages, by hash, and the frames that a page names. `form-action` is left open: browsers apply it
//! to redirects after a form too, and those lead wherever a client is registered, and from there
//! wherever the client sends its users.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};

/// One page.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) status: StatusCode,
    /// Who shows it: the company.
    pub(crate) owner: &'a str,
    pub(crate) title: &'a str,
    pub(crate) body: Html,
    /// What its frames load.
    pub(crate) frames: Vec<String>,
    /// Where it leads after a moment.
    pub(crate) next: Option<String>,
}

impl<'a> Page<'a> {
    /// A page without frames that leads nowhere.
    pub(crate) fn new(owner: &'a str, title: &'a str, body: Html) -> Self {
        Self {
            status: StatusCode::OK,
            owner,
            title,
            body,
            frames: Vec::new(),
            next: None,
        }
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// The page as an answer. It may not be shown in a frame.
    pub(crate) fn answer(self) -> Response<Bytes> {
        let mut policy = format!(
            "default-src 'none'; style-src '{}'; base-uri 'none'; frame-ancestors 'none'",
            *STYLE_HASH
        );
        if !self.frames.is_empty() {
            policy += "; frame-src";
            for frame in &self.frames {
                policy += &[" ", &source_expression(frame)].concat();
            }
        }
        let mut body = Html::default()
            .open("main", &[])
            .line("p", &[("class", "owner")], self.owner)
            .line("h1", &[], self.title)
            .and(self.body);
        for frame in &self.frames {
            let attributes = [
                ("src", frame.as_str()),
                ("title", "Signing out"),
                ("hidden", ""),
            ];
            body = body.line("iframe", &attributes, "");
        }
        let body = body.close("main").line(
            "footer",
            &[],
            "A local tenant for tests. Nothing here is a real account.",
        );
        html(
            self.status,
            (self.title, self.next.as_deref()),
            &body,
            &policy,
        )
    }
}

/// A form with its fields and buttons.
#[derive(Debug, Default)]
pub(crate) struct HtmlForm<'a> {
    /// Where it is posted to.
    pub(crate) action: String,
    /// Names and values that go along unseen.
    pub(crate) hidden: Vec<(&'a str, String)>,
    pub(crate) fields: Vec<Field<'a>>,
    /// The accounts to choose from: the value of `account`, and what they are called.
    pub(crate) accounts: Vec<Account>,
    /// Label and value of each button; the first is what the form is for.
    pub(crate) buttons: Vec<(&'a str, &'a str)>,
    /// Whether the last attempt failed.
    pub(crate) is_wrong: bool,
}

/// One field.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) label: &'a str,
    pub(crate) name: &'a str,
    pub(crate) value: String,
    pub(crate) kind: FieldKind,
}

/// What is typed into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    UserName,
    Password,
    OneTimeCode,
    DeviceCode,
}

/// One account to choose.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) value: String,
    pub(crate) name: String,
    pub(crate) user_name: String,
}

impl HtmlForm<'_> {
    pub(crate) fn html(&self) -> Html {
        let attributes = [("method", "post"), ("action", self.action.as_str())];
        let mut form = Html::default().open("form", &attributes);
        for (name, value) in &self.hidden {
            form = form.void(
                "input",
                &[("type", "hidden"), ("name", name), ("value", value)],
            );
        }
        for account in &self.accounts {
            let button = [
                ("class", "account"),
                ("name", "account"),
                ("value", &account.value),
            ];
            form = form
                .open("button", &button)
                .line("strong", &[], &account.name)
                .line("span", &[], &account.user_name)
                .close("button");
        }
        let mut is_first = true;
        for field in &self.fields {
            // Where the name is known the password is what is missing.
            let has_focus = is_first && field.value.is_empty();
            is_first = is_first && !has_focus;
            form = form.and(field.html(has_focus, self.is_wrong));
        }
        if !self.buttons.is_empty() {
            form = form.open("div", &[("class", "buttons")]);
            for (label, value) in &self.buttons {
                form = form.line("button", &[("name", "action"), ("value", value)], label);
            }
            form = form.close("div");
        }
        form.close("form")
    }
}

impl Field<'_> {
    fn html(&self, has_focus: bool, is_wrong: bool) -> Html {
        let (kind, autocomplete) = match self.kind {
            FieldKind::UserName => ("text", "username"),
            FieldKind::Password => ("password", "current-password"),
            FieldKind::OneTimeCode => ("text", "one-time-code"),
            FieldKind::DeviceCode => ("text", "off"),
        };
        let mut attributes = vec![
            ("type", kind),
            ("id", self.name),
            ("name", self.name),
            ("value", self.value.as_str()),
            ("autocomplete", autocomplete),
            ("autocapitalize", "none"),
            ("spellcheck", "false"),
        ];
        match self.kind {
            FieldKind::UserName => attributes.push(("inputmode", "email")),
            FieldKind::OneTimeCode => attributes.push(("inputmode", "numeric")),
            FieldKind::Password | FieldKind::DeviceCode => {}
        }
        if is_wrong {
            attributes.extend([("aria-invalid", "true"), ("aria-describedby", "problem")]);
        }
        if has_focus {
            attributes.push(("autofocus", ""));
        }
        Html::default()
            .line("label", &[("for", self.name)], self.label)
            .void("input", &attributes)
    }
}

/// Markup whose texts were escaped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// The beginning of an element.
    pub(crate) fn open(mut self, tag: &str, attributes: &[(&str, &str)]) -> Self {
        self.0 += &["<", tag].concat();
        for (name, value) in attributes {
            self.0 += &[" ", name, "=\"", &escape(value), "\""].concat();
        }
        self.0.push('>');
        self
    }

    /// The end of one.
    pub(crate) fn close(mut self, tag: &str) -> Self {
        self.0 += &["</", tag, ">\n"].concat();
        self
    }

    /// One without content.
    pub(crate) fn void(self, tag: &str, attributes: &[(&str, &str)]) -> Self {
        let mut html = self.open(tag, attributes);
        html.0.push('\n');
        html
    }

    /// One with a text.
    pub(crate) fn line(self, tag: &str, attributes: &[(&str, &str)], text: &str) -> Self {
        let mut html = self.open(tag, attributes);
        html.0 += &escape(text);
        html.close(tag)
    }

    /// A paragraph.
    pub(crate) fn paragraph(self, text: &str) -> Self {
        self.line("p", &[], text)
    }

    /// What is wrong with the last attempt, read out at once.
    pub(crate) fn problem(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.line("p", &[("id", "problem"), ("role", "alert")], text),
            None => self,
        }
    }

    /// More of it.
    pub(crate) fn and(mut self, more: Self) -> Self {
        self.0 += &more.0;
        self
    }
}

/// A form that sends itself to the client (OAuth 2.0 Form Post Response Mode 2). It may be in a
/// frame, where a client renews its tokens unseen.
pub(crate) fn form_post(uri: &str, parameters: &[(String, String)]) -> Response<Bytes> {
    let attributes = [("method", "post"), ("action", uri)];
    let mut body = Html::default().open("form", &attributes);
    for (name, value) in parameters {
        body = body.void(
            "input",
            &[("type", "hidden"), ("name", name), ("value", value)],
        );
    }
    let mut body = body
        .open("noscript", &[])
        .paragraph("Your browser runs no scripts. Go on to get back to the application.")
        .line("button", &[], "Continue")
        .close("noscript")
        .close("form");
    body.0 += &["<script>", SUBMIT, "</script>\n"].concat();
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'",
        *STYLE_HASH, *SUBMIT_HASH
    );
    html(StatusCode::OK, ("Working...", None), &body, &policy)
}

/// Sends the browser elsewhere.
pub(crate) fn redirect(location: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::FOUND;
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

fn html(
    status: StatusCode,
    (title, next): (&str, Option<&str>),
    body: &Html,
    policy: &str,
) -> Response<Bytes> {
    let viewport = [
        ("name", "viewport"),
        ("content", "width=device-width, initial-scale=1"),
    ];
    let mut page = Html("<!DOCTYPE html>\n".to_owned())
        .open("html", &[("lang", "en")])
        .open("head", &[])
        .void("meta", &[("charset", "utf-8")])
        .void("meta", &viewport);
    if let Some(next) = next {
        let content = ["1;url=", next].concat();
        page = page.void("meta", &[("http-equiv", "refresh"), ("content", &content)]);
    }
    page = page.line("title", &[], title);
    page.0 += &["<style>", STYLE, "</style>\n"].concat();
    let page = page
        .close("head")
        .open("body", &[])
        .and(body.clone())
        .close("body")
        .close("html");
    let mut answer = Response::new(Bytes::from(page.0));
    *answer.status_mut() = status;
    let headers: [(HeaderName, &str); 4] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// A URL without its query as a source expression, in which semicolons and commas would end it.
fn source_expression(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (url, _) = url.split_at(end);
    url.replace(';', "%3B").replace(',', "%2C")
}

/// Text that cannot become markup, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
        escaped
    })
}

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| hash_source(STYLE));
static SUBMIT_HASH: LazyLock<String> = LazyLock::new(|| hash_source(SUBMIT));

/// Content Security Policy Level 3, 2.3.1: `hash-source`.
fn hash_source(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    ["sha256-", &STANDARD.encode(hash)].concat()
}

const SUBMIT: &str = "document.forms[0].submit()";

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_cannot_become_markup() {
        let hostile = "\"><script>alert('1')</script>";
        let answer = form_post(hostile, &[("state".to_owned(), hostile.to_owned())]);
        let html = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(!html.contains("<script>alert"));
        assert!(
            html.contains("value=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\"")
        );
    }

    #[test]
    fn the_policy_allows_the_style_by_its_hash_and_the_frames_without_their_queries() {
        let mut page = Page::new("o", "t", Html::default());
        page.frames = vec!["https://a.example/out;x?sid=1,2".to_owned()];
        let answer = page.answer();
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(policy.ends_with("; frame-src https://a.example/out%3Bx"));
        // `printf 'document.forms[0].submit()' | openssl dgst -sha256 -binary | base64`
        assert_eq!(
            *SUBMIT_HASH,
            "sha256-ePniVEkSivX/c7XWBGafqh8tSpiRrKiqYeqbG7N1TOE="
        );
    }
}
