//! The files of the page at `/docs`. `README.md` beside them says where they are from.

/// A file as it is served.
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: &'static [u8],
    /// By gzip, which every browser takes.
    pub(crate) is_compressed: bool,
}

const fn plain(name: &'static str, media_type: &'static str, text: &'static str) -> File {
    File {
        name,
        media_type,
        bytes: text.as_bytes(),
        is_compressed: false,
    }
}

/// The page.
pub(crate) static INDEX: File = plain(
    "index.html",
    "text/html; charset=utf-8",
    include_str!("index.html"),
);

/// What it loads, and the licences of that.
pub(crate) static FILES: [File; 4] = [
    File {
        name: "swagger-ui-bundle.js",
        media_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("swagger-ui-bundle.js.gz"),
        is_compressed: true,
    },
    File {
        name: "swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        bytes: include_bytes!("swagger-ui.css.gz"),
        is_compressed: true,
    },
    plain(
        "start.js",
        "text/javascript; charset=utf-8",
        include_str!("start.js"),
    ),
    plain(
        "licenses.txt",
        "text/plain; charset=utf-8",
        include_str!("licenses.txt"),
    ),
];
