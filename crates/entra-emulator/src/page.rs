//! The pages that a person at a browser sees: plain HTML, without scripts where there can be.

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, Response, StatusCode};

/// A form with its fields, one button for each value of `action`.
#[derive(Debug)]
pub(crate) struct FormPage<'a> {
    pub(crate) title: &'a str,
    /// What is wrong with the last attempt.
    pub(crate) problem: Option<String>,
    /// What the form is about, in paragraphs.
    pub(crate) text: Vec<String>,
    /// Where it is posted to.
    pub(crate) action: String,
    /// Names and values that go along unseen.
    pub(crate) hidden: Vec<(&'a str, String)>,
    /// Label, name, type and value.
    pub(crate) fields: Vec<(&'a str, &'a str, &'a str, String)>,
    /// Label and value of each button.
    pub(crate) buttons: Vec<(&'a str, &'a str)>,
    /// A code that the person would see elsewhere.
    pub(crate) output: Option<String>,
}

impl FormPage<'_> {
    /// The page.
    pub(crate) fn answer(&self) -> Response<Bytes> {
        let mut body = String::new();
        if let Some(problem) = &self.problem {
            body += &format!("<p role=\"alert\">{}</p>\n", escape(problem));
        }
        for text in &self.text {
            body += &format!("<p>{}</p>\n", escape(text));
        }
        if let Some(code) = &self.output {
            body += &format!("<p><output id=\"code\">{}</output></p>\n", escape(code));
        }
        let action = escape(&self.action);
        body += &format!("<form method=\"post\" action=\"{action}\">\n");
        for (name, value) in &self.hidden {
            body += &input("hidden", name, value);
        }
        for (label, name, kind, value) in &self.fields {
            let input = input(kind, name, value);
            body += &format!("<p><label>{}<br>{input}</label></p>\n", escape(label));
        }
        for (label, value) in &self.buttons {
            let (label, value) = (escape(label), escape(value));
            body += &format!("<button name=\"action\" value=\"{value}\">{label}</button>\n");
        }
        body += "</form>\n";
        page(StatusCode::OK, self.title, &body, "script-src 'none'")
    }
}

/// A page with a few sentences.
pub(crate) fn message(status: StatusCode, title: &str, text: &[String]) -> Response<Bytes> {
    let body: String = text
        .iter()
        .map(|text| format!("<p>{}</p>\n", escape(text)))
        .collect();
    page(status, title, &body, "script-src 'none'")
}

/// A form that sends itself to the client (OAuth 2.0 Form Post Response Mode 2).
pub(crate) fn form_post(uri: &str, parameters: &[(String, String)]) -> Response<Bytes> {
    let uri = escape(uri);
    let mut body = format!("<form method=\"post\" action=\"{uri}\">\n");
    for (name, value) in parameters {
        body += &input("hidden", name, value);
    }
    body += "<noscript><button>Continue</button></noscript>\n</form>\n\
             <script>document.forms[0].submit()</script>\n";
    page(
        StatusCode::OK,
        "Working...",
        &body,
        "script-src 'unsafe-inline'",
    )
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

fn page(status: StatusCode, title: &str, body: &str, policy: &'static str) -> Response<Bytes> {
    let title = escape(title);
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title>\
         </head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    );
    let mut answer = Response::new(Bytes::from(html));
    *answer.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        let value = HeaderValue::from_static(value);
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn input(kind: &str, name: &str, value: &str) -> String {
    let (kind, name, value) = (escape(kind), escape(name), escape(value));
    format!("<input type=\"{kind}\" name=\"{name}\" value=\"{value}\">\n")
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
}
