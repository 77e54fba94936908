//! Parses, builds, runs, drains: see `cli`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sentinel::cli::main()
}
