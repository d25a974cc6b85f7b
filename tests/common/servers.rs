//! RTMP servers by others, which tests start: nginx-rtmp, Node-Media-Server, and ffmpeg as a server for one
//! client.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::media::quiet;
use super::process::Program;
use super::{SOON, TempDir, wait_until};

/// Returns an address of the loopback interface whose port is free at the moment. These programs can't be
/// asked for any free port.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// The name of the file into which ffmpeg writes what it receives.
const RECEIVED: &str = "received.flv";

/// A running server. It ends when dropped.
pub(crate) struct RtmpServer {
    pub(crate) address: SocketAddr,
    pub(crate) program: Program,
    dir: TempDir,
}

impl RtmpServer {
    /// The URL of a stream of the app `live`.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.address)
    }

    /// Starts nginx with its module for RTMP and these lines in the app `live`, such as `live on;`.
    pub(crate) fn nginx(app: &str) -> RtmpServer {
        RtmpServer::nginx_at(free_address(), app)
    }

    /// The same at a given address.
    pub(crate) fn nginx_at(address: SocketAddr, app: &str) -> RtmpServer {
        RtmpServer::nginx_with(
            address,
            &format!(
                "server {{ listen {address}; chunk_size 4096; application live {{ {app} }} }}"
            ),
        )
    }

    /// Starts nginx with this text as its block `rtmp`, in which a server listens on the address.
    pub(crate) fn nginx_with(address: SocketAddr, rtmp: &str) -> RtmpServer {
        let dir = TempDir::new();
        let text = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\ndaemon off;\n\
             master_process off;\npid pid;\nerror_log stderr info;\nevents {{}}\n\
             rtmp {{ {rtmp} }}\n"
        );
        let path = dir.join("nginx.conf");
        fs::write(&path, text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(&path);
        command.args(["-e", "stderr"]);
        RtmpServer::start("nginx", command, address, dir)
    }

    /// Starts Node-Media-Server. `BROOKLET_NODE_MEDIA_SERVER` has to name the folder into which npm has
    /// installed it.
    pub(crate) fn node_media_server() -> RtmpServer {
        const SCRIPT: &str = "const Server = require('node-media-server');
            const [, , rtmp, http] = process.argv;
            const static_ = { router: '/static', root: process.cwd() };
            new Server({ bind: '127.0.0.1', notify: {}, static: static_,
                rtmp: { port: Number(rtmp) }, http: { port: Number(http) },
                auth: { play: false, publish: false, secret: 'none' } }).run();";

        let installed = std::env::var_os("BROOKLET_NODE_MEDIA_SERVER")
            .map(PathBuf::from)
            .expect("BROOKLET_NODE_MEDIA_SERVER names the folder of Node-Media-Server");
        let dir = TempDir::new();
        let script = dir.join("server.js");
        fs::write(&script, SCRIPT).unwrap();
        let (address, http) = (free_address(), free_address());
        let mut command = Command::new("node");
        command.arg(&script);
        command.args([address.port(), http.port()].map(|port| port.to_string()));
        command.env("NODE_PATH", installed.join("node_modules"));
        command.current_dir(dir.path());
        RtmpServer::start("Node-Media-Server", command, address, dir)
    }

    /// Starts ffmpeg as a server that writes what its only client publishes into a file.
    pub(crate) fn ffmpeg_receiving(ffmpeg: &str) -> RtmpServer {
        RtmpServer::ffmpeg(ffmpeg, |command, url, dir| {
            command.args(["-listen", "1", "-i", url, "-map", "0", "-c", "copy"]);
            command.arg(dir.join(RECEIVED));
        })
    }

    /// Starts ffmpeg as a server that sends a file in real time to its only client, with these options for
    /// the file.
    pub(crate) fn ffmpeg_sending(ffmpeg: &str, options: &[&str], file: &Path) -> RtmpServer {
        RtmpServer::ffmpeg(ffmpeg, |command, url, _| {
            command.arg("-re").args(options).arg("-i").arg(file);
            command.args(["-map", "0", "-c", "copy", "-f", "flv", "-listen", "1", url]);
        })
    }

    fn ffmpeg(ffmpeg: &str, prepare: impl FnOnce(&mut Command, &str, &TempDir)) -> RtmpServer {
        let dir = TempDir::new();
        let address = free_address();
        let mut command = quiet(ffmpeg);
        prepare(&mut command, &format!("rtmp://{address}/live/door"), &dir);
        // It serves one connection only, so that nothing may look whether it listens.
        let program = Program::start(&mut command);
        let server = RtmpServer {
            address,
            program,
            dir,
        };
        wait_until("ffmpeg listens", SOON, || is_listening(address));
        server
    }

    /// The file into which ffmpeg has [written](Self::ffmpeg_receiving), once its client is gone.
    pub(crate) fn received(&mut self) -> PathBuf {
        self.program.wait(SOON);
        self.dir.join(RECEIVED)
    }

    fn start(name: &str, mut command: Command, address: SocketAddr, dir: TempDir) -> RtmpServer {
        let mut program = Program::start(&mut command);
        wait_until(&format!("{name} answers"), SOON, || {
            assert!(
                program.is_running(),
                "{}{}",
                program.stdout(),
                program.stderr()
            );
            TcpStream::connect(address).is_ok()
        });
        RtmpServer {
            address,
            program,
            dir,
        }
    }
}

/// Whether some process listens on an address of IPv4, as the kernel lists it.
fn is_listening(address: SocketAddr) -> bool {
    let SocketAddr::V4(address) = address else {
        return false;
    };
    const LISTEN: &str = "0A";

    let ip = u32::from_ne_bytes(address.ip().octets());
    let wanted = format!("{ip:08X}:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(&wanted) && fields.nth(1) == Some(LISTEN)
    })
}
