//! A poller meets a feed that it cannot parse; until the server has something new, it asks for the headers only.
//!
//! Run with `cargo run -p examples --example quarantine_feed_poller`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use fingerprint_quarantine::{Admission, Backoff, Hold, Quarantine};

/// The timer is for servers that change the ETag with every answer.
const HOLD: Hold = Hold::until_changed().or_retry(Backoff::every(Duration::from_secs(3600)));

/// What the server has, one after the other: the ETag and the feed.
const EDITIONS: [(&str, &str); 3] = [("v1", "<one>"), ("v2", "<two"), ("v3", "<two>")];
static EDITION: AtomicUsize = AtomicUsize::new(0);
static FEEDS_SENT: AtomicUsize = AtomicUsize::new(0);

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let lines = BufReader::new(&stream).lines();
    let head: Vec<String> = lines
        .map_while(|line| line.ok().filter(|line| !line.is_empty()))
        .collect();
    let (etag, mut feed) = EDITIONS[EDITION.load(Ordering::SeqCst)];
    if head[0].starts_with("GET") {
        FEEDS_SENT.fetch_add(1, Ordering::SeqCst);
    } else {
        feed = "";
    }
    write!(stream, "HTTP/1.0 200 OK\r\nETag: {etag}\r\n\r\n{feed}")
}

/// One request; the ETag and the body.
fn request(server: SocketAddr, verb: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(server)?;
    write!(stream, "{verb} /feed HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let etag = head.lines().find_map(|line| line.strip_prefix("ETag: "));
    Ok((etag.unwrap_or_default().to_owned(), body.to_owned()))
}

fn poll(feeds: &Quarantine<String, Option<String>>, server: SocketAddr) -> io::Result<String> {
    // Asked only of a feed that failed. A server that does not answer is a state as well.
    let look = || request(server, "HEAD").ok().map(|(etag, _)| etag);
    let mut attempt = match feeds.admit("feed", look) {
        Admission::Go(attempt) => attempt,
        Admission::Held(held) => return Ok(format!("not fetched: {held}")),
        Admission::Probing => return Ok("another thread is at it".to_owned()),
    };
    let (etag, feed) = request(server, "GET")?;
    // The ETag that came with the feed is the one that belongs to it.
    attempt.restamp(Some(etag));
    Ok(if feed.ends_with('>') {
        let why = attempt.why();
        attempt.ok();
        format!("{feed} ({why})")
    } else {
        // No answer now says nothing about the feed.
        let held = attempt.failed(&HOLD, |before| look().or_else(|| before.clone()));
        format!("broken: {held}")
    })
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    // Ends with the program.
    thread::spawn(move || listener.incoming().try_for_each(|stream| answer(stream?)));
    let feeds = Quarantine::new();
    let mut told = String::new();
    for edition in [0, 1, 1, 1, 1, 2] {
        EDITION.store(edition, Ordering::SeqCst);
        told = poll(&feeds, server)?;
        println!("{told}");
    }
    assert_eq!(told, "<two> (changed)");
    assert_eq!(FEEDS_SENT.load(Ordering::SeqCst), 3, "in six polls");
    Ok(())
}
