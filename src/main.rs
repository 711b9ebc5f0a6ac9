//! The `mlroll` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    mlroll::main(std::env::args_os())
}
