//! The least that a server of this kind can do: for each connection a thread, which reads a request
//! and writes the file of that name from memory, in one call.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use crate::report::Kind;

/// Serves the files of a folder until standard input ends.
pub(crate) fn run(address: &str, folder: PathBuf) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    thread::spawn(move || {
        for connection in listener.incoming() {
            let folder = folder.clone();
            thread::spawn(move || {
                let served = connection.and_then(|socket| serve(socket, &folder));
                if let Err(error) = served {
                    eprintln!("bare loop: {error}");
                }
            });
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Serves the files that exist when the first request comes.
fn serve(mut socket: TcpStream, folder: &Path) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = [0; 2048];
    let mut responses: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let len = socket.read(&mut request)?;
        let request = &request[..len];
        if len == 0 {
            return Ok(());
        }
        if responses.is_empty() {
            for kind in Kind::ALL {
                let begin = format!("GET /{} ", kind.file());
                // Not all of them may be written when the first is requested.
                let body = fs::read(folder.join(kind.file())).unwrap_or_default();
                let mut response =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())
                        .into_bytes();
                response.extend(body);
                responses.push((begin.into_bytes(), response));
            }
        }
        let response = responses
            .iter()
            .find(|(begin, _)| request.starts_with(begin));
        let (_, response) = response.ok_or(io::ErrorKind::InvalidData)?;
        socket.write_all(response)?;
    }
}
