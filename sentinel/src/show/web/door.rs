//! Who may come in: the name a request uses for this host, the token it presents; and what every answer tells a browser.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::warn;

use super::{Options, Token, desk::Desk};
use crate::config::Listen;

/// What a browser may do with an answer: nothing that does not come from this listener.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
const HEADERS: [(header::HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (
        header::HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        header::HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// The rules, and whether a breach was already spoken of.
#[derive(Debug)]
pub(super) struct Door {
    token: Option<Token>,
    host: String,
    /// Any name will do: a token is asked for, or the socket has no names.
    any_name: bool,
    desk: Arc<Desk>,
    told: [AtomicBool; 2],
}

impl Door {
    pub(super) fn new(options: &Options, desk: &Arc<Desk>) -> Self {
        Self {
            token: options.token.clone(),
            host: options.host.to_ascii_lowercase(),
            any_name: options.token.is_some() || matches!(options.listen, Listen::Unix(_)),
            desk: Arc::clone(desk),
            told: [const { AtomicBool::new(false) }; 2],
        }
    }

    /// A page of somebody else can make a browser ask here under a name of its own; such a name is not served.
    fn knows(&self, headers: &HeaderMap) -> bool {
        if self.any_name {
            return true;
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
            return false;
        };
        if host.parse::<SocketAddr>().is_ok() || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return true;
        }
        let name = host
            .rsplit_once(':')
            .map_or(host, |(name, _)| name)
            .to_ascii_lowercase();
        name == "localhost" || !self.host.is_empty() && name == self.host
    }

    fn trusts(&self, headers: &HeaderMap) -> bool {
        self.token.as_ref().is_none_or(|token| {
            let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let presented = presented.and_then(|value| value.split_once(' '));
            presented.is_some_and(|(scheme, text)| scheme.eq_ignore_ascii_case("bearer") && token.is(text.trim()))
        })
    }

    fn say_once(&self, index: usize, what: &str) {
        if !self.told[index].swap(true, Relaxed) {
            warn!("web: {what}; further ones are counted, not said");
        }
    }
}

/// Every request: its name for this host, and the headers of its answer.
pub(super) async fn enter(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let mut response = if door.knows(request.headers()) {
        next.run(request).await
    } else {
        door.say_once(
            0,
            "a request named this host in a way that is not its own and was refused",
        );
        let said = "This host is not known by that name: use its address, localhost, or its host name.\n";
        (StatusCode::MISDIRECTED_REQUEST, said).into_response()
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    door.desk.answered(response.status().as_u16());
    response
}

/// Requests for what only those may see who have the token.
pub(super) async fn identify(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if door.trusts(request.headers()) {
        return next.run(request).await;
    }
    door.say_once(1, "a request without the right token was refused");
    let said = "A token is needed: send it as `Authorization: Bearer TOKEN`.\n";
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], said).into_response()
}
