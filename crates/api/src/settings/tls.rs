//! `tls.*`

use std::path::PathBuf;

use fields::{Fields, flag, text, whole, word};
use http_api::CertificateFiles;

use super::reader::{setting, variable};

/// `tls.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    On,
    Required,
}

/// The section `tls`, if HTTPS is served.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// If plain HTTP leads there: to which port; 0 is [`Self::port`].
    pub required: Option<u16>,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
    /// Of the certificate.
    pub files: CertificateFiles,
}

/// `None` in it if it is off, and whether a certificate is set that is then not used.
pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    server_port: Option<u16>,
) -> Option<(Option<TlsSettings>, bool)> {
    let modes = [
        ("off", Mode::Off),
        ("on", Mode::On),
        ("required", Mode::Required),
    ];
    let mode = setting(fields, "tls.mode", word(modes));
    let is_served = mode.is_some_and(|mode| mode != Mode::Off);
    let port = setting(fields, "tls.port", whole(0..=u16::MAX));
    if is_served && port.is_some_and(|port| port != 0) && port == server_port {
        fields.fault(
            "tls.port",
            "is server.port, too; set one of them to a free port",
        );
    }
    let public_port = setting(fields, "tls.public_port", whole(0..=u16::MAX));
    let http2 = setting(fields, "tls.http2", flag);
    let certificate = file(fields, "tls.certificate_file", is_served);
    let key = file(fields, "tls.key_file", is_served);
    let (mode, certificate, key) = (mode?, certificate?, key?);
    let settings = TlsSettings {
        required: Some(public_port?).filter(|_| mode == Mode::Required),
        port: port?,
        http2: http2?,
        files: CertificateFiles { certificate, key },
    };
    let CertificateFiles { certificate, key } = &settings.files;
    let is_set = [certificate, key]
        .iter()
        .any(|file| !file.as_os_str().is_empty());
    Some(match mode {
        Mode::Off => (None, is_set),
        Mode::On | Mode::Required => (Some(settings), false),
    })
}

fn file(fields: &mut Fields<'_, '_>, key: &'static str, is_needed: bool) -> Option<PathBuf> {
    let path = setting(
        fields,
        key,
        text(|path| Ok::<_, String>(PathBuf::from(path))),
    )?;
    if is_needed && path.as_os_str().is_empty() {
        let variable = variable(key);
        let what = format_args!("is empty, but tls.mode is not off; set {variable}");
        fields.fault(key, what);
        return None;
    }
    Some(path)
}
