//! A picture in its file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes a drawn picture to a file, whole or not at all.
///
/// # Errors
/// Names the file and the reason; what was there before is still there.
pub fn save(svg: &str, path: &Path) -> Result<(), String> {
    replace(path, svg.as_bytes()).map_err(|error| format!("cannot write '{}': {error}", path.display()))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // A link stays a link, also /dev/stdout that leads to a file.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("it is there and no regular file"));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    let mut file = File::create_new(&beside)?;
    let written = file.write_all(content).and_then(|()| fs::rename(&beside, &path));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ringmaster-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let folder = folder("replaced");
        let path = folder.join("a.svg");
        save("longer", &path).unwrap();
        save("short", &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        assert_eq!(names(&folder), ["a.svg"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = folder("linked");
        let (path, link) = (folder.join("a.svg"), folder.join("link"));
        save("first", &path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        save("second", &link).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_written_is_named_with_the_reason() {
        let folder = folder("unwritable");
        let missing = folder.join("none").join("a.svg");
        for (path, reason) in [(missing.as_path(), "No such file"), (&folder, "no regular file")] {
            let error = save("", path).unwrap_err();
            assert!(error.starts_with(&format!("cannot write '{}': ", path.display())), "{error}");
            assert!(error.contains(reason), "{error}");
        }
        assert!(names(&folder).is_empty());
        fs::remove_dir_all(folder).unwrap();
    }
}
