//! An HTTP server on loopback that behaves as it is told, and notes what it was asked for.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a path gives.
#[derive(Clone, Default)]
pub struct Page {
    pub bytes: Vec<u8>,
    /// Answered one by one before the content is given: `503`, `503 1` with seconds to wait, `302 URL`.
    pub first: Vec<String>,
    /// After how many bytes the connection ends, one by one.
    pub cuts: Vec<usize>,
    pub ignores_range: bool,
    pub etag: Option<String>,
    /// How long each further piece takes, in milliseconds.
    pub slow: u64,
}

type Pages = Arc<Mutex<BTreeMap<String, Page>>>;

pub struct Server {
    pub url: String,
    pages: Pages,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (pages, asked): (Pages, Arc<Mutex<Vec<String>>>) = Default::default();
        let (of_pages, of_asked) = (Arc::clone(&pages), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, asked) = (Arc::clone(&of_pages), Arc::clone(&of_asked));
                std::thread::spawn(move || while serve(&stream, &pages, &asked) {});
            }
        });
        Self { url, pages, asked }
    }

    pub fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(format!("/{path}"), page);
    }

    pub fn bytes(&self, path: &str, bytes: impl AsRef<[u8]>) {
        self.put(path, Page { bytes: bytes.as_ref().to_vec(), ..Page::default() });
    }

    /// What was asked for since the last time: `GET /path STATUS BEGIN`.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// Answers one question; whether there may be another on the same connection.
fn serve(stream: &TcpStream, pages: &Pages, asked: &Mutex<Vec<String>>) -> bool {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return false;
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (mut range, mut known) = (0, None);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or((&header, ""));
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                range = value.trim().trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap_or(0);
            }
            "if-none-match" => known = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut out = stream;
    let note = |status: &str| asked.lock().unwrap().push(format!("{path} {status} {range}"));
    let mut say = |status: &str, headers: &str| {
        note(status);
        write!(out, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n{headers}\r\n").is_ok()
    };
    let page = {
        let mut pages = pages.lock().unwrap();
        let Some(page) = pages.get_mut(&path) else {
            drop(pages);
            return say("404", "");
        };
        if !page.first.is_empty() {
            let first = page.first.remove(0);
            drop(pages);
            let (status, rest) = first.split_once(' ').unwrap_or((&first, ""));
            return match status {
                "302" => say("302", &format!("Location: {rest}\r\n")),
                _ if rest.is_empty() => say(status, ""),
                _ => say(status, &format!("Retry-After: {rest}\r\n")),
            };
        }
        let cut = if page.cuts.is_empty() { None } else { Some(page.cuts.remove(0)) };
        (page.clone(), cut)
    };
    let (page, cut) = page;
    if page.etag.is_some() && known == page.etag {
        return say("304", "");
    }
    let begin = if page.ignores_range { 0 } else { range.min(page.bytes.len()) };
    let status = if begin > 0 { "206" } else { "200" };
    let rest = &page.bytes[begin..];
    note(status);
    let etag = page.etag.as_ref().map_or_else(String::new, |etag| format!("ETag: {etag}\r\n"));
    let range = format!(
        "Content-Range: bytes {begin}-{}/{}\r\n",
        page.bytes.len().saturating_sub(1),
        page.bytes.len()
    );
    let range = if begin > 0 { range } else { String::new() };
    let _gone = write!(out, "HTTP/1.1 {status} OK\r\nContent-Length: {}\r\n{etag}{range}\r\n", rest.len());
    let rest = &rest[..cut.unwrap_or(rest.len()).min(rest.len())];
    for piece in rest.chunks(if page.slow > 0 { 1000 } else { rest.len().max(1) }) {
        if out.write_all(piece).is_err() {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(page.slow));
    }
    if cut.is_some() {
        let _closed = stream.shutdown(std::net::Shutdown::Both);
        let _rest = (&*stream).read(&mut [0]);
        return false;
    }
    true
}
