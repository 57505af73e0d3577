//! `log.*`

use fields::{Fields, all, text, word};

use super::reader::setting;
use crate::telemetry;

/// What is logged and how.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A filter such as `info` or `info,domain=debug`.
    pub level: String,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object.
    Json,
}

pub(super) fn read(fields: &mut Fields<'_, '_>) -> Option<LogSettings> {
    let level = |text: &str| telemetry::check_level(text).map(|()| text.to_owned());
    let formats = word([("text", LogFormat::Text), ("json", LogFormat::Json)]);
    all!(LogSettings {
        level: setting(fields, "log.level", text(level)),
        format: setting(fields, "log.format", formats),
    })
}
