//! Against a model that keeps every refusal and reckons everything anew.

use std::time::Duration;

use buttress_rate_limit::Penalty;
use proptest::prelude::*;

#[derive(Clone, Debug)]
struct Rule {
    after: u32,
    first: u64,
    /// In tenths, which are thousandths without a remainder.
    growth: u64,
    up_to: u64,
    ban: Option<(u32, u64)>,
    quiet: u64,
}

impl Rule {
    fn penalty(&self) -> Penalty {
        let growth = u32::try_from(self.growth).map_or(0.0, f64::from) / 10.0;
        let penalty = Penalty::after(self.after)
            .first(Duration::from_nanos(self.first))
            .growing(growth)
            .up_to(Duration::from_nanos(self.up_to))
            .forget_after(Duration::from_nanos(self.quiet));
        match self.ban {
            Some((after, length)) => penalty.ban_after(after, Duration::from_nanos(length)),
            None => penalty,
        }
    }

    fn length(&self, step: u32) -> u64 {
        (1..step).fold(self.first, |length, _| {
            (length * self.growth / 10).min(self.up_to)
        })
    }

    /// Until when a key is penalised that was refused at these instants, and for how many of them.
    fn reckon(&self, refusals: &[u64]) -> (u64, u32) {
        let (mut until, mut last, mut count, mut is_banned) = (0, 0, 0, false);
        for &now in refusals {
            let forgotten = if is_banned {
                until
            } else {
                until.max(last) + self.quiet
            };
            if count > 0 && now >= forgotten {
                (until, count, is_banned) = (0, 0, false);
            }
            (count, last) = (count + 1, now);
            if is_banned {
                continue;
            }
            match self.ban {
                Some((after, length)) if count >= after => {
                    (until, is_banned) = (until.max(now + length), true);
                }
                _ if count % self.after == 0 => {
                    until = until.max(now + self.length(count / self.after));
                }
                _ => {}
            }
        }
        (until, count)
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    let ban = prop::option::of((1..12_u32, 1..400_u64));
    (1..5_u32, 1..50_u64, 10..40_u64, 0..200_u64, ban, 1..100_u64).prop_map(
        |(after, first, growth, more, ban, quiet)| Rule {
            after,
            first,
            growth,
            up_to: first + more,
            ban,
            quiet,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_reckons_as_the_model(rule in rule(), waits in prop::collection::vec(0..120_u64, 1..60)) {
        let penalty = rule.penalty();
        let mut refusals = Vec::new();
        let (mut now, mut offence) = (0, None);
        for wait in waits {
            now += wait / 4 * u64::from(wait % 4 != 0);
            refusals.push(now);
            let next = penalty.refused(offence, now);
            prop_assert_eq!((next.until, next.refusals), rule.reckon(&refusals));
            prop_assert!(next.since <= next.until && next.until <= next.forgotten);
            offence = Some(next);
        }
    }
}
