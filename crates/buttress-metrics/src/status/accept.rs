//! Whether somebody wants the page or the value.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Whether `Accept` names HTML, and does not like JSON better (RFC 9110, section 12.5.1). Ranges with a star do
/// not count, so that what says nothing in particular, such as curl, gets JSON.
pub(super) fn wants_page(fields: &HeaderMap) -> bool {
    let html = quality(fields, "text/html");
    html > 0 && html >= quality(fields, "application/json")
}

/// How much a media type is liked, in thousandths; 0 if it is not named.
fn quality(fields: &HeaderMap, wanted: &str) -> u32 {
    let lists = fields.get_all(ACCEPT).into_iter();
    let ranges = lists.filter_map(|list| list.to_str().ok());
    let ranges = ranges.flat_map(|list| list.split(','));
    let found = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts.next()?.eq_ignore_ascii_case(wanted);
        is_it.then(|| parts.find_map(weight).unwrap_or(1_000))
    });
    found.max().unwrap_or(0)
}

fn weight(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, part) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let thousandths = format!("{part:0<3}");
    match (whole, thousandths.get(..3)?.parse().ok()?) {
        ("1", _) => Some(1_000),
        ("0", part) => Some(part),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::ACCEPT;

    use super::wants_page;

    #[test]
    fn browsers_get_the_page_and_all_others_the_value() {
        for (accept, page) in [
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                true,
            ),
            ("Text/HTML ; q=0.5, text/plain", true),
            ("application/json", false),
            ("*/*", false),
            ("text/*", false),
            ("", false),
            ("text/html;q=0", false),
            ("text/html;q=0.4, application/json;q=0.5", false),
            ("text/html;q=0.5, application/json;q=0.45", true),
            ("text/html;level=1;q=0.250, application/json;q=0.25", true),
            (";;,,=;q=ä", false),
        ] {
            let mut fields = HeaderMap::new();
            if let Ok(value) = accept.parse() {
                fields.insert(ACCEPT, value);
            }
            assert_eq!(wants_page(&fields), page, "{accept}");
        }
        assert!(!wants_page(&HeaderMap::new()));
    }
}
