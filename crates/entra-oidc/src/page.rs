//! The pages that a user sees where no page of the product can be: plain HTML without scripts,
//! and nothing of the request in it.

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

/// A page with a few sentences.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    title: &'static str,
    body: String,
}

impl Page {
    pub(crate) fn new(status: StatusCode, title: &'static str) -> Self {
        Self {
            status,
            title,
            body: String::new(),
        }
    }

    pub(crate) fn with_text(mut self, text: &str) -> Self {
        self.body += &format!("<p>{}</p>\n", escape(text));
        self
    }

    #[cfg(feature = "axum")]
    pub(crate) fn with_link(mut self, text: &str, href: &str) -> Self {
        let (text, href) = (escape(text), escape(href));
        self.body += &format!("<p><a href=\"{href}\">{text}</a></p>\n");
        self
    }

    #[cfg(feature = "axum")]
    pub(crate) fn with_note(mut self, text: &str) -> Self {
        self.body += &format!("<p class=\"note\">{}</p>\n", escape(text));
        self
    }

    /// A form with one field, which a GET carries to `action` with what is hidden.
    #[cfg(feature = "axum")]
    pub(crate) fn with_field(
        mut self,
        action: &str,
        (label, name, kind): (&str, &str, &str),
        hidden: &[(&str, &str)],
    ) -> Self {
        let action = escape(action);
        self.body += &format!("<form method=\"get\" action=\"{action}\">\n");
        for (name, value) in hidden {
            let (name, value) = (escape(name), escape(value));
            self.body += &format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n");
        }
        let (label, name, kind) = (escape(label), escape(name), escape(kind));
        self.body += &format!(
            "<p><label for=\"field\">{label}</label>\n<input id=\"field\" type=\"{kind}\" \
             name=\"{name}\" autocomplete=\"username\" required autofocus></p>\n\
             <p><button>Continue</button></p>\n</form>\n"
        );
        self
    }

    /// The whole page.
    pub(crate) fn html(&self) -> String {
        let title = escape(self.title);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{}</main>\n</body>\n</html>\n",
            self.body
        )
    }
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

/// Nothing is loaded, nothing runs, nobody frames it, and no address of a login leaves with a
/// `Referer` (RFC 9700 4.2.4). Not `form-action`: browsers apply it to the redirect that follows a
/// form, and ours lead to the provider.
pub(crate) const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'sha256-0N2Ikcg80nUDvCDgiOU+CYHgr7o5hpVER45px+ao5Oc='; base-uri 'none'; frame-ancestors 'none'",
    ),
];

/// Its hash stands in the policy above.
const STYLE: &str = ":root{color-scheme:light dark;font:1.0625rem/1.5 system-ui,sans-serif}\
    body{margin:0;display:grid;place-items:center;min-height:100vh}\
    main{box-sizing:border-box;width:100%;max-width:30rem;padding:2rem}\
    h1{font-size:1.375rem;margin:0 0 1rem}\
    p{margin:0 0 1rem}\
    .note{font-size:.875rem;opacity:.75}\
    input{font:inherit;display:block;box-sizing:border-box;width:100%;margin-top:.25rem;padding:.5rem}\
    button{font:inherit;padding:.5rem 1rem}";

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_policy_allows_the_style_and_nothing_else() {
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        let (_, policy) = HEADERS[4];
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; \
                 frame-ancestors 'none'"
            )
        );
    }

    #[cfg(feature = "axum")]
    #[test]
    fn text_cannot_become_markup() {
        let hostile = "\"><script>alert('1')</script>&";
        let page = Page::new(StatusCode::OK, "t")
            .with_text(hostile)
            .with_link(hostile, hostile)
            .with_note(hostile)
            .with_field(hostile, (hostile, hostile, hostile), &[(hostile, hostile)]);
        assert!(!page.body.contains("<script"));
        assert!(!page.body.contains("\"\""));
        let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;";
        assert_eq!(page.body.matches(escaped).count(), 10);
    }
}
