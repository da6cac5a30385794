//! A browser without scripts: it keeps the cookie, and posts the forms of the pages as they are.

use bytes::Bytes;
use entra_emulator::{Emulator, SeededUser};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response};
use url::Url;

use super::user::form_request;

/// A browser with one cookie.
#[derive(Debug)]
pub(crate) struct Browser<'a> {
    emulator: &'a Emulator,
    pub(crate) cookie: String,
}

/// What it shows.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) answer: Response<Bytes>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(emulator: &'a Emulator) -> Self {
        Self {
            emulator,
            cookie: String::new(),
        }
    }

    pub(crate) fn get(&mut self, url: &Url) -> Shown {
        let request = Request::get(url.as_str()).body(Bytes::new()).unwrap();
        self.send(request)
    }

    /// Posts the form of a page that has this field or button, with these fields filled in.
    pub(crate) fn submit(&mut self, page: &Shown, fields: &[(&'static str, &str)]) -> Shown {
        let name = fields.first().expect("a field").0;
        let form = page.form_with(name);
        let mut pairs = form.hidden;
        for (name, value) in fields {
            pairs.push((name, (*value).to_owned()));
        }
        let path = form.action.trim_start_matches('/').to_owned();
        self.send(form_request(&path, &pairs))
    }

    /// Opens a URL and signs in with name and password.
    pub(crate) fn sign_in(&mut self, url: &Url, user: &SeededUser) -> Shown {
        let page = self.get(url);
        self.sign_in_at(&page, user)
    }

    pub(crate) fn sign_in_at(&mut self, page: &Shown, user: &SeededUser) -> Shown {
        let name = user.user_principal_name.as_str();
        let password = user.password.expose();
        let fields = [("loginfmt", name), ("passwd", password), ("action", "next")];
        self.submit(page, &fields)
    }

    fn send(&mut self, mut request: Request<Bytes>) -> Shown {
        if !self.cookie.is_empty() {
            let cookie = self.cookie.parse().unwrap();
            request.headers_mut().insert(COOKIE, cookie);
        }
        let answer = self.emulator.handle(&request);
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            let (pair, rest) = cookie.to_str().unwrap().split_once(';').unwrap();
            self.cookie = pair.to_owned();
            if rest.contains("Max-Age=0") {
                self.cookie.clear();
            }
        }
        Shown { answer }
    }
}

/// A form as far as it is needed here.
struct Form {
    action: String,
    hidden: Vec<(&'static str, String)>,
}

impl Shown {
    pub(crate) fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    pub(crate) fn html(&self) -> String {
        String::from_utf8(self.answer.body().to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.answer.headers().get(name);
        value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    }

    pub(crate) fn heading(&self) -> String {
        self.between("<h1>", "</h1>")
    }

    /// The text of the first element that begins like this.
    pub(crate) fn between(&self, start: &str, end: &str) -> String {
        let html = self.html();
        let (_, rest) = html.split_once(start).expect(&html);
        unescape(rest.split_once(end).unwrap().0)
    }

    /// The code that the telephone would show.
    pub(crate) fn code(&self) -> String {
        self.between("<output id=\"code\">", "</output>")
    }

    pub(crate) fn location(&self) -> Url {
        let location = self.answer.headers().get(LOCATION);
        let shown = self.html();
        Url::parse(location.expect(&shown).to_str().unwrap()).unwrap()
    }

    /// A parameter of the place where the browser goes.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let url = self.location();
        let found = url.query_pairs().find(|(known, _)| known == name)?;
        Some(found.1.into_owned())
    }

    fn form_with(&self, name: &str) -> Form {
        let html = self.html();
        let form = html
            .split("<form ")
            .skip(1)
            .filter_map(|rest| rest.split_once("</form>"))
            .map(|(form, _)| form)
            .find(|form| form.contains(&format!(" name=\"{name}\"")))
            .expect(&html);
        let attribute = |tag: &str, name: &str| {
            let start = format!("{name}=\"");
            let (_, rest) = tag.split_once(&start)?;
            Some(unescape(rest.split_once('"')?.0))
        };
        let hidden = form
            .split("<input type=\"hidden\"")
            .skip(1)
            .map(|tag| {
                let name = attribute(tag, "name").unwrap();
                let name = HIDDEN.into_iter().find(|known| *known == name);
                (
                    name.expect("a known name"),
                    attribute(tag, "value").unwrap(),
                )
            })
            .collect();
        Form {
            action: attribute(form, "action").unwrap(),
            hidden,
        }
    }
}

const HIDDEN: [&str; 9] = [
    "request",
    "sid",
    "canary",
    "first",
    "user_code",
    "post_logout_redirect_uri",
    "state",
    "client_id",
    "id_token_hint",
];

fn unescape(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(text.to_owned(), |text, (escaped, plain)| {
        text.replace(escaped, plain)
    })
}
