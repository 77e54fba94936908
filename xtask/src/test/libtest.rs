//! Reads what Rust's test harness prints: counts, skips and matrix rows. Never runs anything.

use crate::report::Tally;

/// A row for the table of kernels: `MATRIX key=value` anywhere in a line of output.
pub(crate) type Row = (String, String);

/// Sums every `test result:` line; `None` if there is none, which means that the program did not get that far.
///
/// A test that cannot run here prints `SKIP: reason` and passes; it is counted as skipped, not as passed.
pub(crate) fn tally(output: &str) -> Option<Tally> {
    let mut sum: Option<Tally> = None;
    for line in output
        .lines()
        .filter_map(|line| line.split_once("test result: ").map(|(_, rest)| rest))
    {
        let count = |word: &str| {
            line.split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
                .unwrap_or(0)
        };
        sum.get_or_insert_default().add(Tally {
            passed: count(" passed"),
            failed: count(" failed"),
            skipped: count(" ignored"),
        });
    }
    let mut sum = sum?;
    let said = u32::try_from(skips(output).len()).unwrap_or(u32::MAX).min(sum.passed);
    sum.passed -= said;
    sum.skipped += said;
    Some(sum)
}

/// Every reason after `SKIP: `.
pub(crate) fn skips(output: &str) -> Vec<&str> {
    output
        .lines()
        .filter_map(|line| line.split_once("SKIP: ").map(|(_, reason)| reason.trim()))
        .collect()
}

/// The names of the tests that failed.
pub(crate) fn failures(output: &str) -> Vec<&str> {
    let mut names: Vec<&str> = output
        .lines()
        .skip_while(|line| *line != "failures:")
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|name| !name.is_empty() && !name.contains(' '))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Every matrix row, in the order of the output.
pub(crate) fn rows(output: &str) -> Vec<Row> {
    output
        .lines()
        .filter_map(|line| line.split_once("MATRIX ")?.1.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 3 tests\ntest a ... MATRIX hook sched_switch=ok, 74 ns\nok\ntest b ... SKIP: no kprobes here\nok\ntest c ... FAILED\n\n\
        failures:\n\n---- c stdout ----\nthread panicked\n\nfailures:\n    c\n\n\
        test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";

    #[test]
    fn counts_of_all_binaries_are_summed_and_skips_are_not_passes() {
        let twice = format!(
            "{OUTPUT}test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n"
        );
        assert_eq!(
            tally(&twice),
            Some(Tally {
                passed: 6,
                failed: 1,
                skipped: 5
            })
        );
    }

    #[test]
    fn a_program_that_died_before_its_summary_has_no_tally() {
        assert_eq!(tally("running 3 tests\ntest a ... "), None);
    }

    #[test]
    fn rows_skips_and_failures_are_found_within_lines() {
        assert_eq!(rows(OUTPUT), [("hook sched_switch".to_owned(), "ok, 74 ns".to_owned())]);
        assert_eq!(skips(OUTPUT), ["no kprobes here"]);
        assert_eq!(failures(OUTPUT), ["c"]);
    }
}
