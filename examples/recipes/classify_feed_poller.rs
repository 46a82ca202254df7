//! A feed poller meets five ways to fail; each says when to try again: now, later, or never.
//!
//! Run with `cargo run --example classify_feed_poller`.
#![expect(clippy::print_stdout, reason = "an example prints what it does")]

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use error_classify::{Remedy, classify};

#[derive(Debug, PartialEq)]
enum Next {
    /// Over a new connection, in this round.
    Now,
    /// In the next round.
    Later,
    /// Not before somebody has looked at it.
    Never,
}

fn next(error: &(dyn Error + 'static)) -> Next {
    match classify(error).remedy() {
        Remedy::Reopen | Remedy::RestartTxn => Next::Now,
        Remedy::RetryCall => Next::Later,
        // `Remedy` may grow: what is not known is not tried again.
        _ => Next::Never,
    }
}

fn fetch(address: &str) -> io::Result<[u8; 4]> {
    let mut feed = TcpStream::connect(address)?;
    feed.set_read_timeout(Some(Duration::from_millis(50)))?;
    feed.write_all(b"GET feed\n")?;
    let mut answer = [0; 4];
    feed.read_exact(&mut answer)?;
    Ok(answer)
}

/// A server on loopback that treats its one visitor like this.
fn serve(treat: fn(TcpStream) -> io::Result<()>) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || treat(listener.accept()?.0));
    Ok(address)
}

fn main() -> Result<(), Box<dyn Error>> {
    let refused = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    // Waits for the other end to close, and says nothing.
    let silent = serve(|mut visitor| io::copy(&mut visitor, &mut io::sink()).map(drop))?;
    // Closed with something unread in it, a connection is reset.
    let reset = serve(|visitor| visitor.peek(&mut [0]).map(drop))?;
    let short = serve(|mut visitor| {
        visitor.read_exact(&mut [0; 9])?;
        visitor.write_all(b"ok")
    })?;
    for (what, address, expected) in [
        ("nobody listens", refused.as_str(), Next::Later),
        ("no answer in time", &silent, Next::Later),
        ("connection reset", &reset, Next::Now),
        ("half an answer", &short, Next::Now),
        ("no address at all", "feeds.example", Next::Never),
    ] {
        let error = fetch(address).err().ok_or("it did not fail")?;
        let next = next(&error);
        println!("{what:<18} {next:<6?} {}", classify(&error));
        assert_eq!(next, expected, "{what}: {error}");
    }
    Ok(())
}
