use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn problem(path: &Path) -> String {
    BookFile::open(path).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_book_is_made_where_there_is_none_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state").join("keys");
    drop(BookFile::open(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
    let content = fs::read(&path).unwrap();
    drop(BookFile::open(&path).unwrap());
    assert_eq!(fs::read(&path).unwrap(), content, "opening changes nothing");
}

#[test]
fn one_node_has_a_book_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let (file, book) = BookFile::open(&path).unwrap();
    assert!(problem(&path).contains("in use by another node"));
    // A change replaces the file; the lock must outlive that.
    file.write(&book).unwrap();
    assert!(problem(&path).contains("in use by another node"));
    drop(file);
    BookFile::open(&path).unwrap();
}

#[test]
fn what_others_can_read_or_replace_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    drop(BookFile::open(&path).unwrap());
    for mode in [0o640, 0o604, 0o620, 0o666] {
        chmod(&path, mode);
        assert!(problem(&path).contains("open to other users"), "{mode:o}");
    }
    chmod(&path, 0o600);
    for mode in [0o770, 0o707, 0o1777] {
        chmod(folder.path(), mode);
        assert!(problem(&path).contains("other users can put files into"), "{mode:o}");
    }
    chmod(folder.path(), 0o755);
    BookFile::open(&path).unwrap();
}

#[test]
fn what_is_no_book_is_said_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    for (content, expected) in [
        ("", "it is empty"),
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("{\"version\":1,\n \"digest_key\": 7}", "line 2 column"),
    ] {
        fs::write(&path, content).unwrap();
        chmod(&path, 0o600);
        let found = problem(&path);
        assert!(found.contains(expected), "{found}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    fs::write(&path, vec![b' '; usize::try_from(FILE_MAX).unwrap() + 1]).unwrap();
    assert!(problem(&path).contains("larger than 1 MiB"));
    fs::remove_file(&path).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    drop(BookFile::open(&elsewhere).unwrap());
    symlink(&elsewhere, &path).unwrap();
    assert!(problem(&path).contains("cannot read"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(problem(&path).contains("not a regular file"));
}

#[test]
fn what_a_crash_left_behind_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    fs::write(beside(&path, "new"), "half of a bo").unwrap();
    drop(BookFile::open(&path).unwrap());
    assert!(!beside(&path, "new").exists());
}

#[test]
fn a_book_that_cannot_be_written_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let (file, book) = BookFile::open(&path).unwrap();
    let content = fs::read(&path).unwrap();
    // A folder in the way of the new file, which root could write into too.
    fs::create_dir(beside(&path, "new")).unwrap();
    assert!(file.write(&book).is_err());
    assert_eq!(fs::read(&path).unwrap(), content);
}
