//! `shared-quota`: prints the tables of `docs/shared-quota.md`.

use std::io::{self, Write};
use std::time::Duration;

use buttress::Priority;
use buttress::core::BoxError;
use clap::Parser;
use provider_stub::Debit;
use shared_quota::{Case, LEARNED, Load, Reserve, Shown, run};

/// Twenty agents share 60 requests and 150,000 tokens a minute, in virtual time.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// For how many minutes they do, in each run.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,

    /// What the runs' chances follow from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How long the longest answer is debited after it was asked for: a window that covers it.
const LONG: Duration = Duration::from_secs(91);

/// The mean answer, about.
const MEAN: u64 = 1_200;

fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    let usual = [
        Reserve::Maximum,
        Reserve::Quantile(0.5),
        Reserve::Quantile(0.9),
        Reserve::Quantile(0.95),
        Reserve::Learned(LEARNED),
    ];
    let mut out = io::stdout();
    title(&mut out, "Requests bind; the provider debits the maximum")?;
    let case = Case::new(Load::Requests, Debit::Maximum, Reserve::Maximum);
    row(&mut out, &options, case)?;

    title(
        &mut out,
        "Tokens bind; the provider debits what is produced, when it is produced",
    )?;
    for reserve in usual {
        row(
            &mut out,
            &options,
            Case::new(Load::Tokens, Debit::Produced, reserve),
        )?;
    }
    let mut case = Case::new(Load::Tokens, Debit::Produced, Reserve::Maximum);
    case.window = LONG;
    row(&mut out, &options, case)?;

    title(
        &mut out,
        "Tokens bind; the provider debits the maximum, and corrects it at the end",
    )?;
    for reserve in usual {
        row(
            &mut out,
            &options,
            Case::new(Load::Tokens, Debit::Maximum, reserve),
        )?;
    }

    title(
        &mut out,
        "Tokens bind; the provider debits a mean answer, and corrects it at the end",
    )?;
    for reserve in usual {
        row(
            &mut out,
            &options,
            Case::new(Load::Tokens, Debit::Estimate(MEAN), reserve),
        )?;
    }
    Ok(())
}

fn title(out: &mut impl Write, title: &str) -> io::Result<()> {
    writeln!(out, "\n{title}\n")?;
    writeln!(
        out,
        "| reserved | client's window | requests used | tokens used | refused by the provider | most tokens in \
         a minute | critical wait p50, p99 | high | medium | low |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|---|")
}

fn row(out: &mut impl Write, options: &Options, mut case: Case) -> Result<(), BoxError> {
    case.seed = options.seed;
    case.time = Duration::from_secs(60 * options.minutes);
    let Shown {
        totals,
        counts,
        requests_used,
        tokens_used,
        refused,
    } = run(&case)?;
    let waits = Priority::ALL.into_iter().rev().map(|priority| {
        let row = &counts.rows[priority as usize];
        let wait = |part| row.wait(part).as_secs_f64();
        format!("{:.1}, {:.1} s", wait(0.5), wait(0.99))
    });
    writeln!(
        out,
        "| {} | {} s | {:.1} % | {:.1} % | {} ({:.2} %) | {} | {} |",
        name(case.reserve),
        case.window.as_secs(),
        requests_used * 100.0,
        tokens_used * 100.0,
        totals.refused(),
        refused * 100.0,
        totals.most_tokens,
        waits.collect::<Vec<_>>().join(" | ")
    )?;
    Ok(())
}

fn name(reserve: Reserve) -> String {
    match reserve {
        Reserve::Maximum => "the maximum".to_owned(),
        Reserve::Quantile(part) => format!("p{:.0}, known before", part * 100.0),
        Reserve::Learned(part) => format!("p{:.0}, learned", part * 100.0),
    }
}
