//! The page: files of this program, served from memory. They hold nothing of the host, so they need no token.

use std::sync::Arc;

use axum::{Router, http::header, response::IntoResponse, routing::get};

use super::desk::Desk;

/// Path, type, content.
const FILES: [(&str, &str, &str); 11] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/page/style.css", CSS, include_str!("page/style.css")),
    ("/page/main.js", JS, include_str!("page/main.js")),
    ("/page/feed.js", JS, include_str!("page/feed.js")),
    ("/page/text.js", JS, include_str!("page/text.js")),
    ("/page/history.js", JS, include_str!("page/history.js")),
    ("/page/scopes.js", JS, include_str!("page/scopes.js")),
    ("/page/incidents.js", JS, include_str!("page/incidents.js")),
    ("/page/actions.js", JS, include_str!("page/actions.js")),
    ("/page/log.js", JS, include_str!("page/log.js")),
    ("/page/head.js", JS, include_str!("page/head.js")),
];
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// A route for each file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    FILES.iter().fold(Router::new(), |router, (path, kind, content)| {
        router.route(
            path,
            get(|| async { ([(header::CONTENT_TYPE, *kind)], *content).into_response() }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_nothing_that_is_not_served_here_and_every_file_is_named() {
        for (path, _, content) in FILES {
            for reference in content
                .split(['"', '\'', '(', ')'])
                .filter(|text| text.contains("/page/") || text.starts_with("./"))
            {
                let named = reference
                    .strip_prefix("./")
                    .map_or_else(|| reference.to_owned(), |name| format!("/page/{name}"));
                assert!(
                    FILES.iter().any(|(known, ..)| *known == named),
                    "{path} names {reference}"
                );
            }
            for outside in ["http://", "https://", "@import", "url("] {
                let strangers = content.matches(outside).count()
                    - content.matches("http://www.w3.org/2000/svg").count() * usize::from(outside == "http://");
                assert_eq!(strangers, 0, "{path} fetches with {outside}");
            }
            let file = path.rsplit('/').next().unwrap_or_default();
            let named = FILES
                .iter()
                .any(|(other, _, content)| *other != path && content.contains(file));
            assert!(named || path == "/", "nothing loads {path}");
        }
    }

    #[test]
    fn no_script_ever_turns_text_into_markup_or_code() {
        for (path, _, content) in FILES {
            for way in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                " on click=",
                "style=\"",
            ] {
                assert!(!content.contains(way), "{path} has {way}");
            }
        }
    }
}
