//! The agent, built with the export to an OpenTelemetry collector and with points where a test can make it fail.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sentinel::cli::main()
}
