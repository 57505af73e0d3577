use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// What a file has, if that is at most so many bytes: a wrong path may name one that never ends,
/// or a pipe, which waits for somebody who writes.
///
/// # Errors
/// Those of reading; [`ErrorKind::FileTooLarge`] if it is longer; [`ErrorKind::InvalidInput`] if it
/// is a pipe.
pub fn read_bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.file_type().is_fifo() {
        let what = "it is a pipe; name a file";
        return Err(io::Error::new(ErrorKind::InvalidInput, what));
    }
    let mut content = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut file = File::open(path)?.take(most.saturating_add(1));
    if file.read_to_end(&mut content)? > limit {
        let what = format!("it is longer than {limit} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_that_never_ends_is_given_up() {
        let read = |limit| read_bounded(Path::new("/dev/zero"), limit);
        let error = read(1_024).unwrap_err();
        assert_eq!(error.to_string(), "it is longer than 1024 bytes");
        assert!(read_bounded(Path::new("/dev/null"), 0).unwrap().is_empty());
    }

    #[test]
    fn nobody_waits_for_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let error = read_bounded(&pipe, 1_024).unwrap_err();
        assert_eq!(error.to_string(), "it is a pipe; name a file");
    }
}
