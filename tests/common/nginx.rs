//! nginx in front of brooklet, configured with the lines from the README.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use super::http::HttpClient;
use super::process::Program;
use super::{Brooklet, SOON, TempDir, wait_until};

const README: &str = include_str!("../../README.md");

/// Returns the code block in a given language from the README's section on proxies.
fn block(language: &str) -> &'static str {
    let section = README.split_once("**Behind a reverse proxy**").unwrap().1;
    let fence = format!("```{language}\n");
    section
        .split_once(&fence)
        .unwrap()
        .1
        .split_once("```")
        .unwrap()
        .0
}

/// brooklet and nginx, configured according to the README.
pub(crate) struct Site {
    pub(crate) server: Brooklet,
    pub(crate) address: SocketAddr,
    _nginx: Program,
    _dir: TempDir,
}

impl Site {
    pub(crate) fn start(options: &[&str]) -> Site {
        Site::start_under("/", options)
    }

    /// Starts both programs with brooklet under a path, according to the README.
    pub(crate) fn start_under(path: &str, options: &[&str]) -> Site {
        let told: Vec<&str> = block("sh").split_whitespace().collect();
        assert_eq!(told[..3], ["brooklet", "--http", "127.0.0.1:8080"]);
        let server = Brooklet::start(&[&told[3..], options].concat());
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let upstream = if path == "/" { "" } else { "/" };
        let lines = block("nginx")
            .replace("127.0.0.1:8080", &server.http_address().to_string())
            .replace("location / {", &format!("location {path} {{"))
            .replace("http://brooklet;", &format!("http://brooklet{upstream};"))
            .replace(
                "# listen, server_name and certificates as usual",
                &format!("listen {address};"),
            );
        let dir = TempDir::new();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {name};\n"))
            .concat();
        let text = format!(
            "daemon off;\nmaster_process off;\npid pid;\nerror_log stderr;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{lines}}}\n"
        );
        let path = dir.join("nginx.conf");
        fs::write(&path, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(&path);
        command.args(["-e", "stderr"]);
        let mut nginx = Program::start(&mut command);
        wait_until("nginx answers", SOON, || {
            assert!(nginx.is_running(), "{}", nginx.stderr());
            TcpStream::connect(address).is_ok()
        });
        Site {
            server,
            address,
            _nginx: nginx,
            _dir: dir,
        }
    }

    /// Connects a viewer from a local address, one of 127.0.0.0/8.
    pub(crate) fn viewer(&self, host: u8) -> HttpClient {
        let local = Ipv4Addr::new(127, 0, 0, host);
        HttpClient::connect_from(local, self.address)
    }
}
