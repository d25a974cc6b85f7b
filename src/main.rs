//! The program `brooklet`.

mod program;

fn main() -> std::process::ExitCode {
    program::run()
}
