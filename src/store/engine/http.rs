//! The two questions the supervisor asks over HTTP: are you there, and do you let this user in.
//!
//! Blocking, one connection per question, bounded in time and size; everybody else uses a real client.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::access::Credentials;

const ANSWER_BYTES_MAX: u64 = 4096;

/// What the engine answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// ClickHouse's error number.
    pub(super) error: Option<u32>,
    /// The beginning of the body.
    pub(super) body: String,
}

/// Succeeds if something answers `GET /ping` on 127.0.0.1 as ClickHouse does.
pub(super) fn ping(port: u16, timeout: Duration) -> io::Result<()> {
    let answer = ask(port, timeout, "GET /ping HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    if answer.status == 200 && answer.body == "Ok.\n" {
        return Ok(());
    }
    Err(io::Error::other(format!("unexpected answer to a ping, status {}", answer.status)))
}

/// Runs `sql` as `user`.
pub(super) fn query(port: u16, timeout: Duration, user: &Credentials, sql: &str) -> io::Result<Answer> {
    let request = format!(
        "POST / HTTP/1.0\r\nHost: 127.0.0.1\r\nX-ClickHouse-User: {}\r\nX-ClickHouse-Key: {}\r\n\
         Content-Length: {}\r\n\r\n{sql}",
        user.user,
        user.password.expose(),
        sql.len(),
    );
    ask(port, timeout, &request)
}

fn ask(port: u16, timeout: Duration, request: &str) -> io::Result<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| io::Error::other("not an HTTP answer"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()?;
    let error = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("X-ClickHouse-Exception-Code"))
        .and_then(|(_, code)| code.trim().parse().ok());
    Some(Answer { status, error, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_an_answer_apart() {
        let answer =
            parse("HTTP/1.0 403 Forbidden\r\nx-clickhouse-exception-code: 497\r\n\r\nCode: 497").unwrap();
        assert_eq!(answer, Answer { status: 403, error: Some(497), body: "Code: 497".into() });
        assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\nOk.\n").unwrap().body, "Ok.\n");
        assert_eq!(parse("SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse(""), None);
    }
}
