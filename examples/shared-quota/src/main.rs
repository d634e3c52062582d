use provider_stub::Debit;
use shared_quota::*;
fn main() {
    for (d, r) in [
        (Debit::Produced, Reserve::Learned(0.9)),
        (Debit::Produced, Reserve::Learned(0.87)),
        (Debit::Produced, Reserve::Learned(0.85)),
        (Debit::Produced, Reserve::Quantile(0.9)),
        (Debit::Produced, Reserve::Quantile(0.8)),
        (Debit::Estimate(1000), Reserve::Quantile(0.5)),
        (Debit::Estimate(1000), Reserve::Quantile(0.9)),
        (Debit::Estimate(1000), Reserve::Learned(0.9)),
        (Debit::Estimate(1200), Reserve::Quantile(0.5)),
    ] {
        for seed in 1..=3 {
            let mut case = Case::new(Load::Tokens, d, r);
            case.seed = seed;
            let s = run(&case).unwrap();
            println!("{d:?} {r:?} {seed}: tok {:.4} refused {:.5} most {} {:?}", s.tokens_used, s.refused, s.totals.most_tokens, s.counts.rows.iter().map(|r| r.wait(0.5)).collect::<Vec<_>>());
        }
    }
}
