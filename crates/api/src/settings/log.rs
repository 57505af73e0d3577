//! `log.*`

use super::reader::Reader;
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

pub(super) fn read(reader: &mut Reader) -> Option<LogSettings> {
    let level = reader.take("log.level", |text| {
        telemetry::check_level(text).map(|()| text.to_owned())
    });
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = reader.choice("log.format", &formats);
    Some(LogSettings {
        level: level?,
        format: format?,
    })
}
