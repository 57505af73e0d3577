use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// What a file has, if that is at most so many bytes: a wrong path may name one that never ends.
///
/// # Errors
/// Those of reading; [`ErrorKind::FileTooLarge`] if it is longer.
pub fn read_bounded(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
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
    use super::*;

    #[test]
    fn a_file_that_never_ends_is_given_up() {
        let read = |limit| read_bounded(Path::new("/dev/zero"), limit);
        let error = read(1_024).unwrap_err();
        assert_eq!(error.to_string(), "it is longer than 1024 bytes");
        assert!(read_bounded(Path::new("/dev/null"), 0).unwrap().is_empty());
    }
}
