use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use vscan_tests::samples::{eicar, plant};

use crate::protected::Protected;

impl Protected {
    /// Asserts that the infected file can be read without a scan, and that the log says why.
    #[track_caller]
    fn leaves_out(&self, name: &str, why: &str) {
        let before = self.scanner.scans();
        let content = std::fs::read(self.path(name)).unwrap();
        assert_eq!(self.get(name).unwrap(), content, "{name} is left out");
        assert_eq!(self.scanner.scans(), before, "{name} is not scanned");
        self.wait_for_line(name, &format!("not scanned: {why}"));
    }

    #[track_caller]
    fn refuses(&self, name: &str) {
        self.refused(name).refused_with("NT_STATUS_VIRUS_INFECTED");
    }

    /// An infected file in a folder.
    fn plant_below(&self, folder: &str, name: &str) {
        let dir = self.path(folder);
        std::fs::create_dir_all(&dir).unwrap();
        plant(&dir.join(name), &eicar());
    }
}

#[test]
fn files_that_match_the_expression_are_left_out() {
    let it = Protected::with(r"exclude file regexp = \.(iso|img)$");
    it.plant("a.iso", &eicar());
    it.leaves_out("a.iso", "its path matches exclude file regexp");
}

#[test]
fn files_that_do_not_match_the_expression_are_scanned() {
    let it = Protected::with(r"exclude file regexp = \.(iso|img)$");
    for name in ["a.com", "a.iso.com", "A.ISO"] {
        it.plant(name, &eicar());
        it.refuses(name);
    }
}

#[test]
fn the_expression_sees_the_whole_path() {
    let it = Protected::with("exclude file regexp = /shares/s/builds/");
    it.plant_below("builds", "a.com");
    it.plant("builds.com", &eicar());
    it.leaves_out("builds/a.com", "its path matches exclude file regexp");
    it.refuses("builds.com");
}

#[test]
fn names_that_are_not_utf8_are_matched_and_shown() {
    let it = Protected::server(r"exclude file regexp = \.iso$", |server| {
        server.global("unix charset", "ISO8859-1")
    });
    for name in [&b"caf\xe9.iso"[..], b"caf\xe9.com"] {
        plant(&it.path("").join(OsStr::from_bytes(name)), &eicar());
    }
    assert_eq!(it.get("café.iso").unwrap(), eicar());
    it.wait_for_line(r"caf\xe9.iso", "not scanned: its path matches exclude file regexp");
    it.refused("café.com").refused_with("NT_STATUS_VIRUS_INFECTED");
    it.wait_for_line(r"caf\xe9.com", "is infected");
}

#[test]
fn a_byte_that_is_not_utf8_can_be_named_in_the_expression() {
    let it = Protected::server(r"exclude file regexp = (?-u:\xe9)\.com$", |server| {
        server.global("unix charset", "ISO8859-1")
    });
    plant(&it.path("").join(OsStr::from_bytes(b"caf\xe9.com")), &eicar());
    assert_eq!(it.get("café.com").unwrap(), eicar());
}

#[test]
fn files_of_an_excluded_type_are_left_out_whatever_their_name() {
    let it = Protected::with("exclude file types = text/html; image/*");
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &eicar()].concat();
    it.plant("a.exe", &png);
    it.leaves_out("a.exe", "its type image/png is in exclude file types");
    it.plant("a.htm", &[b"<!DOCTYPE html><html><body>", &eicar()[..]].concat());
    it.leaves_out("a.htm", "its type text/html is in exclude file types");
}

#[test]
fn files_of_another_type_are_scanned_whatever_their_name() {
    let it = Protected::with("exclude file types = image/*");
    it.plant("a.png", &eicar());
    it.refuses("a.png");
}

#[test]
fn excluded_places_are_left_out_and_no_others() {
    let it = Protected::with("exclude paths = builds; users/*/tmp; @RIG@/shares/s/absolute");
    for (folder, entry) in
        [("builds/x", "builds"), ("users/anna/tmp", "users/*/tmp"), ("absolute", "@RIG@/shares/s/absolute")]
    {
        it.plant_below(folder, "a.com");
        let entry = entry.replace("@RIG@/", &it.smbd.path("").display().to_string());
        it.leaves_out(&format!("{folder}/a.com"), &format!("exclude paths covers it ({entry})"));
    }
    for folder in ["builds2", "users/anna", "x/builds"] {
        it.plant_below(folder, "a.com");
        it.refuses(&format!("{folder}/a.com"));
    }
}

#[test]
fn only_included_places_are_scanned() {
    let it = Protected::with("include paths = incoming; out*\nexclude paths = incoming/trusted");
    for folder in ["incoming/x", "outgoing"] {
        it.plant_below(folder, "a.com");
        it.refuses(&format!("{folder}/a.com"));
    }
    it.plant_below("archive", "a.com");
    it.leaves_out("archive/a.com", "include paths does not cover it");
    it.plant_below("incoming/trusted", "a.com");
    it.leaves_out("incoming/trusted/a.com", "exclude paths covers it (incoming/trusted)");
}

#[test]
fn an_excluded_upload_is_kept_without_a_scan() {
    let it = Protected::with("exclude paths = builds");
    std::fs::create_dir(it.path("builds")).unwrap();
    std::os::unix::fs::chown(it.path("builds"), Some(1), Some(1)).unwrap();
    it.put("builds/a.com", &eicar()).ok();
    assert_eq!(std::fs::read(it.path("builds/a.com")).unwrap(), eicar());
    assert_eq!(it.scanner.scans(), 0);
}

#[test]
fn empty_files_are_not_scanned() {
    let it = Protected::with("");
    it.plant("empty.doc", b"");
    it.leaves_out("empty.doc", "it is empty");
}
