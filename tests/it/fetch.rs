//! Files from mirrors that behave badly: what comes is what was asked for, or an error that says why, and nothing half is kept.

use std::fs;
use std::path::Path;

use crate::support::server::{Page, Server};
use kpkg::fetch::proxies::Proxies;
use kpkg::fetch::{Fetcher, Known};
use kpkg::output::Stop;
use sha2::{Digest, Sha256};

fn known(bytes: &[u8]) -> Known {
    Known { sha256: format!("{:x}", Sha256::digest(bytes)), size: bytes.len() as u64 }
}

fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn fetcher(cache: &Path) -> Fetcher {
    Fetcher::new(cache, false, Proxies::default(), &Stop::default())
}

/// The content of a page that behaves so, or the error with its hint, and what was asked for.
fn fetched(page: Page) -> (Result<Vec<u8>, String>, Vec<String>) {
    let (server, cache) = (Server::new(), tempfile::tempdir().unwrap());
    server.put(
        "a/file",
        Page { bytes: if page.bytes.is_empty() { content() } else { page.bytes.clone() }, ..page },
    );
    let fetcher = fetcher(cache.path());
    let found = fetcher.file(&format!("{}/a/file", server.url), &known(&content()));
    let found = found.map(|path| fs::read(path).unwrap());
    let found = found.map_err(|error| format!("{error} / {}", error.hint_text().unwrap_or_default()));
    let kept = fs::read_dir(cache.path().join("sha256")).map(Iterator::count).unwrap_or_default();
    // besides what is whole only what may be gone on with
    assert!(kept <= 1, "{kept}");
    (found, server.asked())
}

#[test]
fn what_is_cut_goes_on_where_it_stopped() {
    let (found, asked) = fetched(Page { cuts: vec![150_000, 100_000, 1], ..Page::default() });
    assert_eq!(found.unwrap(), content());
    let begins: Vec<_> = asked.iter().map(|line| line.rsplit_once(' ').unwrap().1).collect();
    assert_eq!(begins, ["0", "150000", "250000", "250001"], "{asked:?}");
    // a server that does not go on gives all of it again
    let (found, asked) = fetched(Page { cuts: vec![150_000], ignores_range: true, ..Page::default() });
    assert_eq!(found.unwrap(), content());
    assert_eq!(asked.len(), 2, "{asked:?}");
}

#[test]
fn trouble_that_passes_is_borne_and_what_lasts_is_named() {
    let (found, asked) = fetched(Page { first: vec!["503".into(), "503 1".into()], ..Page::default() });
    assert_eq!(found.unwrap(), content());
    assert_eq!(asked.len(), 3);
    for (page, message) in [
        (
            Page { first: vec!["503".into(); 9], ..Page::default() },
            "cannot be fetched: status 503; what came is kept",
        ),
        (Page { first: vec!["404".into()], ..Page::default() }, "the mirror has no longer `http://127.0.0.1"),
        (Page { first: vec!["403".into()], ..Page::default() }, "the mirror answers with status 403: `http"),
        (
            Page { first: vec!["302 /a/file".into(); 20], ..Page::default() },
            "is sent on more than 10 times: `http",
        ),
        (Page { first: vec!["302 ftp://x/y".into()], ..Page::default() }, "which is no address: `http"),
        (Page { bytes: content()[..9].to_vec(), ..Page::default() }, "it ended after 9 of 400000 bytes"),
        (Page { bytes: [content(), vec![0]].concat(), ..Page::default() }, "is larger than the 400000 bytes"),
        (Page { bytes: vec![7; 400_000], ..Page::default() }, "has the SHA-256 "),
    ] {
        let (found, asked) = fetched(page);
        let error = found.unwrap_err();
        assert!(error.contains(message), "{message}: {error}");
        assert!(!error.ends_with("/ "), "a hint: {error}");
        assert!(asked.len() <= 10, "{asked:?}");
    }
    // nobody is there
    let cache = tempfile::tempdir().unwrap();
    let error = fetcher(cache.path()).file("http://127.0.0.1:1/x", &known(b"x")).unwrap_err().to_string();
    assert!(error.starts_with("cannot be fetched: ") && error.contains("refused"), "{error}");
}

#[test]
fn redirects_are_followed() {
    let (found, _) =
        fetched(Page { first: vec!["302 /a/file".into(), "302 file".into()], ..Page::default() });
    assert_eq!(found.unwrap(), content());
}

#[test]
fn what_is_kept_is_not_asked_for_again_unless_it_is_damaged() {
    let (server, cache) = (Server::new(), tempfile::tempdir().unwrap());
    server.bytes("x", content());
    let (url, of) = (format!("{}/x", server.url), known(&content()));
    let path = fetcher(cache.path()).file(&url, &of).unwrap();
    assert_eq!(server.asked().len(), 1);
    fetcher(cache.path()).file(&url, &of).unwrap();
    assert_eq!(server.asked().len(), 0);
    let offline = Fetcher::new(cache.path(), true, Proxies::default(), &Stop::default());
    assert_eq!(offline.file(&url, &of).unwrap(), path);
    fs::write(&path, "other").unwrap();
    let error = offline.file(&url, &of).unwrap_err();
    assert!(error.to_string().starts_with("is not here, and nothing is fetched offline: `http"), "{error}");
    fetcher(cache.path()).file(&url, &of).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content());
}

#[test]
fn what_a_killed_run_left_of_something_else_is_begun_anew() {
    let (server, cache) = (Server::new(), tempfile::tempdir().unwrap());
    server.bytes("x", content());
    let of = known(&content());
    fs::create_dir_all(cache.path().join("sha256")).unwrap();
    for left in [&vec![9; 50_000], &vec![9; 400_000], &content()[..50_000].to_vec(), &vec![9; 500_000]] {
        fs::write(cache.path().join(format!("sha256/{}.part", of.sha256)), left).unwrap();
        let path = fetcher(cache.path()).file(&format!("{}/x", server.url), &of).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content());
        assert_eq!(fs::read_dir(cache.path().join("sha256")).unwrap().count(), 1);
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_that_changes_is_asked_for_with_its_mark() {
    let (server, cache) = (Server::new(), tempfile::tempdir().unwrap());
    let url = format!("{}/InRelease", server.url);
    let current = |is_offline| {
        Fetcher::new(cache.path(), is_offline, Proxies::default(), &Stop::default()).current(&url, 1000)
    };
    assert!(current(true).unwrap_err().to_string().starts_with("was never fetched"));
    assert_eq!(current(false).unwrap(), None);
    server.put("InRelease", Page { bytes: b"one".to_vec(), etag: Some("\"1\"".into()), ..Page::default() });
    assert_eq!(current(false).unwrap().unwrap(), b"one");
    assert_eq!(current(false).unwrap().unwrap(), b"one");
    let asked = server.asked();
    assert!(asked.last().unwrap().starts_with("/InRelease 304"), "{asked:?}");
    server.put("InRelease", Page { bytes: b"two".to_vec(), etag: Some("\"2\"".into()), ..Page::default() });
    assert_eq!(current(false).unwrap().unwrap(), b"two");
    assert_eq!(current(true).unwrap().unwrap(), b"two");
    server.bytes("InRelease", vec![0; 1001]);
    assert!(current(false).unwrap_err().to_string().starts_with("is larger than the 1000 bytes"));
}

#[test]
fn who_asks_to_stop_does_not_wait_for_a_slow_mirror() {
    let (server, cache, stop) = (Server::new(), tempfile::tempdir().unwrap(), Stop::default());
    server.put("x", Page { bytes: content(), slow: 20, ..Page::default() });
    let fetcher = Fetcher::new(cache.path(), false, Proxies::default(), &stop);
    let flag = stop.flag();
    std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        flag.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let error = fetcher.file(&format!("{}/x", server.url), &known(&content())).unwrap_err();
    assert_eq!(error.kind(), kpkg::base::error::Kind::Interrupted);
    // what came by then is where the next run goes on
    let part = cache.path().join(format!("sha256/{}.part", known(&content()).sha256));
    assert!(fs::metadata(part).unwrap().len() > 0);
}
