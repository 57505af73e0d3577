//! `cors.*`

use fields::{Fields, text};
use url::Url;

use super::reader::setting;

/// `cors.allowed_origins`: the sites whose pages may ask.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<Vec<String>> {
    setting(fields, "cors.allowed_origins", text(origins))
}

fn origins(text: &str) -> Result<Vec<String>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let origins: Vec<_> = text
        .split(',')
        .map(|origin| origin.trim().to_owned())
        .collect();
    if origins.iter().all(|origin| is_origin(origin)) {
        Ok(origins)
    } else {
        Err(
            "must be origins such as https://shop.example or http://localhost:8080, separated by \
             commas: in small letters, without a path or a default port (443, 80); * stands for \
             none, name each",
        )
    }
}

/// Written as browsers write it, which is how it is compared.
fn is_origin(text: &str) -> bool {
    !text.contains('*')
        && Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
        })
}
