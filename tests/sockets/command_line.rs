//! The program as a user starts and stops it.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Output};

use crate::client::{Client, wait_until};
use crate::common::process::Program;
use crate::common::{Brooklet, without_settings};

fn brooklet_in(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(crate::common::PROGRAM.unwrap());
    let command = without_settings(&mut command).args(arguments);
    command.envs(environment.iter().copied()).output().unwrap()
}

fn brooklet(arguments: &[&str]) -> Output {
    brooklet_in(arguments, &[])
}

#[test]
fn wrong_usage_is_exit_code_2_and_one_line() {
    let output = brooklet(&["--memory", "lots"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "brooklet: invalid value \"lots\" for --memory: expected a size such as 32M or 512K\n"
    );
}

#[test]
fn a_misspelled_variable_is_exit_code_2_and_one_line() {
    // A port that can't be used, so that the program ends in any case.
    let arguments = ["--rtmp", "192.0.2.1:1", "--http", "off"];
    let output = brooklet_in(&arguments, &[("BROOKLET_PUBLISH_KEYS", "sesame-4711")]);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "brooklet: unknown environment variable BROOKLET_PUBLISH_KEYS. Did you mean \
         BROOKLET_PUBLISH_KEY?\n"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_port_in_use_is_exit_code_1_and_says_what_to_do() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = brooklet(&["--rtmp", &address]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        error.contains(&format!(
            "cannot listen on {address}: the address is in use"
        )),
        "{error}"
    );
    assert!(error.contains("Try --rtmp "), "{error}");
}

#[test]
fn it_listens_where_a_name_says() {
    let mut command = Command::new(crate::common::PROGRAM.unwrap());
    let command = without_settings(&mut command);
    let program = Program::start(command.args(["--rtmp", "localhost:0", "--http", "off"]));
    wait_until("it says where it listens", || {
        program.with_stdout(|text| text.contains("\nplaying: "))
    });
    let printed = program.stdout();
    let mut lines = printed.lines();
    let port = lines.find_map(|line| line.strip_prefix("listening for RTMP on 127.0.0.1:"));
    let port: u16 = port.expect(&printed).parse().unwrap();
    Client::handshaken((Ipv4Addr::LOCALHOST, port).into());
}

#[test]
fn a_name_that_nobody_knows_is_exit_code_1_and_names_the_option() {
    let output = brooklet(&["--rtmp", "127.0.0.1:0", "--http", "nowhere.invalid:80"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("nowhere.invalid:80 for --http: "), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
#[cfg(target_pointer_width = "64")]
fn memory_that_no_machine_has_is_exit_code_1_and_says_what_to_do() {
    // 200 TB: more than the address space.
    let arguments = [
        "--memory",
        "200000G",
        "--rtmp",
        "127.0.0.1:0",
        "--http",
        "off",
    ];
    let output = brooklet(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "brooklet: this machine has no 204800000 MiB of memory to give. Try a smaller --memory\n"
    );
}

#[test]
fn help_and_version_are_printed() {
    let help = brooklet(&["--help"]);
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--max-lag TIME"));
    let version = brooklet(&["--version"]);
    let expected = format!("brooklet {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
}

#[test]
fn the_log_says_that_a_publisher_was_taken_over() {
    let server = Brooklet::start(&[]);
    let mut first = Client::publishing(server.address(), "live", "door");
    first.send_headers();
    let mut second = Client::publishing(server.address(), "live", "door");
    second.send_headers();
    wait_until("the log tells how the first one ended", || {
        let end = "disconnected: another publisher has taken over";
        server.with_log(|log| log.contains(end))
    });
}

#[test]
fn the_log_says_once_per_publish_where_a_stream_can_be_watched() {
    let server = Brooklet::start(&[]);
    let page = format!("http://{}/", server.http_address());
    let line = format!("  watch in a browser    {page}\n");
    assert!(server.printed().contains(&line), "{}", server.printed());
    for count in [1, 2] {
        let mut publisher = Client::publishing(server.address(), "live", "d\u{f6}or");
        publisher.send_headers();
        publisher.send_frame(1, 0, true, 500);
        publisher.send_frame(2, 40, false, 500);
        let line = format!("; watch at {page}live/d%C3%B6or");
        server.wait_for_log(&line, count);
        drop(publisher);
        server.wait_for_log("stopped publishing", count);
        let lines = server.with_log(|log| log.matches("watch at").count());
        assert_eq!(lines, count);
    }
}

#[test]
fn without_http_no_page_is_mentioned() {
    let server = Brooklet::start(&["--http", "off"]);
    let mut publisher = Client::publishing(server.address(), "live", "door");
    publisher.send_headers();
    publisher.send_frame(1, 0, true, 500);
    server.wait_for_log("live/door: H.264", 1);
    let printed = server.printed();
    assert!(
        !printed.contains("http:") && !printed.contains("browser"),
        "{printed}"
    );
}

#[test]
fn a_signal_ends_it_with_exit_code_0_while_a_stream_runs() {
    for signal in ["TERM", "INT"] {
        let server = Brooklet::start(&[]);
        let mut publisher = Client::publishing(server.address(), "live", "door");
        let mut player = Client::playing(server.address(), "live", "door");
        publisher.send_headers();
        publisher.send_frame(1, 0, true, 5_000);
        player.wait_for_media();
        server.stop_by(signal);
    }
}
