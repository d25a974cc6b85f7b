//! nginx as a child process with one worker, which serves the files of a folder.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::Server;

/// Like Debian's, apart from the log and the number of workers and of requests per connection.
const CONFIGURATION: &str = "daemon off; master_process off; pid pid; error_log stderr;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  sendfile on; tcp_nopush on; keepalive_timeout 65; keepalive_requests 1000000;
  types { video/mp4 m4s; application/vnd.apple.mpegurl m3u8; }
  server { listen {address}; root files; }
}
";

/// See the module's documentation. The folder is removed when dropped.
pub(crate) struct Nginx {
    pub(crate) server: Server,
    folder: Folder,
}

struct Folder(PathBuf);

impl Nginx {
    /// Starts nginx; `None` if it isn't installed.
    pub(crate) fn start() -> Result<Option<Self>, String> {
        let mut version = Command::new("nginx");
        version
            .arg("-v")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if version.status().is_err() {
            return Ok(None);
        }
        let failed = |error| format!("nginx: {error}");
        let name = format!("brooklet-bench-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        fs::create_dir_all(folder.0.join("files")).map_err(failed)?;
        let address = free_address().map_err(failed)?;
        let text = CONFIGURATION.replace("{address}", &address.to_string());
        fs::write(folder.0.join("nginx.conf"), text).map_err(failed)?;
        let prefix = folder.0.to_string_lossy();
        let command = ["nginx", "-p", &prefix, "-c", "nginx.conf", "-e", "stderr"];
        let command = command.map(str::to_owned);
        let server = Server::start_at(&command, [address; 2])?;
        Ok(Some(Self { server, folder }))
    }

    /// Starts this program again, with this argument, as another server of the files.
    pub(crate) fn start_bare_loop(&self, argument: &str) -> Result<Server, String> {
        let failed = |error| format!("bare loop: {error}");
        let program = std::env::current_exe().map_err(failed)?;
        let address = free_address().map_err(failed)?;
        let files = self.folder.0.join("files");
        let [program, files] = [program, files].map(|path| path.to_string_lossy().into_owned());
        let command = [program, argument.into(), "{address}".into(), files];
        Server::start_at(&command, [address; 2])
    }

    /// Replaces a file; a reader of the old one still reads that to its end.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let folder = self.folder.0.join("files");
        let (new, path) = (folder.join("new"), folder.join(name));
        let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, path));
        written.map_err(|error| format!("nginx's file {name}: {error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
